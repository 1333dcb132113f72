"""What rules watch of a pair, over the bars of the store: the same as page and API show."""

import math
from collections.abc import Mapping, Sequence

from core import pair as pairs
from core.alerts import z_bars
from core.blocks import looks_back
from core.made_up import made_up_legs
from core.pair_spec import PairSpec, read_pair_spec
from core.paper import PaperState, trade_bars
from core.regression import CHANGE_ROWS
from core.row_plan import RowPlan, plan_new_rows, plan_rows
from core.rule_spec import Kind, RuleSpec
from core.settings import Settings
from core.signals import BORN
from core.timeframes import TIMEFRAMES
from core.types import Leg, Listing, PairResult
from ingest.store.bar_cache import BarCache
from ingest.store.reader import Freshness, Reader

Fresh = Mapping[str, Freshness]


class Figures:
    """Computes figures of pairs over bars kept in memory."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.bars = BarCache(reader)

    def new_rows(self, pair: PairSpec, first_ms: int, last_ms: int, fresh: Fresh) -> pairs.NewRows:
        """The rows that open from `first_ms` to `last_ms`, and what decides on them."""
        plan = plan_new_rows(pair, first_ms, last_ms)
        return pairs.new_rows(pair, plan, *self._legs(pair, plan, fresh))

    def first_ms(self, pair: PairSpec) -> int:
        """Open time of the first bar that both legs have."""
        legs = (pair.symbol_a, pair.symbol_b)
        ranges = [self._reader.bar_range(symbol, pair.timeframe_ms) for symbol in legs]
        return max(one[0] for one in ranges if one is not None)

    def measure(
        self, pair: PairSpec, name: str, open_ms: int, first_ms: int, fresh: Fresh
    ) -> tuple[float, str]:
        """A measure of a pair at one bar, and why it is NaN."""
        if open_ms < first_ms:
            return math.nan, "no bar is stored"
        plan = plan_rows(pair, first_ms, open_ms)
        a, b = fresh[pair.symbol_a], fresh[pair.symbol_b]
        listing = Listing(a.quote, b.quote, a.status, b.status)
        legs = self._legs(pair, plan, fresh)
        return measured(name, pairs.analyse_pair(pair, plan, *legs, listing))

    def at(self, rule: RuleSpec, times: Sequence[int], fresh: Fresh) -> dict[int, float]:
        """What a rule watches at bars that open at these times, in order; NaN where it has none.

        Without the bars whose windows are not whole: some of them may have been pruned.
        """
        pair = rule.pair
        assert pair is not None, "what hangs on bars has a pair"
        first_ms = self.first_ms(pair)
        whole_ms = first_ms + _reach(pair, rule.kind) * pair.timeframe_ms
        times = [time_ms for time_ms in times if time_ms >= whole_ms]
        if not times:
            return {}
        if rule.bound is not None:
            name = rule.bound.measure
            return {one: self.measure(pair, name, one, first_ms, fresh)[0] for one in times}
        new = self.new_rows(pair, times[0], times[-1], fresh)
        found = dict(zip(new.rows.open_time_ms.tolist(), new.hedge.zscore.tolist(), strict=True))
        return {time_ms: found[time_ms] for time_ms in times}

    def _legs(self, pair: PairSpec, plan: RowPlan, fresh: Fresh) -> tuple[Leg, Leg]:
        span = pair.timeframe_ms, plan.history_start_ms, plan.end_ms
        leg_a, leg_b = (
            self.bars.leg(symbol, *span, fresh[symbol].revision)
            for symbol in (pair.symbol_a, pair.symbol_b)
        )
        return leg_a, leg_b


def _reach(pair: PairSpec, kind: Kind) -> int:
    """How many rows back a figure hangs on."""
    if kind != "relationship":
        return looks_back(pair)
    # Half-life and effectiveness take a hedge from before the rows that they are told over.
    return max(pair.bars, pair.hedge_window + CHANGE_ROWS + looks_back(pair))


def warm_up() -> None:
    """Load and compile what judging needs, over two legs made up."""
    legs = made_up_legs(TIMEFRAMES["1m"])
    times = legs[0].open_time_ms
    for hedge in ("ols", "kalman"):
        asked = {"window": 10, "hedge": hedge, "hedge_window": 50, "bars": 200}
        pair = read_pair_spec(asked, Settings())
        plan = plan_new_rows(pair, int(times[-10]), int(times[-1]))
        new = pairs.new_rows(pair, plan, *legs)
        columns = pair, new.rows, new.y, new.x, new.hedge
        given, position, exit_code, _ = z_bars(*columns, new.breaks, BORN)
        trade_bars(*columns, given, position, exit_code, PaperState(int(times[-10])))


def measured(measure: str, result: PairResult) -> tuple[float, str]:
    """A figure that a relationship rule may bound, as API and page have it, and why it is NaN."""
    if measure == "pvalue_both":
        found = result.cointegration
        value, name = math.nan if found is None else found.pvalue_both, "cointegration"
    elif measure == "half_life_bars":
        value, name = result.half_life_bars, "half_life_bars"
    elif measure == "correlation":
        value, name = result.correlation, "correlation"
    else:
        now = result.hedges[result.spec.hedge]
        of_hedge = {"hedge_ratio": now.hedge_ratio, "hedge_effectiveness": now.effectiveness}
        value, name = of_hedge[measure], measure
    if math.isnan(value):
        given = (words for key, words in result.reasons.items() if key.startswith(name))
        return value, next(given, "")
    return value, ""
