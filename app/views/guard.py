"""Refuses what dash would take or trip over: paths that nobody serves, and forged calls.

Dash answers any path with the page, and a malformed call of a callback with a 500; the callback
endpoint is as public as the API. Values are for the callbacks to judge.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from dash import Dash
from flask import Response, current_app, request
from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect, Rule

from app.api.problems import CALLBACK_PATH, is_api_path, problem
from app.views.shell.page import not_found_html
from core.errors import FieldError

_CATCH_ALL = "/<path:path>"


class _Malformed(Exception):
    def __init__(self, field: str, message: str, allowed: str | None = None) -> None:
        self.error = FieldError(field, message, allowed)
        super().__init__(message)


def guard_paths(dash_app: Dash, paths: Iterable[str]) -> None:
    """Let dash's catch-all answer for the page's own paths and for no other."""
    known = frozenset(paths)
    page = not_found_html(dash_app)

    def check() -> Response | None:
        rule = request.url_rule
        if request.method == "OPTIONS" and is_api_path(request.path):
            methods = _own_methods()
            return Response(headers={"Allow": ", ".join(methods)}) if methods else None
        if rule is None and isinstance(request.routing_exception, MethodNotAllowed):
            # The page's rule allows GET alone: a POST to a path nobody serves is not a 405.
            rule = _rule_for_get()
        if rule is None or rule.rule != _CATCH_ALL or request.path in known:
            return None
        if request.path == CALLBACK_PATH:
            raise MethodNotAllowed(["POST"])
        if is_api_path(request.path):
            methods = _own_methods()
            raise MethodNotAllowed(methods) if methods else NotFound
        raise NotFound(response=Response(page, status=404, mimetype="text/html"))

    dash_app.server.before_request(check)


def _own_methods() -> list[str]:
    """What may be asked of this path, the page's rule for every path aside."""
    adapter = current_app.create_url_adapter(request)
    found = []
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        with suppress(HTTPException, RequestRedirect):
            if adapter and adapter.match(method=method, return_rule=True)[0].rule != _CATCH_ALL:
                found.append(method)
    return [*found, "OPTIONS"] if found else []


def _rule_for_get() -> Rule | None:
    adapter = current_app.create_url_adapter(request)
    return adapter.match(method="GET", return_rule=True)[0] if adapter else None


def guard_callbacks(dash_app: Dash) -> None:
    """Check every call of the callback endpoint against the callbacks that there are."""

    def check() -> Response | None:
        if request.path != CALLBACK_PATH or request.method != "POST":
            return None
        try:
            _check_body(_body(), dash_app.callback_map)
        except _Malformed as malformed:
            return problem(400, "This isn't a call that the page makes.", [malformed.error])
        return None

    dash_app.server.before_request(check)


def _body() -> Any:
    if not request.is_json:
        raise _Malformed("body", "must be JSON", "content type application/json")
    try:
        # Kept by the request: dash gets what was checked here.
        return request.get_json()
    except (BadRequest, ValueError, RecursionError):
        raise _Malformed("body", "isn't valid JSON") from None


def _check_body(body: Any, callback_map: Mapping[str, Mapping[str, Any]]) -> None:
    if not isinstance(body, dict):
        raise _Malformed("body", "must be an object")
    output = body.get("output")
    callback = callback_map.get(output) if isinstance(output, str) else None
    # Clientside callbacks are in the map too, without a function.
    if callback is None or "callback" not in callback:
        raise _Malformed("output", "isn't the output of a callback")
    known = _check_entries("inputs", body.get("inputs"), callback["inputs"])
    _check_entries("state", body.get("state", []), callback["state"])
    if not callback.get("no_output"):
        _check_outputs(body.get("outputs"), callback["output"])
    changed = body.get("changedPropIds", [])
    if not isinstance(changed, list) or not all(isinstance(name, str) for name in changed):
        raise _Malformed("changedPropIds", "must be a list of texts")
    if not known.issuperset(changed):
        raise _Malformed("changedPropIds", "names what isn't an input", ", ".join(sorted(known)))


def _check_entries(field: str, given: Any, expected: Iterable[Mapping[str, Any]]) -> set[str]:
    """Compare the ids and properties; returns the names that may have changed."""
    wanted = list(expected)
    if not isinstance(given, list) or len(given) != len(wanted):
        raise _Malformed(field, f"must be a list of {len(wanted)}")
    names: set[str] = set()
    for entry, expected_entry in zip(given, wanted, strict=True):
        pattern = _pattern(expected_entry["id"])
        matches = entry if pattern is not None and isinstance(entry, list) else [entry]
        for match in matches:
            names.add(_check_entry(field, match, expected_entry, pattern))
    return names


def _check_entry(
    field: str, entry: Any, expected: Mapping[str, Any], pattern: dict[str, Any] | None
) -> str:
    if not isinstance(entry, dict) or entry.get("property") != expected["property"]:
        raise _Malformed(field, "has an unknown property", f"{expected['property']}")
    component = entry.get("id")
    if pattern is None:
        if component != expected["id"]:
            raise _Malformed(field, "has an unknown id", str(expected["id"]))
        return f"{component}.{entry['property']}"
    if not _fits(component, pattern):
        raise _Malformed(field, "has an unknown id", str(expected["id"]))
    name = json.dumps(component, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{name}.{entry['property']}"


def _check_outputs(given: Any, expected: Any) -> None:
    several = isinstance(expected, list | tuple)
    wanted = list(expected) if several else [expected]
    entries = given if several else [given]
    if not isinstance(entries, list) or len(entries) != len(wanted):
        raise _Malformed("outputs", f"must be a list of {len(wanted)}")
    for entry, output in zip(entries, wanted, strict=True):
        component, pattern = output.component_id_str(), _pattern(output.component_id_str())
        matches = entry if pattern is not None and isinstance(entry, list) else [entry]
        for match in matches:
            _check_output(match, component, output.component_property, pattern)


def _check_output(entry: Any, component: str, prop: str, pattern: dict[str, Any] | None) -> None:
    if not isinstance(entry, dict) or not isinstance(entry.get("property"), str):
        raise _Malformed("outputs", "must have id and property")
    # An output that several callbacks share carries a suffix after @.
    fits = entry["property"].partition("@")[0] == prop
    known = entry.get("id") == component if pattern is None else _fits(entry.get("id"), pattern)
    if not (fits and known):
        raise _Malformed("outputs", "has an unknown id or property", f"{component}.{prop}")


def _pattern(component: Any) -> dict[str, Any] | None:
    """Parse a pattern-matching id; None for a plain one."""
    if isinstance(component, str) and component.startswith("{"):
        parsed: dict[str, Any] = json.loads(component)
        return parsed
    return None


def _fits(component: Any, pattern: dict[str, Any]) -> bool:
    if not isinstance(component, dict) or component.keys() != pattern.keys():
        return False
    return all(
        isinstance(component[key], str | int | float)
        and (isinstance(wanted, list) or component[key] == wanted)
        for key, wanted in pattern.items()
    )
