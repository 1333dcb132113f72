"""Desks with rules: judged as the analyst does when the test says so, or by the analyst itself."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

from ingest.analysis.evaluation import Evaluation
from ingest.store.reader import Reader
from tests.support.processes import start_analyst
from tests.support.waiting import HANG_S

RULE = {"symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "timeframe": "1m", "entry_z": 4}


class Watched:
    """A desk whose rules are judged as the analyst does, when the test says so."""

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.reader = Reader(desk.database_url)
        self._evaluation = Evaluation(self.reader, desk.writer, lambda: desk.now_ms)

    def api(self, path: str) -> Any:
        with urlopen(f"{self.desk.url}{path}") as answer:
            return json.load(answer)

    def rule(self, **changes: Any) -> int:
        body = json.dumps(RULE | changes).encode()
        headers = {"Content-Type": "application/json", "Origin": self.desk.url}
        with urlopen(Request(f"{self.desk.url}/api/rules", body, headers)) as answer:
            number: int = json.load(answer)["id"]
        return number

    def close(self, **moves: float) -> None:
        """Close a bar and judge it."""
        self.desk.append_bar(**moves)
        self._evaluation.look()


class Analysed(Watched):
    """The same with the analyst itself, a process that sees each bar by itself."""

    def __init__(self, desk: Any) -> None:
        super().__init__(desk)
        self.process = start_analyst(desk.database_url)

    def close(self, **moves: float) -> None:
        """Close a bar and leave it to the analyst."""
        self.desk.append_bar(**moves)


@pytest.fixture
def analysed(start_desk: Callable[..., Any]) -> Iterator[Analysed]:
    made = Analysed(start_desk())
    yield made
    made.process.kill()
    made.process.wait(HANG_S)
    made.reader.close()


@pytest.fixture
def watched(start_desk: Callable[..., Any]) -> Iterator[Watched]:
    made = Watched(start_desk())
    yield made
    made.reader.close()
