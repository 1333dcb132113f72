"""Query parameters read the way the exchange reads them, with its error bodies."""

import re
from typing import NoReturn
from urllib.parse import parse_qsl

import orjson

from ingest.simulator.listing import Listings

EARLIEST_MS = 1_483_228_800_000
LATEST_AHEAD_MS = 10_000
# Whatever is larger than this is in microseconds: as milliseconds it is the year 5138.
_MICROSECONDS_FROM = 100_000_000_000_000

_SYMBOL_RANGE = "^[A-Z0-9-_.]{1,20}$"
_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_ZONE = re.compile(r"([+-]?)(\d{1,2})(?::([0-5]\d))?")


class RequestRefused(Exception):
    """A request that gets the exchange's error body."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    @property
    def body(self) -> bytes:
        return orjson.dumps({"code": self.code, "msg": self.message})


def illegal(name: str, legal: str) -> NoReturn:
    """Refuse a value of the wrong characters."""
    raise RequestRefused(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def invalid(name: str) -> NoReturn:
    """Refuse a value of the right characters and no sense."""
    raise RequestRefused(-1130, f"Data sent for parameter '{name}' is not valid.")


class QueryParameters:
    """One request's query; what is never read is refused at the end."""

    def __init__(self, query: str, listings: Listings) -> None:
        pairs = parse_qsl(query, keep_blank_values=True)
        self._values = dict(pairs)
        self._read: set[str] = set()
        self._listings = listings
        if len(pairs) != len(self._values):
            raise RequestRefused(-1101, "Duplicate values for a parameter detected.")

    def all_read(self) -> None:
        """Refuse parameters that the endpoint does not know."""
        sent, known = len(self._values), len(self._read)
        if not known and sent:
            raise RequestRefused(-1101, f"Too many parameters; expected '0' and received '{sent}'.")
        if known != sent:
            raise RequestRefused(
                -1104,
                f"Not all sent parameters were read; read '{known}' parameter(s)"
                f" but was sent '{sent}'.",
            )

    def text(self, name: str) -> str | None:
        """A parameter, None when it was not sent."""
        value = self._values.get(name)
        if value is None:
            return None
        self._read.add(name)
        if not value:
            raise RequestRefused(-1105, f"Parameter '{name}' was empty.")
        return value

    def required(self, name: str) -> str:
        """A parameter that must be there."""
        self._read |= {name} & self._values.keys()
        value = self._values.get(name)
        if not value:
            raise RequestRefused(
                -1102,
                f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
            )
        return value

    def symbol(self) -> str:
        """The mandatory `symbol`, one that is listed."""
        return self._listed(self.required("symbol"))

    def symbols(self) -> list[str] | None:
        """`symbol` or `symbols`; None when neither was sent."""
        one, several = self.text("symbol"), self.text("symbols")
        if one is not None and several is not None:
            raise RequestRefused(-1128, "Combination of optional parameters invalid.")
        if one is not None:
            return [self._listed(one)]
        if several is None:
            return None
        legal = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'
        try:
            names = orjson.loads(several)
        except orjson.JSONDecodeError:
            illegal("symbols", legal)
        if not isinstance(names, list) or not all(
            isinstance(name, str) and _SYMBOL.fullmatch(name) for name in names
        ):
            illegal("symbols", legal)
        if not names:
            raise RequestRefused(-1105, "Parameter 'symbols' was empty.")
        return [self._listed(name) for name in names]

    def integer(self, name: str) -> int | None:
        """A whole number, not negative."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(r"[0-9]{1,20}", value):
            illegal(name, "^[0-9]{1,20}$")
        return int(value)

    def time_ms(self, name: str, now_ms: int) -> int | None:
        """A time in ms or µs; one out of range is moved to its end, not refused."""
        value = self.integer(name)
        if value is None:
            return None
        if value >= _MICROSECONDS_FROM:
            value //= 1_000
        return min(max(value, EARLIEST_MS), now_ms + LATEST_AHEAD_MS)

    def limit(self) -> int:
        """`limit`: 500 when not sent, never more than 1,000."""
        value = self.integer("limit")
        if value == 0:
            invalid("limit")
        return 500 if value is None else min(value, 1_000)

    def zone_offset_ms(self) -> int:
        """`timeZone` between -12:00 and +14:00, as hours or hours and minutes."""
        value = self.text("timeZone")
        if value is None:
            return 0
        found = _ZONE.fullmatch(value)
        if found is None:
            invalid("timeZone")
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        if found[1] == "-":
            minutes = -minutes
        if not -12 * 60 <= minutes <= 14 * 60:
            invalid("timeZone")
        return minutes * 60_000

    def _listed(self, symbol: str) -> str:
        if not _SYMBOL.fullmatch(symbol):
            illegal("symbol", _SYMBOL_RANGE)
        if symbol not in self._listings:
            raise RequestRefused(-1121, "Invalid symbol.")
        return symbol
