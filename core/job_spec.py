"""The one table of what may be asked for as a job: long work that is done beside the desk.

API schema and stored job follow from it. A new kind is an entry of `JOB_KINDS`, and what does it is
one of `ingest.analysis.work`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from core.grid_spec import SWEEP_PARAMETERS, limit_sweep
from core.pair_spec import PAIR_PARAMETERS
from core.parameters import (
    Choice,
    Parameter,
    Values,
    WholeNumber,
    fill_in,
    read_parameters,
)
from core.settings import Settings
from core.timeframes import SCANNED

Lane: TypeAlias = Literal["scan", "lab"]
"""Jobs of one lane are done one after the other, so that a long one holds up no scan."""

SCANNED_BARS = 1_440


@dataclass(frozen=True, slots=True)
class JobKind:
    """What a kind of job is asked with."""

    about: str
    lane: Lane
    parameters: Mapping[str, Parameter]
    limit: Callable[[Values], None] = lambda values: None
    """Raises `ParameterErrors` where it would be too much, before anything runs."""


SCAN_PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "timeframe": Choice(
            {name: name for name in SCANNED},
            label="Timeframe",
            about="Length of a bar",
            default="1h",
        ),
        "bars": WholeNumber(
            100,
            10_000,
            label="Bars",
            about="Rows that every pair is tested on",
            default=SCANNED_BARS,
        ),
    }
)

JOB_KINDS: Mapping[str, JobKind] = MappingProxyType(
    {
        "scan": JobKind(
            "Every pair of the symbols tested for cointegration", "scan", SCAN_PARAMETERS
        ),
        "sweep": JobKind(
            "A grid of parameters traded on a pair, what its best is worth, and a walk-forward",
            "lab",
            SWEEP_PARAMETERS,
            limit_sweep,
        ),
        "walk_forward": JobKind(
            "Parameters of a grid chosen on the past and traded on what came after",
            "lab",
            SWEEP_PARAMETERS,
            limit_sweep,
        ),
        "report": JobKind(
            "A sweep with all that comes of it, and its pair's own honesty check",
            "lab",
            SWEEP_PARAMETERS,
            limit_sweep,
        ),
        "honesty": JobKind(
            "Whether a pair's figures look ahead, beat chance, and hang on costs, exits and fills",
            "lab",
            PAIR_PARAMETERS,
        ),
    }
)


KIND = Choice({kind: kind for kind in JOB_KINDS}, about="What is to be done", required=True)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as asked for, with every default filled in."""

    kind: str
    values: Values


def read_job_spec(given: object, settings: Settings) -> JobSpec:
    """Make a job of foreign values: a request's body, or a stored one's.

    Raises
    ------
    ParameterErrors
        Names every bad parameter and what it allows.
    """
    asked = {"kind": given["kind"]} if isinstance(given, Mapping) and "kind" in given else {}
    kind: str = read_parameters({"kind": KIND}, asked)["kind"]
    table = {"kind": KIND, **JOB_KINDS[kind].parameters}
    values = fill_in(table, read_parameters(table, given), settings)
    del values["kind"]
    JOB_KINDS[kind].limit(values)
    return JobSpec(kind, values)


def job_body(spec: JobSpec) -> dict[str, Any]:
    """Every parameter as used, flat: what `read_job_spec` makes the same job of."""
    return {"kind": spec.kind, **spec.values}
