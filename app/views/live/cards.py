"""The first line, the cards of one number each, and the backtest's figures."""

from collections.abc import Mapping
from typing import Any

from dash import html
from dash.development.base_component import Component

from app.views.ids import text
from app.views.live import ids
from app.views.live.texts import SUMMARY, empty_texts
from app.views.markup import aria, term

CARDS: dict[str, tuple[dict[str, str], list[str]]] = {
    "z": ({"z-score": "/help#z-score", ", last closed bar": ""}, ["z-noise"]),
    "even": (
        {"break-even z": "/help#break-even-z", " · ": "", "needed z": "/help#needed-z"},
        ["even-noise"],
    ),
    "hedge": ({"hedge ratio β": "/help#hedge-ratio-β"}, ["hedge-more"]),
    "effect": (
        {"hedge effectiveness": "/help#hedge-effectiveness"},
        ["effect-more", "effect-noise"],
    ),
    "half-life": (
        {
            "half-life": "/help#half-life",
            ", ": "",
            "out of sample": "/help#in-sample-out-of-sample",
        },
        ["half-life-noise"],
    ),
    "coint": (
        {"cointegration": "/help#cointegration", ", both ways": ""},
        ["coint-more", "coint-noise"],
    ),
    "corr": ({"correlation": "/help#correlation"}, ["corr-noise"]),
    "signal": ({"signal": "/help#signal"}, ["signal-more"]),
}
"""Words of the heading with where each is explained, and the keys of the third line."""

EXPLAINED = {
    "pnl": "/help#net-pnl",
    "per-trade": "/help#per-trade",
    "win": "/help#win-rate",
    "trades": "/help#round-trip",
    "sharpe": "/help#sharpe-yearly",
    "drawdown": "/help#max-drawdown",
    "costs": "/help#costs",
    "exposure": "/help#in-a-position",
}
"""Where each figure of the backtest is explained."""

FIRST_WORDS = "Computing the pair: the first screen after a start takes some seconds."


def verdict_line() -> html.Section:
    """What to do now, above everything; it keeps its size whatever it says."""
    return html.Section(
        id=ids.VERDICT,
        className="verdict",
        **aria(live="polite", label="What now"),
        children=[
            html.Strong(FIRST_WORDS, id=text("verdict"), className="says"),
            html.Strong(id=text("verdict-cut"), className="cut by-feed"),
            html.Strong(id=text("verdict-late"), className="cut by-server"),
            html.P([html.Span(id=text("verdict-figures")), html.Span(id=text("verdict-rule"))]),
            term("Why?", "/help#verdict", "why"),
        ],
    )


def cards() -> html.Section:
    """One card a number; each keeps its size whatever it shows."""
    shown = empty_texts()
    return html.Section(
        className="cards",
        **aria(label="Now"),
        children=[
            html.Div(
                className=f"card-desk card-{key}",
                children=[
                    html.H2(_heading(key, words)),
                    html.Strong(shown[key], id=text(key)),
                    html.Small(_note(key)),
                    html.Small([html.Span(id=text(part)) for part in more]),
                ],
            )
            for key, (words, more) in CARDS.items()
        ],
    )


def _heading(key: str, words: Mapping[str, str]) -> list[Any]:
    """What the number is; of the z also of when, where nothing new comes in."""
    said = [term(part, place) if place else part for part, place in words.items()]
    if key != "z":
        return said
    return [html.Span(said, className="says"), html.Span(id=text("z-of"), className="cut")]


def _note(key: str) -> list[Component]:
    note = html.Span(id=text(f"{key}-note"))
    return [html.Span(id=text("z-forming"), className="forming"), note] if key == "z" else [note]


def summary() -> html.Dl:
    """Figures of the backtest, each with what noise gives."""
    shown = empty_texts()
    return html.Dl(
        className="kv",
        children=[
            html.Div(
                [
                    html.Dt([term(label, EXPLAINED[key]), html.Span(id=text(f"{key}-unit"))]),
                    html.Dd(shown[key], id=text(key)),
                    html.Dd(id=text(f"{key}-noise"), className="noise"),
                ]
            )
            for key, label in SUMMARY.items()
        ],
    )
