"""How far a client has come; it sends this back with every request for what is newer."""

import zlib
from dataclasses import dataclass
from typing import Any

import orjson

_LARGEST = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class ClientCursor:
    """Which rows of which result a client has drawn, and prints of what else it was told.

    `start_ms` is 0 while the client has no rows at all. A revision tells that something of a leg
    was rewritten, at any time and of any timeframe; `drawn` tells whether anything drawn was.
    """

    key: str
    start_ms: int = 0
    first_ms: int = 0
    last_ms: int = 0
    revision_a: int = 0
    revision_b: int = 0
    drawn: int = 0
    trips_closed: int = 0
    trips_shown: int = 0
    forming: int = 0
    strip: int = 0
    notices: int = 0


def read_cursor(raw: object) -> ClientCursor | None:
    """The cursor a client sent back; None for anything that isn't one."""
    if not isinstance(raw, dict) or raw.keys() != ClientCursor.__dataclass_fields__.keys():
        return None
    values = dict(raw)
    key = values.pop("key")
    whole = all(type(value) is int and 0 <= value <= _LARGEST for value in values.values())
    return ClientCursor(key, **values) if isinstance(key, str) and whole else None


def fingerprint(content: Any) -> int:
    """A number that tells whether what the client was told still stands."""
    return zlib.crc32(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))
