"""`/openapi.json` from the routes' own schemas, and `/docs` to try them; nothing from outside."""

from collections.abc import Sequence
from typing import Any

import orjson
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask, Response
from flask_smorest import Api

from app.api.blueprint import ApiBlueprint, tagged

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
    """Collects the routes' documentation; errors are answered by `app.api.problems`."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Leave the error handlers alone: flask-smorest's own answer in another shape."""


def document_routes(server: Flask, blueprints: Sequence[ApiBlueprint]) -> None:
    """Register routes and make their OpenAPI description."""
    server.config.update(
        API_TITLE="Pairdesk",
        API_VERSION=API_VERSION,
        OPENAPI_VERSION="3.0.3",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Crypto pairs: hedge ratios, z-scores and backtests from stored"
                " bars. Errors are RFC 9457 problems; numbers that are undefined are null, with a"
                " reason in `warnings`."
            }
        },
    )
    api = DocumentedApi(server, spec_kwargs={"marshmallow_plugin": MarshmallowPlugin()})
    for blueprint in blueprints:
        api.register_blueprint(blueprint)
    description = orjson.dumps(_tidied(api.spec.to_dict()))

    @server.get("/openapi.json")
    def openapi() -> Response:
        return tagged(Response(description, content_type="application/json"))

    @server.get("/docs")
    def docs() -> Response:
        return tagged(Response(_PAGE, content_type="text/html; charset=utf-8"))


def _tidied(document: dict[str, Any]) -> dict[str, Any]:
    """Take out what flask-smorest adds and no route uses, and nulls a query string can't hold."""
    for name in ("Error", "PaginationMetadata"):
        document["components"]["schemas"].pop(name, None)
    for path in document["paths"].values():
        for parameter in path.get("get", {}).get("parameters", []):
            schema = parameter["schema"]
            schema.pop("nullable", None)
            if schema.get("default", "") is None:
                del schema["default"]
    return document
