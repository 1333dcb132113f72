"""A small stored market with a known present, and the desk that serves it."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient

from app import create_app
from app.services import Desk, open_desk
from core.settings import Settings
from core.types import Bar, Origin
from ingest.analysis.evaluation import Evaluation
from ingest.store import gaps, market, process
from ingest.store.desk_book import DeskBook
from ingest.store.engine import open_engine
from ingest.store.market import FeedCursor
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.support.market import listing, plain_bar, reverting_legs

MINUTE = 60_000
BARS = 1_500
LAST_OPEN_MS = 1_795_401_000_000 // MINUTE * MINUTE
NOW_MS = LAST_OPEN_MS + MINUTE + 20_000
FORMING_OPEN_MS = LAST_OPEN_MS + MINUTE
WORKER = {
    "feed": {
        "state": "live",
        "host": "127.0.0.1",
        "last_frame_ms": NOW_MS - 250,
        "trades_per_s": 12.5,
        "lag_ms_p50": 40.0,
        "lag_ms_p99": 90.0,
        "reconnects": 1,
        "last_error": None,
    },
    "quarantined": 2,
    "queue_depth": 3,
    "backfill": {"done": 5, "total": 5, "message": "done"},
    "symbols_left_out": ["NOSUCHUSDT"],
}


def minute_bars(closes: np.ndarray, last_open_ms: int = LAST_OPEN_MS) -> list[Bar]:
    """Complete 1m bars with these closes, the last one opening at `last_open_ms`."""
    first_ms = last_open_ms - (len(closes) - 1) * MINUTE
    opens = np.concatenate([closes[:1], closes[:-1]])
    return [
        plain_bar(first_ms + index * MINUTE, float(open_), float(close))
        for index, (open_, close) in enumerate(zip(opens, closes, strict=True))
    ]


def fill(database_url: str) -> None:
    """BTCUSDT and ETHUSDT side by side, SOLUSDT long before them, DOGEUSDT without bars."""
    closes_a, closes_b = reverting_legs(BARS, seed=7, persistence=0.93)
    names = ("BTC", "ETH", "SOL", "DOGE")
    writer = Writer(open_engine(database_url))
    with writer.transaction() as tx:
        ids = market.ensure_symbols(tx, [listing(name) for name in names])
        market.upsert_bars(tx, ids["BTCUSDT"], MINUTE, minute_bars(closes_a), Origin.TRADES)
        market.upsert_bars(tx, ids["ETHUSDT"], MINUTE, minute_bars(closes_b), Origin.TRADES)
        long_ago = minute_bars(closes_b[:20], LAST_OPEN_MS - 10_000 * MINUTE)
        market.upsert_bars(tx, ids["SOLUSDT"], MINUTE, long_ago, Origin.KLINE, imported=True)
        for symbol, price in (("BTCUSDT", closes_a[-1] * 1.002), ("ETHUSDT", closes_b[-1])):
            market.save_cursor(
                tx,
                ids[symbol],
                FeedCursor(900, float(price), FORMING_OPEN_MS + 15_000, 0, FORMING_OPEN_MS),
            )
        gaps.open_gap(
            tx, ids["ETHUSDT"], 11, 14, LAST_OPEN_MS - 90_500, LAST_OPEN_MS, "reconnect", NOW_MS
        )
        process.save_status(tx, "worker", 4242, "running", NOW_MS - 800, WORKER)
        process.set_meta(tx, "source", "simulated")
        process.set_meta(tx, "source_reason", "no exchange answers")
    writer.close()


@pytest.fixture(scope="session")
def market_url(empty_database: bytes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The stored market that tests read and never change."""
    path = tmp_path_factory.mktemp("market") / "market.db"
    path.write_bytes(empty_database)
    fill(f"sqlite:///{path}")
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings.from_mapping({"FEE_BPS": "7.5", "SLIPPAGE_BPS": "1.5"})


@pytest.fixture(scope="session")
def desk(market_url: str, settings: Settings) -> Iterator[Dash]:
    """The desk over the stored market, up for a minute, its clock standing still."""
    clock, reader = {"now": NOW_MS / 1000 - 60}, Reader(market_url)
    desk = create_app(settings, reader, clock=lambda: clock["now"])
    clock["now"] += 60
    yield desk
    reader.close()


@pytest.fixture(scope="session")
def services(desk: Dash) -> Desk:
    service: Desk = desk.server.extensions["pairdesk"]
    return service


ADDRESSES = itertools.count(1)


@pytest.fixture(scope="session")
def open_client() -> Callable[[Dash], FlaskClient]:
    """Clients with addresses of their own: no test is limited by another's requests."""

    def open_one(desk: Dash) -> FlaskClient:
        client: FlaskClient = desk.server.test_client()
        number = next(ADDRESSES)
        client.environ_base["REMOTE_ADDR"] = f"10.1.{number // 250}.{number % 250}"
        return client

    return open_one


@pytest.fixture
def client(desk: Dash, open_client: Callable[[Dash], FlaskClient]) -> FlaskClient:
    return open_client(desk)


@pytest.fixture
def own_writer(database_url: str) -> Iterator[Writer]:
    """Fills the test's own database with the market and writes on into it."""
    fill(database_url)
    writer = Writer(open_engine(database_url))
    yield writer
    writer.close()


@pytest.fixture
def own_ids(own_writer: Writer) -> dict[str, int]:
    names = ("BTC", "ETH", "SOL", "DOGE")
    with own_writer.transaction() as tx:
        return market.ensure_symbols(tx, [listing(name) for name in names])


@pytest.fixture
def own_desk(database_url: str, own_writer: Writer, settings: Settings) -> Iterator[Any]:
    """A desk over the test's own database, up for a minute, whose clock the test may move."""
    clock, reader = {"now": NOW_MS / 1000 - 60}, Reader(database_url)
    desk = create_app(settings, reader, clock=lambda: clock["now"])
    clock["now"] += 60
    yield desk, clock
    reader.close()


@pytest.fixture
def own_services(own_desk: tuple[Dash, dict[str, float]]) -> Desk:
    service: Desk = own_desk[0].server.extensions["pairdesk"]
    return service


class Clocked:
    """A desk over the test's own store, whose clocks the test moves, and an analyst beside it."""

    def __init__(self, url: str, writer: Writer, ids: dict[str, int], settings: Settings) -> None:
        self.now_s, self.writer, self.ids = NOW_MS / 1_000, writer, ids
        self.reader, self.book = Reader(url), DeskBook(url)
        self.desk = open_desk(
            settings, self.reader, lambda: self.now_s, lambda: self.now_s, book=self.book
        )
        self.evaluation = Evaluation(self.reader, writer, lambda: int(self.now_s * 1_000))
        self.last_ms = LAST_OPEN_MS

    def rule(self, **changes: Any) -> int:
        given = {"symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "entry_z": 4} | changes
        return self.desk.alerts.create(given).rule_id

    def close(self, move: float = 0.0) -> None:
        """Close the next minute, leg A moved by a share, and judge it."""
        self.last_ms += MINUTE
        with self.writer.transaction() as tx:
            for symbol, share in (("BTCUSDT", move), ("ETHUSDT", 0.0)):
                last = float(self.desk.market.bars(symbol, MINUTE, limit=1).close[-1])
                bar = plain_bar(self.last_ms, last, last * (1 + share))
                market.upsert_bars(tx, self.ids[symbol], MINUTE, [bar], Origin.TRADES)
        self.now_s += 60
        self.evaluation.look()

    def shut(self) -> None:
        self.reader.close()
        self.book.close()


@pytest.fixture
def clocked(
    database_url: str, own_writer: Writer, own_ids: dict[str, int], settings: Settings
) -> Iterator[Clocked]:
    made = Clocked(database_url, own_writer, own_ids, settings)
    yield made
    made.shut()
