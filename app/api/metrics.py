"""`/api/status` in Prometheus' words.

The numbers come from the store, where the worker leaves them, and not from this process: whichever
of several web processes is asked gives the same answer.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from app.services.status import DeskStatus, SymbolStatus
from core.report import FeedReport

__all__ = ["CONTENT_TYPE", "exposition"]

_Row = tuple[str, str, float | None]
"""Name, description and value; what isn't known is left out."""


def exposition(status: DeskStatus) -> bytes:
    """Write a status down in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Status(status))
    return generate_latest(registry)


class _Status(Collector):
    def __init__(self, status: DeskStatus) -> None:
        self._status = status

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        status = self._status
        states = GaugeMetricFamily("pairdesk_feed_state", "1 for how it stands", labels=["state"])
        for state in ("live", "connecting", "down", "blocked"):
            states.add_metric([state], float(status.feed.state == state))
        yield states
        for name, about, value in _gauges(status):
            if value is not None:
                yield GaugeMetricFamily(f"pairdesk_{name}", about, value=value)
        for name, about, value in _counters(status):
            if value is not None:
                yield CounterMetricFamily(f"pairdesk_{name}", about, value=value)
        jobs = CounterMetricFamily("pairdesk_jobs", "Jobs by how they ended", labels=["state"])
        for state, count in sorted(status.analysis.jobs.items()):
            jobs.add_metric([state], count)
        yield jobs
        yield from _feed(status.feed)
        # What one that is no longer streamed lacks is no cause for alarm.
        yield from _symbols(
            [row for row in status.symbols if row.subscribed and row.last_id is not None]
        )


def _gauges(status: DeskStatus) -> tuple[_Row, ...]:
    report, database, space = status.report, status.database, status.report.space
    analysis = status.analysis
    return (
        ("worker_up", "Whether the worker lives", status.worker_lives),
        ("analyst_up", "Whether the analyst lives", status.analyst.is_alive),
        ("rules", "Rules that are judged", status.analysis.rules),
        (
            "judged_late_seconds_p99",
            "From a bar's end to its judgement",
            _seconds(analysis.late_ms_p99),
        ),
        (
            "judging_seconds_p99",
            "From when a bar was there to its judgement",
            _seconds(analysis.judging_ms_p99),
        ),
        ("paused", "Whether writing pauses", report.paused is not None),
        ("database_readable", "Whether the store can be read", database.error is None),
        (
            "redis_up",
            "Whether Redis answers this web process",
            None if status.redis == "off" else status.redis == "up",
        ),
        ("feed_age_seconds", "Since the last frame", _seconds(status.feed_age_ms)),
        ("messages_per_second", "Trades received a second", report.feed.trades_per_s),
        ("queue_depth", "Trades that wait to be stored", report.queue_depth),
        ("database_bytes", "Size of the database", database.size_bytes),
        ("database_used_bytes", "Of it in use", space.used_bytes),
        ("wal_bytes", "Size of the write-ahead log", database.wal_bytes),
        ("disk_free_bytes", "Free on the database's disk", space.free_bytes),
        ("growth_bytes_per_day", "Growth", space.growth_bytes_per_day),
        ("days_left", "Until the disk is full at this rate", space.days_left),
        ("stalled_symbols", "Symbols without a trade", len(report.stalled_symbols)),
        ("request_weight_ratio", "Of what may be asked in a minute", report.request_weight_share),
        ("unjudged_symbols", "Symbols with impossible ids", len(report.unjudged_symbols)),
        (
            "clock_offset_seconds",
            "Our clock ahead of the exchange's",
            _seconds(report.clock_offset_ms),
        ),
    )


def _counters(status: DeskStatus) -> tuple[_Row, ...]:
    report, feed = status.report, status.feed
    return (
        ("trades_received", "Trades received since the worker's start", feed.trades_received),
        ("reconnects", "Connections after the first", feed.reconnects),
        ("dropped", "Trades that found the queue full; fetched again by id", report.dropped),
        ("judged_bars", "Bars judged since the analyst's start", status.analysis.judged),
        ("judged_late_bars", "Of them when newer ones had closed", status.analysis.judged_late),
        ("episodes_fired", "Alerts that fired since then", status.analysis.fired),
        ("odd_rows", "Rows of answers that could not be used", report.odd_rows),
        ("messages_delivered", "Messages that have arrived", status.analysis.delivered),
        ("messages_failed", "Tries that a channel refused", status.analysis.failed),
        ("scans", "Scans of every pair since then", status.analysis.scans.done),
        ("scan_seconds", "What they took", status.analysis.scans.seconds),
        ("scanned_pairs", "Pairs tested in them", status.analysis.scans.pairs),
        ("scan_refused_pairs", "Pairs that could not be tested", status.analysis.scans.refused),
        ("quarantined", "Frames set aside as broken, foreign or absurd", report.quarantined),
    )


def _feed(feed: FeedReport) -> Iterator[Metric]:
    lags = GaugeMetricFamily(
        "pairdesk_lag_seconds", "How late trades are, last second", labels=["stage", "quantile"]
    )
    for stage, median_ms, high_ms in (
        ("received", feed.lag_ms_p50, feed.lag_ms_p99),
        ("stored", feed.store_lag_ms_p50, feed.store_lag_ms_p99),
        ("event_to_stored", feed.total_lag_ms_p50, feed.total_lag_ms_p99),
    ):
        for quantile, lag_ms in (("0.5", median_ms), ("0.99", high_ms)):
            if lag_ms is not None:
                lags.add_metric([stage, quantile], lag_ms / 1_000)
    yield lags
    failures = CounterMetricFamily(
        "pairdesk_feed_failures", "Connections that ended or failed", labels=["reason"]
    )
    for reason, count in sorted(feed.failures.items()):
        failures.add_metric([reason], count)
    yield failures


def _symbols(rows: list[SymbolStatus]) -> Iterator[Metric]:
    families = {
        name: GaugeMetricFamily(f"pairdesk_symbol_{name}", about, labels=["symbol"])
        for name, about in (
            ("last_id", "Last id stored"),
            ("age_seconds", "Since the symbol's last trade"),
            ("missing_ids", "Ids not stored, lost ones included"),
            ("lost_ids", "Ids that the exchange no longer has"),
        )
    }
    gaps = GaugeMetricFamily("pairdesk_symbol_gaps", "Gaps", labels=["symbol", "state"])
    for row in rows:
        for name, value in (
            ("last_id", row.last_id),
            ("age_seconds", _seconds(row.age_ms)),
            ("missing_ids", row.missing_ids),
            ("lost_ids", row.lost_ids),
        ):
            if value is not None:
                families[name].add_metric([row.symbol], value)
        for state, count in (
            ("open", row.open_gaps),
            ("filled", row.filled_gaps),
            ("lost", row.unfillable_gaps),
        ):
            gaps.add_metric([row.symbol, state], count)
    yield from families.values()
    yield gaps


def _seconds(time_ms: float | None) -> float | None:
    return None if time_ms is None else time_ms / 1_000
