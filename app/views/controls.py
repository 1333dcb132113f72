"""The bar of parameters: every input with its label, its bounds' message and a few more folded."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from app.views import ids
from app.views.markup import aria
from core.types import TIMEFRAMES, PairSpec

HEDGES = {"ols": "OLS", "kalman": "Kalman"}

MAIN_FIELDS = ("symbol_a", "symbol_b", "timeframe", "window", "entry_z", "exit_z", "hedge")
MORE_FIELDS = {
    "stop_z": "Stop z",
    "max_hold_bars": "Longest hold, bars",
    "hedge_window": "Hedge window, bars",
    "bars": "Bars shown",
    "fee_bps": "Fee, bp a fill",
    "slippage_bps": "Slippage, bp a fill",
    "notional": "Notional",
}
FIELDS = (*MAIN_FIELDS, *MORE_FIELDS)


def controls(
    spec: PairSpec, symbols: Sequence[str], placeholders: Mapping[str, str]
) -> html.Section:
    """The controls, showing `spec`; the optional ones are empty and say what they default to."""
    return html.Section(
        className="controls",
        **aria(label="Pair and parameters"),
        children=[
            html.Div(
                className="bar",
                children=[
                    _symbol("symbol_a", "Long leg (A)", spec.symbol_a, symbols),
                    html.Button(
                        "⇄",
                        id=ids.SWAP,
                        className="btn btn-desk swap",
                        title="Swap the legs",
                        **aria(label="Swap the legs"),
                    ),
                    _symbol("symbol_b", "Hedge leg (B)", spec.symbol_b, symbols),
                    _choice("timeframe", "Timeframe", spec.timeframe, dict.fromkeys(TIMEFRAMES)),
                    _number("window", "Window, bars", f"{spec.window}"),
                    _number("entry_z", "Entry z", f"{spec.entry_z:g}"),
                    _number("exit_z", "Exit z", f"{spec.exit_z:g}"),
                    _choice("hedge", "Hedge ratio", spec.hedge, HEDGES),
                    html.Div(
                        className="push",
                        children=[
                            html.Button(
                                "More",
                                id=ids.MORE_TOGGLE,
                                className="btn btn-desk",
                                **aria(expanded="false", controls=ids.MORE),
                            ),
                            dbc.Button("Copy link", id=ids.COPY_LINK, className="btn-desk"),
                        ],
                    ),
                ],
            ),
            dbc.Collapse(
                id=ids.MORE,
                is_open=False,
                children=html.Div(
                    className="bar more",
                    children=[
                        _number(field, label, "", placeholders.get(field, "none"))
                        for field, label in MORE_FIELDS.items()
                    ],
                ),
            ),
        ],
    )


def symbol_options(symbols: Sequence[str], *chosen: str) -> list[dict[str, str]]:
    """Options of a symbol drop-down; what is chosen is always among them."""
    names = dict.fromkeys((*symbols, *chosen))
    return [{"label": name, "value": name} for name in names]


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


def _symbol(field: str, label: str, value: str, symbols: Sequence[str]) -> html.Div:
    entry = dcc.Dropdown(
        id=ids.control(field),
        options=symbol_options(symbols, value),
        value=value,
        clearable=False,
        searchable=True,
        maxHeight=320,
        className="symbol",
    )
    return _field(field, html.Label(label, htmlFor=ids.control(field)), entry)


def _number(field: str, label: str, value: str, placeholder: str = "") -> html.Div:
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
    return _field(field, html.Label(label, htmlFor=ids.control(field)), entry)


def _choice(field: str, label: str, value: str, choices: Mapping[str, str | None]) -> html.Div:
    heading = f"{ids.control(field)}-label"
    entry = dbc.RadioItems(
        id=ids.control(field),
        options=[{"label": name or key, "value": key} for key, name in choices.items()],
        value=value,
        name=field,  # one group: arrow keys move in it
        inline=True,
        class_name="seg",
        input_class_name="seg-input",
        label_class_name="seg-label",
    )
    group = html.Div(entry, role="radiogroup", **aria(labelledby=heading))
    return _field(field, html.Span(label, id=heading, className="label"), group)
