"""`/healthz`, `/readyz` and `/metrics`, for whatever watches the desk."""

from typing import Any

from flask import Response

from app.api.answers import HealthAnswer, ReadyAnswer
from app.api.blueprint import ApiBlueprint, json_answer
from app.api.metrics import CONTENT_TYPE, exposition
from app.api.schemas import NoParameters
from app.services import Desk


def health_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a service."""
    routes = ApiBlueprint("health", __name__, description="For whatever watches the process")

    @routes.get("/healthz")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, HealthAnswer)
    @routes.problems(400)
    def healthz(values: dict[str, Any]) -> Response:
        """Whether this process answers."""
        return json_answer({"status": "ok"})

    @routes.get("/readyz")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, ReadyAnswer)
    @routes.alt_response(503, schema=ReadyAnswer, description="Not ready; the reasons are given")
    @routes.problems(400)
    def readyz(values: dict[str, Any]) -> Response:
        """Whether the feed is fresh and the database writable."""
        reasons = desk.status.readiness()
        body = {"ready": not reasons, "reasons": reasons}
        return json_answer(body, status=503 if reasons else 200)

    @routes.get("/metrics")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, {"type": "string"}, content_type="text/plain")
    @routes.problems(400)
    def metrics(values: dict[str, Any]) -> Response:
        """The same as `/api/status` for Prometheus, whichever web process answers."""
        return Response(exposition(desk.status.view()), content_type=CONTENT_TYPE)

    return routes
