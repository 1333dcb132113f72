"""A first start compiles for a minute: meanwhile the desk says so, and keeps nobody waiting."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient

from app import create_app
from app.services import Desk, open_desk
from app.views.live.callbacks import load_newer, load_screen
from core.settings import Settings
from ingest.store.reader import Reader
from tests.app.conftest import NOW_MS
from tests.support.waiting import HANG_S

REQUEST = {"query": "symbol_a=BTCUSDT&symbol_b=ETHUSDT&window=60&hedge_window=120", "note": ""}
PATH = "/analytics/pair?points=0&window=60&hedge_window=120"


class HeldTurn:
    """A turn that another process has for as long as the test wants."""

    def __init__(self) -> None:
        self.is_wanted = threading.Event()
        self.is_free = threading.Event()

    def __enter__(self) -> None:
        self.is_wanted.set()
        assert self.is_free.wait(HANG_S)

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def first_start(
    market_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Dash, Callable[[], None]]]:
    """A desk whose kernels are being compiled, and what ends that."""
    reader, turn = Reader(market_url), HeldTurn()
    app = create_app(settings, reader, clock=lambda: NOW_MS / 1_000)
    kernels = app.server.extensions["pairdesk"].kernels
    monkeypatch.setattr(kernels, "_load_s", 0.0)
    thread = threading.Thread(target=kernels.warm_up, args=(turn,))
    thread.start()
    assert turn.is_wanted.wait(HANG_S)

    def end() -> None:
        turn.is_free.set()
        thread.join(HANG_S)

    yield app, end
    end()
    reader.close()


def test_whoever_asks_meanwhile_is_told_to_come_back(
    first_start: tuple[Dash, Callable[[], None]], open_client: Callable[[Dash], FlaskClient]
) -> None:
    app, end = first_start
    client = open_client(app)
    for path in (PATH, "/analytics/pair/explain", "/analytics/pair/expectancy"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert "being compiled, once on this machine" in json.loads(answer.data)["detail"]
    assert client.get("/api/status").json["kernels"] == "preparing"
    assert client.get("/api/bars?symbol=BTCUSDT&timeframe=1m").status_code == 200
    end()
    assert client.get(PATH).json["zscore"] is not None
    assert client.get("/api/status").json["kernels"] == "ready"


def test_the_page_says_so_and_draws_by_itself_once_it_can(
    first_start: tuple[Dash, Callable[[], None]],
) -> None:
    app, end = first_start
    desk: Desk = app.server.extensions["pairdesk"]
    screen = load_screen(desk, REQUEST)
    assert screen["figures"] is None
    assert screen["texts"]["empty"].startswith("The numeric kernels are being compiled")
    assert [level for level, words in said(screen) if "made ready" in words] == ["info"]
    assert screen["strip"]["feed"] == "live"  # numbers are late, nothing is cut
    assert not desk.watchlist.view().rules
    cursor = screen["cursor"]
    assert "reload" not in (told(load_newer(desk, REQUEST, cursor)) or {})
    end()
    assert told(load_newer(desk, REQUEST, cursor))["reload"]
    assert load_screen(desk, REQUEST)["figures"] is not None


def test_warm_up_needs_no_store_and_leaves_the_desk_ready(settings: Settings) -> None:
    desk = open_desk(settings, Reader("sqlite:////nowhere/market.db"))
    desk.kernels.warm_up()
    assert desk.kernels.are_ready


def test_a_warm_up_that_fails_keeps_nobody_waiting(settings: Settings) -> None:
    class NoTurn(HeldTurn):
        def __enter__(self) -> None:
            raise OSError("no lock can be made here")

    kernels = open_desk(settings, Reader("sqlite:////nowhere/market.db")).kernels
    with pytest.raises(OSError, match="no lock"):
        kernels.warm_up(NoTurn())
    assert kernels.are_ready


def told(delta: Any) -> Any:
    """A delta; none where nothing is newer."""
    return delta if isinstance(delta, dict) else None


def said(screen: dict[str, Any]) -> list[tuple[str, str]]:
    """Notices of a screen: level and words of each."""
    found = []
    todo = [part.to_plotly_json() for part in screen["notices"]]
    while todo:
        part = todo.pop(0)
        children = part["props"].get("children", [])
        children = children if isinstance(children, list) else [children]
        words = "".join(child for child in children if isinstance(child, str))
        look = part["props"].get("className", "")
        if look.startswith("notice "):
            found.append((look.removeprefix("notice "), words))
        todo += [child.to_plotly_json() for child in children if not isinstance(child, str)]
    return found
