"""What one client may take: requests a second and a minute, and how large a body may be."""

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import RequestEntityTooLarge

LIMITS = ("50 per second", "1200 per minute")
MAX_BODY_BYTES = 64 * 1024
_LIMITED = ("/analytics", "/api")


def limit_bodies(server: Flask) -> None:
    """Refuse a body that is too long before anything reads it, on every path and for any method."""
    server.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES

    def check() -> None:
        # One that doesn't say its length is cut off by flask where it is read.
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge(f"A body may have {MAX_BODY_BYTES:,} bytes here.")

    server.before_request(check)


def limit_requests(server: Flask) -> None:
    """Answer 429 to a client that asks too often."""
    limiter = Limiter(
        get_remote_address,
        app=server,
        application_limits=[*LIMITS],
        headers_enabled=True,
        storage_uri="memory://",
    )
    limiter.request_filter(_is_unlimited)


def _is_unlimited() -> bool:
    return not request.path.startswith(_LIMITED)
