"""`/analytics/pair/trades.csv` and `equity.csv`: a pair's backtest as tables."""

from typing import Any

import numpy as np
from flask import Response

from app.api.backtest import ROUND_TRIP_COLUMNS, equity_columns, round_trip_row
from app.api.blueprint import ApiBlueprint
from app.api.spreadsheets import CSV, csv_answer, csv_text
from app.api.values import finite, iso
from app.requests.pair import PairParameters, PairRequest, pair_request
from app.services import Desk
from app.services.pair_states import PairView
from core.symbols import split_symbol
from core.types import PairResult, RoundTrip

PRICE_COLUMNS = ("entry_price_a", "entry_price_b", "exit_price_a", "exit_price_b")
EQUITY_COLUMNS = (
    "time",
    "value",
    "drawdown",
    "close_a",
    "close_b",
    "hedge_ratio",
    "zscore",
    "position",
)


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
    """Round trips of the backtest, the open one last; each with its pair, prices and currency."""
    of_pair = _of_pair(view)
    result = view.result
    trips = result.backtest.round_trips if result else ()
    rows = (
        [*round_trip_row(trip).values(), *_prices(result, trip), *of_pair.values()]
        for trip in trips
        if result
    )
    return csv_text((*ROUND_TRIP_COLUMNS, *PRICE_COLUMNS, *of_pair), rows)


def equity_csv(view: PairView) -> str:
    """Equity, drawdown and what they follow from, at the close of every result row."""
    columns = {name: np.asarray(column) for name, column in equity_columns(view.result).items()}
    if view.result:
        rows, chosen = view.result.rows, view.result.chosen
        columns |= {
            "close_a": rows.close_a,
            "close_b": rows.close_b,
            "hedge_ratio": chosen.hedge_ratio,
            "zscore": chosen.zscore,
            "position": view.result.position,
        }
    of_pair = _of_pair(view)
    moments, *numbers = (column.tolist() for column in columns.values())
    rows_out = (
        [iso(moment), *map(_number, values), *of_pair.values()]
        for moment, *values in zip(moments, *numbers, strict=True)
    )
    return csv_text((*EQUITY_COLUMNS, *of_pair), rows_out)


def _number(value: float | int) -> float | int | None:
    """As JSON has it: a position stays the whole number that it is."""
    return value if isinstance(value, int) else finite(value)


def _of_pair(view: PairView) -> dict[str, str]:
    """Whose rows they are, and what money is counted in."""
    spec = view.spec
    currency = split_symbol(spec.symbol_a)[1]
    return {
        "symbol_a": spec.symbol_a,
        "symbol_b": spec.symbol_b,
        "timeframe": spec.timeframe,
        "currency": currency,
    }


def _prices(result: PairResult, trip: RoundTrip) -> list[float | None]:
    """What both legs were bought and sold at, in the order of `PRICE_COLUMNS`."""
    rows = result.rows
    entry = int(np.searchsorted(rows.open_time_ms, trip.entry_time_ms))
    entered = [finite(rows.open_a[entry]), finite(rows.open_b[entry])]
    if trip.exit_time_ms is None:
        return [*entered, None, None]
    left = int(np.searchsorted(rows.open_time_ms, trip.exit_time_ms))
    # After a break of prices it was left at the last close before.
    a, b = (
        (rows.close_a, rows.close_b) if trip.exit_reason == "break" else (rows.open_a, rows.open_b)
    )
    return [*entered, finite(a[left]), finite(b[left])]


def _file_name(request: PairRequest, what: str) -> str:
    spec = request.spec
    return f"{spec.symbol_a}-{spec.symbol_b}-{spec.timeframe}-{what}.csv"
