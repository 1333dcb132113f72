"""What to do now, in one sentence, and what it rests on; pure.

The sentence never advises what the numbers below it don't carry: a trade is proposed only where the
pair's own record at this entry has paid for its costs.
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from app.views.text import amount, coin, money, plain, quote_of, signed, time_text
from core.spread import FEWEST_TRADES
from core.types import PairResult, RoundTrip
from core.words import duration_text

Look = Literal["", "go", "no"]
"""Grey: nothing to do. Accent: act, or hold what was entered so. Red: nothing can be said."""


UNTIL_IT_TRADES = "No entry. A held position is left at the next bar in which both legs trade."


class Verdict(NamedTuple):
    """The sentence, the figures that it rests on, and what the rule itself does."""

    look: Look
    words: str
    figures: str
    rule: str


class Holding(NamedTuple):
    """A position as the newest bar leaves it."""

    side: int
    """Held at the close of the newest bar: 1, −1 or 0."""
    before: int
    """Held at the close of the bar before."""
    decided_ms: int
    """Close of the bar that entered what is held."""
    entry_z: float


def holding_of(result: PairResult) -> Holding:
    """Where the positions of a result stand."""
    position, spec = result.position, result.spec
    side = int(position[-1])
    before = int(position[-2]) if len(position) > 1 else 0
    row = len(position) - 1
    while row > 0 and position[row - 1] == side:
        row -= 1
    decided_ms = int(result.rows.open_time_ms[row]) + spec.timeframe_ms
    return Holding(side, before, decided_ms, float(result.chosen.zscore[row]))


def can_pay(result: PairResult) -> bool:
    """Whether what the rule holds, or would enter, has paid for its costs on these rows."""
    now = holding_of(result)
    entry_z = abs(now.entry_z) if now.side else result.spec.entry_z
    reached = max(entry_z, result.spec.entry_z) if math.isfinite(entry_z) else result.spec.entry_z
    return reached >= result.required_z and result.backtest.metrics.avg_pnl > 0.0


def verdict(result: PairResult) -> Verdict:
    """What to do now."""
    zscore, now = result.zscore, holding_of(result)
    rule = _rule(result, now)
    unknown = _unknown(result, zscore)
    if unknown:
        figures = UNTIL_IT_TRADES if result.stopped else _record(result)
        return Verdict("no", f"Can't say: {unknown}.", figures, rule)
    if can_pay(result) and (now.side or now.before):
        return _act(result, now, zscore)
    hedge_ratio = float(result.chosen.hedge_ratio[-1])
    if not now.side and hedge_ratio <= 0.0:
        words = f"Nothing: β is {signed(hedge_ratio)}, both legs would stand on one side."
        figures = f"No entry while β ≤ 0. {_record(result)}"
        return Verdict("", words, figures, rule)
    return Verdict("", _idle(result, zscore), _record(result), rule)


def _unknown(result: PairResult, zscore: float) -> str:
    """Why nothing can be said; empty where something can."""
    if result.stopped:
        return result.stopped.words
    if not math.isfinite(zscore):
        why = result.reasons.get("zscore") or result.reasons.get("spread", "there is no z")
        return "; ".join(wait_words(result)) or why
    return result.reasons.get("backtest", "")


def wait_words(result: PairResult) -> tuple[str, ...]:
    """What z waits for, and how long; nothing where it waits for no bar."""
    wait, spec = result.wait, result.spec
    if wait is None:
        return ()
    if wait.bars == 1:
        return result.reasons.get("zscore", "no bar"), "ready with the next bar"
    lacks = f"{wait.needed:,} of {wait.of:,} bars needed, {wait.here:,} here"
    return lacks, f"ready in {duration_text(wait.bars * spec.timeframe_ms)}"


def _idle(result: PairResult, zscore: float) -> str:
    spec, metrics, required_z = result.spec, result.backtest.metrics, result.required_z
    cost = f"{2 * (spec.fee_bps + spec.slippage_bps):g} bp of costs"
    if not math.isfinite(required_z):
        if metrics.total_trades < FEWEST_TRADES:
            return (
                f"Wait: too few trades here to tell what this pair needs"
                f" ({metrics.total_trades} of {FEWEST_TRADES})."
            )
        return f"Never: no entry has paid for {cost} here."
    farthest = float(np.nanmax(np.abs(result.chosen.zscore)))
    if required_z > max(farthest, spec.entry_z):
        return f"Never: only z {required_z:,.1f} would pay {cost}; here it reached {farthest:.1f}."
    if spec.entry_z < required_z:
        return f"Wait: entry {spec.entry_z:.1f} is below what this pair needs ({required_z:.1f})."
    if not metrics.avg_pnl > 0.0:
        return f"Wait: at entry {spec.entry_z:.1f} this pair has not paid for {cost}."
    if abs(zscore) < spec.entry_z:
        return f"Nothing: z {signed(zscore)} is {spec.entry_z - abs(zscore):.2f} below your entry."
    return f"Nothing: z {signed(zscore)} has to come back inside {plain(spec.exit_z, 'g')} first."


def _act(result: PairResult, now: Holding, zscore: float) -> Verdict:
    """The three forms of a trade that can pay: enter, hold, leave."""
    spec, side = result.spec, now.side or now.before
    a, b = coin(spec.symbol_a), coin(spec.symbol_b)
    quote, next_open = quote_of(spec.symbol_a), time_text(result.as_of_ms, spec.timeframe == "1s")
    held = result.backtest.round_trips[-1] if result.backtest.round_trips else None
    if not now.side:
        if held is None or held.exit_time_ms is not None:
            return Verdict("", _idle(result, zscore), _record(result), "")
        back = _orders(-side, a, b, abs(held.quantity_a), abs(held.quantity_b), " back")
        figures = f"z {signed(zscore)} ends the trade. At the next open, {next_open}."
        return Verdict("go", f"Leave: {back}.", figures, _record(result))
    if now.before != now.side:
        orders = entry_orders(result)
        figures = (
            f"z {signed(zscore)} is beyond the needed {result.required_z:.1f}."
            f" {money(spec.notional)} {quote} in both legs, at the next open, {next_open}."
        )
        words = f"{orders[0].upper()}{orders[1:]}; leave at {_exit(result, side)}."
        return Verdict("go", words, figures, _record(result))
    words = f"Hold: {sides_words(spec.symbol_a, spec.symbol_b, side)}; leave at "
    words += f"{_exit(result, side)}{_away(result, side, zscore)}."
    return Verdict("go", words, _marked(result, now, held, quote), _record(result))


def _marked(result: PairResult, now: Holding, held: RoundTrip | None, quote: str) -> str:
    since = f"Since {time_text(now.decided_ms, result.spec.timeframe == '1s')}"
    if held is None or held.exit_time_ms is not None:
        return f"{since}, from before the rows that count."
    pnl = f"{money(held.pnl, '+')} {quote} marked"
    return f"{since}, {pnl} after {money(held.costs)} of costs so far."


def entry_orders(result: PairResult) -> str:
    """What the newest bar's decision sells and buys, by its close: "sell 0.0989 BTC, buy …"."""
    spec, side = result.spec, int(result.position[-1])
    close_a, close_b = float(result.rows.close_a[-1]), float(result.rows.close_b[-1])
    beta = float(result.chosen.hedge_ratio[-1])
    money_a = spec.notional / (1.0 + abs(beta))
    return _orders(
        side, coin(spec.symbol_a), coin(spec.symbol_b), money_a / close_a,
        abs(beta) * money_a / close_b,
    )  # fmt: skip


def _orders(side: int, a: str, b: str, quantity_a: float, quantity_b: float, back: str = "") -> str:
    if side > 0:
        return f"buy {amount(quantity_a)} {a}{back}, sell {amount(quantity_b)} {b}"
    return f"sell {amount(quantity_a)} {a}, buy {amount(quantity_b)} {b}{back}"


def sides_words(symbol_a: str, symbol_b: str, side: int) -> str:
    """Which leg is bought and which is sold; of a positive β."""
    a, b = coin(symbol_a), coin(symbol_b)
    return f"{a} bought, {b} sold" if side > 0 else f"{a} sold, {b} bought"


def _exit(result: PairResult, side: int) -> str:
    exit_z = result.spec.exit_z
    which = "the entry's z" if result.spec.exit_rule == "anchored" else "z"
    return (
        f"{which} ≤ {plain(exit_z, 'g')}" if side < 0 else f"{which} ≥ {plain(0.0 - exit_z, 'g')}"
    )


def _away(result: PairResult, side: int, zscore: float) -> str:
    """How far z is from the exit; an anchored one's own z is not that of the chart."""
    if result.spec.exit_rule == "anchored":
        return ""
    return f", {max(0.0, -side * zscore - result.spec.exit_z):.2f} away"


def _rule(result: PairResult, now: Holding) -> str:
    """What the rule itself holds, whether or not it can pay."""
    spec = result.spec
    if not now.side:
        left = "The rule itself leaves at the next open." if now.before else ""
        return left or "The rule itself holds nothing."
    since = time_text(now.decided_ms, spec.timeframe == "1s")
    held = sides_words(spec.symbol_a, spec.symbol_b, now.side)
    zscore = float(result.chosen.zscore[-1])
    away = _away(result, now.side, zscore) if math.isfinite(zscore) else ""
    return (
        f"The rule itself holds {held} since {since}; it leaves at {_exit(result, now.side)}{away}."
    )


def _record(result: PairResult) -> str:
    """What a trade at this entry earned on these rows, in sample."""
    spec, metrics = result.spec, result.backtest.metrics
    span = duration_text(result.as_of_ms - result.backtest.since_ms)
    if not metrics.total_trades or not math.isfinite(metrics.avg_pnl):
        return f"At {spec.entry_z:.1f} no trade was closed in {span}."
    net, stderr = (
        1e4 * value / spec.notional for value in (metrics.avg_pnl, metrics.avg_pnl_stderr)
    )
    earned = "earned" if net >= 0.0 else "lost"
    spread = f" ± {stderr:.1f}" if math.isfinite(stderr) else ""
    trades = "1 trade" if metrics.total_trades == 1 else f"{metrics.total_trades:,} trades"
    return (
        f"At {spec.entry_z:.1f} a trade {earned} {abs(net):.1f}{spread} bp after"
        f" {2 * (spec.fee_bps + spec.slippage_bps):g} bp of costs, {trades} in {span}, in sample."
    )
