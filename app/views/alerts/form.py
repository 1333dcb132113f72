"""The form of a rule, from the table of its parameters: what the API takes, and nothing else."""

from collections.abc import Sequence
from typing import Any

from dash import html
from markupsafe import Markup

from app.views.markup import data, element, html_text
from core.parameters import Choice, Flag, Names, Parameter, Symbol
from core.rule_spec import EVERY_PARAMETER, IDLE_PARAMETERS, KINDS, RULE_PARAMETERS

FIRST = (
    "symbol_a", "symbol_b", "timeframe", "window", "entry_z", "exit_z", "hedge", "measure", "below",
    "above", "symbols", "silent_after_s", "stale_after_s", "missing_ids", "days_left", "max_q",
    "max_median", "min_half_life", "max_half_life", "min_quote_volume", "min_z", "back_z",
    "for_bars", "keep_bars", "cooldown_s", "channels", "paper", "note",
)  # fmt: skip
"""What is asked at once; the rest lies behind More."""
SUGGESTED = "rule-suggested-symbols"
SET_ELSEWHERE = ("kind", "mute_until", "enabled")


def rule_form(symbols: Sequence[str], channels: Sequence[str]) -> Markup:
    """Fields of every kind; a script shows those of the kind that is chosen."""
    made = {
        name: _field(name, entry, _kinds_with(name), channels)
        for name, entry in EVERY_PARAMETER.items()
        if name not in SET_ELSEWHERE
    }
    options = [element("option", words, value=kind) for kind, words in KINDS.items()]
    listed = [element("option", value=symbol) for symbol in symbols]
    return html_text(
        [
            html.H2("New rule", **data(title="")),
            element("label", "Watches", for_="rule-kind"),
            element("select", *options, id="rule-kind", **data(field="kind")),
            html.Div([made[name] for name in FIRST], className="fields"),
            html.Details(
                [html.Summary("More"),
                 html.Div([made[name] for name in made if name not in FIRST], className="fields")]
            ),
            element("datalist", *listed, id=SUGGESTED),
            html.P(className="bad", role="alert", **data(refusal="", kept="")),
            html.Div(
                [html.Button("Save", className="btn-small primary", type="button",
                             **data(do="save")),
                 html.Button("Cancel", className="btn-small", type="button", **data(do="cancel"))],
                className="actions",
            ),
        ]
    )  # fmt: skip


def _kinds_with(name: str) -> list[str]:
    """What is asked for with a parameter: kinds that have it and hang on it."""
    return [
        kind
        for kind, table in RULE_PARAMETERS.items()
        if name in table and name not in IDLE_PARAMETERS.get(kind, ())
    ]


def _field(
    name: str, parameter: Parameter, kinds: Sequence[str], channels: Sequence[str]
) -> html.Div:
    place = f"rule-{name.replace('_', '-')}"
    label = parameter.label or name
    label += f", {parameter.unit}" if parameter.unit else ""
    return html.Div(
        className="field",
        title=parameter.about,
        **data(kinds=" ".join(kinds), name=name),
        children=[
            element("label", label, for_=place),
            _entry(place, name, parameter, channels),
            html.Small(className="bad", role="alert", **data(error=name, kept="")),
        ],
    )


def _entry(place: str, name: str, parameter: Parameter, channels: Sequence[str]) -> Any:
    told = data(field=name)
    if isinstance(parameter, Choice):
        options = [element("option", words, value=key) for key, words in parameter.choices.items()]
        return element("select", *options, id=place, **told)
    if isinstance(parameter, Flag):
        return element("input", type="checkbox", id=place, **told, **data(type="flag"))
    if isinstance(parameter, Names):
        hint = ", ".join(channels) if name == "channels" else parameter.default_words
        return element("input", type="text", id=place, autocomplete="off", placeholder=hint,
                       **told, **data(type="names"))  # fmt: skip
    more: dict[str, Any] = {"list": SUGGESTED} if isinstance(parameter, Symbol) else {}
    hint = _hint(parameter)
    return element("input", type="text", id=place, autocomplete="off", placeholder=hint,
                   **more, **told)  # fmt: skip


def _hint(parameter: Parameter) -> str:
    """What an empty field means."""
    if parameter.required:
        return ""
    default = parameter.plain_default
    return f"{default:g}" if isinstance(default, int | float) else parameter.default_words
