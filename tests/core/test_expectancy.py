"""Net per trade by entry: the figure that says whether a pair ever paid for its costs."""

import math
from dataclasses import replace

import numpy as np
import pytest

from core.backtest import run_backtest
from core.expectancy import ENTRIES, expectancy
from core.regression import log_prices, rolling_hedge
from core.signals import conditions, decide_positions
from core.types import PairRows

N, FIRST = 4_000, 500


@pytest.fixture
def computed(spec, log_pair):
    y, x = log_pair(N, 9, 0.01)
    y, x = np.where(np.isnan(x), np.nan, y), np.where(np.isnan(y), np.nan, x)
    a, b = np.exp(y), np.exp(x)
    rows = PairRows(np.arange(N) * 60_000, a * 1.0001, a, b, b, *np.ones((2, N), bool))
    hedge = rolling_hedge(log_prices(a), log_prices(b), first_index=0, hedge_window=300, window=60)
    given = conditions(spec(), rows, hedge.hedge_ratio, np.zeros(N, bool))
    return rows, y, x, hedge, given


def test_each_entry_is_the_backtest_at_that_entry_cut_in_two_halves(spec, computed):
    asked = spec(exit_z=0.25)
    told = expectancy(asked, *computed, FIRST)
    middle = FIRST + (N - FIRST) // 2
    assert [entry.entry_z for entry in told.entries] == list(ENTRIES)
    assert (ENTRIES[0], ENTRIES[1], ENTRIES[-1]) == (1.0, 1.25, 6.0)
    assert (told.since_ms, told.middle_ms) == (FIRST * 60_000, middle * 60_000)
    assert told.cost_bps == 24.0
    for entry in told.entries:
        at = replace(asked, entry_z=entry.entry_z)
        rows, y, x, hedge, given = computed
        decided = decide_positions(at, y, x, hedge, given)
        trips = run_backtest(at, rows, y, x, hedge, given, *decided, FIRST)[0].round_trips
        closed = [trip for trip in trips if trip.exit_reason != "open"]
        for part, chosen in (
            (entry.whole, closed),
            (entry.first_half, [t for t in closed if t.entry_time_ms < told.middle_ms]),
            (entry.second_half, [t for t in closed if t.entry_time_ms >= told.middle_ms]),
        ):
            net = np.array([trip.pnl for trip in chosen])
            gross = net + [trip.costs for trip in chosen]
            assert part.trades == len(chosen)
            if len(chosen) > 1:
                assert part.net == pytest.approx(net.mean())  # 10,000 of notional: 1 bp is 1
                assert part.gross == pytest.approx(gross.mean())
                assert part.net_stderr == pytest.approx(net.std(ddof=1) / len(net) ** 0.5)
                assert part.gross_stderr == pytest.approx(gross.std(ddof=1) / len(net) ** 0.5)
    assert told.entries[0].whole.trades > told.entries[8].whole.trades > 0


def test_an_entry_that_nothing_reached_has_no_mean(spec, computed):
    none = expectancy(spec(), *computed, FIRST).entries[-1].whole
    assert none.trades == 0
    assert math.isnan(none.net)
    assert math.isnan(none.net_stderr)


@pytest.mark.parametrize(
    ("limits", "first", "last"),
    [({"exit_z": 1.5, "entry_z": 2.0}, 1.75, 6.0), ({"stop_z": 3.0}, 1.0, 2.75),
     ({"exit_z": -2.0}, 2.0, 6.0)],
)  # fmt: skip
def test_only_entries_that_go_with_exit_and_stop_are_tried(spec, computed, limits, first, last):
    entries = expectancy(spec(**limits), *computed, FIRST).entries
    assert (entries[0].entry_z, entries[-1].entry_z) == (first, last)


def test_a_trade_held_over_the_middle_belongs_to_the_half_that_it_was_entered_in(spec, computed):
    asked = spec(entry_z=2.0)
    rows, y, x, hedge, given = computed
    decided = decide_positions(asked, y, x, hedge, given)
    trips = run_backtest(asked, rows, y, x, hedge, given, *decided)[0].round_trips
    trip = next(one for one in trips if one.bars > 4 and one.entry_time_ms > N * 30_000)
    middle = trip.entry_time_ms // 60_000 + 2
    first = 2 * middle - N  # the middle of the rows from there on
    told = next(one for one in expectancy(asked, *computed, first).entries if one.entry_z == 2.0)
    own = run_backtest(asked, rows, y, x, hedge, given, *decided, first)[0].round_trips
    closed = [one for one in own if one.exit_reason != "open"]
    assert trip.entry_time_ms in [one.entry_time_ms for one in closed]
    early = sum(one.entry_time_ms < middle * 60_000 for one in closed)
    assert (told.first_half.trades, told.second_half.trades) == (early, len(closed) - early)
    assert early != sum(one.exit_time_ms < middle * 60_000 for one in closed)
