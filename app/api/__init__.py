"""The HTTP API: routes, their documentation, and problems for whatever can't be answered."""

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from app.api.docs import document_routes
from app.api.downloads import download_routes
from app.api.explain import explain_routes
from app.api.health import health_routes
from app.api.market import market_routes
from app.api.pair import pair_routes
from app.api.problems import register_problems
from app.services import Desk

LIMITS = ("50 per second", "1200 per minute")
_LIMITED = ("/analytics", "/api")


def register_api(server: Flask, desk: Desk) -> None:
    """Add every route of the API to a server whose page answers all other paths."""
    limiter = Limiter(
        get_remote_address,
        app=server,
        application_limits=[*LIMITS],
        headers_enabled=True,
        storage_uri="memory://",
    )
    limiter.request_filter(_is_unlimited)
    routes = (pair_routes, explain_routes, download_routes, market_routes, health_routes)
    document_routes(server, [bind(desk) for bind in routes])
    register_problems(server)


def _is_unlimited() -> bool:
    return not request.path.startswith(_LIMITED)
