"""Who may write, and how: nobody from another machine, and no page of another site."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask, Response, request

from app.api.problems import problem
from core.settings import Settings

_READING = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded")


def guard_writes(server: Flask, settings: Settings) -> None:
    """Answer 403 to a write by somebody without the right, 415 to one that is no JSON."""
    is_open = not _is_loopback(settings.host)

    def check() -> Response | None:
        if request.method in _READING or not request.path.startswith("/api/"):
            return None
        if request.routing_exception is not None:
            return None  # there is nothing to write to
        if is_open:
            return problem(
                403,
                f"Nothing is written here while the desk listens on {settings.host}: with"
                " HOST=127.0.0.1 whoever works at this machine may.",
            )
        if any(name in request.headers for name in _FORWARDED):
            return problem(
                403, "Nothing is written through a proxy: ask the desk itself, at this machine."
            )
        if not _is_same_origin():
            return problem(
                403,
                f"A write needs this desk's own Origin: {request.host_url.rstrip('/')}",
            )
        if request.method != "DELETE" and not request.is_json:
            return problem(415, "A write needs a body of the type application/json.")
        return None

    server.before_request(check)


def _is_same_origin() -> bool:
    origin, own = urlsplit(request.headers.get("Origin", "")), urlsplit(request.host_url)
    return (origin.scheme, origin.netloc) == (own.scheme, own.netloc)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
