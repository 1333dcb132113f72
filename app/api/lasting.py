"""Scripts, styles and fonts: compressed once, well, and asked for again only when they change."""

import gzip
from collections.abc import Callable, Mapping

import brotli
import rjsmin
from dash.fingerprint import check_fingerprint
from flask import Flask, Response, request

from app.api.blueprint import tag_of, tagged

PLACES = ("/assets/", "/_dash-component-suites/")
_PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "br": lambda content: brotli.compress(content, quality=9),
    "gzip": lambda content: gzip.compress(content, 9, mtime=0),
}
"""As small as a second of work makes them all, which is done once a process."""


def _slim(path: str, content: bytes) -> bytes:
    """A script as it is written by hand, without what no browser reads: a quarter less.

    Vendored bundles, in folders of their own or minified, are left alone.
    """
    folder, _, name = path.rpartition("/")
    if folder != "/assets" or not name.endswith(".js") or name.endswith(".min.js"):
        return content
    return bytes(rjsmin.jsmin(content, keep_bang_comments=True))


def keep_assets(server: Flask) -> None:
    """Tag every asset by its content; one whose address names its version lasts for ever.

    Register it after compression, so that it runs before: a tag of what was sent uncompressed
    holds for every encoding, and what is packed here is not packed again.
    """
    packed: dict[tuple[str, str], bytes] = {}

    def pack(response: Response, tag: str) -> None:
        encoding = request.accept_encodings.best_match(["br", "gzip"])
        if encoding is None or response.mimetype not in server.config["COMPRESS_MIMETYPES"]:
            return
        if (tag, encoding) not in packed:
            packed[tag, encoding] = _PACKERS[encoding](_slim(request.path, response.get_data()))
        response.set_data(packed[tag, encoding])
        response.headers["Content-Encoding"] = encoding

    def keep(response: Response) -> Response:
        if response.status_code != 200 or not request.path.startswith(PLACES):
            return response
        response.direct_passthrough = False
        file = response.response
        response.set_data(response.get_data())
        if hasattr(file, "close"):
            file.close()
        tag = tag_of(response.get_data())
        response = tagged(response, tag)
        if response.status_code == 200:
            pack(response, tag)
        if "m" in request.args or check_fingerprint(request.path.rpartition("/")[2])[1]:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    server.after_request(keep)
