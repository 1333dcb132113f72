"""Each thing that can go wrong: how it is, what is normal, what to do; pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from app.services.channels import ChannelState
from app.services.status import DeskStatus
from app.services.trends import Trends
from app.services.web import Quantiles
from app.views.alerts.channels import channel_words
from app.views.shell.notices import NOT_CUT
from app.views.text import NONE, count
from core.report import AnalystReport, WorkerReport
from core.timeframes import DAY_MS
from core.words import duration_text, short, with_minus

State = Literal["normal", "look", "down", "unknown"]
Report = TypeVar("Report", WorkerReport, AnalystReport)

QUIET_MS = 3_000
LAG_MS = 400.0
RECONNECTS = 3
QUEUE = 1_000
WAL_BYTES = 64 * 2**20
DAYS_LEFT = 14.0
CLOCK_MS = 1_000
LATE_MS = 1_000.0
WEIGHT_PERCENT = 80.0
TICK_MS = 150.0
NAMED = 5
"""Of symbols that are left out."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A row: in words how it is and what is normal, and its figure over the last day."""

    group: str
    name: str
    now: str
    normal: str
    state: State
    advice: str
    more: str = ""
    trend: tuple[float | None, ...] = ()
    high: float | None = None
    """Up to where it is normal; None without a bound."""
    failing: str = ""
    """The sentence that tells it when it is the worst."""


def things(
    status: DeskStatus,
    trends: Trends,
    channels: Sequence[ChannelState],
    tick: Quantiles | None = None,
) -> list[Thing]:
    """Every row, in the order in which a trade goes through the desk."""
    rows = [*_feed(status, trends), *_store(status, trends), *_judging(status, trends)]
    if tick is not None:
        rows.append(_tick(tick))
    return rows + [_channel(one) for one in channels if one.health is not None]


def _feed(status: DeskStatus, trends: Trends) -> list[Thing]:
    feed, age_ms = status.feed, status.feed_age_ms
    missing = sum(one.missing_ids for one in status.symbols)
    lost = sum(one.lost_ids for one in status.symbols)
    gaps = sum(one.open_gaps for one in status.symbols)
    weight = status.report.request_weight_share
    is_cut, is_recorded = feed.state not in NOT_CUT, feed.state in ("replaying", "ended")
    return [
        Thing(
            "Feed", "last message", NONE if age_ms is None else _age(age_ms), "under 3 s",
            "down" if is_cut else _judged(age_ms, QUIET_MS),
            "Over 3 s: numbers grey out; it reconnects by itself.",
            more="" if feed.state == "live" else feed.state, failing="The feed is cut",
        ),
        Thing(
            "Feed", "exchange to database", _ms(feed.total_lag_ms_p99), "p99 under 400 ms",
            _judged(feed.total_lag_ms_p99, LAG_MS), "Higher: look at CPU and disk of this machine.",
            more="p99" + (f" · {_ms(feed.total_lag_ms_p50)} p50" if feed.total_lag_ms_p50 else ""),
            trend=_figures(trends.worker, lambda one: one.feed.total_lag_ms_p99), high=LAG_MS,
            failing="Trades are stored late",
        ),
        Thing(
            "Feed", "trades a second",
            NONE if feed.trades_per_s is None else short(feed.trades_per_s), "more than 0",
            "unknown"
            if feed.trades_per_s is None or is_recorded
            else "normal"
            if feed.trades_per_s
            else "look",
            "Zero on a live market: see last message.",
            trend=_figures(trends.worker, lambda one: one.feed.trades_per_s),
            failing="No trades come in",
        ),
        Thing(
            "Feed", "reconnects", _number(feed.reconnects), "0 to 3",
            _judged(feed.reconnects, RECONNECTS),
            feed.last_error or "More: the way to the exchange is bad. Ids that were missed are"
            " fetched.",
            more="since its start",
            trend=_figures(trends.worker, lambda one: one.feed.reconnects), high=RECONNECTS,
            failing="The connection breaks often",
        ),
        Thing(
            "Feed", "missing ids", f"{missing:,}", "0", "normal" if not missing else "look",
            "Fetched again by REST; what can't be had is shown as a hole.",
            more=f"{lost:,} of them lost" if lost else "", failing="Trades are missing",
        ),
        Thing(
            "Feed", "open gaps", f"{gaps:,}", "0", "normal" if not gaps else "look",
            "Asked for again. If it stays: the exchange has nothing there.",
            failing="Gaps are open",
        ),
        Thing(
            "Feed", "request weight", NONE if weight is None else f"{100 * weight:.0f} %",
            f"up to {WEIGHT_PERCENT:.0f} %",
            _judged(None if weight is None else 100 * weight, WEIGHT_PERCENT),
            "At 80 % history waits; live is never held up.",
            more="of a minute's",
            trend=_figures(trends.worker, _weight_percent), high=WEIGHT_PERCENT,
            failing="The exchange is asked too often",
        ),
        *_left_out(status.report.symbols_left_out),
    ]  # fmt: skip


def _left_out(symbols: Sequence[str]) -> list[Thing]:
    if not symbols:
        return []
    named = ", ".join(symbols[:NAMED]) + (" …" if len(symbols) > NAMED else "")
    return [
        Thing(
            "Feed", "symbols left out", _number(len(symbols)), "0", "look",
            f"{named}: not listed by the exchange, or not so that it can be read. It is asked"
            " again; see SYMBOLS.",
            failing="Symbols are left out",
        )
    ]  # fmt: skip


def _store(status: DeskStatus, trends: Trends) -> list[Thing]:
    report, database = status.report, status.database
    space, offset_ms = report.space, report.clock_offset_ms
    size = database.size_bytes
    left = space.days_left
    return [
        Thing(
            "Store", "write queue", _number(report.queue_depth), "under 1,000",
            _judged(report.queue_depth, QUEUE),
            "Growing: the disk is too slow. Trades are kept, not dropped.",
            more=f"{count(report.dropped, 'trade')} dropped" if report.dropped else "",
            trend=_figures(trends.worker, lambda one: one.queue_depth), high=QUEUE,
            failing="Writing lags behind",
        ),
        Thing(
            "Store", "quarantined frames", _number(report.quarantined), "0",
            "unknown" if report.quarantined is None else
            "look" if report.quarantined else "normal",
            "Not 0: the exchange sent what can't be; see the log.",
            trend=_figures(trends.worker, lambda one: one.quarantined),
            failing="Odd frames came in",
        ),
        Thing(
            "Store", "database", NONE if size is None else bytes_text(size),
            f"lasts {DAYS_LEFT:g} days",
            "down" if database.error or report.paused else
            "look" if left is not None and left < DAYS_LEFT else
            "normal" if size is not None else "unknown",
            (database.error or (report.paused.reason if report.paused else "")
             or _space_words(space.free_bytes, left)),
            more=_growth_words(space.growth_bytes_per_day),
            trend=_figures(trends.worker, lambda one: one.space.used_bytes),
            failing="Nothing is written" if report.paused else "The database can't be read"
            if database.error else "The disk fills",
        ),
        Thing(
            "Store", "write-ahead log",
            NONE if database.wal_bytes is None else bytes_text(database.wal_bytes), "under 64 MB",
            _judged(database.wal_bytes, WAL_BYTES), "Growing: a reader holds an old snapshot.",
            failing="The write-ahead log grows",
        ),
        Thing(
            "Store", "clock offset",
            NONE if offset_ms is None else with_minus(f"{offset_ms:+,} ms"), "under 1 s",
            _judged(None if offset_ms is None else abs(offset_ms), CLOCK_MS),
            "Only shown times move; bars follow the exchange's clock.",
            trend=_figures(
                trends.worker,
                lambda one: None if one.clock_offset_ms is None else abs(one.clock_offset_ms),
            ),
            high=CLOCK_MS, failing="This machine's clock is out",
        ),
        *([] if status.redis == "off" else [_redis(status.redis)]),
    ]  # fmt: skip


def _redis(state: str) -> Thing:
    return Thing(
        "Store", "Redis", state, "up", "normal" if state == "up" else "look",
        "While it is away each web process limits clients and keeps answers by itself.",
        failing="Redis is away",
    )  # fmt: skip


def _judging(status: DeskStatus, trends: Trends) -> list[Thing]:
    analysis, analyst = status.analysis, status.analyst
    # Where nothing runs yet, nothing is known of it.
    is_down = not analyst.is_alive and (analyst.state != "absent" or status.worker_lives)
    advice = "Later: fewer rules at 1s, or more cores."
    if is_down:
        advice = "The analyst does not run. What it misses is judged, marked late, when it is back."
    state: State = "normal" if not analysis.rules else _judged(analysis.judging_ms_p99, LATE_MS)
    if is_down or analysis.last_error:
        state = "down"
    elif not analyst.is_alive:
        state = "unknown"
    return [
        Thing(
            "Judging", "rules judged after the bar", _ms(analysis.judging_ms_p99),
            "p99 under 1 s once known", state, analysis.last_error or advice,
            more=f"{count(analysis.rules, 'rule')} · {_ms(analysis.late_ms_p99)} after its end",
            trend=_figures(trends.analyst, lambda one: one.judging_ms_p99), high=LATE_MS,
            failing="Nothing is judged" if is_down or analysis.last_error else "Judging is late",
        ),
        Thing(
            "Judging", "messages refused", _number(analysis.failed), "0",
            "normal" if not analysis.failed else "look",
            "Tried again until they arrive; see the channels.", more="since its start",
            trend=_figures(trends.analyst, lambda one: one.failed),
            failing="Channels refused messages",
        ),
    ]  # fmt: skip


def _tick(tick: Quantiles) -> Thing:
    return Thing(
        "Judging", "page tick", _ms(tick.p50_ms), "p95 under 150 ms",
        _judged(tick.p95_ms, TICK_MS), "Higher: more browsers than this machine can serve.",
        more=f"p95 {_ms(tick.p95_ms)}", failing="The page answers late",
    )  # fmt: skip


def _channel(one: ChannelState) -> Thing:
    is_down = one.state == "down"
    return Thing(
        "Judging", f"channel {one.name}", "down" if is_down else one.state, "takes messages",
        "down" if is_down else "normal",
        channel_words(one), failing=f"Channel {one.name} is down",
    )  # fmt: skip


def verdict_words(rows: Sequence[Thing]) -> tuple[str, str]:
    """How all of it is in a sentence, and what of it is not normal."""
    known = [one for one in rows if one.state != "unknown"]
    odd = [one for one in known if one.state != "normal"]
    odd.sort(key=lambda one: one.state != "down")
    if not known:
        return "Nothing is known yet.", "The worker has not said anything of itself."
    if not odd:
        return f"All {len(known)} are normal.", "Feed, store and judging are well."
    heading = f"{len(known) - len(odd)} of {len(known)} are normal. {odd[0].failing}."
    also = f" Also: {', '.join(one.name for one in odd[1:])}." if odd[1:] else ""
    advice = odd[0].advice.rstrip(".")
    return heading, f"{advice[:1].upper()}{advice[1:]}.{also}"


def _judged(value: float | None, most: float) -> State:
    return "unknown" if value is None else "normal" if value <= most else "look"


def _figures(
    reports: Sequence[Report | None], figure: Callable[[Report], float | None]
) -> tuple[float | None, ...]:
    return tuple(None if one is None else figure(one) for one in reports)


def _weight_percent(report: WorkerReport) -> float | None:
    share = report.request_weight_share
    return None if share is None else 100 * share


def _growth_words(per_day: float | None) -> str:
    if per_day is None:
        return ""
    return f"{'+' if per_day >= 0 else '−'}{bytes_text(abs(per_day))}/day"


def _space_words(free: int | None, days_left: float | None) -> str:
    if free is None:
        return "How much is free is not known here."
    lasts = "" if days_left is None else f": full in {duration_text(days_left * DAY_MS)}"
    return f"{bytes_text(free)} free{lasts if days_left is not None and days_left < 3_650 else ''}."


def _age(age_ms: float) -> str:
    return f"{age_ms / 1_000:.1f} s" if age_ms < 10_000 else duration_text(age_ms)


def _ms(value: float | None) -> str:
    """Milliseconds, or a longer unit where nobody would count them."""
    if value is None:
        return NONE
    return f"{value:,.0f} ms" if value < 10_000 else duration_text(value)


def _number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def bytes_text(value: float) -> str:
    """Bytes in a unit that suits them."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:.{2 if unit == 'GB' else 0}f} {unit}"
    return f"{value / 1e3:,.0f} kB"
