"""The table of views, and the ids that scripts and server must agree on."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from dash import Dash, Input, Output, dcc, html
from flask.testing import FlaskClient

from app import create_app
from app.services import Desk
from app.views import VIEWS
from app.views.shell.layout import page_layout
from app.views.view import View
from core.settings import Settings
from ingest.store.reader import Reader

ASSETS = Path(__file__).parents[2] / "assets"
SCRIPTS = sorted([*ASSETS.glob("desk_*.js"), ASSETS / "theme.js"])
IDS_BLOCK = re.compile(r"const IDS = \{(.*?)\n  \};", re.DOTALL)


def second_layout(desk: Desk) -> html.Main:
    return html.Main([html.P("the second view", id="second-words"), dcc.Store(id="second-store")])


def register_second(app: Dash, desk: Desk) -> None:
    app.callback(Output("second-words", "children"), Input("second-store", "data"))(str)


@pytest.fixture
def two_views(market_url: str, settings: Settings) -> Iterator[FlaskClient]:
    """A desk to whose table one line was added."""
    reader = Reader(market_url)
    second = View("/second", "Second", second_layout, register_second)
    yield create_app(settings, reader, views=[*VIEWS, second]).server.test_client()
    reader.close()


def test_one_line_in_the_table_makes_a_view(two_views: FlaskClient) -> None:
    assert two_views.get("/second?window=60").status_code == 200
    assert two_views.get("/third").status_code == 404
    dependencies = two_views.get("/_dash-dependencies").get_json()
    assert "second-words.children" in [callback["output"] for callback in dependencies]
    own = {"/": "live-z", "/second": "second-words"}
    for path, other in (("/", "/second"), ("/second", "/")):
        from_page = {"Referer": f"http://localhost{path}?window=60"}
        tree = two_views.get("/_dash-layout", headers=from_page).get_data(as_text=True)
        assert f'"{own[path]}"' in tree
        assert f'"{own[other]}"' not in tree
        links = {props["href"]: props for props in links_of(json.loads(tree))}
        assert links["/"]["children"] == "Live"
        assert links["/second"]["children"] == "Second"
        assert [href for href, props in links.items() if "aria-current" in props] == [path]


def links_of(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if part.get("type") == "A":
            yield part["props"]
        for value in part.values():
            yield from links_of(value)
    elif isinstance(part, list):
        for value in part:
            yield from links_of(value)


def test_layout_without_a_referrer_is_the_first_view(two_views: FlaskClient) -> None:
    for headers in ({}, {"Referer": "http://localhost/third"}, {"Referer": "http://[no"}):
        answer = two_views.get("/_dash-layout", headers=headers)
        assert '"live-z"' in answer.get_data(as_text=True), headers


def test_callbacks_of_a_view_touch_nothing_outside_its_own_tree(services: Desk) -> None:
    """Dash runs a callback as soon as one of its outputs is there: on another view, in error."""
    for view in VIEWS:
        app = Dash(__name__)
        view.register(app, services)
        own = set(ids_of(view.layout(services)))
        for name in app.callback_map:
            outputs = [part.rpartition(".")[0] for part in name.strip(".").split("...")]
            assert set(outputs) <= own, name


def ids_of(tree: Any) -> Iterator[str]:
    if isinstance(getattr(tree, "id", None), str):
        yield tree.id
    children = getattr(tree, "children", None)
    for child in children if isinstance(children, list | tuple) else [children]:
        if hasattr(child, "_prop_names"):
            yield from ids_of(child)


@pytest.fixture(scope="session")
def known_ids(services: Desk) -> set[str]:
    return set(chain.from_iterable(ids_of(page_layout(services, VIEWS, view)) for view in VIEWS))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_id_that_a_script_names_is_on_the_page(script: Path, known_ids: set[str]) -> None:
    text = script.read_text()
    block = IDS_BLOCK.search(text)
    named = re.findall(r'"([^"]+)"', block[1]) if block else []
    assert [name for name in named if name not in known_ids] == []
    for start in re.findall(r"`([^`$]+)\$\{key\}`", block[1] if block else ""):
        assert any(name.startswith(start) for name in known_ids)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_name_ids_in_one_place_only(script: Path, known_ids: set[str]) -> None:
    """What is compared above is all there is: no id is written out anywhere else."""
    rest = IDS_BLOCK.sub("", script.read_text())
    written = re.findall(r"""["'`]#?([\w-]+)["'`]""", rest)
    assert [name for name in written if name in known_ids or name.startswith("live-")] == []
    assert re.findall(r"""(?:\bset|getElementById|querySelector)\(\s*["'][^"']*["']""", rest) == []


def test_every_function_that_a_callback_calls_in_the_browser_is_there(desk: Dash) -> None:
    called = set()
    for callback in desk._callback_list:
        function = callback["clientside_function"]
        if function:
            called.add((function["namespace"], function["function_name"]))
    namespaces = {
        "desk_shell",
        "desk_live",
        "desk_controls",
        "desk_picker",
        "desk_commands",
        "desk_scanner",
        "desk_watch",
    }
    assert {namespace for namespace, _ in called} == namespaces
    for namespace, name in called:
        text = (ASSETS / f"{namespace}.js").read_text()
        body = text.partition(f"    {namespace}: {{\n")[2]
        assert re.search(rf"^      {name}[(,]", body, re.MULTILINE), f"{namespace}.{name}"


def test_scripts_load_in_any_order() -> None:
    """A script may use another only when it is called: at the top it must not reach for one."""
    for script in SCRIPTS:
        top = [line for line in script.read_text().splitlines() if re.match(r"  \S", line)]
        for line in top:
            if "window.pairdesk." in line:
                assert "=>" in line, f"{script.name}: {line}"
