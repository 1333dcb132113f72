"""Scripts, styles and fonts: compressed once, and asked for again only when they change."""

from dash.fingerprint import check_fingerprint
from flask import Flask, Response, g, request

from app.api.blueprint import tag_of, tagged

PLACES = ("/assets/", "/_dash-component-suites/")


def keep_assets(server: Flask) -> None:
    """Tag every asset by its content; one whose address names its version lasts for ever.

    Register it after compression, so that it runs before: a tag of what was sent uncompressed
    holds for every encoding, and what compression makes of it is kept under it.
    """

    def keep(response: Response) -> Response:
        if response.status_code != 200 or not request.path.startswith(PLACES):
            return response
        response.direct_passthrough = False
        file = response.response
        response.set_data(response.get_data())
        if hasattr(file, "close"):
            file.close()
        g.kept_tag = tag_of(response.get_data())
        response = tagged(response, g.kept_tag)
        if "m" in request.args or check_fingerprint(request.path.rpartition("/")[2])[1]:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    server.after_request(keep)
