"""A market whose minutes close one by one, rules over it, and what their record has to be."""

import math
from dataclasses import replace

import numpy as np

from core.pair import analyse_pair
from core.row_plan import plan_rows
from core.rule_spec import read_rule_spec
from core.settings import Settings
from core.types import Bar, Origin, PairResult
from ingest.store import market, rules
from ingest.store.reader import Reader
from ingest.store.rules import StoredRule
from ingest.store.transaction import Writer
from tests.support.market import listing, plain_bar, reverting_legs

MINUTE = 60_000
FIRST_MS = 1_795_401_000_000 // MINUTE * MINUTE
RULE = {
    "symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "window": 20, "hedge_window": 60, "bars": 240,
    "entry_z": 1.5, "paper": True, "channels": ["phone"],
}  # fmt: skip
ROWS = 700
BORN = 300


class Market:
    """Two legs whose minutes close one by one."""

    def __init__(self, writer: Writer, gone: set[int] | None = None) -> None:
        self.writer = writer
        closes = reverting_legs(ROWS, seed=5, persistence=0.9)
        self.bars = [self._bars(each) for each in closes]
        self.gone = gone or set()
        self.closed = 0
        self.now_s = 0.0
        with writer.transaction() as tx:
            self.ids = market.ensure_symbols(tx, [listing("BTC"), listing("ETH")])

    def _bars(self, closes: np.ndarray) -> list[Bar]:
        opens = np.concatenate([closes[:1], closes[:-1]])
        return [
            plain_bar(FIRST_MS + row * MINUTE, float(open_), float(close))
            for row, (open_, close) in enumerate(zip(opens, closes, strict=True))
        ]

    def close(self, count: int = 1) -> None:
        """Let the next bars close; those that are gone never come of leg B."""
        stop = self.closed + count
        with self.writer.transaction() as tx:
            for symbol, bars in zip(("BTCUSDT", "ETHUSDT"), self.bars, strict=True):
                there = [
                    bars[row]
                    for row in range(self.closed, stop)
                    if symbol == "BTCUSDT" or row not in self.gone
                ]
                market.upsert_bars(tx, self.ids[symbol], MINUTE, there, Origin.TRADES)
        self.closed = stop
        self.now_s = stop * 60.0

    @property
    def now_ms(self) -> int:
        return FIRST_MS + round(self.now_s * 1_000)

    def at(self, row: int) -> int:
        return FIRST_MS + row * MINUTE


def create(desk: Market, row: int = BORN, **changes: object) -> StoredRule:
    spec = read_rule_spec({**RULE, **changes}, Settings())
    with desk.writer.transaction() as tx:
        return rules.create(tx, spec, desk.at(row), desk.now_ms)


def backtest(reader: Reader, rule: StoredRule) -> PairResult:
    """The page's own result since the rule's birth, from the bars as they are stored now."""
    assert rule.spec.pair is not None
    pair = replace(rule.spec.pair, since=rule.born_ms)
    ranges = [reader.bar_range(leg, pair.timeframe_ms) for leg in (pair.symbol_a, pair.symbol_b)]
    known = [one for one in ranges if one is not None]
    plan = plan_rows(pair, max(one[0] for one in known), min(one[1] for one in known))
    legs = (
        reader.leg(leg, pair.timeframe_ms, plan.history_start_ms, plan.end_ms)
        for leg in (pair.symbol_a, pair.symbol_b)
    )
    return analyse_pair(pair, plan, *legs)


def z_of(exit_z: float | None) -> float | None:
    """None where a trip was left without a z, for a lack of data."""
    return None if exit_z is None or math.isnan(exit_z) else exit_z


def assert_paper_is_the_backtest(reader: Reader, desk: Market, rule: StoredRule) -> None:
    result = backtest(reader, rule)
    equity = reader.paper_equity(rule.rule_id, rule.born_ms)
    assert [time_ms for time_ms, _ in equity] == result.rows.open_time_ms.tolist()
    np.testing.assert_array_equal([value for _, value in equity], result.backtest.equity)
    trips = reader.paper_trips(rule.rule_id, rule.born_ms)
    closed = [trip for trip in result.backtest.round_trips if trip.exit_reason != "open"]
    assert len(closed) >= 3
    assert [
        (t.side, t.entry_ms, t.exit_ms, t.entry_z, z_of(t.exit_z), t.quantity_a, t.quantity_b,
         t.pnl, t.costs, t.bars, t.exit_reason)
        for t in trips if t.exit_ms is not None
    ] == [
        (t.side, t.entry_time_ms, t.exit_time_ms, t.entry_z, z_of(t.exit_z), t.quantity_a,
         t.quantity_b, t.pnl, t.costs, t.bars, t.exit_reason)
        for t in closed
    ]  # fmt: skip


def assert_record_is_the_signals(reader: Reader, rule: StoredRule) -> None:
    """Episodes are where the signal takes a position, in the order and at the bars of the result.

    The oracle knows no states: it walks over the positions of the backtest.
    """
    result = backtest(reader, rule)
    held, expected = 0, list[tuple[int, str]]()
    for time_ms, position in zip(
        result.rows.open_time_ms.tolist(), result.position.tolist(), strict=True
    ):
        if position and position != held:
            expected.append((time_ms, "long_spread" if position > 0 else "short_spread"))
        held = position
    found = [(one.start_ms, one.direction) for one in reversed(reader.alerts(rule_id=rule.rule_id))
             if one.direction != "no_data"]  # fmt: skip
    assert found == expected
    assert len(found) >= 3
