"""`/api/status` in Prometheus' words.

The numbers come from the store, where the worker leaves them, and not from this process: whichever
of several web processes is asked gives the same answer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "exposition"]

_SILENT = ("absent", "silent", "stopped")
# Name, description, where in the status, and what its unit is multiplied by.
_GAUGES = (
    ("feed_age_seconds", "Since the last frame", ("feed", "age_ms"), 1e-3),
    ("messages_per_second", "Trades received a second", ("feed", "trades_per_s"), 1.0),
    ("queue_depth", "Trades that wait to be stored", ("queue_depth",), 1.0),
    ("database_bytes", "Size of the database", ("database", "size_bytes"), 1.0),
    ("database_used_bytes", "Of it in use", ("database", "used_bytes"), 1.0),
    ("wal_bytes", "Size of the write-ahead log", ("database", "wal_bytes"), 1.0),
    ("disk_free_bytes", "Free on the database's disk", ("database", "free_bytes"), 1.0),
    ("growth_bytes_per_day", "Growth", ("database", "growth_bytes_per_day"), 1.0),
    ("days_left", "Until the disk is full at this rate", ("database", "days_left"), 1.0),
)
_COUNTERS = (
    ("trades_received", "Trades received since the worker's start", ("feed", "trades_received")),
    ("reconnects", "Connections after the first", ("feed", "reconnects")),
    ("dropped", "Trades that found the queue full; fetched again by id", ("dropped",)),
    ("quarantined", "Frames set aside as broken, foreign or absurd", ("quarantined",)),
)
_LAGS = {"received": "lag_ms", "stored": "store_lag_ms", "event_to_stored": "total_lag_ms"}
_SYMBOL_GAUGES = (
    ("symbol_last_id", "Last id stored", "last_id", 1.0),
    ("symbol_age_seconds", "Since the symbol's last trade", "age_ms", 1e-3),
    ("symbol_missing_ids", "Ids not stored, lost ones included", "missing_ids", 1.0),
    ("symbol_lost_ids", "Ids that the exchange no longer has", "lost_ids", 1.0),
)


def exposition(status: Mapping[str, Any]) -> bytes:
    """Write a status down in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Status(status))
    return generate_latest(registry)


class _Status(Collector):
    def __init__(self, status: Mapping[str, Any]) -> None:
        self._status = status

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("worker_up", "Whether the worker lives", self._worker_lives())
        yield _gauge("paused", "Whether writing pauses", float(status["paused"] is not None))
        yield _gauge(
            "database_readable", "Whether the store can be read", float(not self._of("error"))
        )
        states = GaugeMetricFamily("pairdesk_feed_state", "1 for how it stands", labels=["state"])
        for state in ("live", "connecting", "down", "blocked"):
            states.add_metric([state], float(status["feed"]["state"] == state))
        yield states
        for name, about, path, unit in _GAUGES:
            value = _at(status, path)
            if value is not None:
                yield _gauge(name, about, value * unit)
        for name, about, path in _COUNTERS:
            value = _at(status, path)
            if value is not None:
                yield CounterMetricFamily(f"pairdesk_{name}", about, value=value)
        yield from self._feed(status["feed"])
        yield from self._symbols(status["symbols"])
        yield _gauge(
            "stalled_symbols", "Symbols without a trade", float(len(status["stalled_symbols"]))
        )

    def _of(self, name: str) -> Any:
        return self._status["database"].get(name)

    def _worker_lives(self) -> float:
        return float(self._status["worker"]["state"] not in _SILENT)

    def _feed(self, feed: Mapping[str, Any]) -> Iterator[Metric]:
        lags = GaugeMetricFamily(
            "pairdesk_lag_seconds", "How late trades are, last second", labels=["stage", "quantile"]
        )
        for stage, name in _LAGS.items():
            for quantile, ending in (("0.5", "p50"), ("0.99", "p99")):
                value = feed.get(f"{name}_{ending}")
                if value is not None:
                    lags.add_metric([stage, quantile], value / 1_000)
        yield lags
        failures = CounterMetricFamily(
            "pairdesk_feed_failures", "Connections that ended or failed", labels=["reason"]
        )
        for reason, count in sorted(feed["failures"].items()):
            failures.add_metric([reason], count)
        yield failures

    def _symbols(self, symbols: list[Mapping[str, Any]]) -> Iterator[Metric]:
        # What one that is no longer streamed lacks is no cause for alarm.
        streamed = [row for row in symbols if row["subscribed"] and row["last_id"] is not None]
        for name, about, key, unit in _SYMBOL_GAUGES:
            family = GaugeMetricFamily(f"pairdesk_{name}", about, labels=["symbol"])
            for row in streamed:
                family.add_metric([row["symbol"]], row[key] * unit)
            yield family
        gaps = GaugeMetricFamily("pairdesk_symbol_gaps", "Gaps", labels=["symbol", "state"])
        for row in streamed:
            for state, key in (
                ("open", "open_gaps"),
                ("filled", "filled_gaps"),
                ("lost", "unfillable_gaps"),
            ):
                gaps.add_metric([row["symbol"], state], row[key])
        yield gaps


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"pairdesk_{name}", about, value=value)


def _at(status: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    value: Any = status
    for key in path:
        value = value[key]
    return None if value is None else float(value)
