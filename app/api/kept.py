"""Answers prepared once: the bytes of a body with their tag, and what compression made of them."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from flask import Request, Response, g

from app.api.blueprint import JSON, json_bytes, tag_of, tagged
from app.services.cache import Backend, ResultCache
from app.services.shared import SharedAnswers


class Body(NamedTuple):
    """The content of a response, and the hash that its ETag is."""

    content: bytes
    tag: str


def kept_json(
    answers: ResultCache,
    key: Hashable,
    make: Callable[[], Any],
    shared: SharedAnswers | None = None,
) -> Response:
    """The answer that `make` gives, made once for a key of all that it follows from.

    With `shared` once for all web processes: the key must mean the same in each of them.
    """

    def body() -> bytes:
        return json_bytes(make())

    def prepare() -> Body:
        content = shared.get_or_make(key, body) if shared else body()
        return Body(content, tag_of(content))

    content, g.kept_tag = answers.get_or_compute(key, prepare)
    return tagged(Response(content, content_type=JSON), g.kept_tag)


def compressed_under(request: Request) -> str:
    """What flask-compress keeps a compressed body under; empty where the body isn't kept."""
    tag: str = g.get("kept_tag", "")
    return tag


class CompressedBodies:
    """Compressed bodies of flask-compress, of kept answers alone."""

    def __init__(self, kept: Backend) -> None:
        self._kept = kept

    def get(self, key: str) -> bytes | None:
        """What is kept; the key is an algorithm and, after a semicolon, the body's tag."""
        compressed: bytes | None = None if key.endswith(";") else self._kept.get(key)
        return compressed

    def set(self, key: str, value: bytes) -> None:
        """Keep it, if it has a tag."""
        if not key.endswith(";"):
            self._kept.set(key, value)
