"""What a process says of itself: stored beside its heartbeat, a row a role, and shown by the desk.

Whoever writes or shows a report uses these names; as a mapping it travels through the store only.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FeedReport:
    """How the connection to the exchange is; None where nothing is known."""

    state: str = "down"
    """live, connecting, down, blocked, replaying or ended"""
    host: str | None = None
    last_frame_ms: int | None = None
    trades_per_s: float | None = None
    lag_ms_p50: float | None = None
    """From the exchange's event to its receipt here, trades of the last second."""
    lag_ms_p99: float | None = None
    reconnects: int | None = None
    last_error: str | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    """Why connections ended or failed, and how often."""
    store_lag_ms_p50: float | None = None
    """From receipt to being stored."""
    store_lag_ms_p99: float | None = None
    total_lag_ms_p50: float | None = None
    """From the exchange's event to being stored."""
    total_lag_ms_p99: float | None = None
    trades_received: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is written, and since when."""

    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes in use and free; None where it isn't known."""

    used_bytes: int | None = None
    free_bytes: int | None = None
    growth_bytes_per_day: float | None = None
    days_left: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process takes of its machine; None where it isn't known."""

    started_ms: int | None = None
    memory_bytes: int | None = None
    cpu_share: float | None = None
    """Of one core, over the last second."""


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """How far the history has got, in requests."""

    done: int = 0
    total: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """How our minutes have compared with the exchange's since the start."""

    checked: int = 0
    repaired: int = 0
    disagreed: int = 0
    examples: tuple[str, ...] = ()
    """The newest disagreements, in words."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What the process that ingests says of itself."""

    feed: FeedReport = FeedReport()
    quarantined: int | None = None
    """Frames set aside as broken, foreign or absurd."""
    queue_depth: int | None = None
    dropped: int | None = None
    """Trades that found the queue full."""
    paused: Pause | None = None
    space: Space = Space()
    backfill: BackfillReport | None = None
    symbols_left_out: tuple[str, ...] = ()
    stalled_symbols: tuple[str, ...] = ()
    unjudged_symbols: tuple[str, ...] = ()
    """With trades of ids that they can't have, until the exchange has explained them."""
    odd_rows: int | None = None
    """Rows of the exchange's answers that could not be used."""
    request_weight_share: float | None = None
    """Of what the exchange allows in a minute; None where nothing is asked."""
    clock_offset_ms: int | None = None
    """How far this machine's clock is ahead of the exchange's; None until it has answered."""
    reconciliation: ReconciliationReport | None = None
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What scans of every pair came to since the start."""

    done: int = 0
    seconds: float = 0.0
    pairs: int = 0
    """Tested."""
    refused: int = 0


@dataclass(frozen=True, slots=True)
class AnalystReport:
    """What the process that judges rules says of itself; counts are since its start."""

    rules: int = 0
    late_ms_p99: float | None = None
    """From a bar's end to its judgement being stored: until it was known, too."""
    judging_ms_p99: float | None = None
    """Of that, from when the bar was there to be judged."""
    judged: int = 0
    judged_late: int = 0
    """When newer bars had closed already."""
    fired: int = 0
    delivered: int = 0
    """Messages that have arrived."""
    failed: int = 0
    """Tries that a channel refused or did not answer."""
    ping_ms: int | None = None
    """When the user's dead man's switch was last asked; None while there is none."""
    ping_error: str | None = None
    """Why it did not answer, or why it was not asked."""
    jobs: Mapping[str, int] = field(default_factory=dict)
    """That child processes were started for, by the state that they ended in."""
    scans: ScanReport = ScanReport()
    last_error: str | None = None
    """Why nothing is judged at the moment."""
    resources: Resources = Resources()


def to_mapping(report: Any) -> dict[str, Any]:
    """A report as JSON can hold it."""
    return asdict(report)


def from_mapping(kind: type[T], stored: Mapping[str, Any]) -> T:
    """Make a report of what was stored, perhaps by an older or a newer version.

    What the mapping lacks, or has in another form, keeps its default; names that are unknown here
    are passed over.
    """
    hints = _hints(cast(Any, kind))
    given = {}
    for part in fields(cast(Any, kind)):
        try:
            if part.name in stored:
                given[part.name] = _read(hints[part.name], stored[part.name])
        except TypeError:
            continue  # the default stands
    return kind(**given)


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    # Resolved once: it takes milliseconds, and the desk reads a report at every look.
    return get_type_hints(kind)


def _read(hint: Any, value: Any) -> Any:
    """The value in the form that the hint asks for; TypeError when it isn't of that form."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return None if value is None else _read(inner[0], value)
    if is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(cast(type[Any], hint), value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_read(inner[0], item) for item in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {str(key): _read(inner[1], item) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is not type(value):
        raise TypeError(f"{value!r} is no {hint}")
    return value
