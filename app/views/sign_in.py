"""Where people sign in and out, without dash: nobody gets its scripts before."""

from html import escape
from urllib.parse import urlsplit

from dash import Dash
from flask import Response, request

from app.api.limits import client_address
from app.api.rights import SIGN_IN, SIGN_OUT, Rights, is_same_origin
from app.services.accounts import TooManyTries
from app.views.shell.page import sign_in_html

LONGEST = 200


def sign_in_routes(dash_app: Dash, own: Rights) -> None:
    """Add the pages to the server; without `DASHBOARD_USERS` there is nobody to sign in."""
    page = sign_in_html(dash_app)

    def show(words: str = "", status: int = 200) -> Response:
        text = page.replace("[words]", escape(words)).replace("[next]", escape(_next()))
        answer = Response(text, status=status, mimetype="text/html")
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def sign_in() -> Response:
        if not own.accounts.users:
            return show("Nobody signs in here: DASHBOARD_USERS names no one.")
        if request.method == "GET":
            return show()
        if not is_same_origin(request):
            return show("Sign in on this page itself.", 403)
        name, password = (request.form.get(key, "")[:LONGEST] for key in ("name", "password"))
        try:
            if not own.accounts.is_user(name, password, client_address(request.remote_addr)):
                return show("No such name and password.", 401)
        except TooManyTries as error:
            answer = show(f"Too many tries. Again in {error.wait_s} s.", 429)
            answer.headers["Retry-After"] = str(error.wait_s)
            return answer
        own.begin_session(name)
        return _to(_next())

    def sign_out() -> Response:
        if is_same_origin(request):
            own.end_session()
        return _to(SIGN_IN)

    dash_app.server.add_url_rule(SIGN_IN, "sign_in", sign_in, methods=["GET", "POST"])
    dash_app.server.add_url_rule(SIGN_OUT, "sign_out", sign_out, methods=["POST"])


def _to(path: str) -> Response:
    return Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})


def _next() -> str:
    """Where to go on to: a path of this desk and nothing else."""
    asked = request.values.get("next", "/")
    parts = urlsplit(asked)
    is_ours = asked.isprintable() and not (parts.scheme or parts.netloc or "\\" in asked)
    return asked if is_ours and asked.startswith("/") and not asked.startswith("//") else "/"
