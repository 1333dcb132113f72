"""What the store and the worker's last word say of the data themselves, as rules ask for it."""

from core.alerts import DataFacts, SymbolFacts
from core.report import WorkerReport, from_mapping
from ingest.store.reader import Snapshot


def data_facts(snapshot: Snapshot, now_ms: int) -> DataFacts:
    """How feed, symbols and database are, by what the store and the worker's last word say."""
    worker = snapshot.processes.get("worker")
    report = from_mapping(WorkerReport, worker.payload) if worker else WorkerReport()
    missing: dict[str, int] = {}
    for gap in snapshot.gaps:
        missing[gap.symbol] = missing.get(gap.symbol, 0) + gap.to_id - gap.from_id + 1

    def age_s(time_ms: int | None) -> float | None:
        return None if time_ms is None else max(0.0, (now_ms - time_ms) / 1_000)

    return DataFacts(
        symbols=[
            SymbolFacts(name, one.status, age_s(one.last_event_time_ms), missing.get(name, 0))
            for name, one in sorted(snapshot.symbols.items())
            if one.status != "IMPORTED"  # nothing comes of it live
        ],
        feed_age_s=age_s(report.feed.last_frame_ms),
        days_left=report.space.days_left,
    )
