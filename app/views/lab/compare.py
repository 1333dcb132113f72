"""Two runs beside each other: what was asked, and what came of it."""

from collections.abc import Callable, Mapping
from typing import Any

from dash import html

from app.services.lab import SweepRun
from app.views.lab.words import parameters_words, share_words
from app.views.markup import data, html_text, table
from app.views.text import NONE, coin, plain
from core.grid_spec import AXES

Told = Mapping[str, Any]


def compare_panel(shown: SweepRun, other: SweepRun) -> Any:
    """Every line of both, those that differ in bold; nothing where one of them has no result."""
    if shown.told is None or other.told is None:
        return html_text([])
    head = html.Div(
        [
            html.H2(["Two runs", html.Small(f"{_name(shown)} beside {_name(other)}")]),
            html.Button("Close", className="btn-small", type="button",
                        **data(ask="other", value="")),
        ],
        className="panel-head",
    )  # fmt: skip
    rows = []
    for label, say in LINES.items():
        one, two = (say(run.job.body, run.told or {}) for run in (shown, other))
        look = "left strong" if one != two else "left"
        rows.append(html.Tr([html.Td(label, className="left muted"), html.Td(one, className=look),
                             html.Td(two, className=look)], **data(key=label)))  # fmt: skip
    columns = ("", _name(shown), _name(other))
    return html_text([head, table(columns, rows, "compare", columns)])


def _name(run: SweepRun) -> str:
    return str(run.job.body.get("name") or f"run {run.job.job_id}")


def _pair(body: Told, told: Told) -> str:
    return f"{coin(body['symbol_a'])} / {coin(body['symbol_b'])} {body['timeframe']}"


def _tried(body: Told, told: Told) -> str:
    swept = [f"{len(told['axes'][name])} × {name}" for name in AXES if len(told["axes"][name]) > 1]
    return ", ".join(swept).replace("_", " ") or "one combination"


def _best(body: Told, told: Told) -> str:
    return parameters_words(told["best"]["parameters"]) if told["best"] else NONE


def _of_best(name: str, form: str) -> Callable[[Told, Told], str]:
    def say(body: Told, told: Told) -> str:
        value = told["best"] and told["best"][name]
        return NONE if value is None else plain(value, form)

    return say


def _overfitting(body: Told, told: Told) -> str:
    return share_words(told["pbo"]["value"]) if told["pbo"] else NONE


def _tested(body: Told, told: Told) -> str:
    walked = told["walk_forward"]
    return f"{plain(walked['net'], '+,.0f')} in {walked['trades']}" if walked else NONE


LINES: Mapping[str, Callable[[Told, Told], str]] = {
    "pair": _pair,
    "bars": lambda body, told: f"{body['bars']:,}",
    "costs a fill": lambda body, told: f"{body['fee_bps']:g} + {body['slippage_bps']:g} bp",
    "tried": _tried,
    "cells": lambda body, told: f"{told['trials']:,}",
    "best": _best,
    "noise does as well": _of_best("reality_check_p", ".3f"),
    "deflated Sharpe": _of_best("dsr", ".2f"),
    "overfitting": _overfitting,
    "tested, trades": _tested,
}
