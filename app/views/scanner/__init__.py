"""The Scanner view: every pair in an honest order, who is far out now, and what chance finds."""

from typing import Any

import structlog
from dash import ClientsideFunction, Dash, Input, Output, no_update

from app.services import Desk
from app.views.scanner import ids
from app.views.scanner.asked import read_asked
from app.views.scanner.grid import block
from app.views.scanner.layout import scanner_view
from app.views.scanner.parts import parts
from app.views.view import KeptFresh
from core.errors import StoreError

WATCHED = KeptFresh(read_asked, parts)

log = structlog.get_logger()


def register(app: Dash, desk: Desk) -> None:
    """Bind the grid's blocks; the page's tick fills in the rest, and jobs go to the API."""

    # Asked by assets/desk_scanner.js, which asks again where nothing comes.
    @app.callback(
        Output(ids.BLOCK, "data"), Input(ids.BLOCK_REQUEST, "data"), prevent_initial_call=True
    )
    def answer_block(request: object) -> Any:
        try:
            return block(desk, request)
        except StoreError as error:
            log.warning("no block of pairs can be read", error=str(error))
            return no_update

    app.clientside_callback(
        ClientsideFunction(namespace="desk_scanner", function_name="rows"),
        Output(ids.GRID, "getRowsResponse"),
        Input(ids.GRID, "getRowsRequest"),
        prevent_initial_call=True,
    )


__all__ = ["WATCHED", "register", "scanner_view"]
