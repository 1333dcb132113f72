"""The first line, the cards of one number each, and the backtest's figures."""

from collections.abc import Mapping
from typing import Any

from dash import html

from app.views.ids import text
from app.views.live import ids
from app.views.live.texts import SUMMARY, empty_texts
from app.views.markup import aria, term

CARDS: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "z": (
        {"z-score": "/help#z-score", ", last closed bar": ""},
        ["z-forming", "z-note"],
        ["z-noise"],
    ),
    "even": (
        {"break-even z": "/help#break-even-z", " · ": "", "needed z": "/help#needed-z"},
        ["even-note"],
        ["even-noise"],
    ),
    "hedge": ({"hedge ratio β": "/help#hedge-ratio-β"}, ["hedge-note"], ["hedge-more"]),
    "effect": (
        {"hedge effectiveness": "/help#hedge-effectiveness"},
        ["effect-note"],
        ["effect-more", "effect-noise"],
    ),
    "half-life": (
        {
            "half-life": "/help#half-life",
            ", ": "",
            "out of sample": "/help#in-sample-out-of-sample",
        },
        ["half-life-note"],
        ["half-life-noise"],
    ),
    "coint": (
        {"cointegration": "/help#cointegration", ", both ways": ""},
        ["coint-note", "coint-noise"],
        ["coint-more"],
    ),
    "corr": ({"correlation": "/help#correlation"}, ["corr-note"], ["corr-noise"]),
    "signal": ({"signal": "/help#signal"}, ["signal-note"], ["signal-more"]),
}
"""Words of the heading with where each is explained; keys of the second line and of the third."""

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
                    *(html.Small([_part(part) for part in line]) for line in lines),
                ],
            )
            for key, (words, *lines) in CARDS.items()
        ],
    )


def _heading(key: str, words: Mapping[str, str]) -> list[Any]:
    """What the number is; of the z also of when, where nothing new comes in."""
    said = [term(part, place) if place else part for part, place in words.items()]
    if key != "z":
        return said
    return [html.Span(said, className="says"), html.Span(id=text("z-of"), className="cut")]


def _part(key: str) -> html.Span:
    return html.Span(id=text(key), className="forming" if key == "z-forming" else None)


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
