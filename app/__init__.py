"""The web: Flask routes and the Dash page over one desk. Importing it starts nothing."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dash import Dash, html
from flask import Flask
from flask_caching import Cache
from flask_compress import Compress

from app.api import register_api
from app.api.headers import secure_answers
from app.api.hosts import guard_hosts, trust_proxies
from app.api.kept import CompressedBodies, compressed_under
from app.api.lasting import keep_assets
from app.api.limits import limit_analyses, limit_bodies, limit_requests
from app.api.rights import guard_rights, signed_in
from app.requests.body import WritableJson
from app.services import open_desk
from app.services.accounts import Accounts
from app.services.cache import ANSWER_BYTES, ResultCache
from app.views import VIEWS
from app.views.guard import guard_callbacks, guard_paths
from app.views.help import help_route
from app.views.quick import answer_quickly
from app.views.shell.callbacks import QUICK as SHELL_QUICK
from app.views.shell.callbacks import register as register_shell
from app.views.shell.layout import asked_view, page_layout
from app.views.shell.page import META_TAGS, SERVER_HOOKS, THEME_SCRIPT, LeanDash, index_html
from app.views.sign_in import sign_in_routes
from app.views.view import View
from core.settings import Settings
from ingest.store.desk_book import DeskBook
from ingest.store.reader import Reader

ROOT = Path(__file__).resolve().parent.parent


class _Server(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """None of ours is a coroutine; flask would look at each of some fifteen, every time."""
        return func


def create_app(
    settings: Settings,
    reader: Reader,
    clock: Callable[[], float] = time.time,
    views: Sequence[View] = VIEWS,
    book: DeskBook | None = None,
) -> Dash:
    """Build the page and the API; nothing is read from the store before the first request.

    Rules are written through `book`; without one the desk can be read only.
    The desk with its services is at `app.server.extensions["pairdesk"]`.
    """
    server = _Server(__name__, static_folder=None)
    server.json = WritableJson(server)
    answers = _keep_answers(server)
    desk = open_desk(settings, reader, clock, answers=ResultCache(answers), book=book)
    server.extensions["pairdesk"] = desk
    trust_proxies(server, settings.trusted_proxies)
    # What is asked first comes first, and after an answer runs last: packing it is work too.
    guard_hosts(server, settings)
    limit_bodies(server)
    limit_requests(server, desk.shared)
    guard_rights(server, settings, Accounts(settings, shared=desk.shared), desk.sessions)
    limit_analyses(server)
    Compress(server)
    keep_assets(server)

    dash_app = _make_page(server, views)
    register_shell(dash_app, desk, views)
    for view in views:
        view.register(dash_app, desk)
    # After dash's own: the callback map is whole once its first-request hook has run.
    register_api(server, desk)
    sign_in_routes(dash_app, server.extensions["rights"])
    help_route(dash_app, views, ROOT / "docs")
    guard_paths(dash_app, [view.path for view in views])
    guard_callbacks(dash_app)
    quick = [output for view in views for output in view.quick]
    answer_quickly(dash_app, [*SHELL_QUICK, *quick], desk.ticks)
    # Dash sets itself up in its first request, and whatever else comes at that moment finds it
    # half done: scripts that answer 404. So it is done here, before anybody asks.
    with server.test_request_context("/_dash-dependencies"):
        server.preprocess_request()
    # Every callback is bound by now, so every inline script is known.
    secure_answers(server, dash_app.csp_hashes())
    dash_app.layout = lambda: page_layout(desk, views, asked_view(views), signed_in())
    return dash_app


def _keep_answers(server: Flask) -> Cache:
    """Keep prepared answers, and have every answer compressed where that helps; give what keeps."""
    answers = Cache()
    server.config.update(
        CACHE_TYPE="app.services.cache.BoundedCache",
        CACHE_THRESHOLD=ANSWER_BYTES,
        COMPRESS_MIMETYPES=[
            "text/html",
            "text/css",
            "text/csv",
            "text/javascript",
            "application/javascript",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
        ],
        COMPRESS_ALGORITHM=["br", "gzip"],
        COMPRESS_CACHE_KEY=compressed_under,
        COMPRESS_CACHE_BACKEND=lambda: CompressedBodies(answers),
    )
    answers.init_app(server)
    return answers


def _make_page(server: Flask, views: Sequence[View]) -> LeanDash:
    """Make the page without any callback."""
    dash_app = LeanDash(
        views,
        name=__name__,
        server=server,
        assets_folder=str(ROOT / "assets"),
        assets_path_ignore=["^swagger-ui$"],
        assets_ignore=f"^{re.escape(THEME_SCRIPT)}$",  # it is in the head already
        meta_tags=META_TAGS,
        serve_locally=True,
        title="Pairdesk",
        update_title="",
        add_log_handler=False,
        suppress_callback_exceptions=True,
        hooks=SERVER_HOOKS,
    )
    dash_app.index_string = index_html(dash_app)
    # Dash builds the layout once to set itself up. The page's own would open the store, before
    # the server forks and before a start has made the database.
    dash_app.layout = html.Div()
    return dash_app
