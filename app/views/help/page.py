"""`/help`: two of the documents as one page of html, each heading with an anchor."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from dash import Dash
from flask import Response
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.api.blueprint import tagged
from app.views.shell.page import HELP, plain_html
from app.views.view import View

DOCUMENTS = ("glossary.md", "method.md")
"""What is shown, in this order."""


class Heading(NamedTuple):
    """A heading with its depth and the anchor that links name."""

    depth: int
    words: str
    anchor: str


def help_route(dash_app: Dash, views: Sequence[View], folder: Path) -> None:
    """Add the page to the server, made once of the documents in a folder."""
    article, headings = _read(folder)
    main = f'<main class="help"><nav aria-label="Contents">{_contents(headings)}</nav>'
    page = plain_html(
        dash_app,
        "Help",
        f"{main}<article>{article}</article></main>\n",
        [(view.path, view.title) for view in views] + [(HELP, "Help")],
    )

    def show() -> Response:
        return tagged(Response(page, mimetype="text/html"))

    dash_app.server.add_url_rule(HELP, "help", show)


@cache
def _read(folder: Path) -> tuple[str, list[Heading]]:
    """The documents of a folder, as they were when this process first asked."""
    return rendered({name: (folder / name).read_text("utf-8") for name in DOCUMENTS})


def rendered(documents: Mapping[str, str]) -> tuple[str, list[Heading]]:
    """Html of markdown documents by name, and their headings; links between them stay on the page.

    A heading that an earlier document has, too, gets its own document's name before its anchor.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    parsed = {name: markdown.parse(text) for name, text in documents.items()}
    headings, anchors = list[Heading](), dict[tuple[str, str], str]()
    for name, tokens in parsed.items():
        for token, inline in pairwise(tokens):
            if token.type == "heading_open":
                words = _words(inline)
                wanted = anchor_of(words)
                is_taken = wanted in anchors.values()
                anchor = f"{name.partition('.')[0]}-{wanted}" if is_taken else wanted
                anchors[name, wanted] = anchor
                headings.append(Heading(int(token.tag[1]), words, anchor))
                token.attrSet("id", anchor)
    for name, tokens in parsed.items():
        for child in (child for token in tokens for child in token.children or []):
            if child.type == "link_open":
                document, _, wanted = str(child.attrGet("href")).partition("#")
                there = document or name
                anchor = anchors.get((there, wanted), there.partition(".")[0])
                if there in documents:
                    child.attrSet("href", f"#{anchor}")
    html = (markdown.renderer.render(tokens, markdown.options, {}) for tokens in parsed.values())
    return "".join(html), headings


def anchor_of(words: str) -> str:
    """The anchor of a heading, as forges write it: lower case, dashes for spaces, no marks."""
    return re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")


def _words(inline: Token) -> str:
    texts = (child.content for child in inline.children or [] if child.type != "softbreak")
    return "".join(texts)


def _contents(headings: Sequence[Heading]) -> str:
    """A list of links; single terms are found in their chapter."""
    links = (
        f'<li class="depth-{one.depth}"><a href="#{one.anchor}">{escape(one.words)}</a></li>'
        for one in headings
        if one.depth < 3
    )
    return f"<ul>{''.join(links)}</ul>"
