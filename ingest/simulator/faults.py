"""What the exchange can be made to do wrong, in-process or by /simulator/faults.

All is off until switched on. Standing faults are fields; what happens once is a method. Nothing
here changes the ledger: it stays the judge of what a client should have stored.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import parse_qsl

import orjson

from ingest.simulator.conduct import Conduct

Acknowledge: TypeAlias = Literal["ok", "never", "flat", "nested"]

SHUTDOWN = '{"e":"serverShutdown","E":%d}'
SHUTDOWN_WRAPPED = '{"stream":"!serverShutdown","data":%s}'
REFUSALS = (403, 418, 429, 451, 500, 503)
CLOSE_CODES = (1000, 1001, 1006, 1008)

_RESTRICTED = b'{"code":0,"msg":"Service unavailable from a restricted location."}'
_TOO_MUCH = b'{"code":-1003,"msg":"Too much request weight used; IP banned."}'
_symbol_of = re.compile(r'"s":"([^"]+)"').search
_aggregate_of = re.compile(r'"a":(\d+),"p":"[^"]*","q":"[^"]*","f":\d+,"l":\d+').search
_id_of = re.compile(r'"a":(\d+)').search


class Client(Protocol):
    """An open connection, as faults act on it."""

    is_mute: bool
    is_half_open: bool

    def close(self, code: int, reason: str = "") -> None: ...
    def reset(self) -> None: ...
    def announce_shutdown(self) -> None: ...


@dataclass(slots=True)
class Faults:
    """Standing faults, and those that happen once."""

    # What refuses upgrades, an HTTP status; 0 for none.
    refuse_upgrade: int = 0
    # Accepts and closes at once with this code; 0 for no.
    close_on_accept: int = 0
    acknowledge: Acknowledge = "ok"
    # Symbols whose trades are told to nobody.
    stalled: frozenset[str] = frozenset()
    # Trades not told: so many from now on, or a share of them.
    drop_next: int = 0
    drop_share: float = 0.0
    duplicate_share: float = 0.0
    # A frame may be overtaken by as many others.
    reorder_by: int = 0
    # A frame of garbage after so many trades; 0 for none.
    garbage_every: int = 0
    # Every aggregate whose id is a multiple of this was cancelled.
    tombstone_every: int = 0
    # Status of this many requests to come (-1: of all).
    rest_status: int = 503
    rest_times: int = 0
    # Lists are empty, or begin no earlier than at these ids.
    is_empty: bool = False
    pruned: dict[str, int] = field(default_factory=dict)
    # Ids are told from 1 on from this one of the ledger on, and older ones are not known any more.
    begun_again: dict[str, int] = field(default_factory=dict)
    # Of klines and aggregates every row of so many has an absurd price; 0 for none.
    odd_every: int = 0
    # What the list of symbols says instead of TRADING.
    statuses: dict[str, str] = field(default_factory=dict)
    # How far the database behind klines and aggregates is behind the stream.
    lag_ms: int = 0
    # Klines of minutes from here on show a close that no trade had.
    skewed_from_ms: int = 2**62
    clients: set[Client] = field(default_factory=set)
    conduct: Conduct = field(default_factory=Conduct)
    clock: Callable[[], float] = time.monotonic
    _rng: Random = field(default_factory=lambda: Random(7))
    _banned_until: float = 0.0
    _ban_status: int = 429

    # What happens once ---------------------------------------------------------------------------

    def close_all(self, code: int) -> None:
        """End every connection; 1006 is a reset without a word."""
        for client in tuple(self.clients):
            if code == 1006:
                client.reset()
            else:
                client.close(code)

    def mute(self) -> None:
        """Tell present connections nothing more; pongs go on."""
        for client in self.clients:
            client.is_mute = True

    def half_open(self) -> None:
        """Let nothing more out of present connections, as behind a dead router."""
        for client in self.clients:
            client.is_half_open = True

    def shut_down(self, lead_s: float) -> None:
        """Announce a shutdown to present connections and close them after the lead."""
        present = tuple(self.clients)
        for client in present:
            client.announce_shutdown()

        def close() -> None:
            for client in present:
                client.close(1001, "Server is shutting down")

        asyncio.get_running_loop().call_later(lead_s, close)

    def ban(self, status: int, seconds: float) -> None:
        """Answer requests with 429 or 418 for a while; the header says for how long."""
        self._ban_status, self._banned_until = status, self.clock() + seconds
        self.conduct.begin_ban()

    # Answers -------------------------------------------------------------------------------------

    def rest_refusal(self) -> tuple[int, bytes, dict[str, str]] | None:
        """What a request gets instead of an answer: status, body and headers; None for nothing."""
        now = self.clock()
        self.conduct.calls += 1
        if now < self._banned_until:
            left_s = -int(-(self._banned_until - now) // 1)
            self.conduct.tell_ban(now)
            return self._ban_status, _TOO_MUCH, {"Retry-After": str(left_s)}
        if self.rest_times:
            self.rest_times -= self.rest_times > 0
            return self.rest_status, _RESTRICTED if self.rest_status == 451 else b"", {}
        return None

    def first_id(self, symbol: str) -> int:
        """The first aggregate id that history still has."""
        return max(self.pruned.get(symbol, 0), self.begun_again.get(symbol, 0))

    def told_before(self, symbol: str) -> int:
        """How much lower ids are told than the ledger has them."""
        return max(0, self.begun_again.get(symbol, 0) - 1)

    def is_odd(self, number: int) -> bool:
        """Whether the row of that number can't be used."""
        return bool(self.odd_every) and number % self.odd_every == 0

    def is_cancelled(self, trade_id: int) -> bool:
        """Whether an aggregate is a tombstone."""
        return bool(self.tombstone_every) and trade_id % self.tombstone_every == 0

    def reply_to(self, reply: str) -> str | None:
        """The answer to a control message as it leaves; None for silence."""
        request_id = orjson.loads(reply).get("id")
        error = {"code": 2, "msg": "Invalid request: invalid stream"}
        if self.acknowledge == "never":
            return None
        if self.acknowledge == "flat":
            return orjson.dumps(error | {"id": request_id}).decode()
        if self.acknowledge == "nested":
            return orjson.dumps({"error": error, "id": request_id}).decode()
        return reply

    # By control route ----------------------------------------------------------------------------

    def control(self, query: str) -> dict[str, Any]:
        """Carry out `name=value` pairs and show what is set; methods are names too.

        Raises
        ------
        ValueError
            A name or a value that isn't one; nothing is changed then.
        """
        actions: dict[str, Callable[[str], Callable[[], None]]] = {
            "close": lambda text: _bound(self.close_all, _one_of(int(text), CLOSE_CODES)),
            "mute": lambda text: self.mute,
            "half_open": lambda text: self.half_open,
            "shutdown_s": lambda text: _bound(self.shut_down, _seconds(text)),
            "ban_429_s": lambda text: _bound(self.ban, 429, _seconds(text)),
            "ban_418_s": lambda text: _bound(self.ban, 418, _seconds(text)),
        }
        steps: list[Callable[[], None]] = []
        for name, text in parse_qsl(query, keep_blank_values=True):
            if name in actions:
                steps.append(actions[name](text))
            elif name in _CONVERTERS:
                steps.append(_bound(setattr, self, name, _CONVERTERS[name](text)))
            else:
                raise ValueError(f"no fault is called {name!r}")
        for step in steps:
            step()
        shown = {name: getattr(self, name) for name in _CONVERTERS}
        return shown | {"stalled": sorted(self.stalled), "conduct": self.conduct.summary()}

    # Frames --------------------------------------------------------------------------------------

    @property
    def disturbs(self) -> bool:
        """Whether frames are anything but passed on."""
        return bool(
            self.stalled
            or self.drop_next
            or self.drop_share
            or self.duplicate_share
            or self.reorder_by
            or self.garbage_every
            or self.tombstone_every
            or self.begun_again
        )

    def loses(self, text: str) -> bool:
        """Whether a trade's frame is to be dropped."""
        symbol = _symbol_of(text)
        if symbol is not None and symbol[1] in self.stalled:
            return True
        if self.drop_next:
            self.drop_next -= 1
            return True
        return self.drop_share > 0.0 and self._rng.random() < self.drop_share

    def changed(self, text: str) -> list[str]:
        """A frame as it leaves: cancelled, told twice, or as it is."""
        found = _aggregate_of(text)
        if found is not None and self.is_cancelled(int(found[1])):
            gone = f'"a":{found[1]},"p":"0","q":"0","f":-1,"l":-1'
            text = text[: found.start()] + gone + text[found.end() :]
        text = self._renumbered(text)
        twice = self.duplicate_share > 0.0 and self._rng.random() < self.duplicate_share
        return [text, text] if twice else [text]

    def _renumbered(self, text: str) -> str:
        symbol, found = _symbol_of(text), _id_of(text)
        if symbol is None or found is None or symbol[1] not in self.begun_again:
            return text
        told = int(found[1]) - self.told_before(symbol[1])
        return f"{text[: found.start(1)]}{told}{text[found.end(1) :]}"

    def delay(self) -> float:
        """How many frames may overtake this one."""
        return self._rng.uniform(0.0, self.reorder_by)


class Disturbance:
    """The faults of one connection's frames: what is held back, and when garbage is due."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held: list[tuple[float, int, str]] = []
        self._count = 0
        self._garbage = 0

    def passed(self, texts: list[str]) -> list[str]:
        """The frames to send in place of these."""
        faults = self._faults
        if not faults.disturbs and not self._held:
            return texts
        out: list[str] = []
        for text in texts:
            if '"e":"aggTrade"' not in text:
                out.append(text)
                continue
            if faults.loses(text):
                continue
            for copy in faults.changed(text):
                self._count += 1
                self._held.append((self._count + faults.delay(), self._count, copy))
                if faults.garbage_every and self._count % faults.garbage_every == 0:
                    out.append(ODD_FRAMES[self._garbage % len(ODD_FRAMES)])
                    self._garbage += 1
        self._held.sort()
        due = sum(at <= self._count for at, _, _ in self._held)
        if not faults.reorder_by:
            due = len(self._held)
        out += [text for _, _, text in self._held[:due]]
        del self._held[:due]
        return out


def _garbage(**changes: Any) -> str:
    # From the year 2026, so that only what is changed is wrong with it.
    payload = {"e": "aggTrade", "E": 1_790_000_000_000, "s": "BTCUSDT", "a": 1, "p": "1.0"}
    payload |= {"q": "1.0", "f": 1, "l": 1, "T": 1_790_000_000_000, "m": True} | changes
    return orjson.dumps({"stream": "btcusdt@aggTrade", "data": payload}).decode()


GARBAGE = (
    '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":17',
    _garbage(p="NaN"),
    _garbage().replace('"p":"1.0"', '"p":1.0'),
    _garbage(p=None),
    '{"stream":"btcusdt@aggTrade","data":null}',
    _garbage(a=2**53 + 1, f=2**53 + 1, l=2**53 + 1),
    # Sound to look at, but no time of a trade just made: years ahead, and long past.
    _garbage(a=2**53 - 1, E=4_100_000_000_000, T=4_100_000_000_000),
    _garbage(a=2**53 - 1, E=1_000, T=1_000),
    _garbage(p="0.00000000"),
    _garbage(p="-1.00000000"),
    _garbage(s="FOREIGNUSDT"),
    "",
    "[]x",
)
"""Frames that must never become a trade; a parser may count each but no bar may show it."""
UNKNOWN_EVENT = '{"stream":"btcusdt@something","data":{"e":"somethingNew","E":1,"s":"BTCUSDT"}}'
ODD_FRAMES = (*GARBAGE, UNKNOWN_EVENT)


def _bound(action: Callable[..., None], *values: Any) -> Callable[[], None]:
    return lambda: action(*values)


def _one_of(value: int, allowed: tuple[int, ...]) -> int:
    if value not in allowed:
        raise ValueError(f"{value} is none of {allowed}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 86_400.0:
        raise ValueError(f"{text} s is not from 0 to 86400")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{text} is no share from 0 to 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not -1 <= value <= 10**7:
        raise ValueError(f"{text} is not from -1 to 10 million")
    return value


def _acknowledge(text: str) -> str:
    if text not in ("ok", "never", "flat", "nested"):
        raise ValueError(f"{text!r} is none of ok, never, flat, nested")
    return text


def _pruned(text: str) -> Mapping[str, int]:
    pairs = (item.partition(":") for item in text.split(",") if item)
    return {symbol: int(first_id) for symbol, _, first_id in pairs}


def _statuses(text: str) -> Mapping[str, str]:
    pairs = (item.partition(":") for item in text.split(",") if item)
    return {symbol: status for symbol, _, status in pairs}


_CONVERTERS: dict[str, Callable[[str], Any]] = {
    "refuse_upgrade": lambda text: _one_of(int(text), (0, *REFUSALS)),
    "close_on_accept": lambda text: _one_of(int(text), (0, *CLOSE_CODES)),
    "acknowledge": _acknowledge,
    "stalled": lambda text: frozenset(filter(None, text.split(","))),
    "drop_next": _count,
    "drop_share": _share,
    "duplicate_share": _share,
    "reorder_by": _count,
    "garbage_every": _count,
    "tombstone_every": _count,
    "rest_status": lambda text: _one_of(int(text), REFUSALS),
    "rest_times": _count,
    "is_empty": lambda text: text in ("1", "true"),
    "pruned": _pruned,
    "begun_again": _pruned,
    "odd_every": _count,
    "statuses": _statuses,
    "lag_ms": _count,
    "skewed_from_ms": int,
}
assert set(_CONVERTERS) <= {item.name for item in fields(Faults)}
