"""A pair's numbers in the words of the Live view; pure.

Every function returns texts by key; the element that shows one has the id `ids.text(key)`.
"""

import math
from typing import Any, NamedTuple

from app.views.live.verdict import can_pay, holding_of, sides_words, verdict, wait_words
from app.views.text import NONE, SIDES, coin, money, plain, quote_of, signed, time_text
from core.blocks import looks_back
from core.pair_spec import HEDGES, Hedge
from core.spread import A_WALK, FEWEST_TRADES
from core.types import PairResult, RoundTrip
from core.words import duration_text, short

_USUAL: tuple[Hedge, ...] = ("ols", "kalman", "returns")
"""Hedge ratios that stand beside the chosen one's."""
CARDS = ("z", "even", "hedge", "effect", "half-life", "coint", "corr", "signal")
MORE = ("hedge-more", "effect-more", "coint-more", "signal-more")
"""Third lines of cards, or what stands in them before the noise."""
SUMMARY = {
    "pnl": "net PnL",
    "per-trade": "per trade, bp",
    "win": "win rate",
    "trades": "closed trades",
    "sharpe": "Sharpe, yearly",
    "drawdown": "max drawdown",
    "costs": "costs",
    "exposure": "in a position",
}
"""Figures of the backtest by key: the words beside each."""
VERDICT = ("verdict", "verdict-figures", "verdict-rule")
NOISE = (
    "z-noise", "even-noise", "effect-noise", "half-life-noise", "coint-noise", "corr-noise",
    *(f"{key}-noise" for key in SUMMARY), "noise-note",
)  # fmt: skip
"""What noise gives, see `app.views.live.worth`."""
LATER = (*NOISE, "expectancy-note")
"""What comes after the screen."""


def live_texts(result: PairResult, zscore_provisional: float) -> dict[str, str]:
    """Everything on the Live view that is written in words, by key."""
    said = verdict(result)
    return {
        **dict(zip(VERDICT, (said.words, said.figures, said.rule), strict=True)),
        **_cards(result),
        **forming_texts(entry_note(result), zscore_provisional),
        **_summary(result),
    }


def lasting_texts(result: PairResult) -> dict[str, str]:
    """What stays said for as long as a screen's left edge stands."""
    spec, backtest = result.spec, result.backtest
    since = time_text(backtest.since_ms, spec.timeframe == "1s")
    note = f"filled at next open, since {since}, in sample"
    if backtest.inherited is not None:
        note += f" · {SIDES[backtest.inherited.side]} from before, not counted"
    return {
        "since-note": _reason(result, "backtest") or note,
        "history-note": _history_note(result),
        "effect-note": "of 10-bar variance",
        "corr-note": f"returns, {spec.window:,} bars",
    }


def _history_note(result: PairResult) -> str:
    """Until when the hedge looks back past the first stored bar; empty where it never does."""
    spec = result.spec
    if "history" not in result.reasons:
        return ""
    until_ms = result.history_start_ms + looks_back(spec) * spec.timeframe_ms
    effect = "still running in" if spec.hedge == "kalman" else "of fewer bars"
    if until_ms >= result.as_of_ms:
        return f" · {effect}: no more are stored"
    return f" · {effect} until {time_text(until_ms, spec.timeframe == '1s')}"


def empty_texts() -> dict[str, str]:
    """The same keys while there is nothing to say."""
    lines = [f"{key}-note" for key in CARDS]
    lines += ["z-forming", "trips-note", "since-note", "history-note", "empty", "empty-help"]
    blank = dict.fromkeys((*VERDICT, *lines, *MORE), "")
    return blank | dict.fromkeys((*CARDS, *SUMMARY), NONE) | {"verdict": "Nothing to say yet."}


class EntryNote(NamedTuple):
    """How far from its entry a pair closed, or why it has no z: one of the two is empty."""

    distance: str
    reason: str


def entry_note(result: PairResult) -> EntryNote:
    """What the line below the confirmed z says until the next bar closes."""
    last, spec, side = result.zscore, result.spec, int(result.position[-1])
    if not math.isfinite(last):
        until = wait_words(result)[1:]
        return EntryNote("", until[0] if until else _reason(result, "zscore", "spread"))
    if side and spec.exit_rule == "moving":
        return EntryNote(f"{max(0.0, -side * last - spec.exit_z):.2f} to exit", "")
    if side:
        return EntryNote("held", "")
    if abs(last) < spec.entry_z:
        return EntryNote(f"{spec.entry_z - abs(last):.2f} to entry", "")
    return EntryNote("beyond entry", "")


def forming_texts(note: EntryNote, zscore_provisional: float) -> dict[str, str]:
    """The line below the confirmed z: where the open bar stands, and how far entry or exit is.

    The browser hides the first once that bar is over, or nothing new comes in.
    """
    is_known = math.isfinite(zscore_provisional) and not note.reason
    return {
        "z-forming": f"forming {signed(zscore_provisional)}" if is_known else "",
        "z-note": note.reason or note.distance,
    }


def round_trip_rows(result: PairResult, begin: int = 0) -> list[dict[str, Any]]:
    """Rows of the round-trip grid from the trade at `begin` on, oldest first."""
    seconds = result.spec.timeframe == "1s"
    return [_round_trip(trip, result, seconds) for trip in result.backtest.round_trips[begin:]]


def _round_trip(trip: RoundTrip, result: PairResult, seconds: bool) -> dict[str, Any]:
    return {
        "id": str(trip.entry_time_ms),
        "time": trip.entry_time_ms,
        "until": trip.exit_time_ms,
        "entry": time_text(trip.entry_time_ms, seconds).removeprefix(
            _day(result) if seconds else ""
        ),
        "side": SIDES[trip.side],
        "z": round(trip.entry_z, 2) if math.isfinite(trip.entry_z) else None,
        "exit_z": round(trip.exit_z, 2) if math.isfinite(trip.exit_z) else None,
        "held": trip.bars,
        "held_text": duration_text(trip.bars * result.spec.timeframe_ms),
        "why": trip.exit_reason.replace("_", " "),
        "pnl": round(trip.pnl, 2) if math.isfinite(trip.pnl) else None,
        "pnl_text": money(trip.pnl, "+"),
    }


def _day(result: PairResult) -> str:
    """The day of the newest bar, as times of that day begin."""
    return time_text(result.as_of_ms).rpartition(" ")[0] + " "


def _cards(result: PairResult) -> dict[str, str]:
    return {
        "z": signed(result.zscore),
        **_break_even(result),
        **_hedge(result),
        **_half_life(result),
        **_cointegration(result),
        "corr": plain(result.correlation, ".2f"),
        **_signal(result),
    }


def _break_even(result: PairResult) -> dict[str, str]:
    needed = plain(result.required_z, ".2f")
    if is_never(result):
        needed = "never"
    texts = {"even": f"{plain(result.break_even_z, '.2f')} · {needed}"}
    if not math.isfinite(result.break_even_z):
        texts["even-note"] = _reason(result, "break_even_z")
    return texts


def is_never(result: PairResult) -> bool:
    """Whether enough trades say that no entry pays."""
    enough = result.backtest.metrics.total_trades >= FEWEST_TRADES
    return enough and result.backtest.metrics.reversion_capture <= 0.0


def _hedge(result: PairResult) -> dict[str, str]:
    spec, now, stderr = result.spec, result.hedges, float(result.kalman_stderr[-1])
    chosen = now[spec.hedge]
    ratio = chosen.hedge_ratio
    a, b = coin(spec.symbol_a), coin(spec.symbol_b)
    money_words = quote_of(spec.symbol_a)
    note = f"{plain(ratio, '.2f')} {money_words} {b} per 1 {a}"
    others = [
        f"{HEDGES[hedge]} {plain(now[hedge].hedge_ratio, '.2f')}"
        for hedge in _USUAL
        if hedge != spec.hedge
    ][-2:]
    more = " · ".join(others)
    if spec.hedge == "kalman" and math.isfinite(stderr):
        more = f"± {stderr:.3f} if errors are white"
    # Dollar-neutral beside the chosen one; beside itself, the usual one.
    beside: Hedge = "ols" if spec.hedge == "ratio" else "ratio"
    effect = plain(100 * chosen.effectiveness, ".0f", " %")
    other = plain(100 * now[beside].effectiveness, ".0f")
    return {
        "hedge": plain(ratio, ".3f"),
        "hedge-note": note
        if math.isfinite(ratio)
        else _reason(result, f"hedge_ratio.{spec.hedge}"),
        "hedge-more": more,
        "effect": effect,
        "effect-more": f"{HEDGES[beside]} {other}",
    }


def _half_life(result: PairResult) -> dict[str, str]:
    bars, (low, high) = result.half_life_bars, result.half_life_interval
    if not math.isfinite(bars):
        reason = _reason(result, "half_life_bars")
        walk, _, pvalue = reason.partition(" (p ")
        if not pvalue:
            return {"half-life": NONE, "half-life-note": reason}
        note = f"p {pvalue.rstrip(')')}{walk.removeprefix(A_WALK)}"
        return {"half-life": "like a walk", "half-life-note": note}
    most = f"{short(high)}" if math.isfinite(high) else "no end"
    span = duration_text(bars * result.spec.timeframe_ms)
    return {
        "half-life": f"{short(bars)} bars",
        "half-life-note": f"{span} · 90 %: {short(low)}–{most} bars",
    }


def _cointegration(result: PairResult) -> dict[str, str]:
    found = result.cointegration
    if found is None:
        return {"coint": NONE, "coint-note": _reason(result, "cointegration"), "coint-more": ""}
    legs = [coin(result.spec.symbol_a), coin(result.spec.symbol_b)]
    if found.direction == "b_on_a":
        legs.reverse()
    pvalue, parts = found.pvalue_both, found.subwindows
    squares = ""
    if parts is not None:
        filled = "■" * parts.passing + "□" * (parts.of - parts.passing)
        squares = f"{filled} {parts.passing}/{parts.of} · "
    return {
        "coint": f"p {pvalue:.3f}" if pvalue >= 0.001 else "p < 0.001",
        "coint-note": "in sample",
        "coint-more": f"{squares}{legs[0]} on {legs[1]}",
    }


def _signal(result: PairResult) -> dict[str, str]:
    spec, now = result.spec, holding_of(result)
    words = SIDES[result.signal]
    if now.side and result.signal != "no_data":
        since = time_text(now.decided_ms, spec.timeframe == "1s")
        pays = f"since {since}" if can_pay(result) else f"grey: {_why_grey(result)}"
        held = sides_words(spec.symbol_a, spec.symbol_b, now.side)
        return {"signal": f"{words} spread", "signal-note": pays, "signal-more": held}
    closed = [trip for trip in result.backtest.round_trips if trip.exit_time_ms is not None]
    note, more = "no entry on these bars", ""
    if result.signal == "no_data":
        note = _reason(result, "signal", "zscore")
    elif result.signal_note:
        note = result.signal_note
    elif closed and closed[-1].exit_time_ms is not None:
        ago = duration_text(result.as_of_ms - closed[-1].exit_time_ms)
        note, more = f"last: {SIDES[closed[-1].side]}", f"closed {ago} ago"
    return {"signal": words, "signal-note": note, "signal-more": more}


def _why_grey(result: PairResult) -> str:
    if result.backtest.metrics.total_trades < FEWEST_TRADES:
        return "too few trades"
    return "can't pay its costs"


def signal_look(result: PairResult) -> str:
    """The hue of the signal: its side's where it can pay, grey where it can't."""
    look = {"long_spread": "long", "short_spread": "short"}.get(result.signal, "")
    return "grey" if look and not can_pay(result) else look


def _summary(result: PairResult) -> dict[str, str]:
    spec, metrics, backtest = result.spec, result.backtest.metrics, result.backtest
    is_open = bool(backtest.round_trips) and backtest.round_trips[-1].exit_time_ms is None
    to_bp = 1e4 / spec.notional
    return {
        "pnl": money(metrics.total_pnl, "+"),
        "per-trade": _with_stderr(to_bp * metrics.avg_pnl, to_bp * metrics.avg_pnl_stderr, "+.1f"),
        "win": plain(100 * metrics.win_rate, ".0f", " %"),
        "trades": f"{metrics.total_trades:,}",
        "sharpe": _with_stderr(metrics.sharpe, metrics.sharpe_stderr, "+.2f"),
        "drawdown": plain(100 * metrics.max_drawdown, ".1f", " %"),
        "costs": money(metrics.costs),
        "exposure": plain(100 * metrics.exposure, ".0f", " %"),
        "trips-note": f"{metrics.total_trades:,} closed" + (", 1 open" if is_open else ""),
    }


def _with_stderr(value: float, stderr: float, form: str) -> str:
    band = f" ± {stderr:.1f}" if math.isfinite(stderr) else ""
    return plain(value, form) + (band if math.isfinite(value) else "")


def _reason(result: PairResult, *fields: str) -> str:
    return next((result.reasons[name] for name in fields if name in result.reasons), "")
