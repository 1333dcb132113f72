"""Addresses among the settings: read, checked, and written the one way that libraries take."""

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import BeforeValidator

PROXY_WORDS = "http://, https:// or socks5:// before host:port or user:password@host:port"
_PROXY_PORTS = {"http": 80, "https": 443, "socks5h": 1080}


def database_url(value: str) -> str:
    path = value.removeprefix("sqlite:///")
    if path != value and not path.endswith((":memory:", "/")) and not re.search(r"^~|[?\0]", path):
        return value
    for scheme in ("postgres://", "postgresql://", "postgresql+psycopg://"):
        if value.startswith(scheme) and len(value) > len(scheme):
            return _postgres_url(value.removeprefix(scheme))
    raise ValueError


def _postgres_url(rest: str) -> str:
    """Write name and password into the one place where the driver's URL type hides them."""
    parts = urlsplit(f"//{rest}")
    user_info, _, host = parts.netloc.rpartition("@")
    if "@" in parts.path or parts.fragment:
        raise ValueError  # a / or # in the password that is not written %2F or %23
    urlsplit(f"//{host}").port  # noqa: B018 (raises for a port that can't be)
    user, _, password = user_info.partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    user, password = query.pop("user", unquote(user)), query.pop("password", unquote(password))
    named = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    at = f"{named}@" if named else ""
    options = f"?{urlencode(query)}" if query else ""
    return f"postgresql+psycopg://{at}{host}{parts.path}{options}"


def proxy(value: str) -> str:
    """Write a proxy the one way that both libraries read; a SOCKS proxy resolves the names."""
    parts = urlsplit(value if "://" in value else f"http://{value}")
    scheme = "socks5h" if parts.scheme in ("socks", "socks5") else parts.scheme
    if scheme not in _PROXY_PORTS or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError
    host = _host(parts.hostname)
    user_info = ""
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        user_info = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{user_info}{shown}:{parts.port or _PROXY_PORTS[scheme]}"


def _host(name: str | None) -> str:
    host = (name or "").encode("idna").decode()
    if not re.fullmatch(r"[\w.:%-]+", host):
        raise ValueError
    return host


def redis_url(value: str) -> str:
    """Refuse at the start what the client would pass over, or refuse at a request."""
    parts = urlsplit(value)
    options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    number = options.pop("db", "")
    if parts.scheme == "unix":
        if parts.hostname or len(parts.path) < 2:
            raise ValueError
    elif parts.scheme in ("redis", "rediss"):
        _host(parts.hostname)
        parts.port  # noqa: B018 (raises for a port that can't be)
        number = number or parts.path.removeprefix("/")
    else:
        raise ValueError
    if parts.scheme == "rediss" and options.get("ssl_cert_reqs") in ("none", "required"):
        del options["ssl_cert_reqs"]
    if options or "@" in parts.path or parts.fragment or not re.fullmatch(r"\d{0,4}", number):
        raise ValueError
    return f"{parts.scheme}{value[len(parts.scheme) :]}"


def base_url(*schemes: str) -> BeforeValidator:
    def check(value: str) -> str:
        if not re.fullmatch(rf"({'|'.join(schemes)})://[^/\s?#]+(/[^\s?#]*)?", value):
            raise ValueError
        urlsplit(value).port  # noqa: B018 (raises for a port that can't be)
        return value.rstrip("/")

    return BeforeValidator(check)


def web_address(value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", value):
        raise ValueError
    return value


def scheduler(value: str) -> str:
    if not re.fullmatch(r"(tcp|tls|ws|wss)://[^/\s?#]+", value):
        raise ValueError
    return value
