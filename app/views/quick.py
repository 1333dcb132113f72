"""Callbacks that are asked every second, or answer at length, without dash's own dispatch.

The function is the one that dash has, and so is the answer's form; what is left out is the context
that such a callback does not use, and a look at each number for what JSON can't say: here they are
plain. The guard has checked the call by then.
"""

import time
from collections.abc import Iterable
from typing import Any

import orjson
from dash import Dash, no_update
from flask import Response, request

from app.api.problems import CALLBACK_PATH
from app.services.web import TickTimes

_UNCHANGED = b'{"multi":true,"response":{}}'


def answer_quickly(dash_app: Dash, outputs: Iterable[str], times: TickTimes) -> None:
    """Answer the callbacks of these single outputs before dash, and note how long that takes.

    To be registered after the guard.
    """
    functions = {
        output: dash_app.callback_map[output]["callback"].__wrapped__ for output in outputs
    }

    def answer() -> Response | None:
        if request.path != CALLBACK_PATH or request.method != "POST":
            return None
        body = request.get_json()
        function = functions.get(body["output"])
        if function is None:
            return None
        started_s = time.perf_counter()
        entries = [*body["inputs"], *body.get("state", [])]
        value = function(*(entry.get("value") for entry in entries))
        content = _content(body["output"], value)
        times.note(time.perf_counter() - started_s)
        return Response(content, content_type="application/json")

    dash_app.server.before_request(answer)


def _content(output: str, value: Any) -> bytes:
    if value is no_update:
        return _UNCHANGED
    component, _, name = output.rpartition(".")
    answer = {"multi": True, "response": {component: {name: value}}}
    return orjson.dumps(answer, default=_component)


def _component(part: Any) -> Any:
    """Components among the values, in dash's own form."""
    return part.to_plotly_json()
