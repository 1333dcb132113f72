"""`/api/me`: who asks, what he may do here, and what would help."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.rights import ME, SIGN_IN, rights
from app.api.values import text
from app.requests.pair import NoParameters
from app.services import Desk

MeAnswer = Schema.from_dict(
    {
        "name": text("of whoever has signed in, or of the key", null=True),
        "may_write": fields.Boolean(),
        "why_not": text("why nothing can be written, and what would help", null=True),
        "sign_in": text("path of the page to sign in at; null where nobody signs in", null=True),
    },
    name="Me",
)


def me_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route; it is open to anybody."""
    routes = ApiBlueprint("me", __name__, description="Who asks")

    @routes.get(ME)
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, MeAnswer)
    @routes.problems(400, 429)
    def me(values: dict[str, Any]) -> Response:
        """Who asks and what he may do; a write needs this desk's own Origin besides."""
        return json_answer(me_json())

    return routes


def me_json() -> dict[str, Any]:
    """Body of `/api/me`, for the page as well."""
    own = rights()
    refused = own.why_not_write(from_page=True)
    return {
        "name": own.visitor().name,
        "may_write": refused is None,
        "why_not": refused.words if refused else None,
        "sign_in": SIGN_IN if own.accounts.users else None,
    }
