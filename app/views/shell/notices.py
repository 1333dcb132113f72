"""What the page says above the charts when something isn't as it should be; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dash import html
from dash.development.base_component import Component

from app.services.pair_states import PairState
from app.services.status import DeskStatus
from app.views.shell.strip import source_badge
from app.views.text import time_text
from core.words import duration_text

CLOCK_TOLD_MS = 1_000
"""A clock that is out by less is right for a person."""

TRADED = ("TRADING", "IMPORTED", "")

Level = Literal["bad", "warn", "info"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One line, and how much it matters: red, amber or quiet."""

    level: Level
    words: str
    link: tuple[str, str] | None = None
    """Words and address of what helps."""
    brief: str = ""
    """What is said of it where another stands in its place."""


def notices(
    status: DeskStatus,
    pair: PairState | None,
    failure: str = "",
    note: str = "",
    link: tuple[str, str] | None = None,
) -> list[Notice]:
    """Every line to show now, what matters most first.

    `failure` is why there is no pair; `note` is what of a link could not be used; `link` leads to a
    timeframe that has bars where the pair's own has none.
    """
    lines = [*_database(status), *_worker(status)]
    # Nothing new can come in without them, whatever the feed says.
    is_up = status.database.error is None and not _worker(status)
    if failure and not status.is_preparing and not _database(status):
        lines.insert(0, _no_view(status, failure))
    if note:
        lines.insert(0, Notice("warn", f"Not used from the link: {note}."))
    if is_up:
        lines += _feed(status)
        lines += _ids_and_clock(status)
    if status.worker.state != "absent" and not status.worker_is_due:
        lines += _analyst(status)
    lines += _source(status, pair)
    lines += _backfill(status)
    if status.is_preparing:
        words = "The numeric kernels are being made ready, at the first start for about a minute."
        lines.append(Notice("info", words))
    if pair is not None:
        is_cut = not is_up or any(line.level == "bad" for line in lines)
        lines += _pair(pair, link, is_cut)
    return lines


def notice_line(lines: Sequence[Notice]) -> list[Component]:
    """The line above the page, which never grows: the worst, and the rest behind a count.

    A narrow window has room for a part of the worst: there the rest begins with all of it. How far
    history is, which a scan waits for, is told beside the count.
    """
    ordered = _worst_first(lines)
    if not ordered:
        return []
    worst, *others = (html.Div(_said(line), className=f"notice {line.level}") for line in ordered)
    in_full = html.Div(_said(ordered[0]), className=f"notice {ordered[0].level} in-full")
    count = html.Summary(_counted(ordered[1:]))
    rest = html.Div([in_full, *others], className="rest")
    return [worst, html.Details([count, rest], className="more-notices")]


def _counted(others: Sequence[Notice]) -> str:
    if not others:
        return "all"
    briefly = ", ".join(line.brief for line in others if line.brief)
    return f"{len(others)} more" + (f": {briefly}" if briefly else "")


def _said(line: Notice) -> list[str | Component]:
    if line.link is None:
        return [line.words]
    words, address = line.link
    return [line.words, " ", html.A(words, href=address)]


def _worst_first(lines: Sequence[Notice]) -> list[Notice]:
    order = ("bad", "warn", "info")
    return sorted(lines, key=lambda line: order.index(line.level))


def _no_view(status: DeskStatus, failure: str) -> Notice:
    if not status.symbols:
        return Notice("info", "No symbol is stored yet: waiting for the exchange to list them…")
    return Notice("bad", f"{failure}.")


def _database(status: DeskStatus) -> list[Notice]:
    error, notice = status.database.error, status.database.notice
    lines = [Notice("bad", f"The database can't be read: {error.rstrip('.')}.")] if error else []
    return lines + ([Notice("warn", notice)] if notice else [])


def _worker(status: DeskStatus) -> list[Notice]:
    worker, paused = status.worker, status.report.paused
    if status.worker_is_due:
        return [Notice("info", "The worker is starting: nothing new comes in yet.")]
    if worker.state == "absent":
        return [Notice("warn", "The worker has not started yet: nothing new is coming in.")]
    if paused:
        return [Notice("bad", f"Nothing is stored at the moment: {paused.reason}")]
    if not status.worker_lives:
        age_ms = worker.heartbeat_age_ms
        since = f" since {_clock(status, age_ms)}" if age_ms is not None else ""
        if worker.state == "stopped" and status.feed.last_error:
            return [Notice("bad", f"The worker has stopped{since}: {status.feed.last_error}.")]
        return [
            Notice("bad", f"The worker is away{since}. Shown is what was stored before; it resumes")
        ]
    return []


def _analyst(status: DeskStatus) -> list[Notice]:
    """Nobody is told of anything without it, however well the charts go on: so it is said."""
    analyst = status.analyst
    if analyst.is_alive:
        return []
    waits = "rules are not judged; scans and sweeps wait."
    if status.is_starting:
        return [Notice("info", f"The analyst is starting: till then {waits}")]
    if analyst.state == "absent":
        return [Notice("warn", f"The analyst has not started yet: {waits}")]
    age_ms = analyst.heartbeat_age_ms
    since = f" since {_clock(status, age_ms)}" if age_ms is not None else ""
    return [
        Notice(
            "warn",
            f"The analyst is away{since}: {waits} Bars that close meanwhile are judged once it is"
            " back.",
        )
    ]


NOT_CUT = ("live", "replaying", "ended")
"""States of a feed that is as it should be; a recording is replayed, and then over."""


def _feed(status: DeskStatus) -> list[Notice]:
    state, age_ms, error = status.feed.state, status.feed_age_ms, status.feed.last_error
    if state in NOT_CUT:
        return []  # how far a recording is says the line about history
    since = f" since {_clock(status, age_ms)}" if age_ms is not None else ""
    why = f" ({error})" if error else ""
    if state == "blocked":
        return [Notice("bad", f"The exchange refuses this location{since}{why}; tried again later")]
    if state == "connecting" and age_ms is None:
        return [Notice("info", f"Connecting to the exchange{why}…")]
    return [Notice("bad", f"The feed is cut{since}{why}. Shown is what was stored; trying again")]


def _ids_and_clock(status: DeskStatus) -> list[Notice]:
    lines = []
    if unjudged := status.report.unjudged_symbols:
        lines.append(
            Notice(
                "warn",
                f"{', '.join(unjudged)}: trades of ids that can't be; the exchange is being asked."
                " Their bars wait.",
            )
        )
    ahead_ms = status.report.clock_offset_ms or 0
    if abs(ahead_ms) > CLOCK_TOLD_MS:
        way = "ahead of" if ahead_ms > 0 else "behind"
        lines.append(
            Notice(
                "info",
                f"This machine's clock is {abs(ahead_ms) / 1_000:,.1f} s {way} the exchange's,"
                " which judges here.",
            )
        )
    return lines


def _source(status: DeskStatus, pair: PairState | None) -> list[Notice]:
    badge = source_badge(status, pair)
    if badge.label == "SIMULATED":
        return [Notice("warn", f"Simulated market: {badge.words}")]
    if badge.label in ("REPLAY", "IMPORTED"):
        return [Notice("warn", f"{badge.label.capitalize()}: {badge.words}")]
    return []


def _backfill(status: DeskStatus) -> list[Notice]:
    history = status.report.backfill
    if history is None or history.done >= history.total:
        return []
    words = history.message or "loading history"
    return [
        Notice(
            "info",
            f"{words} · {history.done:,} of {history.total:,}",
            brief=f"history {100 * history.done // history.total} %",
        )
    ]


def no_bars_words(pair: PairState) -> str:
    """Why a pair has no numbers: its bars are still to come, or are of other timeframes."""
    spec = pair.spec
    legs = f"{spec.symbol_a} and {spec.symbol_b}"
    if pair.elsewhere:
        there = " and ".join(pair.elsewhere)
        return f"No {spec.timeframe} bars of {legs} are stored together; of {there} there are."
    since = f" since {time_text(spec.since)} UTC" if spec.since is not None else ""
    return f"Waiting for the first bars that {legs} have in common at {spec.timeframe}{since}…"


def _pair(pair: PairState, link: tuple[str, str] | None, cut: bool) -> list[Notice]:
    closed = pair.closed
    if closed is None:
        return [Notice("warn" if pair.elsewhere else "info", no_bars_words(pair), link)]
    lines, listing = [], closed.key.listing
    for symbol, listed in (
        (pair.spec.symbol_a, listing.status_a),
        (pair.spec.symbol_b, listing.status_b),
    ):
        if listed not in TRADED:
            lines.append(Notice("warn", f"{symbol} is not traded now: its status is {listed}."))
    if pair.stale and not cut and pair.source not in ("import", "replay"):
        at = time_text(closed.as_of_ms, with_seconds=True)
        lines.append(Notice("bad", f"No new bar of this pair since {at} UTC."))
    if pair.gaps:
        kinds = sum(gap.state == "unfillable" for gap in pair.gaps)
        words = f"{len(pair.gaps)} gap{'s' if len(pair.gaps) > 1 else ''} in the trades shown"
        tail = f", {kinds} of them can't be filled" if kinds else ", being filled"
        lines.append(Notice("warn", f"{words}{tail}: bars without all trades give no z."))
    return lines


def _clock(status: DeskStatus, age_ms: float) -> str:
    """When something last happened; long ago also how long."""
    moment = time_text(int(status.now_ms - age_ms), with_seconds=True).rpartition(" ")[2]
    ago = f", {duration_text(age_ms)} ago" if age_ms > 120_000 else ""
    return f"{moment} UTC{ago}"
