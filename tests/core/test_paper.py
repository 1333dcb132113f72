"""Paper trades what the backtest trades, to the bit, however often the desk was killed."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import paper, signals
from core.backtest import run_backtest
from core.paper import PaperState, position_of, together, trade_bars
from core.signals import BORN, conditions, decide_on, decide_positions
from core.types import HedgeSeries, PairRows


def stored(value):
    """A state as the store gives it back after a kill."""
    return json.loads(json.dumps(value))


@st.composite
def markets(draw):
    n = draw(st.integers(1, 150))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    close_a, close_b = 100 * np.exp(np.cumsum(random.normal(0, 3e-3, (2, n)), axis=1))
    open_a, open_b = (close * np.exp(random.normal(0, 1e-3, n)) for close in (close_a, close_b))
    gone = random.random(n) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    if draw(st.booleans()):  # an outage longer than a position survives
        start = draw(st.integers(0, n - 1))
        gone[start : start + 12] = True
    for column in (open_a, close_a, open_b, close_b):
        column[gone] = math.nan
    traded = (random.random((2, n)) < draw(st.sampled_from([1.0, 0.7]))) & ~gone
    if draw(st.booleans()):  # a leg stops
        start = draw(st.integers(0, n - 1))
        traded[0, start : start + 30] = False
    times = 60_000 * (1_000 + np.arange(n, dtype=np.int64))
    rows = PairRows(times, open_a, close_a, open_b, close_b, *traded)
    z = np.clip(random.normal(0, 2, n).cumsum() * 0.4, -5, 5)
    z[gone] = math.nan
    ratio = 0.3 + np.cumsum(random.normal(0, 0.05, n))
    hedge = HedgeSeries(
        ratio, random.normal(0, 1, n), z, random.normal(0, 1, n), random.uniform(0.01, 1, n), z
    )
    breaks = random.random(n) < draw(st.sampled_from([0.0, 0.03]))
    halts = sorted(draw(st.sets(st.integers(1, n), max_size=8)) | {n})
    return rows, hedge, breaks, halts


def cut(columns, start, stop):
    return type(columns)(*(getattr(columns, name)[start:stop] for name in columns.__slots__))


def papers(spec, rows, hedge, breaks, halts):
    """Trade on paper, killed at every halt; marks."""
    y, x = np.log(rows.close_a), np.log(rows.close_b)
    state, progress = PaperState(int(rows.open_time_ms[0])), BORN
    marks, start = [], 0
    for stop in halts:
        part = slice(start, stop)
        new, fit = cut(rows, start, stop), cut(hedge, start, stop)
        facts, position, code, progress = decide_on(
            spec, new, y[part], x[part], fit, breaks[part], signals.revive(stored(progress))
        )
        marks += trade_bars(
            spec, new, y[part], x[part], fit, facts, position, code, paper.revive(stored(state))
        )
        state, start = marks[-1].state, stop
    return marks


@settings(max_examples=200, deadline=None)
@given(
    market=markets(),
    stop_z=st.sampled_from([None, 3.5]),
    max_hold=st.sampled_from([None, 5]),
    rule=st.sampled_from(["moving", "anchored"]),
)
def test_paper_killed_anywhere_has_the_equity_and_trades_of_the_backtest(
    spec_fixture, market, stop_z, max_hold, rule
):
    rows, hedge, breaks, halts = market
    spec = spec_fixture(stop_z=stop_z, max_hold_bars=max_hold, exit_rule=rule)
    y, x = np.log(rows.close_a), np.log(rows.close_b)
    facts = conditions(spec, rows, hedge.hedge_ratio, breaks)
    position, code = decide_positions(spec, y, x, hedge, facts)
    whole, _ = run_backtest(spec, rows, y, x, hedge, facts, position, code)
    marks = papers(spec, rows, hedge, breaks, halts)
    np.testing.assert_array_equal([mark.equity for mark in marks], whole.equity)
    closed = [trip for trip in whole.round_trips if trip.exit_reason != "open"]
    lefts = [mark.left for mark in marks if mark.left is not None]
    assert repr([left.trip for left in lefts]) == repr(closed)
    last = position_of(spec, marks[-1].state)
    still_open = whole.round_trips[len(closed) :]
    assert [last.side] * bool(last.side) == [trip.side for trip in still_open]
    for trip in still_open:
        assert (last.entry_time_ms, last.quantity_a, last.quantity_b, last.pnl_open) == (
            trip.entry_time_ms, trip.quantity_a, trip.quantity_b, trip.pnl,
        )  # fmt: skip
    assert last.equity == whole.equity[-1]
    # What it is made of adds up.
    for left in lefts:
        assert left.price_pnl + left.drift_pnl - left.trip.costs == pytest.approx(
            left.trip.pnl, abs=1e-8
        )
    assert last.price_pnl + last.drift_pnl - last.costs == pytest.approx(
        last.pnl_open + last.pnl_realised, abs=1e-8
    )
    assert last.pnl_open + last.pnl_realised == pytest.approx(last.equity - spec.notional, abs=1e-8)


def simple(ratios):
    """Short from row 1's close, filled at row 2's open, left at row 5's; B moves by 1 a row."""
    z = np.array([0.0, 2.5, 2.4, 2.2, 0.1, 0.0])
    times = 60_000 * np.arange(6, dtype=np.int64)
    one = np.full(6, 10.0)
    close_b = 20.0 + np.arange(6)
    yes = np.ones(6, bool)
    rows = PairRows(times, one, one, close_b - 0.5, close_b, yes, yes)
    ratio = np.array(ratios)
    return rows, HedgeSeries(ratio, z, z, z, z, z), ~yes


def test_hedge_drift_is_what_leg_b_made_beyond_the_hedge_ratio_of_each_bar(spec):
    rows, hedge, breaks = simple([1.0, 1.0, 1.0, 1.2, 0.8, 0.9])
    marks = papers(spec(fee_bps=0.0, slippage_bps=0.0), rows, hedge, breaks, [6])
    (left,) = [mark.left for mark in marks if mark.left]
    quantity = 5_000.0 / 21.5  # short the spread: B is bought at row 2's open
    assert left.trip.quantity_b == pytest.approx(quantity)
    # ΔB is ½ in the first bar (open to close), 1 in the next two, ½ up to the exit's open.
    drift = quantity * ((1 - 1.2) * 1.0 + (1 - 0.8) * 1.0 + (1 - 0.9) * 0.5)
    assert left.drift_pnl == pytest.approx(drift)
    assert left.trip.pnl == pytest.approx(quantity * 3.0)
    assert left.price_pnl == pytest.approx(quantity * 3.0 - drift)


def test_a_decision_says_at_which_open_it_is_filled_until_it_is(spec):
    rows, hedge, breaks = simple([1.0] * 6)
    marks = papers(spec(), rows, hedge, breaks, [6])
    # Row 1's close enters, row 4's leaves.
    told = [position_of(spec(), mark.state).next_fill_ms for mark in marks]
    assert told == [None, 2 * 60_000, None, None, 5 * 60_000, None]


def test_a_hedge_ratio_that_stands_still_has_no_drift(spec):
    rows, hedge, breaks = simple([0.7] * 6)
    marks = papers(spec(), rows, hedge, breaks, [2, 3, 6])
    assert [mark.left.drift_pnl for mark in marks if mark.left] == [0.0]


def test_two_pairs_that_share_a_leg_are_seen_as_one_exposure(spec):
    rows, hedge, breaks = simple([1.0] * 6)
    asked = spec()
    position = position_of(asked, papers(asked, rows, hedge, breaks, [4])[3].state)
    book = together([("AUSDT", "BUSDT", 1e4, position), ("CUSDT", "BUSDT", 1e4, position)])
    quantity = 5_000.0 / 21.5
    assert list(book.exposure) == ["BUSDT", "AUSDT", "CUSDT"]
    assert book.exposure["BUSDT"] == pytest.approx((2 * quantity, 2 * quantity * 23.0))
    assert book.exposure["AUSDT"] == pytest.approx((-500.0, -5_000.0))
    assert book.equity == pytest.approx(2e4 + 2 * (quantity * 1.5 - 12.0))
    assert book.costs == pytest.approx(24.0)
