"""What the Live view shows: a whole screen once, then what is newer than a client's cursor."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from app.services import Desk
from app.services.pair_states import Ahead, Closed, PairState
from app.services.refusals import StillCompiling, SymbolNotIngested
from app.services.status import DeskStatus
from app.views.controls import MORE_FIELDS
from app.views.links import control_values, listed_symbols, pickable, query_of
from app.views.live.client_cursor import ClientCursor, fingerprint
from app.views.live.figures import equity_figure, pair_figure
from app.views.live.packed import packed_figure
from app.views.live.series import (
    Decimals,
    Drawn,
    bases,
    drawn_rows,
    ends,
    forming_values,
    labels,
    newer_rows,
    print_of,
)
from app.views.live.texts import (
    LATER,
    EntryNote,
    empty_texts,
    entry_note,
    forming_texts,
    lasting_texts,
    live_texts,
    round_trip_rows,
    signal_look,
)
from app.views.live.verdict import can_pay, sides_words, verdict
from app.views.shell.notices import Notice, no_bars_words, notice_line, notices
from app.views.shell.strip import source_badge, status_texts
from app.views.text import SIDES, coin, plain, signed, time_text
from core.errors import ParameterErrors, StoreError
from core.pair_spec import HEDGE_WORDS, HEDGES, PairSpec, read_pair_spec
from core.settings import Settings
from core.types import PairResult

Answer = TypeVar("Answer")

NEWS_BARS = 2
"""An entry decided earlier than this many closed bars ago is history, not news."""


def whole_screen(desk: Desk, spec: PairSpec, note: str = "") -> dict[str, Any]:
    """Everything that the Live view shows of a pair."""
    key = query_of(spec, desk.settings)
    view, failure = asked_of(desk.pairs.view, spec)
    screen: dict[str, Any] = {
        "key": key,
        "step_ms": spec.timeframe_ms,
        "figures": None,
        "texts": empty_texts() | _captions(spec, _quote(desk, spec), desk.settings),
        "later": dict.fromkeys(LATER, ""),
        "looks": {"signal": "", "verdict": "verdict"},
        "trips": [],
        "symbols": pickable(listed_symbols(desk)),
        "links": {name: f"/analytics/pair/{name}.csv?{key}" for name in ("trades", "equity")},
    }
    cursor = ClientCursor(key)
    if view is not None and view.result is not None and view.closed is not None:
        result, drawn = view.result, drawn_rows(view.result)
        standing = _standing(desk, view.closed, drawn.first_ms)
        screen["figures"] = {
            "pair": packed_figure(pair_figure(result, drawn, key)),
            "equity": packed_figure(equity_figure(result, drawn, key)),
        }
        screen["ends"] = ends(result, drawn, _decimals(view.closed))
        screen["labels"] = labels(spec)
        screen["trips"] = round_trip_rows(result)
        screen["news"] = news(result, key)
        screen["forming"] = _forming(view, view.closed, standing)
        screen["looks"] = _looks(result)
        screen["texts"] |= live_texts(result, view.zscore_provisional) | lasting_texts(result)
        cursor = _advanced(cursor, view.closed, standing, drawn.first_ms, screen["forming"])
    status, way_out = desk.status.view(), _way_out(view, desk.settings)
    if screen["figures"] is None:
        screen["texts"] |= _empty_texts(status, view, failure)
        screen["way_out"] = way_out
    lines = notices(status, view, failure, note, way_out)
    return _with_status(screen, cursor, status, lines, view)


def _empty_texts(status: DeskStatus, view: PairState | None, failure: str) -> dict[str, str]:
    """What the view says while there is nothing to draw."""
    if view is None and not status.symbols and not status.database.error:
        return {
            "verdict": "Can't say: nothing is stored yet.",
            "empty": "Nothing is stored yet.",
            "empty-help": "The exchange is asked for its symbols and their history; the charts come"
            " by themselves. If nothing comes, Health says what to do.",
        }
    if view is None:
        empty = f"{failure[:1].upper()}{failure[1:]}."
        return {"verdict": f"Can't say: {failure}.", "empty": empty, "empty-help": ""}
    words, history = no_bars_words(view), status.report.backfill
    helps = "They come by themselves once both have traded for a whole bar."
    if view.elsewhere:
        helps = "Longer bars go back further; shorter ones are kept for a few days only."
    elif history is not None and history.done < history.total:
        helps = f"History is being loaded: {history.done:,} of {history.total:,} parts are here."
    return {"verdict": words, "empty": words, "empty-help": helps}


def newer(
    desk: Desk, spec: PairSpec, cursor: ClientCursor, note: str = ""
) -> dict[str, Any] | None:
    """What a client at `cursor` lacks; None when nothing, `reload` when it needs a new screen."""
    key = query_of(spec, desk.settings)
    if cursor.key != key:
        return None
    told, change = cursor, dict[str, Any](key=key)
    ahead = Ahead(_drawn(told), lambda closed: _newer_parts(desk, closed, told))
    pair, failure = asked_of(lambda asked: desk.pairs.state(asked, ahead), spec)
    if pair is not None and pair.closed is not None:
        closed, first_ms = pair.closed, cursor.first_ms
        is_other = _is_other(cursor, closed)
        is_rewritten = not is_other and _is_rewritten(desk, cursor, closed)
        if is_other or is_rewritten:
            if not pair.is_newest:
                return None  # this may be older than what the client has
            # All clients need one at the same moment, and for all at once ticks would wait.
            if desk.screens.take():
                return {"key": key, "reload": True}
        if not is_other:
            standing = _standing(desk, closed, first_ms)
            forming = _forming(pair, closed, standing)
            cursor = _advanced(cursor, closed, standing, first_ms, forming)
            note_texts = forming_texts(standing.note, pair.zscore_provisional)
            if cursor.last_ms > told.last_ms:
                rows = _newer_rows(desk, closed, told)
                change |= rows | {"texts": rows["texts"] | note_texts, "forming": forming}
            elif cursor.forming != told.forming:
                change |= {"forming": forming, "texts": note_texts}
        if is_rewritten:
            # What is newest is right already; what was drawn before still has to be drawn anew.
            cursor = replace(
                cursor,
                revision_a=told.revision_a,
                revision_b=told.revision_b,
                drawn=told.drawn,
            )
    status = desk.status.view()
    lines = notices(status, pair, failure, note, _way_out(pair, desk.settings))
    change = _with_status(change, cursor, status, lines, pair, told)
    return change if change.keys() - {"key", "cursor"} else None


def _way_out(pair: PairState | None, settings: Settings) -> tuple[str, str] | None:
    """Where bars are, when the pair's own timeframe has none."""
    if pair is None or not pair.elsewhere:
        return None
    other = replace(pair.spec, timeframe=pair.elsewhere[-1], since=None)
    return f"Show {other.timeframe}", f"?{query_of(other, settings)}"


def _newer_parts(desk: Desk, closed: Closed, told: ClientCursor) -> None:
    """Have ready what clients at a cursor will get of a result, while all of it is at hand."""
    if not _is_other(told, closed):
        _is_rewritten(desk, told, closed)
        _standing(desk, closed, told.first_ms)
        if closed.last_open_ms > told.last_ms:
            _newer_rows(desk, closed, told)


def _newer_rows(desk: Desk, closed: Closed, told: ClientCursor) -> dict[str, Any]:
    return desk.pairs.shown(
        closed,
        ("rows", *_drawn(told)),
        lambda result: _closed_rows(result, told, _decimals(closed)),
    )


def _drawn(told: ClientCursor) -> tuple[int, ...]:
    """What the rows hang on that a client lacks."""
    return told.first_ms, told.last_ms, told.trips_closed, told.trips_shown


@dataclass(frozen=True, slots=True)
class BetweenCloses:
    """What ticks say between two closes to clients that drew a result from the same row on."""

    base: tuple[float, float]
    note: EntryNote
    trips_closed: int
    trips_shown: int
    drawn: int


def _standing(desk: Desk, closed: Closed, first_ms: int) -> BetweenCloses:
    return desk.pairs.shown(
        closed, ("standing", first_ms), lambda result: standing_of(result, first_ms)
    )


def standing_of(result: PairResult, first_ms: int) -> BetweenCloses:
    """Take from a result what is said of it until its next bar closes."""
    trips = result.backtest.round_trips
    drawn = Drawn(first_ms, result.as_of_ms - result.spec.timeframe_ms)
    return BetweenCloses(
        base=bases(result, drawn),
        note=entry_note(result),
        trips_closed=sum(trip.exit_time_ms is not None for trip in trips),
        trips_shown=len(trips),
        drawn=print_of(result, drawn),
    )


def _decimals(closed: Closed) -> Decimals:
    return closed.key.listing.decimals_a, closed.key.listing.decimals_b


def _closed_rows(result: PairResult, told: ClientCursor, decimals: Decimals) -> dict[str, Any]:
    """What bars that closed since add to a screen: the same for all that have drawn as far."""
    content = newer_rows(result, Drawn(told.first_ms, told.last_ms), decimals) | {
        "after": told.last_ms,
        "last": int(result.rows.open_time_ms[-1]),
        "texts": live_texts(result, math.nan),
        "looks": _looks(result),
    }
    extra = {"trips": _trips(result, told), "news": news(result, told.key)}
    return content | {name: part for name, part in extra.items() if part}


def _looks(result: PairResult) -> dict[str, str]:
    """Hues of signal and verdict, as class names."""
    return {
        "signal": signal_look(result),
        "verdict": f"verdict {verdict(result).look}".rstrip(),
    }


def news(result: PairResult, key: str) -> dict[str, Any] | None:
    """The newest entry that the signal decided on, if it is of the last closed bars.

    The page is an unsaved rule of the pair on screen: an alert of the same parameters fires at the
    same bar, see `core.alerts`.
    """
    spec, position, zscore = result.spec, result.position, result.chosen.zscore
    first = 1 if spec.since is None else 0  # with `since` rows begin flat: their first may enter
    for row in range(len(position) - 1, max(first, len(position) - NEWS_BARS) - 1, -1):
        side = int(position[row])
        if side and side != (position[row - 1] if row else 0):
            open_ms = int(result.rows.open_time_ms[row])
            closed = time_text(open_ms + spec.timeframe_ms, spec.timeframe == "1s")
            name = SIDES["long_spread" if side > 0 else "short_spread"]
            held = sides_words(spec.symbol_a, spec.symbol_b, side)
            worth = "" if can_pay(result) else " It can't pay its costs here."
            return {
                "id": f"{key}@{open_ms}",
                "ms": open_ms + spec.timeframe_ms,
                "heading": f"{name} spread · z {signed(float(zscore[row]))}",
                "words": f"{spec.symbol_a}/{spec.symbol_b} {spec.timeframe} entered at the close of"
                f" {closed} UTC: {held}.{worth}",
            }
    return None


def asked_of(ask: Callable[[PairSpec], Answer], spec: PairSpec) -> tuple[Answer | None, str]:
    """What the service says of a pair, or in words why it can't."""
    try:
        return ask(spec), ""
    except (SymbolNotIngested, ParameterErrors, StillCompiling) as refused:
        return None, str(refused)
    except StoreError as error:
        return None, f"The database can't be read: {error.public}"


def _is_other(cursor: ClientCursor, closed: Closed) -> bool:
    """Whether a client's rows are of another result: nothing of this one can be added to them."""
    step = closed.spec.timeframe_ms
    return (
        cursor.start_ms != closed.start_ms
        or cursor.last_ms > closed.last_open_ms
        or not closed.start_ms <= cursor.first_ms <= cursor.last_ms
        or (cursor.last_ms - closed.start_ms) % step != 0
        or (cursor.first_ms - closed.start_ms) % step != 0
    )


def _is_rewritten(desk: Desk, cursor: ClientCursor, closed: Closed) -> bool:
    """Whether rows that the client has drawn are others now."""
    if (cursor.revision_a, cursor.revision_b) == closed.key.revision:
        return False
    if cursor.last_ms == closed.last_open_ms:
        return cursor.drawn != _standing(desk, closed, cursor.first_ms).drawn
    drawn = Drawn(cursor.first_ms, cursor.last_ms)
    now: int = desk.pairs.shown(closed, ("print", drawn), lambda result: print_of(result, drawn))
    return cursor.drawn != now


def _advanced(
    cursor: ClientCursor,
    closed: Closed,
    standing: BetweenCloses,
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
        drawn=standing.drawn,
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


def _forming(pair: PairState, closed: Closed, standing: BetweenCloses) -> dict[str, Any]:
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
    badge = source_badge(status, pair)
    levels = [line.level for line in lines]
    # What is on screen is then of a while ago: the page says so in grey.
    recorded = pair is not None and pair.source in ("import", "replay")
    is_bad = any(look == "bad" for look in (badge.look, *levels))
    is_cut = not recorded and (is_bad or status.is_of_before)
    texts = status_texts(status) | {"verdict-cut": _cut_words(pair) if is_cut else ""}
    strip = {
        "texts": texts,
        "badge": asdict(badge),
        "feed": "cut" if is_cut else "live",
        "frame_ms": status.feed.last_frame_ms,
    }
    cursor = replace(cursor, strip=fingerprint(strip), notices=fingerprint(lines))
    if told is None or told.strip != cursor.strip:
        content["strip"] = strip | {"now_ms": status.now_ms}
    if told is None or told.notices != cursor.notices:
        content["notices"] = notice_line(lines)
    # Not by `asdict`, which copies deeply: every client asks every second.
    known = {name: getattr(told, name, None) for name in ClientCursor.__slots__}
    content["cursor"] = {
        name: getattr(cursor, name)
        for name in ClientCursor.__slots__
        if getattr(cursor, name) != known[name]
    }
    return content


def _cut_words(pair: PairState | None) -> str:
    """The first line while nothing new comes in: no advice, and of when the numbers are."""
    if pair is None or pair.closed is None:
        return "Can't say: nothing comes in."
    moment = time_text(pair.closed.as_of_ms, with_seconds=True)
    return f"Can't say: nothing comes in. The numbers are of {moment} UTC."


def _captions(spec: PairSpec, quote: str, settings: Settings) -> dict[str, str]:
    """Words beside headings and numbers that follow from the parameters alone."""
    a, b, window = coin(spec.symbol_a), coin(spec.symbol_b), f"{spec.window:,}"
    model = "one-step error of the filter" if spec.hedge == "kalman" else "ln A − α − β ln B"
    fitted = "" if spec.hedge == "ratio" else f", {spec.hedge_window:,} bars"
    band = " · band ± 1 s.e. if errors were white" if spec.hedge == "kalman" else ""
    money = f", {quote}" if quote else ""
    values = control_values(spec, settings)
    default = control_values(read_pair_spec({}, settings), settings)
    changed = sum(values[field] != default[field] for field in MORE_FIELDS)
    return {
        "leg-a": spec.symbol_a,
        "leg-b": spec.symbol_b,
        "spread-note": f"{model}, % · band: mean ± 2σ of the {window} bars before",
        "hedge-note-chart": f"{HEDGES[spec.hedge]}{fitted}, chosen · the other four faint{band}",
        "hedge-word": f" · {HEDGE_WORDS[spec.hedge]}{fitted}",
        "even-note": f"4 fills: {2 * (spec.fee_bps + spec.slippage_bps):g} bp of notional",
        "pnl-unit": money,
        "costs-unit": money,
        "more-changed": f"{changed} changed" if changed else "",
        "fold-pair": f"{a} / {b}",
        "fold-rest": f"{spec.timeframe} · {window} bars · {spec.entry_z:g} /"
        f" {plain(spec.exit_z, 'g')} · {HEDGES[spec.hedge]}",
    }


def _quote(desk: Desk, spec: PairSpec) -> str:
    """Currency of the profit: that of leg A; nothing while the store can't be read."""
    try:
        symbols = desk.market.symbols()
    except StoreError:
        return ""
    return next((stored.quote for stored in symbols if stored.symbol == spec.symbol_a), "")
