"""The first line, the cards of one number each, and the backtest's figures."""

from typing import Any

from dash import html
from dash.development.base_component import Component

from app.views.ids import text
from app.views.live import ids
from app.views.live.texts import SUMMARY, empty_texts
from app.views.markup import aria

CARDS = {
    "z": (
        "z-score, last closed bar",
        ["z-noise"],
        "How many deviations the spread lies off its mean",
    ),
    "even": (
        "break-even z · needed z",
        ["even-noise"],
        "Break-even: the entry that pays the four fills if the frozen spread reverts in full."
        " Needed: the entry that would have paid at the share of the way back that this pair gave",
    ),
    "hedge": ("hedge ratio β", ["hedge-more"], "How much of leg B stands against leg A, in money"),
    "effect": (
        "hedge effectiveness",
        ["effect-more", "effect-noise"],
        "Share of the variance of leg A's 10-bar changes that the hedge took away, each with the"
        " hedge ratio known before it",
    ),
    "half-life": (
        "half-life, out of sample",
        ["half-life-noise"],
        "Bars until half of a deviation is gone, of a spread fitted on the rows before",
    ),
    "coint": (
        "cointegration, both ways",
        ["coint-more", "coint-noise"],
        "Engle-Granger, p-value of the better direction doubled; squares: sixths of the rows that"
        " pass by themselves",
    ),
    "corr": ("correlation", ["corr-noise"], "Of log returns"),
    "signal": ("signal", ["signal-more"], "What the rule itself holds; grey where it can't pay"),
}
"""Heading, the keys of the third line, and what the number is."""


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
                    html.H2(_heading(key, label), title=meaning),
                    html.Strong(shown[key], id=text(key)),
                    html.Small(_note(key)),
                    html.Small([html.Span(id=text(part)) for part in more]),
                ],
            )
            for key, (label, more, meaning) in CARDS.items()
        ],
    )


def _heading(key: str, label: str) -> Any:
    """What the number is; of the z also of when, where nothing new comes in."""
    if key != "z":
        return label
    of = html.Span(id=text("z-of"), className="cut")
    return [html.Span(label, className="says"), of]


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
                    html.Dt(label, id=text(f"{key}-label")),
                    html.Dd(shown[key], id=text(key)),
                    html.Dd(id=text(f"{key}-noise"), className="noise"),
                ]
            )
            for key, label in SUMMARY.items()
        ],
    )
