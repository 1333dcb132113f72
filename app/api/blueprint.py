"""Query strings into schemas, and bodies with their ETag."""

import hashlib
from typing import Any

import orjson
from flask import Request, Response, request
from flask_smorest import Blueprint
from marshmallow import Schema, missing
from webargs.flaskparser import FlaskParser
from werkzeug.routing import IntegerConverter, Map

from app.api.problems import CONTENT_TYPE, ProblemSchema
from core.errors import FieldError, ParameterErrors
from core.parameters import printable

JSON = "application/json"
_CONDITIONS = frozenset(
    {
        "HTTP_IF_NONE_MATCH",
        "HTTP_IF_MATCH",
        "HTTP_IF_MODIFIED_SINCE",
        "HTTP_IF_UNMODIFIED_SINCE",
        "HTTP_IF_RANGE",
    }
)
"""What an answer may be asked for on condition of; without any there is nothing to compare."""


class StrictParser(FlaskParser):
    """Reads a query string strictly: a parameter given twice is an error, and so is an unknown."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {"query": None}  # noqa: RUF012  the schema's own choice holds

    def load_querystring(self, req: Request, schema: Schema) -> dict[str, str]:
        repeated = [name for name, values in req.args.lists() if len(values) > 1]
        if repeated:
            raise ParameterErrors(
                [
                    FieldError(printable(name), "is given more than once", "once")
                    for name in repeated
                ]
            )
        return req.args.to_dict()

    def load_json(self, req: Request, schema: Schema) -> Any:
        """A body as the desk reads JSON everywhere: nothing of it that can't be written down."""
        return req.get_json() if req.get_data() else missing


class StoredNumber(IntegerConverter):
    """A row's number in a path, as far as a database counts: beyond it there is nothing."""

    def __init__(self, map: Map, *args: Any, **kwargs: Any) -> None:
        super().__init__(map, *args, **{"max": 2**63 - 1} | kwargs)


class ApiBlueprint(Blueprint):
    """Routes that answer GET, with their parameters and problems in the documentation."""

    ARGUMENTS_PARSER = StrictParser()

    def problems(self, *statuses: int) -> Any:
        """Document which problems a route answers with."""

        def decorate(function: Any) -> Any:
            for status in statuses:
                function = self.alt_response(
                    status, schema=ProblemSchema, content_type=CONTENT_TYPE
                )(function)
            return function

        return decorate


def json_answer(body: Any, status: int = 200) -> Response:
    """JSON with an ETag; arrays may be numpy's, whose NaN become null."""
    return tagged(Response(json_bytes(body), status=status, content_type=JSON))


def json_bytes(body: Any) -> bytes:
    """JSON as it is sent."""
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def tag_of(content: bytes) -> str:
    """The hash of a body."""
    return hashlib.sha256(content).hexdigest()[:32]


def tagged(response: Response, tag: str = "") -> Response:
    """Tag a body by its hash, and leave it out where the client has it already.

    The tag is weak: the same body may travel compressed or plain.
    """
    if response.status_code == 200:
        response.set_etag(tag or tag_of(response.get_data()), weak=True)
        response.headers["Cache-Control"] = "no-cache"
        if not _CONDITIONS.isdisjoint(request.environ):
            response.make_conditional(request)
    return response
