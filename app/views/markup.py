"""Parts of the page: functions that return component trees and know no state."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component
from markupsafe import Markup, escape

_VOID = frozenset({"br", "circle", "hr", "img", "input", "line", "path", "polyline", "rect"})
_ATTRIBUTES = {"className": "class", "htmlFor": "for", "colSpan": "colspan", "tabIndex": "tabindex"}


def aria(**names: str) -> dict[str, Any]:
    """Accessible names as dash's components take them: `aria(label=…)`."""
    return {f"aria-{name}": words for name, words in names.items()}


def term(words: Any, place: str, look: str = "", **more: Any) -> html.A:
    """A word that is explained where it stands (assets/desk_terms.js), by its place in help."""
    return html.A(words, href=place, target="help", className=f"term {look}".rstrip(), **more)


def data(**values: object) -> dict[str, Any]:
    """What a script reads of an element, as dash's components take it: `data(ask=…)`."""
    return {f"data-{name.replace('_', '-')}": str(value) for name, value in values.items()}


def table(
    columns: Sequence[str], rows: list[Any], look: str, left: Sequence[str], sorted_by: str = ""
) -> html.Div:
    """A plain table that scrolls by itself where it is too wide."""
    heads = []
    for name in columns:
        more = aria(sort="ascending") if name == sorted_by else {}
        heads.append(html.Th(name, scope="col", className="left" if name in left else None, **more))
    return html.Div(
        html.Table([html.Thead(html.Tr(heads)), html.Tbody(rows)], className=f"table-desk {look}"),
        className="scrolls",
        tabIndex="0",
        role="region",
        **aria(label=look),
    )


def element(name: str, *children: Any, **attributes: Any) -> Markup:
    """An element that dash has no component for, of a drawing or a form; `class_` is its class."""
    return _element(
        name,
        {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()},
        children,
    )


def html_text(part: Any) -> Markup:
    """A tree of dash's html components as html; every text in it is escaped.

    What changes by itself, every second perhaps, is sent as text: a tenth of the same tree as
    components, and nothing that React would have to build anew.
    """
    if part is None:
        return Markup()
    if isinstance(part, list | tuple):
        return Markup("".join(map(html_text, part)))
    if not isinstance(part, Component):
        return escape(part)
    given = part.to_plotly_json()
    properties: dict[str, Any] = dict(given["props"])
    children = properties.pop("children", None)
    attributes = {_ATTRIBUTES.get(name, name): value for name, value in properties.items()}
    return _element(given["type"].lower(), attributes, [children])


def _element(name: str, attributes: Mapping[str, Any], children: Any) -> Markup:
    # Put together as plain text, each value escaped: Markup's own formatting takes ten times as
    # long, and a page has thousands of these.
    said = "".join(
        f" {key}" if value is True else f' {key}="{escape(_said(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{said}/>")
    return Markup(f"<{name}{said}>{''.join(map(html_text, children))}</{name}>")


def _said(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ";".join(f"{key}:{entry}" for key, entry in value.items())
    return value
