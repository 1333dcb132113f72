"""The bar of parameters: every input with its label, its bounds' message and a few more folded."""

from collections.abc import Mapping
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from app.views import ids
from app.views.markup import aria, data, term
from core.pair_spec import HEDGE_WORDS, PAIR_PARAMETERS, PairSpec
from core.parameters import Choice, Derived, Symbol

MAIN_FIELDS = ("symbol_a", "symbol_b", "timeframe", "window", "entry_z", "exit_z", "hedge")
MORE_FIELDS = tuple(field for field in PAIR_PARAMETERS if field not in MAIN_FIELDS)
FIELDS = (*MAIN_FIELDS, *MORE_FIELDS)
NEXT_KEYS = {"timeframe": "t", "hedge": "h"}
"""Keys that take the next choice."""
EXPLAINED = {
    **dict.fromkeys(("symbol_a", "symbol_b"), "leg-a-leg-b"),
    "timeframe": "timeframe",
    "window": "window",
    **dict.fromkeys(("entry_z", "exit_z"), "entry-z-exit-z"),
    "exit_rule": "exits-look-at",
    **dict.fromkeys(("stop_z", "max_hold_bars"), "stop-z-longest-hold"),
    "hedge": "hedge-ratio-β",
    "hedge_window": "hedge-window",
    "lags": "lags",
    **dict.fromkeys(("bars", "since"), "bars-shown-since"),
    **dict.fromkeys(("fee_bps", "slippage_bps"), "fee-slippage"),
    "notional": "notional",
}
"""Where each parameter is explained: a place in help."""


def controls(spec: PairSpec) -> html.Section:
    """The controls, showing `spec`; the optional ones are empty and say what they default to."""
    meanings = placeholders(spec)
    return html.Section(
        className="controls",
        **aria(label="Pair and parameters"),
        children=[
            dcc.Store(id=ids.JUDGED),
            dcc.Store(id=ids.RETRY),
            dcc.Store(id=ids.LABELS, data=_labels(spec)),
            html.Div(
                id=ids.ASKED,
                className="asked",
                role="status",
                hidden=True,
                children=[
                    html.Span(id=ids.ASKED_WORDS),
                    html.Button("Go back", id=ids.GO_BACK, className="link"),
                ],
            ),
            # On a phone all of them lie behind one line.
            html.Button(
                [html.B(id=ids.text("fold-pair")), html.Span(id=ids.text("fold-rest"))],
                id=ids.FOLD,
                className="fold",
                **aria(expanded="false"),
            ),
            _bar(spec),
            dbc.Collapse(
                id=ids.MORE,
                is_open=False,
                children=html.Div(
                    className="bar more",
                    children=[_control(field, spec, meanings[field]) for field in MORE_FIELDS],
                ),
            ),
        ],
    )


def _labels(spec: PairSpec) -> list[tuple[str, str, str | None]]:
    """Each field's name and label, and what of its control a query leaves unsaid: of the main ones
    nothing."""
    implied = dict.fromkeys(MAIN_FIELDS, None) | {
        name: str(getattr(spec, name)) if isinstance(PAIR_PARAMETERS[name], Choice) else ""
        for name in MORE_FIELDS
    }
    return [(name, PAIR_PARAMETERS[name].label, implied[name]) for name in FIELDS]


def _bar(spec: PairSpec) -> html.Div:
    return html.Div(
        className="bar",
        children=[
            _control("symbol_a", spec),
            html.Button(
                "⇄",
                id=ids.SWAP,
                className="btn btn-desk swap",
                title="Swap the legs",
                **aria(label="Swap the legs"),
                **data(key="x"),
            ),
            *(_control(field, spec) for field in MAIN_FIELDS[1:]),
            html.Div(
                className="push",
                children=[
                    html.Button(
                        ["More", html.Span(id=ids.text("more-changed"), className="chip")],
                        id=ids.MORE_TOGGLE,
                        className="btn btn-desk",
                        **aria(expanded="false", controls=ids.MORE),
                    ),
                    _button("Check honesty", ids.CHECK_HONESTY, "y"),
                    _button("Watch this pair", ids.WATCH_PAIR, "w"),
                    _button("Copy link", ids.COPY_LINK, "c"),
                ],
            ),
        ],
    )


def placeholders(spec: PairSpec) -> dict[str, str]:
    """What the optional fields mean when they are left empty."""
    return {field: _meaning(field, getattr(spec, field)) for field in MORE_FIELDS}


def _meaning(field: str, default: Any) -> str:
    parameter = PAIR_PARAMETERS[field]
    if default is None or isinstance(parameter.default, Derived):
        return parameter.default_words
    return default if isinstance(default, str) else f"{default:g}"


def _button(words: str, component_id: str, key: str) -> html.Button:
    more = data(key=key, says=words)
    return html.Button(words, id=component_id, className="btn btn-desk", **more)


def _heading(field: str) -> str:
    """What stands above a control."""
    parameter = PAIR_PARAMETERS[field]
    return parameter.label + (f", {parameter.unit}" if parameter.unit else "")


def _said(field: str, words: str) -> html.A:
    """A control's name, explained under the pointer; the tab key goes from control to control."""
    return term(words, f"/help#{EXPLAINED[field]}", tabIndex=-1)


def _control(field: str, spec: PairSpec, placeholder: str | None = None) -> html.Div:
    """The control that a parameter's kind asks for; with a placeholder it may stay empty."""
    parameter, label, value = PAIR_PARAMETERS[field], _heading(field), getattr(spec, field)
    if isinstance(parameter, Symbol):
        return _symbol(field, label, value)
    if isinstance(parameter, Choice):
        return _choice(field, label, value, parameter.choices)
    return _entry(field, label, *(("", placeholder) if placeholder else (f"{value:g}", "")))


def _field(field: str, label: Any, entry: Any) -> html.Div:
    return html.Div(
        className="f",
        id=ids.control_field(field),
        children=[
            label,
            entry,
            html.Div(id=ids.control_error(field), className="f-error", role="alert"),
        ],
    )


def _symbol(field: str, label: str, value: str) -> html.Div:
    """The value alone: its field and list are made in the browser (assets/desk_picker.js)."""
    more = data(key=field[-1], says=label)
    entry = html.Data(id=ids.control(field), value=value, className="picker", **more)
    said = [html.I(className=f"dot leg-{field[-1]}"), _said(field, label)]
    return _field(field, html.Label(said, htmlFor=f"{ids.control(field)}-input"), entry)


def _entry(field: str, label: str, value: str, placeholder: str) -> html.Div:
    entry = dbc.Input(
        id=ids.control(field),
        type="text",
        inputmode="decimal",
        value=value,
        placeholder=placeholder,
        debounce=True,
        autocomplete="off",
        maxlength=24,
        className="in",
    )
    heading = html.Label(_said(field, label), htmlFor=ids.control(field))
    return _field(field, heading, entry)


def _choice(field: str, label: str, value: str, choices: Mapping[str, str]) -> html.Div:
    heading = f"{ids.control(field)}-label"
    entry = dbc.RadioItems(
        id=ids.control(field),
        options=[
            {"label": _named(field, key, name), "value": key} for key, name in choices.items()
        ],
        value=value,
        name=field,  # one group: arrow keys move in it
        inline=True,
        class_name="seg",
        input_class_name="seg-input",
        label_class_name="seg-label",
    )
    key = data(key=NEXT_KEYS[field], says=f"Next {label.lower()}") if field in NEXT_KEYS else {}
    group = html.Div(entry, role="radiogroup", **aria(labelledby=heading), **key)
    said: list[Any] = [_said(field, label)]
    if field == "hedge":
        said.append(html.Span(id=ids.text("hedge-word")))
    return _field(field, html.Span(said, id=heading, className="label"), group)


def _named(field: str, key: str, name: str) -> html.Span:
    """A choice's name, and where that does not say it what it means."""
    meaning = dict[str, str](HEDGE_WORDS.items()).get(key) if field == "hedge" else None
    more: dict[str, Any] = {"data-name": name} | ({"title": meaning} if meaning else {})
    return html.Span(name, **more)
