"""A result as the numbers that charts draw: all of them once, then what newer rows add; pure.

Values are rounded for drawing; the API's are not. Everything is plain lists: what numpy arrays
become in a figure can't be appended to.
"""

import math
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from app.views.live.verdict import wait_words
from app.views.text import coin, plain, signed, time_text
from core.pair_spec import HEDGES, PairSpec
from core.types import FloatArray, HedgeSeries, NextRow, PairResult

Column: TypeAlias = list[float | None]

MAX_DRAWN_ROWS = 6_000
SHOWN_DIGITS = 4
OUT_OF_REACH = 1.5
HEIGHTS = {"price": 84, "spread": 82, "z": 146, "hedge": 76}
"""Least height of each chart in pixels, top to bottom: they share what room there is."""


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
    first, here = drawn.first_row(result), slice(begin, None)
    low, high = band(chosen)
    ratios, stderr = result.hedge_ratios, result.kalman_stderr
    digits = _decimals(*ratios.values())
    has_band = result.spec.hedge == "kalman"
    kalman = cut_band(ratios["kalman"] - stderr, ratios["kalman"] + stderr) if has_band else None
    return {
        "a": _numbers(_change(rows.close_a, first)[here], 3),
        "b": _numbers(_change(rows.close_b, first)[here], 3),
        "price_a": _numbers(rows.close_a[here], 10),
        "price_b": _numbers(rows.close_b[here], 10),
        "low": _numbers(100 * low[here], 3),
        "high": _numbers(100 * high[here], 3),
        "mean": _numbers(100 * chosen.spread_mean[here], 3),
        "spread": _numbers(100 * chosen.spread[here], 3),
        "z": _numbers(chosen.zscore[here], 3),
        **{hedge: _numbers(ratios[hedge][here], digits) for hedge in HEDGES},
        **(
            {
                "kalman_low": _numbers(kalman[0][here], digits),
                "kalman_high": _numbers(kalman[1][here], digits),
            }
            if kalman
            else {}
        ),
        **equity_columns(result, begin),
    }


def equity_columns(result: PairResult, begin: int) -> dict[str, Column]:
    """The same of the backtest's equity alone."""
    backtest = result.backtest
    return {
        "equity": _numbers(backtest.equity[begin:], 2),
        "drawdown": _numbers(100 * backtest.drawdown[begin:], 2),
    }


def print_of(result: PairResult, drawn: Drawn) -> int:
    """A number that tells whether what a screen has drawn, up to its last row, still stands."""
    rows = slice(drawn.first_row(result), drawn.next_row(result))
    found = 0
    for values in (
        result.rows.close_a,
        result.rows.close_b,
        result.chosen.spread,
        result.chosen.spread_std,
        result.chosen.zscore,
        *result.hedge_ratios.values(),
        result.backtest.equity,
        result.position,
    ):
        found = zlib.crc32(values[rows].data, found)
    return found


def band(chosen: HedgeSeries) -> tuple[FloatArray, FloatArray]:
    """Two standard deviations of the spread around its mean, closed over holes."""
    reach = 2 * chosen.spread_std
    return cut_band(chosen.spread_mean - reach, chosen.spread_mean + reach)


def cut_band(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The edges of a band, brought together where it has a hole.

    Plotly fills from the end of one stretch to the start of the next: a wedge that says nothing.
    Edges that lie on each other enclose nothing.
    """
    known = np.isfinite(low) & np.isfinite(high)
    last = np.maximum.accumulate(np.where(known, np.arange(len(low)), -1))
    hole = ~known & (last >= 0)
    middle = (low[last[hole]] + high[last[hole]]) / 2
    low, high = low.copy(), high.copy()
    low[hole], high[hole] = middle, middle
    return low, high


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


def labels(spec: PairSpec) -> list[list[Any]]:
    """Labels right of the charts: [axis, what of, words before its value, look, whether a line's].

    Where each stands and what it says is in `ends`; the browser keeps them apart.
    """
    return [
        ["y", "a", "", "a", True],
        ["y", "b", "", "b", True],
        ["y2", "spread", "", "t", True],
        ["y3", "z", "", "t", True],
        ["y3", "entry", "entry ", "acc", False],
        ["y3", "even", "b/e ", "m", False],
        ["y3", "need", "needed ", "t", False],
        ["y3", "stop", "stop ", "acc", False],
        *(
            ["y4", hedge, f"{name} ", "t" if hedge == spec.hedge else "m", hedge == spec.hedge]
            for hedge, name in HEDGES.items()
        ),
    ]


Decimals: TypeAlias = tuple[int | None, int | None]
"""Of both legs' prices, as the exchange quotes them."""


def ends(result: PairResult, drawn: Drawn, decimals: Decimals = (None, None)) -> dict[str, Any]:
    """What moves as a whole with the newest row, as the browser expects it.

    A level is a number, drawn at ±; an open holding is [from, to] or empty; `said` are the values
    of labels, in words; `waits` says what z waits for; `stopped` since when a leg has not traded.
    """
    first, spec = drawn.first_row(result), result.spec
    levels = _levels(result, first)
    hedges: dict[str, str] = {
        hedge: plain(now.hedge_ratio, ".2f") for hedge, now in result.hedges.items()
    }
    stop = "" if spec.stop_z is None else f"{spec.stop_z:.1f}"
    said: dict[str, str] = {
        "a": price_text(_last(result.rows.close_a), decimals[0]),
        "b": price_text(_last(result.rows.close_b), decimals[1]),
        "spread": plain(100 * float(result.chosen.spread[-1]), "+.2f", " %"),
        "z": signed(result.zscore),
        "entry": f"{spec.entry_z:.1f}",
        "even": plain(result.break_even_z, ".2f"),
        "need": plain(result.required_z, ".1f"),
        "stop": stop,
        **hedges,
    }
    waits, stopped = list(wait_words(result)), result.stopped
    if stopped:
        since = time_text(stopped.since_ms, spec.timeframe == "1s")
        waits = [f"{coin(stopped.symbol)} has not traded", f"since {since}"]
    return {
        "said": said,
        "waits": waits,
        "stopped": stopped and stopped.since_ms,
        **levels,
        **_open_holding(result, first),
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


def newer_rows(
    result: PairResult, drawn: Drawn, decimals: Decimals = (None, None)
) -> dict[str, Any]:
    """What a client that has drawn up to `drawn.last_ms` still needs."""
    begin = drawn.next_row(result)
    added = marks(result, drawn, begin)
    return {
        "rows": columns(result, drawn, begin),
        "marks": {key: mark for key, mark in added.items() if mark["x"]},
        "ends": ends(result, drawn, decimals),
    }


def price_text(price: float | None, decimals: int | None = None) -> str:
    """A price as the exchange quotes it, or else in the digits that matter; never as 1e-05."""
    if price is None:
        return ""
    if decimals is None:
        whole_digits = math.floor(math.log10(price)) + 1 if price > 0.0 else 1
        decimals = 1 if price >= 1_000 else max(2, SHOWN_DIGITS - whole_digits)
    return f"{price:,.{decimals}f}"


def _levels(result: PairResult, first: int) -> dict[str, float | None]:
    spec, shown = result.spec, result.chosen.zscore[first:]
    # Costs far out of reach would flatten the z they are drawn beside: the card tells them.
    most = OUT_OF_REACH * max(_span(np.abs(shown), np.zeros(1)), spec.entry_z)
    return {
        "entry": spec.entry_z,
        "even": _number(result.break_even_z, 3) if result.break_even_z < most else None,
        "need": _number(result.required_z, 3) if result.required_z < most else None,
        "leave": _number(spec.exit_z, 3),
        "stop": None if spec.stop_z is None else _number(spec.stop_z, 3),
    }


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
    rounded: Column = np.round(values, digits).tolist()
    for row in np.flatnonzero(~np.isfinite(values)).tolist():
        rounded[row] = None
    return rounded


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
