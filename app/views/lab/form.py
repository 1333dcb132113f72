"""What is tried: a pair and the values of each axis, and what that would take."""

from collections.abc import Mapping
from typing import Any

from app.services import Desk
from app.views.lab.asked import Asked
from app.views.links import default_spec, listed_symbols
from app.views.markup import data, element, html_text
from app.views.text import count, in_words
from core.errors import ParameterErrors
from core.grid_spec import MAX_CELLS, SWEEP_PARAMETERS
from core.pair_spec import HEDGES
from core.types import TIMEFRAMES
from core.words import duration_text

AXES = {
    "window_values": ("Window", "40, 60, 80, 100, 120, 160, 200, 240"),
    "entry_z_values": ("Entry z", "1 to 4 by 0.25"),
    "exit_z_values": ("Exit z", "-0.5, 0, 0.5"),
    "stop_z_values": ("Stop z", "none"),
    "exit_rule_values": ("Exits look at", "moving"),
    "max_hold_bars_values": ("Longest hold", "none"),
    "hedge_values": ("Hedge", ", ".join(HEDGES)),
}
PAIR = ("symbol_a", "symbol_b", "timeframe", "bars", "train_bars", "name")
BRIEF = ("timeframe", "bars", "train_bars")


def form(desk: Desk) -> Any:
    """Fields with what is tried unless one says otherwise; the browser fills in the link's pair."""
    symbols = listed_symbols(desk)
    spec = default_spec(desk, symbols)
    choices = {"symbol_a": symbols or (spec.symbol_a,), "symbol_b": symbols or (spec.symbol_b,),
               "timeframe": tuple(TIMEFRAMES)}  # fmt: skip
    values = {"symbol_a": spec.symbol_a, "symbol_b": spec.symbol_b, "timeframe": spec.timeframe,
              "bars": str(spec.bars), "train_bars": str(spec.bars // 3), "name": ""}  # fmt: skip
    fields = []
    for name in PAIR:
        label = SWEEP_PARAMETERS[name].label
        control: Any
        if name in choices:
            options = [
                element("option", one, value=one, selected=one == values[name])
                for one in choices[name]
            ]
            control = element("select", *options, class_="in", **data(lab_field=name))
        else:
            keys = "text" if name == "name" else "numeric"
            control = element("input", value=values[name], class_="in", inputmode=keys,
                              autocomplete="off", **data(lab_field=name))  # fmt: skip
        look = "lab-field brief" if name in BRIEF else "lab-field"
        fields.append(element("label", label, control, class_=look))
    for name, (label, value) in AXES.items():
        about = f"{SWEEP_PARAMETERS[name].about}: listed, or as 1 to 4 by 0.25"
        control = element("input", value=value, class_="in", autocomplete="off", title=about,
                          **data(lab_field=name))  # fmt: skip
        held = element("span", id=held_id(name), **data(kept=""))
        fields.append(element("label", label, held, control, class_="lab-field axis"))
    run = element("button", "Run", type="button", class_="btn-small primary", **data(lab_do="run"))
    return html_text([*fields, run])


def told_of_form(desk: Desk, asked: Asked) -> tuple[Any, dict[str, str]]:
    """What the form would take, or which field is wrong; and what stands beside each axis.

    Beside an axis, by the id of that place, is how many values it holds: a long list is cut in its
    field. Where a field can't be used nothing is said there.
    """
    if not asked.form:
        return html_text([]), _held({})
    try:
        cost = desk.lab.cost(dict(asked.form))
    except ParameterErrors as refused:
        first = refused.errors[0]
        label = AXES.get(first.field, (SWEEP_PARAMETERS[first.field].label,))[0] if (
            first.field in SWEEP_PARAMETERS
        ) else first.field  # fmt: skip
        wrong = element("b", f"✕ {label}: {in_words(first.message)}", class_="bad")
        return html_text([wrong]), _held({})
    words = f"{count(cost.combinations, 'combination')} × {count(cost.bars, 'bar')}"
    about = duration_text(1_000 * cost.seconds)
    limit = element("small", f" about {about}, limit {MAX_CELLS:,}")
    return html_text([words, limit]), _held(cost.values)


def _held(values: Mapping[str, int]) -> dict[str, str]:
    return {held_id(name): f" · {values[name]}" if name in values else "" for name in AXES}


def held_id(name: str) -> str:
    """Of the words beside the label of an axis."""
    return f"lab-held-{name}"
