"""A result as the numbers that charts draw: all of them once, then what newer rows add; pure.

Values are rounded for drawing; the API's are not. Everything is plain lists: what numpy arrays
become in a figure can't be appended to.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from core.types import FloatArray, NextRow, PairResult

Column: TypeAlias = list[float | None]

MAX_DRAWN_ROWS = 6_000
LABEL_HEIGHT = 13
"""Labels at the right edge closer than this many pixels would cover each other."""
OUT_OF_REACH = 1.5
HEIGHTS = {"price": 126, "spread": 120, "z": 162, "hedge": 94}
"""Height of each chart in pixels, top to bottom."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which rows of a result a screen shows: from `first_ms` on; a delta begins after `last_ms`."""

    first_ms: int
    last_ms: int

    def first_row(self, result: PairResult) -> int:
        return (self.first_ms - result.start_ms) // result.spec.timeframe_ms

    def next_row(self, result: PairResult) -> int:
        return (self.last_ms - result.start_ms) // result.spec.timeframe_ms + 1


def drawn_rows(result: PairResult) -> Drawn:
    """The rows that a new screen shows: the newest ones when there are very many."""
    times = result.rows.open_time_ms
    return Drawn(int(times[max(0, len(times) - MAX_DRAWN_ROWS)]), int(times[-1]))


def columns(result: PairResult, drawn: Drawn, begin: int) -> dict[str, Column]:
    """Values from row `begin` on of everything that has one a row."""
    rows, chosen = result.rows, result.chosen
    ols, kalman = result.hedge_ratios["ols"], result.hedge_ratios["kalman"]
    first, here = drawn.first_row(result), slice(begin, None)
    band = 2 * chosen.spread_std[here]
    ratio, stderr = kalman[here], result.kalman_stderr[here]
    digits = _decimals(ols, kalman)
    return {
        "a": _numbers(_change(rows.close_a, first)[here], 3),
        "b": _numbers(_change(rows.close_b, first)[here], 3),
        "price_a": _numbers(rows.close_a[here], 10),
        "price_b": _numbers(rows.close_b[here], 10),
        "low": _numbers(100 * (chosen.spread_mean[here] - band), 3),
        "high": _numbers(100 * (chosen.spread_mean[here] + band), 3),
        "mean": _numbers(100 * chosen.spread_mean[here], 3),
        "spread": _numbers(100 * chosen.spread[here], 3),
        "z": _numbers(chosen.zscore[here], 3),
        "ols": _numbers(ols[here], digits),
        "kalman": _numbers(ratio, digits),
        "kalman_low": _numbers(ratio - stderr, digits),
        "kalman_high": _numbers(ratio + stderr, digits),
        "equity": _numbers(result.backtest.equity[here], 2),
        "drawdown": _numbers(100 * result.backtest.drawdown[here], 2),
    }


def marks(result: PairResult, drawn: Drawn, begin: int) -> dict[str, dict[str, Column]]:
    """What row `begin` or a later one adds: entries, exits, and holdings that ended.

    Entries and exits stand at the z that decided.
    """
    position = result.position
    held = position[0] if result.backtest.inherited else 0
    before = np.concatenate(([held], position[:-1]))
    changed = (position != before) & (np.arange(len(position)) >= begin)
    zscore = result.chosen.zscore

    def at(rows: npt.NDArray[np.bool_]) -> dict[str, Column]:
        times = result.rows.open_time_ms[rows].tolist()
        return {"x": times, "y": _numbers(zscore[rows], 3)}

    return {
        "entry_long": at(changed & (position > 0)),
        "entry_short": at(changed & (position < 0)),
        "exit": at(changed & (before != 0)),
        **_ended_holdings(result, drawn.first_row(result), begin),
    }


def ends(result: PairResult, drawn: Drawn) -> dict[str, list[Any]]:
    """What moves as a whole with the newest row, as the browser expects it.

    A label (`tag_…`) is [value, words, place]; a level, drawn at ±level, is [level, words above,
    words below, place]; an open holding is [from, to] or empty. Places are t, m and b.
    """
    first, chosen, spec = drawn.first_row(result), result.chosen, result.spec
    change_a = _change(result.rows.close_a, first)[first:]
    change_b = _change(result.rows.close_b, first)[first:]
    ols_ratio = result.hedge_ratios["ols"][first:]
    ratio, stderr = result.hedge_ratios["kalman"][first:], result.kalman_stderr[first:]
    ols, kalman = _last(ols_ratio), _last(ratio)
    zscore, spread = _last(chosen.zscore), _last(100 * chosen.spread)
    hedge_pixel = _span(ols_ratio, ratio + stderr, ratio - stderr)
    place_a, place_b = _apart(
        _last(change_a), _last(change_b), _span(change_a, change_b) / HEIGHTS["price"]
    )
    place_ols, place_kalman = _apart(ols, kalman, hedge_pixel / HEIGHTS["hedge"])
    return {
        "tag_a": _tag(change_a[-1], price_text(_last(result.rows.close_a)), place_a),
        "tag_b": _tag(change_b[-1], price_text(_last(result.rows.close_b)), place_b),
        "tag_spread": _tag(spread, "" if spread is None else f"{spread:+.2f} %"),
        "tag_z": _tag(zscore, "" if zscore is None else f"{zscore:+.2f}"),
        "tag_ols": _tag(ols, "" if ols is None else f"{ols:.3g}", place_ols),
        "tag_kalman": _tag(kalman, "" if kalman is None else f"{kalman:.3g}", place_kalman),
        **_levels(result, first, zscore),
        **_open_holding(result, first),
        **({} if spec.stop_z is None else {"stop": _level(spec.stop_z, "stop", "m", zscore, 0)}),
    }


def bases(result: PairResult, drawn: Drawn) -> tuple[float, float]:
    """The closes of both legs from which a screen measures changes."""
    first, rows = drawn.first_row(result), result.rows
    return _base(rows.close_a, first), _base(rows.close_b, first)


def forming_values(
    row: NextRow,
    base: tuple[float, float],
    closes: tuple[float, float] | None,
    zscore_provisional: float,
) -> dict[str, float | None]:
    """Where the bar that is still open stands now, in the charts' own units."""
    if closes is None:
        return {}
    close_a, close_b = closes
    spread = math.log(close_a) - row.intercept - row.hedge_ratio * math.log(close_b)
    return {
        "a": _number(100 * (close_a / base[0] - 1), 3),
        "b": _number(100 * (close_b / base[1] - 1), 3),
        "spread": _number(100 * spread, 3),
        "z": _number(zscore_provisional, 3),
    }


def newer_rows(result: PairResult, drawn: Drawn) -> dict[str, Any]:
    """What a client that has drawn up to `drawn.last_ms` still needs."""
    begin = drawn.next_row(result)
    added = marks(result, drawn, begin)
    return {
        "rows": columns(result, drawn, begin),
        "marks": {key: mark for key, mark in added.items() if mark["x"]},
        "ends": ends(result, drawn),
    }


def price_text(price: float | None) -> str:
    """A price in the digits that matter."""
    if price is None:
        return ""
    if price >= 1_000:
        return f"{price:,.1f}"
    return f"{price:.2f}" if price >= 10 else f"{price:.4g}"


def _levels(result: PairResult, first: int, zscore: float | None) -> dict[str, list[Any]]:
    spec, even, shown = result.spec, result.break_even_z, result.chosen.zscore[first:]
    # Costs far out of reach would flatten the z they are drawn beside: the card tells them.
    reach = max(_span(np.abs(shown), np.zeros(1)), spec.entry_z)
    even = even if even < OUT_OF_REACH * reach else math.nan
    levels = np.array([spec.entry_z, -spec.entry_z, even, -even])
    pixel = _span(shown, levels) / HEIGHTS["z"]
    place_entry, place_even = _apart(spec.entry_z, _number(even, 3), pixel)
    near = LABEL_HEIGHT * pixel
    return {
        "entry": _level(spec.entry_z, "entry", place_entry, zscore, near),
        "even": _level(even, "b/e", place_even, zscore, near),
        "leave": _level(spec.exit_z, "", "m", zscore, near),
    }


def _level(level: float, words: str, place: str, zscore: float | None, near: float) -> list[Any]:
    """A line at ±level; the newest z is said first, a label in its way isn't."""

    def label(at: float) -> str:
        covered = zscore is not None and abs(at - zscore) < near
        return "" if covered or math.isnan(at) else words

    return [_number(level, 3), label(level), label(-level), place]


def _tag(value: float | None, words: str, place: str = "m") -> list[Any]:
    return [None if value is None else _number(value, 4), words, place]


def _apart(first: float | None, second: float | None, per_pixel: float) -> tuple[str, str]:
    """Where two labels stand, so that neither covers the other: top, middle, bottom."""
    if first is None or second is None or abs(first - second) >= LABEL_HEIGHT * per_pixel:
        return "m", "m"
    return ("t", "b") if first >= second else ("b", "t")


def _held_runs(result: PairResult, first: int) -> list[tuple[int, int, int]]:
    """Runs of rows in which a position was held: first row, row after the last, side.

    A row is held when the row before decided so.
    """
    held = np.concatenate(([0], result.position[:-1]))[first:]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], held, [0]))))
    runs = [(begin, end, int(held[begin])) for begin, end in pairwise(edges.tolist())]
    return [(first + begin, first + end, side) for begin, end, side in runs if side]


def _ended_holdings(result: PairResult, first: int, begin: int) -> dict[str, dict[str, Column]]:
    """Holdings that ended at row `begin` or later, as areas of full height."""
    areas: dict[str, dict[str, Column]] = {
        name: {"x": [], "y": []} for name in ("held_long", "held_short")
    }
    for left, right, side in _held_runs(result, first):
        if begin <= right < len(result.position):
            area = areas["held_long" if side > 0 else "held_short"]
            start_ms, end_ms = _times(result, left, right)
            area["x"] += [start_ms, start_ms, end_ms, end_ms, None]
            area["y"] += [0, 1, 1, 0, None]
    return areas


def _open_holding(result: PairResult, first: int) -> dict[str, list[Any]]:
    """The holding that still stood at the newest row, by side."""
    areas: dict[str, list[Any]] = {"open_long": [], "open_short": []}
    for left, right, side in _held_runs(result, first)[-1:]:
        if right == len(result.position):
            areas["open_long" if side > 0 else "open_short"] = _times(result, left, right)
    return areas


def _times(result: PairResult, *rows: int) -> list[int]:
    return [result.start_ms + row * result.spec.timeframe_ms for row in rows]


def _base(close: FloatArray, first: int) -> float:
    """The first close on screen: what changes are measured from."""
    present = close[first:][np.isfinite(close[first:])]
    return float(present[0]) if len(present) else math.nan


def _change(close: FloatArray, first: int) -> FloatArray:
    return (close / _base(close, first) - 1) * 100


def _numbers(values: FloatArray, digits: int) -> Column:
    rounded: list[float] = np.round(values, digits).tolist()
    return [value if math.isfinite(value) else None for value in rounded]


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _last(values: FloatArray) -> float | None:
    return float(values[-1]) if len(values) and np.isfinite(values[-1]) else None


def _decimals(*series: FloatArray) -> int:
    """Decimals that keep five digits of the largest value."""
    largest = max((float(np.nanmax(np.abs(s))) for s in series if np.isfinite(s).any()), default=1)
    return int(np.clip(4 - np.floor(np.log10(largest or 1)), 1, 12))


def _span(*series: FloatArray) -> float:
    values = np.concatenate(series)
    values = values[np.isfinite(values)]
    return float(values.max() - values.min()) if len(values) else 0.0
