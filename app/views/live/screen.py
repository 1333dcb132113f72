"""What the Live view shows: a whole screen once, then what is newer than a client's cursor."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from dash import html

from app.services import Desk
from app.services.market import SymbolNotIngested
from app.services.pairs import Closed, PairState
from app.services.status import DeskStatus
from app.views.controls import symbol_options
from app.views.links import listed_symbols, query_of
from app.views.live.client_cursor import ClientCursor, fingerprint
from app.views.live.figures import equity_figure, pair_figure
from app.views.live.series import Drawn, bases, drawn_rows, ends, forming_values, newer_rows
from app.views.live.texts import (
    EntryNote,
    empty_texts,
    entry_note,
    forming_note,
    live_texts,
    round_trip_rows,
)
from app.views.shell.notices import Notice, notices
from app.views.shell.strip import source_badge, status_texts
from app.views.text import SIDES, time_text
from core.errors import ParameterErrors, StoreError
from core.pair_spec import HEDGES, PairSpec
from core.types import PairResult

Answer = TypeVar("Answer")

CROSSING_BARS = 2
"""A crossing older than this many closed bars is history, not news."""


def whole_screen(desk: Desk, spec: PairSpec, note: str = "") -> dict[str, Any]:
    """Everything that the Live view shows of a pair."""
    key = query_of(spec, desk.settings)
    view, failure = _asked(desk.pairs.view, spec)
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
    if view is not None and view.result is not None and view.closed is not None:
        result, drawn = view.result, drawn_rows(view.result)
        standing = standing_of(result, drawn.first_ms)
        screen["figures"] = {
            "pair": pair_figure(result, drawn, key),
            "equity": equity_figure(result, drawn, key),
        }
        screen["ends"] = ends(result, drawn)
        screen["trips"] = round_trip_rows(result)
        screen["crossing"] = crossing(result, key)
        screen["forming"] = _forming(view, view.closed, standing)
        screen["signal"] = result.signal
        screen["texts"] |= live_texts(result, view.zscore_provisional)
        cursor = _advanced(cursor, view.closed, standing, drawn.first_ms, screen["forming"])
    status = desk.status.view()
    return _with_status(screen, cursor, status, notices(status, view, failure, note), view)


def newer(
    desk: Desk, spec: PairSpec, cursor: ClientCursor, note: str = ""
) -> dict[str, Any] | None:
    """What a client at `cursor` lacks; None when nothing, `reload` when it needs a new screen."""
    key = query_of(spec, desk.settings)
    if cursor.key != key:
        return None
    pair, failure = _asked(desk.pairs.state, spec)
    change: dict[str, Any] = {"key": key}
    told = cursor
    if pair is not None and pair.closed is not None:
        closed, first_ms = pair.closed, cursor.first_ms
        if _outdated(cursor, closed):
            # What was before the newest result may be older than what the client has.
            return {"key": key, "reload": True} if pair.is_newest else None
        standing = desk.pairs.shown(
            closed, ("standing", first_ms), lambda result: standing_of(result, first_ms)
        )
        forming = _forming(pair, closed, standing)
        cursor = _advanced(cursor, closed, standing, first_ms, forming)
        note_texts = {"z-note": forming_note(standing.note, pair.zscore_provisional)}
        if cursor.last_ms > told.last_ms:
            drawn = (first_ms, told.last_ms, told.trips_closed, told.trips_shown)
            rows = desk.pairs.shown(
                closed, ("rows", *drawn), lambda result: _closed_rows(result, told)
            )
            change |= rows | {"texts": rows["texts"] | note_texts, "forming": forming}
        elif cursor.forming != told.forming:
            change |= {"forming": forming, "texts": note_texts}
    status = desk.status.view()
    lines = notices(status, pair, failure, note)
    change = _with_status(change, cursor, status, lines, pair, told)
    return change if change.keys() - {"key", "cursor"} else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What ticks say between two closes to clients that drew a result from the same row on."""

    base: tuple[float, float]
    note: EntryNote
    trips_closed: int
    trips_shown: int


def standing_of(result: PairResult, first_ms: int) -> Standing:
    """Take from a result what is said of it until its next bar closes."""
    trips = result.backtest.round_trips
    return Standing(
        base=bases(result, Drawn(first_ms, result.as_of_ms - result.spec.timeframe_ms)),
        note=entry_note(result),
        trips_closed=sum(trip.exit_time_ms is not None for trip in trips),
        trips_shown=len(trips),
    )


def _closed_rows(result: PairResult, told: ClientCursor) -> dict[str, Any]:
    """What bars that closed since add to a screen: the same for all that have drawn as far."""
    content = newer_rows(result, Drawn(told.first_ms, told.last_ms)) | {
        "after": told.last_ms,
        "last": int(result.rows.open_time_ms[-1]),
        "texts": live_texts(result, math.nan),
        "signal": result.signal,
    }
    extra = {"trips": _trips(result, told), "crossing": crossing(result, told.key)}
    return content | {name: news for name, news in extra.items() if news}


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


def _asked(ask: Callable[[PairSpec], Answer], spec: PairSpec) -> tuple[Answer | None, str]:
    """What the service says of a pair, or in words why it can't."""
    try:
        return ask(spec), ""
    except (SymbolNotIngested, ParameterErrors) as refused:
        return None, str(refused)
    except StoreError as error:
        return None, f"The database can't be read: {error.public}"


def _outdated(cursor: ClientCursor, closed: Closed) -> bool:
    """Whether rows that the client has drawn are no longer those of the result."""
    step = closed.spec.timeframe_ms
    return (
        cursor.start_ms != closed.start_ms
        or (cursor.revision_a, cursor.revision_b) != closed.key.revision
        or cursor.last_ms > closed.last_open_ms
        or not closed.start_ms <= cursor.first_ms <= cursor.last_ms
        or (cursor.last_ms - closed.start_ms) % step != 0
        or (cursor.first_ms - closed.start_ms) % step != 0
    )


def _advanced(
    cursor: ClientCursor,
    closed: Closed,
    standing: Standing,
    first_ms: int,
    forming: dict[str, Any],
) -> ClientCursor:
    return replace(
        cursor,
        start_ms=closed.start_ms,
        first_ms=first_ms,
        last_ms=closed.last_open_ms,
        revision_a=closed.key.revision[0],
        revision_b=closed.key.revision[1],
        trips_closed=standing.trips_closed,
        trips_shown=standing.trips_shown,
        forming=fingerprint(forming),
    )


def _trips(result: PairResult, told: ClientCursor) -> dict[str, Any]:
    """Round trips that are new, and those shown open that have moved on."""
    rows = round_trip_rows(result, told.trips_closed)
    shown = max(0, told.trips_shown - told.trips_closed)
    parts = {"update": rows[:shown], "add": rows[shown:]}
    return {name: part for name, part in parts.items() if part}


def _forming(pair: PairState, closed: Closed, standing: Standing) -> dict[str, Any]:
    return forming_values(
        closed.next_row, standing.base, pair.forming_closes, pair.zscore_provisional
    )


def _with_status(
    content: dict[str, Any],
    cursor: ClientCursor,
    status: DeskStatus,
    lines: Sequence[Notice],
    pair: PairState | None,
    told: ClientCursor | None = None,
) -> dict[str, Any]:
    """Add strip, notices and the cursor's next state; what the client has is left out."""
    badge = asdict(source_badge(status, pair))
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
