"""What a client asks of the Lab view: a run, what its map shows, and what the form would take."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from core.grid_spec import AXES, SWEEP_PARAMETERS

Metric = Literal["net", "sharpe", "trades"]
METRICS: tuple[Metric, ...] = get_args(Metric)
LONGEST = 400
"""Characters of a field."""


class Asked(NamedTuple):
    """All of it; the newest run that is done, unless asked otherwise."""

    run: int | None = None
    other: int | None = None
    """A run to stand beside it."""
    metric: Metric = "net"
    down: str | None = None
    """Axes of the map; what suits the run unless asked."""
    across: str | None = None
    form: tuple[tuple[str, str], ...] = ()


def read_asked(raw: object) -> Asked:
    """Judge what a client sent; what can't be used is not asked for."""
    given = raw if isinstance(raw, Mapping) else {}
    form = given.get("form")
    fields = form if isinstance(form, Mapping) else {}
    return Asked(
        run=_number(given.get("run")),
        other=_number(given.get("other")),
        metric=next((name for name in METRICS if name == given.get("metric")), "net"),
        down=_axis(given.get("down")),
        across=_axis(given.get("across")),
        form=tuple(
            (name, fields[name])
            for name in SWEEP_PARAMETERS
            if isinstance(fields.get(name), str) and 0 < len(fields[name]) <= LONGEST
        ),
    )


def _axis(value: object) -> str | None:
    return next((name for name in AXES if name == value), None)


def _number(value: object) -> int | None:
    """A job's id; None for anything that isn't one."""
    return value if type(value) is int and 0 < value < 2**31 else None
