"""A pair's numbers in the words of the Live view; pure.

Every function returns texts by key; the element that shows one has the id `ids.text(key)`.
"""

import math
from typing import Any, NamedTuple

from app.views.text import NONE, SIDES, count, duration_text, money, plain, short, signed, time_text
from core.pair_spec import HEDGES, Hedge
from core.types import PairResult, RoundTrip

_DRAWN_HEDGES: tuple[Hedge, ...] = ("ols", "kalman")

CARD_KEYS = (
    "z",
    "z-note",
    "even",
    "even-note",
    "hedge",
    "hedge-note",
    "half-life",
    "half-life-note",
    "coint",
    "coint-note",
    "corr",
    "corr-note",
    "signal",
    "signal-note",
)
SUMMARY = {
    "pnl": "PnL",
    "trades": "Trades",
    "win": "Win rate",
    "sharpe": "Sharpe (yearly)",
    "drawdown": "Max drawdown",
    "exposure": "Exposure",
    "costs": "Costs paid",
    "capture": "Reversion kept",
    "factor": "Profit factor",
    "hold": "Average hold",
    "avg": "Average PnL",
    "turnover": "Turnover",
}


def live_texts(result: PairResult, zscore_provisional: float) -> dict[str, str]:
    """Everything on the Live view that is written in words, by key."""
    note = forming_note(entry_note(result), zscore_provisional)
    return _cards(result) | {"z-note": note} | _summary(result)


def empty_texts() -> dict[str, str]:
    """The same keys while there is nothing to say."""
    return dict.fromkeys((*CARD_KEYS, *SUMMARY, "trips-note"), "") | dict.fromkeys(
        ("z", "even", "hedge", "half-life", "coint", "corr", "signal", *SUMMARY), NONE
    )


class EntryNote(NamedTuple):
    """How far from its entry a pair closed, or why it has no z: one of the two is empty."""

    distance: str
    reason: str


def entry_note(result: PairResult) -> EntryNote:
    """What the line below the confirmed z says until the next bar closes."""
    zscore, entry_z = result.chosen.zscore, result.spec.entry_z
    last = float(zscore[-1])
    if not math.isfinite(last):
        return EntryNote("", _reason(result, "zscore", "spread"))
    if abs(last) < entry_z:
        return EntryNote(f"{entry_z - abs(last):.2f} to entry", "")
    beyond = 0
    while beyond < len(zscore) and abs(zscore[-1 - beyond]) >= entry_z:
        beyond += 1
    return EntryNote(f"beyond entry for {count(beyond, 'bar')}", "")


def forming_note(note: EntryNote, zscore_provisional: float) -> str:
    """The line below the confirmed z: where the open bar stands, and how far entry is."""
    if note.reason:
        return note.reason
    forming = f"forming {zscore_provisional:+.2f}" if math.isfinite(zscore_provisional) else ""
    return " · ".join(filter(None, (forming, note.distance)))


def round_trip_rows(result: PairResult, begin: int = 0) -> list[dict[str, Any]]:
    """Rows of the round-trip grid from the trade at `begin` on, oldest first."""
    seconds = result.spec.timeframe == "1s"
    return [_round_trip(trip, result, seconds) for trip in result.backtest.round_trips[begin:]]


def _round_trip(trip: RoundTrip, result: PairResult, seconds: bool) -> dict[str, Any]:
    return {
        "id": str(trip.entry_time_ms),
        "time": trip.entry_time_ms,
        "entry": time_text(trip.entry_time_ms, seconds).removeprefix(
            _day(result) if seconds else ""
        ),
        "side": SIDES[trip.side],
        "z": round(trip.entry_z, 2) if math.isfinite(trip.entry_z) else None,
        "held": trip.bars,
        "held_text": duration_text(trip.bars * result.spec.timeframe_ms),
        "why": trip.exit_reason.replace("_", " "),
        "pnl": round(trip.pnl, 2) if math.isfinite(trip.pnl) else None,
        "pnl_text": money(trip.pnl, "+").replace("-", "−"),
    }


def _day(result: PairResult) -> str:
    """The day of the newest bar, as times of that day begin."""
    return time_text(result.as_of_ms).rpartition(" ")[0] + " "


def _cards(result: PairResult) -> dict[str, str]:
    spec = result.spec
    texts = {
        "z": signed(float(result.chosen.zscore[-1])),
        "even": plain(result.break_even_z, ".2f"),
        "even-note": f"{spec.fee_bps + spec.slippage_bps:g} bp a fill, 4 fills",
        "half-life": NONE,
        "half-life-note": _reason(result, "half_life_bars") or "does not revert",
        "corr": plain(result.correlation, ".2f"),
        "corr-note": _reason(result, "correlation") or f"returns, last {spec.window} bars",
    }
    if not math.isfinite(result.break_even_z):
        texts["even-note"] = _reason(result, "break_even_z")
    if math.isfinite(result.half_life_bars):
        bars = result.half_life_bars
        hurst = f" · Hurst {result.hurst:.2f}" if math.isfinite(result.hurst) else ""
        texts["half-life"] = f"{short(bars)} bars"
        texts["half-life-note"] = duration_text(bars * spec.timeframe_ms) + hurst
    return texts | _hedge(result) | _cointegration(result) | _signal(result)


def _hedge(result: PairResult) -> dict[str, str]:
    chosen, stderr = result.spec.hedge, float(result.kalman_stderr[-1])
    band = {"kalman": f" ± {stderr:.3f}"} if math.isfinite(stderr) else {}
    ratios = {hedge: plain(now.hedge_ratio, ".3f") for hedge, now in result.hedges.items()}
    others = [
        f"{HEDGES[hedge]} {ratios[hedge]}{band.get(hedge, '')}"
        for hedge in _DRAWN_HEDGES
        if hedge != chosen
    ]
    note = " · ".join([f"{HEDGES[chosen]}{band.get(chosen, '')}", *others])
    return {"hedge": ratios[chosen], "hedge-note": note}


def _cointegration(result: PairResult) -> dict[str, str]:
    found = result.cointegration
    if found is None:
        return {"coint": NONE, "coint-note": _reason(result, "cointegration")}
    legs = [_base(result.spec.symbol_a), _base(result.spec.symbol_b)]
    if found.direction == "b_on_a":
        legs.reverse()
    pvalue = found.pvalue_both
    p_text = f"p {pvalue:.3f}" if pvalue >= 0.001 else "p < 0.001"
    return {
        "coint": p_text,
        "coint-note": f"Engle-Granger, {legs[0]} on {legs[1]}, {count(found.lags, 'lag')}",
    }


def _signal(result: PairResult) -> dict[str, str]:
    spec, trips = result.spec, result.backtest.round_trips
    note = ""
    if result.signal in ("long_spread", "short_spread"):
        side = 1 if result.signal == "long_spread" else -1
        row = len(result.position) - 1
        while row > 0 and result.position[row - 1] == side:
            row -= 1
        # Known at the close of the bar that decided.
        since = int(result.rows.open_time_ms[row]) + spec.timeframe_ms
        note = f"since {time_text(since, spec.timeframe == '1s')}"
        zscore = float(result.chosen.zscore[row])
        if math.isfinite(zscore):
            note += f", entered at {zscore:+.2f}"
    elif result.signal == "no_data":
        note = _reason(result, "signal", "zscore")
    else:
        closed = [trip for trip in trips if trip.exit_time_ms is not None]
        if closed and closed[-1].exit_time_ms is not None:
            ago = duration_text(result.as_of_ms - closed[-1].exit_time_ms)
            note = f"last: {SIDES[closed[-1].side]}, closed {ago} ago"
        else:
            note = "no entry on these bars"
    return {"signal": SIDES[result.signal], "signal-note": note}


def _summary(result: PairResult) -> dict[str, str]:
    metrics = result.backtest.metrics
    shown = len(result.backtest.round_trips)
    span = duration_text(result.as_of_ms - result.start_ms)
    return {
        "pnl": money(metrics.total_pnl, "+"),
        "trades": str(metrics.total_trades),
        "win": plain(100 * metrics.win_rate, ".0f", " %"),
        "sharpe": plain(metrics.sharpe, ".2f"),
        "drawdown": plain(100 * metrics.max_drawdown, ".2f", " %"),
        "exposure": plain(100 * metrics.exposure, ".0f", " %"),
        "costs": money(metrics.costs),
        "capture": plain(100 * metrics.reversion_capture, ".0f", " %"),
        "factor": plain(metrics.profit_factor, ".2f"),
        "hold": plain(metrics.avg_hold_bars, ".1f", " bars"),
        "avg": money(metrics.avg_pnl, "+"),
        "turnover": plain(metrics.turnover, ".1f", " ×"),
        "trips-note": f"{count(shown, 'trade')} in {span}" if shown else f"none in {span}",
    }


def _reason(result: PairResult, *fields: str) -> str:
    return next((result.reasons[name] for name in fields if name in result.reasons), "")


def _base(symbol: str) -> str:
    return symbol.removesuffix("USDT") or symbol
