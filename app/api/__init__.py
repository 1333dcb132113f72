"""The HTTP API: routes, their documentation, and problems for whatever can't be answered."""

from flask import Flask

from app.api.alerts import alert_routes
from app.api.blueprint import StoredNumber
from app.api.channels import channel_routes, heartbeat_routes
from app.api.docs import document_routes
from app.api.downloads import download_routes
from app.api.expectancy import expectancy_routes
from app.api.explain import explain_routes
from app.api.health import health_routes
from app.api.jobs import job_routes
from app.api.market import market_routes
from app.api.me import me_routes
from app.api.pair import pair_routes
from app.api.paper import paper_routes
from app.api.placebo import placebo_routes
from app.api.problems import register_problems
from app.api.radar import radar_routes
from app.api.rules import rule_routes
from app.api.scan import scan_routes
from app.api.watchlist import watchlist_routes
from app.services import Desk


def register_api(server: Flask, desk: Desk) -> None:
    """Add every route of the API to a server whose page answers all other paths."""
    routes = (
        pair_routes, expectancy_routes, placebo_routes, explain_routes, download_routes,
        scan_routes, radar_routes, market_routes, rule_routes, watchlist_routes, alert_routes,
        channel_routes, heartbeat_routes, paper_routes, job_routes, me_routes, health_routes,
    )  # fmt: skip
    server.url_map.converters["int"] = StoredNumber
    document_routes(server, [bind(desk) for bind in routes])
    register_problems(server)
