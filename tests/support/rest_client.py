"""A REST client whose exchange is a function, and whose time is the test's."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import httpx

from core.errors import ExchangeError
from ingest.binance.failover import FailoverClient
from ingest.binance.rest import RestClient
from ingest.binance.weights import Hold

HOSTS = ("https://one.example", "https://two.example", "https://three.example")

Answer = Callable[[httpx.Request], httpx.Response]


def refusal(code: int, msg: str, status: int = 400) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "msg": msg})


def aggregate(trade_id: int, **changes: Any) -> dict[str, Any]:
    row = {"a": trade_id, "p": "100.5", "q": "0.25", "f": trade_id * 2, "l": trade_id * 2 + 1}
    return row | {"T": 1_700_000_000_000 + trade_id, "m": True, "M": True} | changes


class Desk:
    """A client whose exchange is a function, and whose time is the test's."""

    def __init__(
        self,
        time: Any,
        answer: Any,
        hosts: tuple[str, ...] = HOSTS[:1],
        hold: Hold | None = None,
    ) -> None:
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.time = time

        def handle(request: httpx.Request) -> Any:
            self.requests.append(request)
            self.times.append(time.now)
            return answer(request)

        async def handle_later(request: httpx.Request) -> Any:
            return await handle(request)

        later = asyncio.iscoroutinefunction(answer)
        self.client = RestClient(
            FailoverClient(
                hosts,
                httpx.MockTransport(handle_later if later else handle),
                time.clock,
                time.sleep,
                wall_clock=time.wall_clock,
                rng=Random(1),
                hold=hold,
            )
        )

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.requests]

    def run(self, *calls: Callable[[RestClient], Coroutine[Any, Any, Any]]) -> list[Any]:
        """Make calls at once; gives results and ExchangeErrors."""

        async def together() -> list[Any]:
            tasks = asyncio.gather(*(call(self.client) for call in calls), return_exceptions=True)
            await self.time.finish(tasks)
            await self.client.aclose()
            return list(tasks.result())

        results = asyncio.run(together())
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, ExchangeError):
                raise result
        return results
