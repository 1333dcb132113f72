"""The least that Flask can do with an answer: one route that returns bytes read at the start.

`gunicorn benchmarks.bare:make_server("FILE")` is the peer of `/analytics/pair` in `make load`.
"""

from pathlib import Path

from flask import Flask, Response


def make_server(path: str) -> Flask:
    """A server whose only route returns what the file holds."""
    server, content = Flask(__name__, static_folder=None), Path(path).read_bytes()
    server.add_url_rule(
        "/analytics/pair",
        view_func=lambda: Response(content, content_type="application/json"),
    )
    return server
