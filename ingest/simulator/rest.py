"""REST answers: a path and its query in, status, headers and body out; no socket.

Not offered: depth, avgPrice, uiKlines, ticker windows, the intervals 3d, 1w and 1M.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from core.types import Trade
from ingest.simulator import wire
from ingest.simulator.burst import MAX_BURST_TRADES
from ingest.simulator.faults import Faults
from ingest.simulator.ledger import Ledger
from ingest.simulator.parameters import QueryParameters, RequestRefused, invalid
from ingest.simulator.ticker import day_ticker
from ingest.simulator.weights import WEIGHT_PER_MINUTE, Overused, WeightMeter

MAX_STOP_S = 86_400


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back for one request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    weight: Callable[[QueryParameters], int]
    answer: Callable[[QueryParameters, int], Any]


class RestApi:
    """The exchange's endpoints over one ledger."""

    def __init__(self, ledger: Ledger, faults: Faults | None = None) -> None:
        self._ledger = ledger
        self._faults = faults or Faults()
        self._meter = WeightMeter()
        self.asked = Counter[str]()
        """Questions by path, those that were refused too."""
        self._endpoints = {
            "/api/v3/ping": _Endpoint(_always(1), self._ping),
            "/api/v3/time": _Endpoint(_always(1), self._time),
            "/api/v3/exchangeInfo": _Endpoint(_always(20), self._exchange_info),
            "/api/v3/klines": _Endpoint(_always(2), self._klines),
            "/api/v3/aggTrades": _Endpoint(_always(4), self._agg_trades),
            "/api/v3/trades": _Endpoint(_always(25), self._trades),
            "/api/v3/historicalTrades": _Endpoint(_always(25), self._historical_trades),
            "/api/v3/ticker/24hr": _Endpoint(_day_ticker_weight, self._day_ticker),
            "/api/v3/ticker/price": _Endpoint(_price_weight, self._price),
        }

    def answer(
        self, path: str, query: str, time_unit: str | None = None, address: str = ""
    ) -> Answer:
        """Answer one GET.

        Parameters
        ----------
        time_unit : the X-MBX-TIME-UNIT header.
        address : whose weight budget it is.
        """
        endpoint = self._endpoints.get(path)
        self.asked[path] += endpoint is not None
        if endpoint is None:
            return Answer(404, b"")
        now_ms = self._ledger.now_ms()
        headers: dict[str, str] = {}
        try:
            try:
                parameters = self._parameters(query)
                weight = endpoint.weight(parameters)
            except RequestRefused:
                weight, parameters = 1, None
            self._meter.charge(address, weight, now_ms)
            parameters = parameters or self._parameters(query)
            body = orjson.dumps(endpoint.answer(parameters, _unit(time_unit)))
            status = 200
        except RequestRefused as refused:
            status, body = refused.status, refused.body
            if isinstance(refused, Overused):
                headers["Retry-After"] = str(refused.retry_after_s)
        used = str(self._meter.used(address))
        headers["x-mbx-used-weight"] = used
        headers["x-mbx-used-weight-1m"] = used
        return Answer(status, body, headers)

    def burst(self, query: str) -> Answer:
        """Control route of the simulator itself: `trades_per_s`, `seconds`, `symbols`."""
        try:
            parameters = self._parameters(query)
            trades_per_s = parameters.integer("trades_per_s") or 5_000
            seconds = parameters.integer("seconds") or 10
            symbols = parameters.symbols()
            parameters.all_read()
            if trades_per_s * seconds > MAX_BURST_TRADES:
                invalid("trades_per_s")
        except RequestRefused as refused:
            return Answer(refused.status, refused.body)
        total, start_ms = self._ledger.burst(trades_per_s, seconds, symbols)
        return Answer(200, orjson.dumps({"trades": total, "startTime": start_ms}))

    def stand_still(self, query: str) -> Answer:
        """Control route as well: `seconds` without a trade or a bar, of `symbols` or of all."""
        try:
            parameters = self._parameters(query)
            seconds = parameters.integer("seconds") or 120
            symbols = parameters.symbols()
            parameters.all_read()
            if seconds > MAX_STOP_S:
                invalid("seconds")
        except RequestRefused as refused:
            return Answer(refused.status, refused.body)
        start_ms, end_ms = self._ledger.stand_still(seconds, symbols)
        return Answer(200, orjson.dumps({"startTime": start_ms, "endTime": end_ms}))

    def _parameters(self, query: str) -> QueryParameters:
        return QueryParameters(query, self._ledger.listings)

    def _ping(self, parameters: QueryParameters, unit: int) -> Any:
        parameters.all_read()
        return {}

    def _time(self, parameters: QueryParameters, unit: int) -> Any:
        parameters.all_read()
        return {"serverTime": self._ledger.now_ms() * unit}

    def _exchange_info(self, parameters: QueryParameters, unit: int) -> Any:
        symbols = parameters.symbols()
        status = parameters.text("symbolStatus")
        permissions = parameters.text("permissions")
        if symbols is not None and (status is not None or permissions is not None):
            raise RequestRefused(-1128, "Combination of optional parameters invalid.")
        if status not in (None, "TRADING", "HALT", "BREAK"):
            invalid("symbolStatus")
        if parameters.text("showPermissionSets") not in (None, "true", "false"):
            invalid("showPermissionSets")
        parameters.all_read()
        if status in ("HALT", "BREAK"):
            symbols = []
        return {
            "timezone": "UTC",
            "serverTime": self._ledger.now_ms() * unit,
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": WEIGHT_PER_MINUTE,
                },
                {
                    "rateLimitType": "RAW_REQUESTS",
                    "interval": "MINUTE",
                    "intervalNum": 5,
                    "limit": 300_000,
                },
            ],
            "exchangeFilters": [],
            "symbols": [
                wire.symbol_row(self._ledger.listings[symbol])
                | {"status": self._faults.statuses.get(symbol, "TRADING")}
                for symbol in (self._ledger.listings if symbols is None else symbols)
            ],
        }

    def _klines(self, parameters: QueryParameters, unit: int) -> Any:
        symbol = parameters.symbol()
        interval = parameters.required("interval")
        if interval not in wire.INTERVALS:
            raise RequestRefused(-1120, "Invalid interval.")
        now_ms = self._database_ms()
        start_ms = parameters.time_ms("startTime", now_ms)
        end_ms = parameters.time_ms("endTime", now_ms)
        limit, offset_ms = parameters.limit(), parameters.zone_offset_ms()
        parameters.all_read()
        interval_ms = wire.INTERVALS[interval]
        end_ms = now_ms if end_ms is None else min(end_ms, now_ms)
        if start_ms is None:
            start_ms = ((end_ms + offset_ms) // interval_ms - limit + 1) * interval_ms - offset_ms
        start_ms = max(start_ms, self._ledger.oldest_bar_ms())
        # Counted from the first boundary at or after the start.
        first_open = -(-(start_ms + offset_ms) // interval_ms) * interval_ms - offset_ms
        until_ms = min(end_ms + 1, first_open + limit * interval_ms)
        rows = self._ledger.rows(symbol, interval_ms, first_open, until_ms, offset_ms, now_ms)
        if self._faults.is_empty:
            return []
        found = wire.kline_rows(self._ledger.listings[symbol], rows, interval_ms, unit)
        for row in found:
            if row[0] >= self._faults.skewed_from_ms * unit:
                row[4] = row[2]
            if self._faults.is_odd(row[0] // (interval_ms * unit)):
                row[2] = "0.00000000"
        return found

    def _agg_trades(self, parameters: QueryParameters, unit: int) -> Any:
        symbol = parameters.symbol()
        now_ms = self._database_ms()
        from_id = parameters.integer("fromId")
        start_ms = parameters.time_ms("startTime", now_ms)
        end_ms = parameters.time_ms("endTime", now_ms)
        limit, before = parameters.limit(), self._faults.told_before(symbol)
        first_id = self._faults.first_id(symbol)
        parameters.all_read()
        if from_id is not None:
            if start_ms is not None or end_ms is not None:
                raise RequestRefused(-1128, "Combination of optional parameters invalid.")
            from_id = max(from_id + before, first_id)
            trades = self._ledger.trades(symbol, from_id, limit, now_ms)
        elif start_ms is not None:
            until_ms = now_ms + 1 if end_ms is None else min(end_ms, now_ms) + 1
            trades = self._ledger.trades_between(symbol, start_ms, until_ms, limit)
            if trades and trades[0].trade_id < first_id:
                trades = self._ledger.trades(symbol, first_id, limit, until_ms - 1)
        else:
            until_ms = now_ms + 1 if end_ms is None else min(end_ms, now_ms) + 1
            trades = self._ledger.newest_trades(symbol, limit, until_ms)
        if self._faults.is_empty:
            return []
        rows = []
        for trade in trades:
            if trade.trade_id < first_id:
                continue
            row = wire.agg_trade_row(trade, unit) | {"a": trade.trade_id - before}
            if self._faults.is_cancelled(trade.trade_id):
                row |= {"p": "0", "q": "0", "f": -1, "l": -1}
            if self._faults.is_odd(trade.trade_id):
                row |= {"p": "-1"}
            rows.append(row)
        return rows

    def _database_ms(self) -> int:
        """The newest moment that the database behind klines and aggregates knows of."""
        return self._ledger.now_ms() - self._faults.lag_ms

    def _trades(self, parameters: QueryParameters, unit: int) -> Any:
        symbol, limit = parameters.symbol(), parameters.limit()
        parameters.all_read()
        return self._newest_raw(symbol, limit, unit)

    def _historical_trades(self, parameters: QueryParameters, unit: int) -> Any:
        symbol, limit = parameters.symbol(), parameters.limit()
        from_id = parameters.integer("fromId")
        parameters.all_read()
        if from_id is None:
            return self._newest_raw(symbol, limit, unit)
        trades = self._ledger.trades_from_raw(symbol, from_id, limit)
        rows = self._raw_rows(symbol, trades, unit)
        return [row for row in rows if row["id"] >= from_id][:limit]

    def _newest_raw(self, symbol: str, limit: int, unit: int) -> Any:
        trades = self._ledger.newest_trades(symbol, limit)
        return self._raw_rows(symbol, trades, unit)[-limit:]

    def _raw_rows(self, symbol: str, trades: list[Trade], unit: int) -> list[dict[str, Any]]:
        listing = self._ledger.listings[symbol]
        return [row for trade in trades for row in wire.raw_trade_rows(listing, trade, unit)]

    def _day_ticker(self, parameters: QueryParameters, unit: int) -> Any:
        symbols, one = parameters.symbols(), parameters.text("symbol") is not None
        kind = parameters.text("type") or "FULL"
        parameters.all_read()
        if kind not in ("FULL", "MINI"):
            invalid("type")
        rows = [
            wire.day_ticker_row(
                self._ledger.listings[symbol],
                day_ticker(self._ledger, symbol),
                unit,
                kind == "FULL",
            )
            for symbol in (self._ledger.listings if symbols is None else symbols)
        ]
        return rows[0] if one else rows

    def _price(self, parameters: QueryParameters, unit: int) -> Any:
        symbols, one = parameters.symbols(), parameters.text("symbol") is not None
        parameters.all_read()
        listings, until_ms = self._ledger.listings, self._ledger.now_ms() + 1
        rows = [
            {
                "symbol": symbol,
                "price": wire.decimal_text(
                    self._ledger.price_before(symbol, until_ms),
                    self._ledger.listings[symbol].price_decimals,
                ),
            }
            for symbol in (listings if symbols is None else symbols)
        ]
        return rows[0] if one else rows


def _unit(header: str | None) -> int:
    """Factor from milliseconds to the unit of the answer's times."""
    if header in (None, "MILLISECOND", "millisecond"):
        return 1
    if header in ("MICROSECOND", "microsecond"):
        return 1_000
    raise RequestRefused(
        -1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND."
    )


def _always(weight: int) -> Callable[[QueryParameters], int]:
    return lambda parameters: weight


def _day_ticker_weight(parameters: QueryParameters) -> int:
    symbols = parameters.symbols()
    if symbols is None or len(symbols) > 100:
        return 80
    return 2 if len(symbols) <= 20 else 40


def _price_weight(parameters: QueryParameters) -> int:
    return 2 if parameters.text("symbol") is not None else 4
