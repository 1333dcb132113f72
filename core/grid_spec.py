"""What may be asked of a grid: a pair's own parameters, and for each axis values to be tried."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

from core.errors import FieldError, ParameterErrors
from core.pair_spec import PAIR_PARAMETERS
from core.parameters import Axis, CrossCheck, Derived, Parameter, Text, Values, WholeNumber

AXES = (
    "window", "hedge_window", "hedge", "entry_z", "exit_z", "stop_z", "exit_rule", "max_hold_bars",
)  # fmt: skip
"""What may be swept, slowest first: cells are numbered in this order."""
MAX_CELLS = 100_000
MAX_CELL_ROWS = 1_000_000_000
"""Combinations times bars: some ten seconds of two cores."""
_BOUND_TOGETHER = ("window", "hedge_window", "entry_z", "exit_z", "stop_z")
_SEGMENTS = 3
"""Of a walk-forward by default: train a third of the rows."""


def _swept_parameters() -> dict[str, Parameter]:
    """A pair's own, which are those of who asks, and for each axis the values that it takes."""
    own = {
        name: parameter
        for name, parameter in PAIR_PARAMETERS.items()
        if name not in ("since", "lags")
    }
    axes = {
        f"{name}_values": Axis(
            PAIR_PARAMETERS[name],
            label=PAIR_PARAMETERS[name].label,
            about=f"Values of {name} to be tried",
            without="its own one",
        )
        for name in AXES
    }
    train = WholeNumber(
        50,
        10_000,
        label="Train",
        unit="bars",
        about="Rows of the walk-forward that parameters are chosen on; tested on half as many",
        default=Derived("bars / 3", lambda given: max(50, given["bars"] // _SEGMENTS)),
        check=CrossCheck(
            lambda train_bars, given: train_bars < given["bars"],
            "must be below bars ({bars})",
            "a whole number from 50 to below bars",
        ),
    )
    name = Text(label="Name", about="What the run is to be called", default="", longest=60)
    return {**own, **axes, "train_bars": train, "name": name}


SWEEP_PARAMETERS: Mapping[str, Parameter] = MappingProxyType(_swept_parameters())


def follows_window(values: Values) -> bool:
    """Whether the hedge window is the default one for the window, and goes along with it."""
    own = PAIR_PARAMETERS["hedge_window"].default
    return isinstance(own, Derived) and bool(values["hedge_window"] == own.value(values))


def go_together(window: int, hedge_window: int | None, entry_z: float, exit_z: float,
                stop_z: float | None) -> bool:  # fmt: skip
    """Whether parameters that are each allowed are so beside each other; None: without, derived."""
    if hedge_window is not None and hedge_window < window:
        return False
    return -entry_z <= exit_z < entry_z < (math.inf if stop_z is None else stop_z)


def limit_sweep(values: Values) -> None:
    """Refuse what would be too much, or nothing, before anything runs: ParameterErrors."""

    def tried(name: str) -> Sequence[Any]:
        own = None if name == "hedge_window" and follows_window(values) else values[name]
        return values[f"{name}_values"] or (own,)

    cells = math.prod(len(tried(name)) for name in AXES)
    errors = []
    if cells > MAX_CELLS:
        words = f"{cells:,} combinations are asked for"
        errors.append(FieldError("entry_z_values", words, f"at most {MAX_CELLS:,} altogether"))
    elif cells * values["bars"] > MAX_CELL_ROWS:
        words = f"{cells:,} combinations of {values['bars']:,} bars are too many"
        errors.append(FieldError("bars", words, f"at most {MAX_CELL_ROWS // cells:,} for so many"))
    elif not any(go_together(*cell) for cell in product(*map(tried, _BOUND_TOGETHER))):
        words = "no combination of them goes together"
        allowed = "an entry above the exit and below the stop, a window within the hedge window"
        errors.append(FieldError("entry_z_values", words, allowed))
    if errors:
        raise ParameterErrors(errors)
