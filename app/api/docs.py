"""`/openapi.json` from the routes' own schemas, and `/docs` to try them; nothing from outside."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from threading import Lock
from typing import Any

import orjson
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, Response
from flask_smorest import Api

from app.api.blueprint import ApiBlueprint, tagged
from app.api.problems import CONTENT_TYPE

API_VERSION = "0.1.1"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pairdesk API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/assets/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/assets/swagger-ui/start.js"></script>
</body>
</html>
"""


class DocumentedApi(Api):
    """Registers routes at once and describes them when asked: most processes never are.

    Errors are answered by `app.api.problems`.
    """

    DEFAULT_ERROR_RESPONSE_NAME = None

    def register_blueprint(self, blp: ApiBlueprint, **options: Any) -> None:
        self._app.register_blueprint(blp, **options)

    def described(self, blueprints: Sequence[ApiBlueprint]) -> dict[str, Any]:
        """The OpenAPI document of registered routes; asked once."""
        for blueprint in blueprints:
            name = blueprint.name
            blueprint.register_views_in_doc(self, self._app, self.spec, name=name, parameters=None)
            self.spec.tag({"name": name, "description": blueprint.description})
        document: dict[str, Any] = self.spec.to_dict()
        return document

    def _register_error_handlers(self) -> None:
        """Leave the error handlers alone: flask-smorest's own answer in another shape."""


def document_routes(server: Flask, blueprints: Sequence[ApiBlueprint]) -> None:
    """Register routes, and one that describes them: made at its first request."""
    server.config.update(
        API_TITLE="Pairdesk",
        API_VERSION=API_VERSION,
        OPENAPI_VERSION="3.0.3",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Crypto pairs: hedge ratios, z-scores and backtests from stored"
                " bars. Errors are RFC 9457 problems; numbers that are undefined are null, with a"
                " reason in `warnings`. Where API_KEYS names any, a key is sent as `Authorization:"
                " Bearer`; a write needs one with the scope write, or this desk's own `Origin`."
            }
        },
    )
    api = DocumentedApi(server, spec_kwargs={"marshmallow_plugin": MarshmallowPlugin()})
    for blueprint in blueprints:
        api.register_blueprint(blueprint)
    lock = Lock()

    @cache
    def description() -> bytes:
        names = {
            (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower()): name
            for rule in server.url_map.iter_rules()
            for name in [rule.endpoint.rpartition(".")[2]]
            for method in rule.methods or ()
        }
        return orjson.dumps(_completed(api.described(blueprints), names))

    @server.get("/openapi.json")
    def openapi() -> Response:
        with lock:  # one thread describes, whoever comes meanwhile waits for it
            body = description()
        return tagged(Response(body, content_type="application/json"))

    @server.get("/docs")
    def docs() -> Response:
        return tagged(Response(_PAGE, content_type="text/html; charset=utf-8"))


def _completed(document: dict[str, Any], names: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Make a contract of flask-smorest's description: what holds for every route, said of each."""
    schemas = document["components"]["schemas"]
    for name in ("Error", "PaginationMetadata"):
        schemas.pop(name, None)
    for name, schema in schemas.items():
        # No answer leaves a key out; what is unknown is null. What is sent may.
        if not name.endswith("Body"):
            schema.setdefault("required", list(schema["properties"]))
        _spell_out_nulls(schema)
    document["components"]["headers"] = _HEADERS
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if (path, method) not in names:
                continue  # what its methods have in common
            operation["operationId"] = names[path, method]
            for parameter in operation.get("parameters", []):
                _tidy_parameter(parameter)
            _complete_responses(path, method, operation["responses"])
    return document


_HEADERS = {
    "ETag": {
        "description": "Of the body; sent back as If-None-Match it saves the same answer",
        "schema": {"type": "string", "pattern": '^W/"[0-9a-f]{32}"', "example": 'W/"5f…"'},
    },
    "RetryAfter": {
        "description": "Seconds after which it may be asked again",
        "schema": {"type": "integer", "minimum": 1},
    },
    "ContentDisposition": {
        "description": "The name to save it under",
        "schema": {"type": "string", "example": "attachment; filename=BTCUSDT-trades.csv"},
    },
}
_SAME_PAIR = {
    name: f"$response.body#/{name}" for name in ("symbol_a", "symbol_b", "timeframe", "window")
}
_LINKS: Mapping[str, Mapping[str, Any]] = {
    "/api/symbols": {
        "bars": {"symbol": "$response.body#/symbols/0/symbol"},
        "pair": {
            "symbol_a": "$response.body#/symbols/0/symbol",
            "symbol_b": "$response.body#/symbols/1/symbol",
        },
    },
    "/analytics/pair": dict.fromkeys(("explain", "trades", "equity"), _SAME_PAIR),
}
"""What may be asked next with values of an answer."""
_ETAG = {"ETag": {"$ref": "#/components/headers/ETag"}}
_RETRY_AFTER = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
_DISPOSITION = {"Content-Disposition": {"$ref": "#/components/headers/ContentDisposition"}}


def _tidy_parameter(parameter: dict[str, Any]) -> None:
    """Take out the nulls that a query string can't hold; show a value."""
    schema = parameter["schema"]
    schema.pop("nullable", None)
    if schema.get("default", "") is None:
        del schema["default"]
    parameter["example"] = _example(schema)


def _example(schema: Mapping[str, Any]) -> Any:
    for key in ("default", "example", "minimum"):
        if key in schema:
            return schema[key]
    return schema["enum"][0]


def _complete_responses(path: str, method: str, responses: dict[str, Any]) -> None:
    answer = next(one for status, one in responses.items() if status.startswith("2"))
    if method == "get" and path != "/metrics":
        answer["headers"] = dict(_ETAG)
        responses["304"] = {"description": "Unchanged since that ETag", "headers": _ETAG}
    if path in _LINKS:
        answer["links"] = {
            name: {"operationId": name, "parameters": parameters}
            for name, parameters in _LINKS[path].items()
        }
    if "text/csv" in answer.get("content", ()):
        answer["headers"] |= _DISPOSITION
    limited = () if path == "/healthz" else (429,)
    guarded = () if path in ("/healthz", "/readyz") else (401,)
    for status in (413, 421, *limited, *guarded):
        responses.setdefault(
            str(status),
            {
                "description": HTTPStatus(status).phrase,
                "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
    for status, response in responses.items():
        content = response.get("content", {}).get(CONTENT_TYPE)
        if content is not None:
            content["example"] = _problem_example(int(status))
            if status in ("429", "503"):
                response["headers"] = _RETRY_AFTER


def _problem_example(status: int) -> dict[str, Any]:
    errors = {
        400: {
            "field": "window",
            "message": "must be a whole number from 10 to 2000",
            "allowed": "a whole number from 10 to 2000",
        },
        404: {
            "field": "symbol_a",
            "message": "NOPEUSDT is not ingested here",
            "allowed": "a symbol that /api/symbols lists",
        },
    }
    error = errors.get(status)
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": f"{error['field']}: {error['message']}"
        if error
        else "What went wrong, in words.",
        "errors": [error] if error else [],
    }


def _spell_out_nulls(part: Any) -> None:
    """Let `null` beside a reference be null alone: as it stands it would be any object."""
    if isinstance(part, dict):
        for option in part.get("anyOf", ()):
            if option == {"type": "object", "nullable": True}:
                option["enum"] = [None]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            _spell_out_nulls(inner)
