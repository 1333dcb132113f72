"""Errors as problem JSON (RFC 9457), on every path that isn't the page's."""

import re
from collections.abc import Sequence
from http import HTTPStatus

import orjson
import structlog
from dash.exceptions import DependencyException
from flask import Flask, Response, request
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException

from app.services.refusals import (
    NoRight,
    NotThere,
    StillCompiling,
    SymbolNotIngested,
    TooManyJobs,
)
from core.errors import FieldError, PairdeskError, ParameterErrors, StoreError
from core.parameters import printable

CONTENT_TYPE = "application/problem+json"
_API_PATH = re.compile(r"/(analytics|api|healthz|readyz|metrics|docs|openapi\.json)(/|$)")
CALLBACK_PATH = "/_dash-update-component"

log = structlog.get_logger()


class FieldErrorSchema(Schema):
    """One bad parameter."""

    field = fields.String(required=True)
    message = fields.String(required=True)
    allowed = fields.String(required=True, allow_none=True)


class ProblemSchema(Schema):
    """RFC 9457 problem details."""

    type = fields.String(required=True, metadata={"example": "about:blank"})
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldErrorSchema), required=True)


def problem(status: int, detail: str, errors: Sequence[FieldError] = ()) -> Response:
    """Make the answer to a request that can't be served."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [
            {"field": error.field, "message": error.message, "allowed": error.allowed}
            for error in errors
        ],
    }
    response = Response(orjson.dumps(body), status=status, content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response


def is_api_path(path: str) -> bool:
    """Whether an error on this path is for a program to read."""
    return _API_PATH.match(path) is not None or path == CALLBACK_PATH


def register_problems(server: Flask) -> None:
    """Answer every error of an API path with a problem, whatever raised it."""
    server.register_error_handler(ParameterErrors, _bad_parameters)
    server.register_error_handler(SymbolNotIngested, _not_ingested)
    server.register_error_handler(NotThere, lambda error: problem(404, str(error)))
    server.register_error_handler(NoRight, lambda error: problem(403, str(error)))
    server.register_error_handler(TooManyJobs, lambda error: _not_now(429, error))
    server.register_error_handler(StillCompiling, lambda error: _not_now(503, error))
    server.register_error_handler(StoreError, _store_failed)
    server.register_error_handler(HTTPException, _http_error)
    server.register_error_handler(DependencyException, _no_such_asset)
    server.register_error_handler(Exception, _unexpected)


def _bad_parameters(error: ParameterErrors) -> Response:
    return problem(400, str(error), error.errors)


def _not_ingested(error: SymbolNotIngested) -> Response:
    allowed = "a symbol that /api/symbols lists"
    errors = [
        FieldError(field, f"{symbol} is not ingested here", allowed)
        for field, symbol in error.fields.items()
    ]
    return problem(404, str(error), errors)


def _not_now(status: int, error: PairdeskError) -> Response:
    response = problem(status, f"Not now: {error}.")
    response.headers["Retry-After"] = "5"
    return response


def _store_failed(error: StoreError) -> Response:
    log.warning("store not readable", path=request.path, error=str(error))
    response = problem(503, f"The store can't be used: {error.public}")
    response.headers["Retry-After"] = "5"
    return response


def _http_error(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400 or not is_api_path(request.path):
        return error
    response = problem(status, _detail(status, error))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _detail(status: int, error: HTTPException) -> str:
    if status == 404:
        return "There is nothing at this path; /openapi.json lists what there is."
    if status == 405:
        return f"{printable(request.method)} is not possible here."
    if status == 429:
        return f"Too many requests: {error.description}."
    return error.description or HTTPStatus(status).phrase


def _no_such_asset(error: DependencyException) -> tuple[str, int, dict[str, str]]:
    return "Not found", 404, {"Content-Type": "text/plain"}


def _unexpected(error: Exception) -> Response | tuple[str, int, dict[str, str]]:
    log.error("request failed", method=request.method, path=request.path, exc_info=error)
    detail = "This request failed inside; the log has the details."
    if is_api_path(request.path):
        return problem(500, detail)
    return detail, 500, {"Content-Type": "text/plain"}
