"""How trades and bars look on the wire: the exchange's field names, decimals in strings."""

from typing import Any

import orjson

from core.types import Trade
from ingest.simulator.folding import BarRows
from ingest.simulator.listing import SimulatedSymbol
from ingest.simulator.ticker import DayTicker

INTERVALS: dict[str, int] = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
}


def decimal_text(value: int, decimals: int) -> str:
    """A whole number of 10^-decimals as the exchange writes it, with eight decimals."""
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part * 10 ** (8 - decimals):08d}"


def split_quantities(listing: SimulatedSymbol, trade: Trade) -> list[float]:
    """Quantities of the raw trades behind an aggregate; they add up to its own."""
    decimals = listing.quantity_decimals
    steps = round(trade.quantity * 10**decimals)
    share, rest = divmod(steps, trade.raw_count)
    return [(share + (i < rest)) / 10**decimals for i in range(trade.raw_count)]


# REST -----------------------------------------------------------------------------------------


def agg_trade_row(trade: Trade, unit: int) -> dict[str, Any]:
    return {
        "a": trade.trade_id,
        "p": f"{trade.price:.8f}",
        "q": f"{trade.quantity:.8f}",
        "f": trade.first_id,
        "l": trade.last_id,
        "T": trade.trade_time_ms * unit,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def raw_trade_rows(listing: SimulatedSymbol, trade: Trade, unit: int) -> list[dict[str, Any]]:
    return [
        {
            "id": trade.first_id + i,
            "price": f"{trade.price:.8f}",
            "qty": f"{quantity:.8f}",
            "quoteQty": f"{trade.price * quantity:.8f}",
            "time": trade.trade_time_ms * unit,
            "isBuyerMaker": trade.buyer_is_maker,
            "isBestMatch": True,
        }
        for i, quantity in enumerate(split_quantities(listing, trade))
    ]


def kline_rows(
    listing: SimulatedSymbol, rows: BarRows, interval_ms: int, unit: int
) -> list[list[Any]]:
    """Arrays of twelve, as /api/v3/klines answers them."""
    ticks, steps = listing.price_decimals, listing.quantity_decimals
    columns = (
        rows.open_time_ms,
        rows.open,
        rows.high,
        rows.low,
        rows.close,
        rows.volume,
        rows.quote_volume,
        rows.trade_count,
        rows.taker_buy_volume,
        rows.taker_buy_quote,
    )
    return [
        [
            open_time_ms * unit,
            decimal_text(first, ticks),
            decimal_text(high, ticks),
            decimal_text(low, ticks),
            decimal_text(last, ticks),
            decimal_text(volume, steps),
            (open_time_ms + interval_ms) * unit - 1,
            decimal_text(quote_volume, ticks + steps),
            count,
            decimal_text(taker_volume, steps),
            decimal_text(taker_quote, ticks + steps),
            "0",
        ]
        for (
            open_time_ms,
            first,
            high,
            low,
            last,
            volume,
            quote_volume,
            count,
            taker_volume,
            taker_quote,
        ) in zip(*(column.tolist() for column in columns), strict=True)
    ]


def day_ticker_row(
    listing: SimulatedSymbol, day: DayTicker, unit: int, full: bool
) -> dict[str, Any]:
    """One entry of /api/v3/ticker/24hr; `full` False is its type=MINI."""
    ticks, steps = listing.price_decimals, listing.quantity_decimals
    change = day.close - day.open
    sign = "-" if change < 0 else ""
    average = day.quote_volume / max(day.volume, 1) / 10**ticks
    row: dict[str, Any] = {"symbol": listing.symbol}
    if full:
        row |= {
            "priceChange": sign + decimal_text(abs(change), ticks),
            "priceChangePercent": f"{100 * change / day.open:.3f}",
            "weightedAvgPrice": f"{average:.8f}",
            "prevClosePrice": decimal_text(day.price_before, ticks),
        }
    row["lastPrice"] = decimal_text(day.close, ticks)
    if full:
        row |= {
            "bidPrice": decimal_text(day.close, ticks),
            "askPrice": decimal_text(day.close + 1, ticks),
        }
    return row | {
        "openPrice": decimal_text(day.open, ticks),
        "highPrice": decimal_text(day.high, ticks),
        "lowPrice": decimal_text(day.low, ticks),
        "volume": decimal_text(day.volume, steps),
        "quoteVolume": decimal_text(day.quote_volume, ticks + steps),
        "openTime": day.open_time_ms * unit,
        "closeTime": day.close_time_ms * unit,
        "firstId": day.first_raw_id,
        "lastId": day.first_raw_id + day.trade_count - 1 if day.trade_count else -1,
        "count": day.trade_count,
    }


def symbol_row(listing: SimulatedSymbol) -> dict[str, Any]:
    """One entry of /api/v3/exchangeInfo."""
    tick = decimal_text(1, listing.price_decimals)
    step = decimal_text(1, listing.quantity_decimals)
    return {
        "symbol": listing.symbol,
        "status": "TRADING",
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": "1000000.00000000",
                "tickSize": tick,
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": step,
                "maxQty": "9000000.00000000",
                "stepSize": step,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }


# Streams --------------------------------------------------------------------------------------


def agg_trade_frame(trade: Trade, unit: int) -> str:
    """`<symbol>@aggTrade`, formatted by hand: there are thousands a second."""
    return (
        f'{{"e":"aggTrade","E":{trade.event_time_ms * unit},"s":"{trade.symbol}",'
        f'"a":{trade.trade_id},"p":"{trade.price:.8f}","q":"{trade.quantity:.8f}",'
        f'"f":{trade.first_id},"l":{trade.last_id},"T":{trade.trade_time_ms * unit},'
        f'"m":{"true" if trade.buyer_is_maker else "false"},"M":true}}'
    )


def raw_trade_frames(listing: SimulatedSymbol, trade: Trade, unit: int) -> list[str]:
    """`<symbol>@trade`, one a raw trade."""
    maker = "true" if trade.buyer_is_maker else "false"
    return [
        f'{{"e":"trade","E":{trade.event_time_ms * unit},"s":"{trade.symbol}",'
        f'"t":{trade.first_id + i},"p":"{trade.price:.8f}","q":"{quantity:.8f}",'
        f'"T":{trade.trade_time_ms * unit},"m":{maker},"M":true}}'
        for i, quantity in enumerate(split_quantities(listing, trade))
    ]


def book_ticker_frame(listing: SimulatedSymbol, trade: Trade) -> str:
    """`<symbol>@bookTicker` as the trade leaves it: it has neither event name nor time."""
    tick = 10.0**-listing.price_decimals
    bid = trade.price if trade.buyer_is_maker else trade.price - tick
    return (
        f'{{"u":{trade.last_id},"s":"{trade.symbol}","b":"{bid:.8f}","B":"{trade.quantity:.8f}",'
        f'"a":"{bid + tick:.8f}","A":"{trade.quantity:.8f}"}}'
    )


def kline_frame(
    listing: SimulatedSymbol,
    interval: str,
    rows: BarRows,
    event_time_ms: int,
    closed: bool,
    unit: int,
) -> str:
    """`<symbol>@kline_<interval>` of the first of `rows`."""
    row = kline_rows(listing, rows, INTERVALS[interval], unit)[0]
    first_id, count = int(rows.first_raw_id[0]), int(rows.trade_count[0])
    kline = {
        "t": row[0],
        "T": row[6],
        "s": listing.symbol,
        "i": interval,
        "f": first_id,
        "L": first_id + count - 1 if count else -1,
        "o": row[1],
        "c": row[4],
        "h": row[2],
        "l": row[3],
        "v": row[5],
        "n": count,
        "x": closed,
        "q": row[7],
        "V": row[9],
        "Q": row[10],
        "B": "0",
    }
    frame = {"e": "kline", "E": event_time_ms * unit, "s": listing.symbol, "k": kline}
    return orjson.dumps(frame).decode()


def mini_ticker_frame(
    listing: SimulatedSymbol, day: DayTicker, event_time_ms: int, unit: int
) -> str:
    """`<symbol>@miniTicker`."""
    ticks, steps = listing.price_decimals, listing.quantity_decimals
    frame = {
        "e": "24hrMiniTicker",
        "E": event_time_ms * unit,
        "s": listing.symbol,
        "c": decimal_text(day.close, ticks),
        "o": decimal_text(day.open, ticks),
        "h": decimal_text(day.high, ticks),
        "l": decimal_text(day.low, ticks),
        "v": decimal_text(day.volume, steps),
        "q": decimal_text(day.quote_volume, ticks + steps),
    }
    return orjson.dumps(frame).decode()
