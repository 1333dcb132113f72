"""Who may read and who may write; no page of another site writes as somebody else.

Without users and keys reading is open, and writing is for whoever works at this machine.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal, NamedTuple
from urllib.parse import quote, urlsplit

from flask import Flask, Request, Response, current_app, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from app.api.problems import is_api_path, problem
from app.services.accounts import Accounts
from app.services.sessions import Sessions
from core.settings import Settings

SIGN_IN, SIGN_OUT, ME = "/login", "/logout", "/api/me"
SESSION_S = 7 * 86_400
_READING = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded")
_ALWAYS_OPEN = (SIGN_IN, SIGN_OUT, ME, "/healthz", "/readyz", "/_favicon.ico")


class Denial(NamedTuple):
    """Why something is not allowed, and with which status that is answered."""

    status: Literal[401, 403]
    words: str


_NO_SUCH_KEY = Denial(401, "This key is none of the desk's; API_KEYS has those that are.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: somebody who has signed in, a program with a key, or nobody in particular."""

    name: str | None = None
    scope: str | None = None
    """Of a program's key: read, write, or "" of one that is none of this desk's."""


class Rights:
    """What a visitor may do here."""

    def __init__(self, settings: Settings, accounts: Accounts, sessions: Sessions) -> None:
        self.accounts = accounts
        self._sessions = sessions
        self._host = settings.host
        self._is_local = _is_loopback(settings.host)

    def visitor(self) -> Visitor:
        """Who makes the request at hand."""
        found: Visitor | None = g.get("visitor")
        if found is None:
            found = g.visitor = self._visitor()
        return found

    def _visitor(self) -> Visitor:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            name, scope = self.accounts.holder(key.strip()) or (None, "")
            return Visitor(name, scope)
        name = session.get("name")
        if name in self.accounts.users and self._sessions.is_open(name, _begun_ms()):
            return Visitor(name)
        return Visitor()

    def begin_session(self, name: str) -> None:
        """Let the browser at hand be a user's from now on."""
        session.clear()
        session["name"], session["begun_ms"] = name, self._sessions.begin(name)
        session.permanent = True

    def end_session(self) -> None:
        """Let the browser at hand be nobody's, nor any other that its user had signed in with."""
        if self.visitor().name is not None and "name" in session:
            self._sessions.end(session["name"], _begun_ms())
        session.clear()

    def why_not_read(self, path: str) -> Denial | None:
        """Why the visitor may not read what is at a path; None where he may."""
        if path in _ALWAYS_OPEN or path.startswith("/assets/"):
            return None
        visitor = self.visitor()
        if visitor.scope == "":
            return _NO_SUCH_KEY
        if visitor.name is not None:
            return None
        if self.accounts.users:
            return Denial(401, f"This desk wants to know who reads it: {self._how('any')}.")
        if self.accounts.has_keys and is_api_path(path) and not session.get("page"):
            return Denial(401, f"The API of this desk wants to know who asks: {self._how('any')}.")
        return None

    def let_page_read(self, path: str) -> None:
        """Let a page that anybody may open ask for what it shows, where keys alone close the API.

        The cookie is the browser's own: no other site's page can read by it, none writes by it.
        """
        is_view = not is_api_path(path) and not path.startswith(("/_dash-", "/assets/"))
        if is_view and self.accounts.has_keys and not self.accounts.users:
            session["page"] = True

    def why_not_write(self, *, from_page: bool = False) -> Denial | None:
        """Why the visitor may not write; None where he may.

        `from_page`: it is asked what the page may do, so the request itself needs no Origin.
        """
        visitor = self.visitor()
        if visitor.scope is not None:
            if visitor.scope == "write":
                return None  # no browser sends a key by itself: it needs no Origin
            if visitor.scope == "":
                return _NO_SUCH_KEY
            return Denial(403, "This key may read only; one with the scope write may write.")
        if visitor.name is None and self.accounts.users:
            return Denial(401, f"Writing is for those who are known: {self._how('write')}.")
        if visitor.name is None and not self._is_local:
            return Denial(
                403,
                f"Nothing is written here while the desk listens on {self._host}: with"
                " HOST=127.0.0.1 whoever works at this machine may, with DASHBOARD_USERS whoever"
                " signs in, with API_KEYS a program.",
            )
        if visitor.name is None and any(name in request.headers for name in _FORWARDED):
            return Denial(
                403,
                "Nothing is written through a proxy by nobody in particular: ask the desk itself,"
                " at this machine, or set DASHBOARD_USERS and sign in.",
            )
        if not from_page and not is_same_origin(request):
            own = request.host_url.rstrip("/")
            return Denial(403, f"A write needs this desk's own Origin: {own}")
        return None

    def _how(self, scope: str) -> str:
        ways = []
        if self.accounts.users:
            ways.append(f"sign in at {SIGN_IN}")
        if self.accounts.has_keys:
            ways.append(f"send a key of API_KEYS with {scope} scope as `Authorization: Bearer`")
        return ", or ".join(ways)


def rights() -> Rights:
    """Those of the desk that answers."""
    found: Rights = current_app.extensions["rights"]
    return found


def signed_in() -> str | None:
    """Who has signed in to the page; None where nobody has to."""
    visitor = rights().visitor()
    return visitor.name if visitor.scope is None else None


def guard_rights(server: Flask, settings: Settings, accounts: Accounts, sessions: Sessions) -> None:
    """Refuse who may not: 401 or 403, the page's reader to where he signs in, 415 for no JSON."""
    own = server.extensions["rights"] = Rights(settings, accounts, sessions)
    server.secret_key = accounts.session_key
    server.session_interface = _Sessions()
    server.config.update(
        SESSION_COOKIE_NAME="pairdesk_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_S,
        SESSION_REFRESH_EACH_REQUEST=False,
    )

    def check_reading() -> Response | None:
        refused = own.why_not_read(request.path)
        if refused is None:
            own.let_page_read(request.path)
            return None
        if is_api_path(request.path) or request.path.startswith("/_dash-"):
            return _answer(refused)
        asked = request.full_path.rstrip("?")
        where = f"{SIGN_IN}?next={quote(asked, safe='')}"
        return Response(status=303, headers={"Location": where, "Cache-Control": "no-store"})

    def check_writing() -> Response | None:
        if request.method in _READING or not request.path.startswith("/api/"):
            return None
        if request.routing_exception is not None:
            return None  # there is nothing to write to
        refused = own.why_not_write()
        if refused is not None:
            return _answer(refused)
        if request.method != "DELETE" and not request.is_json:
            return problem(415, "A write needs a body of the type application/json.")
        return None

    server.before_request(check_reading)
    server.before_request(check_writing)


def is_same_origin(asked: Request) -> bool:
    """Whether a request comes from a page of this desk, as browsers tell."""
    origin, own = urlsplit(asked.headers.get("Origin", "")), urlsplit(asked.host_url)
    return (origin.scheme, origin.netloc) == (own.scheme, own.netloc)


class _Sessions(SecureCookieSessionInterface):
    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Without a cookie there is nothing to verify, and so no keys to derive: most requests."""
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Over TLS the cookie goes nowhere else; told by the request, whatever is in front."""
        return request.is_secure


def _begun_ms() -> int:
    """When the session at hand began; 0 of one that an earlier version has signed."""
    begun_ms: int = session.get("begun_ms", 0)
    return begun_ms


def _answer(refused: Denial) -> Response:
    response = problem(refused.status, refused.words)
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="pairdesk"'
    return response


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
