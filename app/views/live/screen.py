"""What the Live view shows: a whole screen once, then what is newer than a client's cursor."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from dash import html

from app.services import Desk
from app.services.market import SymbolNotIngested
from app.services.pairs import PairView
from app.services.status import DeskStatus
from app.views.controls import symbol_options
from app.views.links import listed_symbols, query_of
from app.views.live.client_cursor import ClientCursor, fingerprint
from app.views.live.figures import equity_figure, pair_figure
from app.views.live.series import Drawn, drawn_rows, ends, forming_values, newer_rows
from app.views.live.texts import empty_texts, forming_note, live_texts, round_trip_rows
from app.views.shell.notices import Notice, notices
from app.views.shell.strip import source_badge, status_texts
from app.views.text import SIDES, time_text
from core.errors import ParameterErrors, StoreError
from core.pair_spec import HEDGES, PairSpec
from core.types import PairResult

CROSSING_BARS = 2
"""A crossing older than this many closed bars is history, not news."""


def whole_screen(desk: Desk, spec: PairSpec, note: str = "") -> dict[str, Any]:
    """Everything that the Live view shows of a pair."""
    key = query_of(spec, desk.settings)
    view, failure = _view(desk, spec)
    screen: dict[str, Any] = {
        "key": key,
        "step_ms": spec.timeframe_ms,
        "figures": None,
        "texts": empty_texts() | _captions(spec, _quote(desk, spec)),
        "signal": "no_data",
        "trips": [],
        "symbols": symbol_options(listed_symbols(desk), spec.symbol_a, spec.symbol_b),
        "links": {name: f"/analytics/pair/{name}.csv?{key}" for name in ("trades", "equity")},
    }
    cursor = ClientCursor(key)
    if view is not None and view.result is not None:
        result = view.result
        drawn = drawn_rows(result)
        screen["figures"] = {
            "pair": pair_figure(result, drawn, key),
            "equity": equity_figure(result, drawn, key),
        }
        screen["ends"] = ends(result, drawn)
        screen["trips"] = round_trip_rows(result)
        screen["crossing"] = crossing(result, key)
        screen["forming"] = _forming(view, result, drawn)
        screen["signal"] = result.signal
        screen["texts"] |= live_texts(result, view.zscore_provisional)
        cursor = _advanced(cursor, view, result, drawn, screen["forming"])
    status = desk.status.view()
    return _with_status(screen, cursor, status, notices(status, view, failure, note), view)


def newer(
    desk: Desk, spec: PairSpec, cursor: ClientCursor, note: str = ""
) -> dict[str, Any] | None:
    """What a client at `cursor` lacks; None when nothing, `reload` when it needs a new screen."""
    key = query_of(spec, desk.settings)
    if cursor.key != key:
        return None
    view, failure = _view(desk, spec)
    change: dict[str, Any] = {"key": key}
    told = cursor
    if view is not None and view.result is not None:
        result = view.result
        if _outdated(cursor, view, result):
            return {"key": key, "reload": True}
        drawn = Drawn(cursor.first_ms, int(result.rows.open_time_ms[-1]))
        forming = _forming(view, result, drawn)
        cursor = _advanced(cursor, view, result, drawn, forming)
        if drawn.last_ms > told.last_ms:
            change |= newer_rows(result, Drawn(told.first_ms, told.last_ms))
            change |= {
                "after": told.last_ms,
                "last": drawn.last_ms,
                "texts": live_texts(result, view.zscore_provisional),
                "signal": result.signal,
                "forming": forming,
            }
            extra = {"trips": _trips(result, told), "crossing": crossing(result, key)}
            change |= {name: news for name, news in extra.items() if news}
        elif cursor.forming != told.forming:
            change["forming"] = forming
            change["texts"] = {"z-note": forming_note(result, view.zscore_provisional)}
    status = desk.status.view()
    lines = notices(status, view, failure, note)
    change = _with_status(change, cursor, status, lines, view, told)
    return change if change.keys() - {"key", "cursor"} else None


def crossing(result: PairResult, key: str) -> dict[str, str] | None:
    """The newest crossing of the entry threshold, if it is of the last closed bars."""
    spec, zscore = result.spec, result.chosen.zscore
    for row in range(len(zscore) - 1, max(0, len(zscore) - 1 - CROSSING_BARS), -1):
        side = _beyond(float(zscore[row]), spec)
        if side and side != _beyond(_last_known(result, row), spec):
            open_ms = int(result.rows.open_time_ms[row])
            closed = time_text(open_ms + spec.timeframe_ms, spec.timeframe == "1s")
            return {
                "id": f"{key}@{open_ms}",
                "heading": f"{SIDES[side]} · z {zscore[row]:+.2f}",
                "words": f"{spec.symbol_a}/{spec.symbol_b} {spec.timeframe} crossed its entry"
                f" {spec.entry_z:g} at the close of {closed} UTC.",
            }
    return None


def _beyond(zscore: float, spec: PairSpec) -> str | None:
    if not abs(zscore) >= spec.entry_z:
        return None
    return "short_spread" if zscore > 0 else "long_spread"


def _last_known(result: PairResult, row: int) -> float:
    """The last z before a row; a crossing over a few missing bars is one all the same."""
    before = result.chosen.zscore[max(0, row - 8) : row]
    known = before[np.isfinite(before)]
    return float(known[-1]) if len(known) else math.nan


def _view(desk: Desk, spec: PairSpec) -> tuple[PairView | None, str]:
    """The pair's view, or in words why there is none."""
    try:
        return desk.pairs.view(spec), ""
    except (SymbolNotIngested, ParameterErrors) as refused:
        return None, str(refused)
    except StoreError as error:
        return None, f"The database can't be read: {error.public}"


def _outdated(cursor: ClientCursor, view: PairView, result: PairResult) -> bool:
    """Whether rows that the client has drawn are no longer those of the result."""
    return (
        cursor.start_ms != result.start_ms
        or (cursor.revision_a, cursor.revision_b) != view.revision
        or cursor.last_ms > int(result.rows.open_time_ms[-1])
        or not result.start_ms <= cursor.first_ms <= cursor.last_ms
        or (cursor.last_ms - result.start_ms) % result.spec.timeframe_ms != 0
        or (cursor.first_ms - result.start_ms) % result.spec.timeframe_ms != 0
    )


def _advanced(
    cursor: ClientCursor,
    view: PairView,
    result: PairResult,
    drawn: Drawn,
    forming: dict[str, Any],
) -> ClientCursor:
    trips = result.backtest.round_trips
    return replace(
        cursor,
        start_ms=result.start_ms,
        first_ms=drawn.first_ms,
        last_ms=drawn.last_ms,
        revision_a=view.revision[0],
        revision_b=view.revision[1],
        trips_closed=sum(trip.exit_time_ms is not None for trip in trips),
        trips_shown=len(trips),
        forming=fingerprint(forming),
    )


def _trips(result: PairResult, told: ClientCursor) -> dict[str, Any]:
    """Round trips that are new, and those shown open that have moved on."""
    rows = round_trip_rows(result, told.trips_closed)
    shown = max(0, told.trips_shown - told.trips_closed)
    parts = {"update": rows[:shown], "add": rows[shown:]}
    return {name: part for name, part in parts.items() if part}


def _forming(view: PairView, result: PairResult, drawn: Drawn) -> dict[str, Any]:
    return forming_values(result, drawn, view.forming_closes, view.zscore_provisional)


def _with_status(
    content: dict[str, Any],
    cursor: ClientCursor,
    status: DeskStatus,
    lines: Sequence[Notice],
    view: PairView | None,
    told: ClientCursor | None = None,
) -> dict[str, Any]:
    """Add strip, notices and the cursor's next state; what the client has is left out."""
    badge = asdict(source_badge(status, view))
    strip = {"texts": status_texts(status), "badge": badge}
    shown = [asdict(line) for line in lines]
    cursor = replace(cursor, strip=fingerprint(strip), notices=fingerprint(shown))
    if told is None or told.strip != cursor.strip:
        content["strip"] = strip
    if told is None or told.notices != cursor.notices:
        content["notices"] = [
            html.Div(line.words, className=f"notice {line.level}") for line in lines
        ]
    known = asdict(told) if told is not None else {}
    content["cursor"] = {
        name: value for name, value in asdict(cursor).items() if known.get(name) != value
    }
    return content


def _captions(spec: PairSpec, quote: str) -> dict[str, str]:
    """Words beside headings that follow from the parameters alone."""
    fill = f"{spec.fee_bps + spec.slippage_bps:g}"
    notes = (quote, "next-open fills", f"{fill} bp a fill", HEDGES[spec.hedge])
    model = "one-step error of the Kalman hedge" if spec.hedge == "kalman" else "ln A − α − β ln B"
    return {
        "leg-a": spec.symbol_a,
        "leg-b": spec.symbol_b,
        "spread-note": f"{model}, mean ± 2σ of the window before each bar",
        "ols-note": f"OLS, {spec.hedge_window:,} bars",
        "fills-note": " · ".join(filter(None, notes)),
    }


def _quote(desk: Desk, spec: PairSpec) -> str:
    """Currency of the profit: that of leg A; nothing while the store can't be read."""
    try:
        symbols = desk.market.symbols()
    except StoreError:
        return ""
    return next((stored.quote for stored in symbols if stored.symbol == spec.symbol_a), "")
