"""Forged calls of the callback endpoint are refused; what the page itself sends goes through."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from dash import ALL, MATCH, Dash, Input, Output, State, html
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.views.guard import guard_callbacks

URL = "/_dash-update-component"


@pytest.fixture(scope="module")
def small_client() -> FlaskClient:
    """A page with one callback of every kind, all guarded."""
    dash_app = Dash(__name__, server=Flask("guarded"), suppress_callback_exceptions=True)
    dash_app.layout = html.Div(id="root")

    @dash_app.callback(
        Output("one", "children"), Input("button", "n_clicks"), State("text", "value")
    )
    def one(clicks: int, text: str) -> str:
        return f"{clicks} {text}"

    @dash_app.callback(
        Output("left", "children"), Output("right", "children"), Input("button", "n_clicks")
    )
    def two(clicks: int) -> tuple[int, int]:
        return clicks, -clicks

    @dash_app.callback(
        Output("one", "children", allow_duplicate=True),
        Input("other", "n_clicks"),
        prevent_initial_call=True,
    )
    def shared(clicks: int) -> str:
        return str(clicks)

    @dash_app.callback(
        Output({"kind": "cell", "index": MATCH}, "children"),
        Input({"kind": "cell", "index": MATCH}, "n_clicks"),
        Input({"kind": "row", "index": ALL}, "n_clicks"),
    )
    def pattern(clicks: int, rows: list[int]) -> str:
        return f"{clicks} {rows}"

    @dash_app.callback(Input("button", "n_clicks"))
    def silent(clicks: int) -> None:
        return None

    dash_app.clientside_callback(
        "function(x) {return x;}", Output("browser", "children"), Input("button", "n_clicks")
    )
    guard_callbacks(dash_app)
    client: FlaskClient = dash_app.server.test_client()
    # The first request makes dash collect its callbacks.
    assert client.get("/_dash-dependencies").status_code == 200
    return client


ONE = {
    "output": "one.children",
    "outputs": {"id": "one", "property": "children"},
    "inputs": [{"id": "button", "property": "n_clicks", "value": 3}],
    "changedPropIds": ["button.n_clicks"],
    "parsedChangedPropsIds": ["button.n_clicks"],
    "state": [{"id": "text", "property": "value", "value": "words"}],
}
TWO = {
    "output": "..left.children...right.children..",
    "outputs": [
        {"id": "left", "property": "children"},
        {"id": "right", "property": "children"},
    ],
    "inputs": [{"id": "button", "property": "n_clicks", "value": 3}],
    "changedPropIds": [],
}
PATTERN = {
    "output": '{"index":["MATCH"],"kind":"cell"}.children',
    "outputs": {"id": {"index": 4, "kind": "cell"}, "property": "children"},
    "inputs": [
        {"id": {"index": 4, "kind": "cell"}, "property": "n_clicks", "value": 1},
        [
            {"id": {"index": 1, "kind": "row"}, "property": "n_clicks", "value": 5},
            {"id": {"index": 2, "kind": "row"}, "property": "n_clicks", "value": 6},
        ],
    ],
    "changedPropIds": ['{"index":2,"kind":"row"}.n_clicks'],
}


def refused(response: TestResponse) -> str:
    """Check that a call was refused as a problem; returns the field it names."""
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    body = json.loads(response.data)
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    (error,) = body["errors"]
    return str(error["field"])


def changed(call: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A call with parts replaced, or left out where the new part is ...."""
    forged = {**copy.deepcopy(call), **parts}
    return {name: part for name, part in forged.items() if part is not ...}


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (ONE, {"one": {"children": "3 words"}}),
        (TWO, {"left": {"children": 3}, "right": {"children": -3}}),
        (PATTERN, {'{"index":4,"kind":"cell"}': {"children": "1 [5, 6]"}}),
        (changed(ONE, changedPropIds=...), {"one": {"children": "3 words"}}),
    ],
)
def test_calls_that_the_page_makes_go_through(
    small_client: FlaskClient, call: dict[str, Any], answer: dict[str, Any]
) -> None:
    response = small_client.post(URL, json=call)
    assert response.status_code == 200
    assert response.get_json()["response"] == answer


def test_shared_and_silent_outputs_go_through(small_client: FlaskClient) -> None:
    known = {entry["output"]: entry for entry in small_client.get("/_dash-dependencies").get_json()}
    shared = next(name for name in known if "@" in name)
    prop = shared.partition(".")[2]
    for written in (prop, prop.partition("@")[0]):
        call = {
            "output": shared,
            "outputs": {"id": "one", "property": written},
            "inputs": [{"id": "other", "property": "n_clicks", "value": 8}],
            "changedPropIds": ["other.n_clicks"],
        }
        assert small_client.post(URL, json=call).status_code == 200
    silent = next(name for name, entry in known.items() if entry["no_output"])
    call = changed(TWO, output=silent, outputs=...)
    assert small_client.post(URL, json=call).status_code in (200, 204)


INPUT = ONE["inputs"][0]  # type: ignore[index]
FORGED = [
    ("body", []),
    ("body", None),
    ("body", 7),
    ("body", "text"),
    ("output", {}),
    ("output", changed(ONE, output="nothing.children")),
    ("output", changed(ONE, output=["one.children"])),
    ("output", changed(ONE, output=None)),
    ("output", changed(ONE, output="browser.children")),
    ("output", changed(ONE, output="__proto__")),
    ("inputs", changed(ONE, inputs=...)),
    ("inputs", changed(ONE, inputs={})),
    ("inputs", changed(ONE, inputs=[])),
    ("inputs", changed(ONE, inputs=[INPUT, INPUT])),
    ("inputs", changed(ONE, inputs=["button.n_clicks"])),
    ("inputs", changed(ONE, inputs=[None])),
    ("inputs", changed(ONE, inputs=[[INPUT]])),
    ("inputs", changed(ONE, inputs=[{"id": "button", "value": 1}])),
    ("inputs", changed(ONE, inputs=[{"property": "n_clicks"}])),
    ("inputs", changed(ONE, inputs=[{"id": "x", "property": "n_clicks"}])),
    ("inputs", changed(ONE, inputs=[{"id": "button", "property": "x"}])),
    ("inputs", changed(ONE, inputs=[{"id": ["button"], "property": "n_clicks"}])),
    ("inputs", changed(ONE, inputs=[{"id": {"a": 1}, "property": "n_clicks"}])),
    ("state", changed(ONE, state=...)),
    ("state", changed(ONE, state=[])),
    ("state", changed(ONE, state=None)),
    ("state", changed(ONE, state=[{"id": "text", "property": "children"}])),
    ("state", changed(TWO, state=[INPUT])),
    ("outputs", changed(ONE, outputs=...)),
    ("outputs", changed(ONE, outputs=[])),
    ("outputs", changed(ONE, outputs="one.children")),
    ("outputs", changed(ONE, outputs={"id": "one"})),
    ("outputs", changed(ONE, outputs={"id": "one", "property": 1})),
    ("outputs", changed(ONE, outputs={"id": "root", "property": "children"})),
    ("outputs", changed(ONE, outputs={"id": {}, "property": "children"})),
    ("outputs", changed(TWO, outputs={})),
    ("outputs", changed(TWO, outputs=TWO["outputs"][:1])),  # type: ignore[index]
    ("outputs", changed(TWO, outputs=TWO["outputs"][::-1])),  # type: ignore[index]
    ("outputs", changed(TWO, outputs=[None, None])),
    ("outputs", changed(PATTERN, outputs={"id": "cell", "property": "children"})),
    ("outputs", changed(PATTERN, outputs={"id": {"index": 1}, "property": "children"})),
    ("inputs", changed(PATTERN, inputs=[INPUT, []])),
    ("inputs", changed(PATTERN, inputs=[PATTERN["inputs"][0], [INPUT]])),  # type: ignore[index]
    ("inputs", changed(PATTERN, inputs=[PATTERN["inputs"][0], [[]]])),  # type: ignore[index]
    ("changedPropIds", changed(ONE, changedPropIds="button.n_clicks")),
    ("changedPropIds", changed(ONE, changedPropIds=None)),
    ("changedPropIds", changed(ONE, changedPropIds={})),
    ("changedPropIds", changed(ONE, changedPropIds=[1])),
    ("changedPropIds", changed(ONE, changedPropIds=[None])),
    ("changedPropIds", changed(ONE, changedPropIds=[["button.n_clicks"]])),
    ("changedPropIds", changed(ONE, changedPropIds=["button"])),
    ("changedPropIds", changed(ONE, changedPropIds=["text.value"])),
    ("changedPropIds", changed(ONE, changedPropIds=["x.y"])),
    ("changedPropIds", changed(PATTERN, changedPropIds=["{.n_clicks"])),
]


@pytest.mark.parametrize(("field", "call"), FORGED)
def test_forged_call_is_refused_by_name(small_client: FlaskClient, field: str, call: Any) -> None:
    assert refused(small_client.post(URL, json=call)) == field


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"output":' * 5_000, "application/json"),
        (json.dumps(ONE).encode(), "text/plain"),
        (b"output=one.children", "application/x-www-form-urlencoded"),
        (json.dumps(ONE).encode(), ""),
    ],
)
def test_body_that_is_not_json_is_refused(
    small_client: FlaskClient, content: bytes, content_type: str
) -> None:
    response = small_client.post(URL, data=content, content_type=content_type)
    assert refused(response) == "body"


def test_every_callback_of_the_desk_is_guarded(
    desk: Dash, open_client: Callable[[Dash], FlaskClient]
) -> None:
    client = open_client(desk)
    outputs = [entry["output"] for entry in client.get("/_dash-dependencies").get_json()]
    assert outputs
    for output in outputs:
        assert client.post(URL, json={"output": output}).status_code == 400
    response = client.get(URL)
    assert response.status_code == 405
    assert response.content_type == "application/problem+json"
    assert response.headers["Allow"] == "POST"


def test_oversized_call_is_refused(desk: Dash, open_client: Callable[[Dash], FlaskClient]) -> None:
    content = b'{"output":"' + b"x" * (5 * 1024 * 1024) + b'"}'
    response = open_client(desk).post(URL, data=content, content_type="application/json")
    assert response.status_code == 413
    assert response.content_type == "application/problem+json"
