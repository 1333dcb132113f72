"""The HTTP API: routes, their documentation, and problems for whatever can't be answered."""

from flask import Flask, current_app, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Rule

from app.api.docs import document_routes
from app.api.downloads import download_routes
from app.api.explain import explain_routes
from app.api.health import health_routes
from app.api.market import market_routes
from app.api.pair import pair_routes
from app.api.problems import CALLBACK_PATH, is_api_path, register_problems
from app.services import Desk

LIMITS = ("50 per second", "1200 per minute")
_LIMITED = ("/analytics", "/api")
_PAGE_RULE = "/<path:path>"


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
    server.before_request(_refuse_unknown_paths)
    register_problems(server)


def _is_unlimited() -> bool:
    return not request.path.startswith(_LIMITED)


def _rule_for_get() -> Rule | None:
    adapter = current_app.create_url_adapter(request)
    return adapter.match(method="GET", return_rule=True)[0] if adapter else None


def _refuse_unknown_paths() -> None:
    """Keep the page, which takes any path, from answering for the API."""
    if not is_api_path(request.path):
        return
    rule = request.url_rule
    if rule is None and isinstance(request.routing_exception, MethodNotAllowed):
        # The page's rule allows GET alone: a POST to a path nobody serves is not a 405.
        rule = _rule_for_get()
    if rule is not None and rule.rule == _PAGE_RULE:
        raise MethodNotAllowed(["POST"]) if request.path == CALLBACK_PATH else NotFound
