"""`/analytics/pair/trades.csv` and `equity.csv`: a pair's backtest as tables."""

import csv
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from flask import Response

from app.api.blueprint import ApiBlueprint, csv_answer
from app.api.pair import ROUND_TRIP_COLUMNS, equity_columns, round_trip_row
from app.api.values import finite, iso
from app.requests.pair import PairParameters, PairRequest, pair_request
from app.services import Desk
from app.services.pairs import PairView

CSV = {"type": "string"}


def download_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint(
        "downloads", __name__, url_prefix="/analytics", description="For spreadsheets"
    )

    @routes.get("/pair/trades.csv")
    @routes.arguments(PairParameters, location="query")
    @routes.response(200, CSV, content_type="text/csv")
    @routes.problems(400, 404, 429, 503)
    def trades(values: dict[str, Any]) -> Response:
        """Round trips of the backtest as CSV, the open one last."""
        request = pair_request(values, desk.settings)
        return csv_answer(trades_csv(desk.pairs.view(request.spec)), _file_name(request, "trades"))

    @routes.get("/pair/equity.csv")
    @routes.arguments(PairParameters, location="query")
    @routes.response(200, CSV, content_type="text/csv")
    @routes.problems(400, 404, 429, 503)
    def equity(values: dict[str, Any]) -> Response:
        """Equity and drawdown of the backtest as CSV, a row a bar."""
        request = pair_request(values, desk.settings)
        return csv_answer(equity_csv(desk.pairs.view(request.spec)), _file_name(request, "equity"))

    return routes


def trades_csv(view: PairView) -> str:
    """Round trips of the backtest, the open one last."""
    trips = view.result.backtest.round_trips if view.result else ()
    rows = [round_trip_row(trip) for trip in trips]
    return csv_text(
        ROUND_TRIP_COLUMNS, ([row[name] for name in ROUND_TRIP_COLUMNS] for row in rows)
    )


def equity_csv(view: PairView) -> str:
    """Equity and drawdown at the close of every result row."""
    equity = equity_columns(view.result)
    rows = zip(
        map(iso, np.asarray(equity["time"]).tolist()),
        map(finite, np.asarray(equity["value"]).tolist()),
        map(finite, np.asarray(equity["drawdown"]).tolist()),
        strict=True,
    )
    return csv_text(("time", "value", "drawdown"), rows)


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as a spreadsheet reads it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula; numbers may be negative."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def _file_name(request: PairRequest, what: str) -> str:
    spec = request.spec
    return f"{spec.symbol_a}-{spec.symbol_b}-{spec.timeframe}-{what}.csv"
