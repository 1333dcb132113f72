"""What the page loads: how much it is, and that nothing of it is sent twice."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dash import html
from flask.testing import FlaskClient

from app import create_app
from app.views import VIEWS
from app.views.view import View
from core.settings import Settings
from ingest.store.reader import Reader

MOST_BYTES = 1_000_000
FACES = Path(__file__).resolve().parents[2] / "assets/inter"
SCRIPTS = FACES.parent
FONTS = sum(face.stat().st_size for face in FACES.glob("*.woff2"))
"""What the style sheet loads besides: two faces, already compressed."""

DATA = 50_000
"""The layout, the chart's own script and a screen of a thousand bars."""


@pytest.fixture
def addresses(client: FlaskClient) -> list[str]:
    """Every script and style sheet that the page names."""
    text = client.get("/").text
    return [address.replace("&amp;", "&") for address in named(text) if "favicon" not in address]


def named(text: str) -> Iterator[str]:
    yield from re.findall(r'<script src="([^"]+)"', text)
    yield from re.findall(r'<link rel="stylesheet" href="([^"]+)"', text)


@pytest.mark.parametrize("encoding", ["br", "gzip"])  # over plain http browsers take gzip alone
def test_first_load_fits_in_a_megabyte(
    client: FlaskClient, addresses: list[str], encoding: str
) -> None:
    sizes = {
        address: len(client.get(address, headers={"Accept-Encoding": encoding}).data)
        for address in addresses
    }
    assert len(sizes) > 8
    assert sum(sizes.values()) + FONTS + DATA < MOST_BYTES, sizes


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_the_scanner_fits_in_a_megabyte_with_its_grid(client: FlaskClient, encoding: str) -> None:
    """Of which no other view loads anything."""
    named_by = {view.path: list(named(client.get(view.path).text)) for view in VIEWS}
    own = [address.replace("&amp;", "&") for address in named_by.pop("/scanner")]
    assert any("dash_ag_grid" in address for address in own)
    assert not any("dash_ag_grid" in address for others in named_by.values() for address in others)
    assert not any("plotly" in address for address in own), "it has no chart"
    chunk = "/_dash-component-suites/dash_ag_grid/async-community.js"
    sizes = {
        address: len(client.get(address, headers={"Accept-Encoding": encoding}).data)
        for address in (*own, chunk)
    }
    assert min(sizes.values()) > 0
    assert sum(sizes.values()) + FONTS < MOST_BYTES, sizes


def test_what_the_page_names_is_never_asked_for_again(
    client: FlaskClient, addresses: list[str]
) -> None:
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert "immutable" in answer.headers["Cache-Control"], address


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br"])
def test_an_asset_that_has_not_changed_is_not_sent_again_however_it_was_compressed(
    client: FlaskClient, encoding: str
) -> None:
    for path in ("/assets/desk.css", "/_dash-component-suites/dash/dcc/async-graph.js"):
        headers = {"Accept-Encoding": encoding}
        first = client.get(path, headers=headers)
        assert first.headers.get("Content-Encoding", "identity") == encoding
        assert first.headers["Cache-Control"] == "no-cache"
        again = client.get(path, headers=headers | {"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_only_the_view_that_names_a_script_loads_it(market_url: str, settings: Settings) -> None:
    reader = Reader(market_url)
    second = View(
        "/second",
        "Second",
        lambda desk: html.Main(),
        lambda app, desk: None,
        assets=("desk_lab",),
    )
    client = create_app(settings, reader, views=[VIEWS[0], second]).server.test_client()
    pages = {path: list(named(client.get(path).text)) for path in ("/", "/second")}
    reader.close()
    for path, is_there in (("/", False), ("/second", True)):
        assert any("/assets/desk_lab." in one for one in pages[path]) == is_there
        assert not any("polyfill" in one or "dash_table" in one for one in pages[path])
        assert any("regenerator-runtime" in one for one in pages[path])


def test_our_scripts_are_sent_without_their_comments_and_licences_stay(client: FlaskClient) -> None:
    def sent(path: str) -> str:
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        return gzip.decompress(answer.data).decode()

    script = sent("/assets/desk_explain.js")
    assert "window.pairdesk.explain" not in script, "the comment at its top is sent"
    assert "(LN(${a})-${alpha}-${beta}*LN(${b})-${mean})/${std}" in script
    assert "Copyright (c) 2014-present, Facebook" in sent("/assets/regenerator-runtime-0.14.1.js")
    assert "/* One z taken apart" in client.get("/assets/desk_explain.js").text, "the source itself"


NOT_CODE = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(`(?:\\.|[^`\\])*`)""", re.DOTALL)
"""Comments, words, templates up to the next backtick: as what makes scripts slim reads them."""


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("desk_*.js")), ids=lambda path: path.name)
def test_no_word_of_a_script_loses_its_spaces_on_the_way(script: Path) -> None:
    """A template within a template is code to what makes scripts slim, its text loses spaces."""
    templates = [found[1] for found in NOT_CODE.finditer(script.read_text()) if found[1]]
    nested = [one for one in templates if one.count("${") > len(re.findall(r"\$\{[^`]*?\}", one))]
    assert nested == []
