"""Which names this desk answers to.

A page of any other name can point that name at this machine (DNS rebinding) and would then read all
that the desk says, as its own: browsers go by names, so the desk has to as well.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from app.api.problems import problem
from core.parameters import printable
from core.settings import Settings

_host = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?", re.IGNORECASE).fullmatch


def guard_hosts(server: Flask, settings: Settings) -> None:
    """Answer 421 to whoever takes this desk for another; registered before all else."""
    is_ours = own_names(settings)

    def check() -> Response | None:
        # Not `request.host`: a forwarded one is what any client wants it to be. Browsers send one.
        host = request.environ.get("HTTP_HOST")
        if host is None or is_ours(host):
            return None
        return problem(
            421,
            f"This desk doesn't answer to the name {printable(host)}; if it is one of its own,"
            " ALLOWED_HOSTS has to say so.",
        )

    server.before_request(check)


def own_names(settings: Settings) -> Callable[[str], bool]:
    """Tell whether a Host header names this desk: loopback, HOST and ALLOWED_HOSTS do.

    One that listens on every address answers to each of them: a number can't be pointed elsewhere.
    """
    allowed = settings.allowed_host_list
    every_address = settings.host in ("0.0.0.0", "::")

    def is_ours(header: str) -> bool:
        match = _host(header)
        if match is None:
            return False
        name = match[1].strip("[]").lower().removesuffix(".")
        if "*" in allowed or name in (settings.host.lower(), *allowed):
            return True
        if name == "localhost" or name.endswith(".localhost"):
            return True
        if any(entry.startswith(".") and name.endswith(entry) for entry in allowed):
            return True
        try:
            address = ip_address(name)
        except ValueError:
            return False
        return every_address or address.is_loopback

    return is_ours


def trust_proxies(server: Flask, count: int) -> None:
    """Take the client's address and scheme from the headers that this many proxies of ours add.

    The host stays as it came: a proxy that doesn't set its forwarded name lets anybody choose one.
    """
    if count:
        proxied = ProxyFix(server.wsgi_app, x_for=count, x_proto=count, x_host=0)
        server.wsgi_app = proxied  # type: ignore[method-assign]
