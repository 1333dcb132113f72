"""Links with the parameters of a run."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from core.grid_spec import AXES


def live_link(spec: Mapping[str, Any], at: Mapping[str, Any]) -> str:
    """Live with these parameters; a hedge window follows its window unless it is one of them."""
    return f"/?{own_query({**spec, 'hedge_window': None, **at})}"


def own_query(spec: Mapping[str, Any]) -> str:
    """A pair and its parameters as a link says them."""
    names = ("symbol_a", "symbol_b", "timeframe", "window", "entry_z", "exit_z", "exit_rule",
             "stop_z", "max_hold_bars", "hedge", "hedge_window", "bars", "fee_bps", "slippage_bps",
             "notional")  # fmt: skip
    return urlencode({name: spec[name] for name in names if spec[name] is not None})


def form_query(spec: Mapping[str, Any]) -> str:
    """Every parameter of a run as the form and its link say them; an axis it has not, as its own.

    A hedge window is no field of the form and follows its window, unless it was an axis.
    """
    fields = {
        f"{name}_values": [spec[name]]
        for name in AXES
        if name != "hedge_window" and spec[f"{name}_values"] is None
    }
    given = {name: value for name, value in spec.items() if value not in (None, "")}
    return urlencode({name: _field(value) for name, value in (given | fields).items()})


def _field(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return ", ".join("none" if one is None else str(one) for one in value)
