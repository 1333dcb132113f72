"""How long the exchange wants to be left alone, in all forms that it may be said in."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from core.errors import FrameError
from ingest.binance.frames import to_milliseconds

LONGEST_WAIT_S = 3 * 86_400.0
"""The longest ban that the exchange documents; what is more is a mistake."""
SHORTEST_WAIT_S = 1.0
"""A wait that is over already: whoever was just refused doesn't ask again in the same instant."""
_SECONDS = re.compile(r"\s*\d+(\.\d*)?\s*", re.ASCII)
_BANNED_UNTIL = re.compile(rb"\bbanned until (\d{13,16})\b")


def asked_wait_s(headers: Mapping[str, str], body: bytes, now_s: float) -> float | None:
    """Read the wait from an answer; the longest where several are named, None where none is.

    Parameters
    ----------
    headers : names in any case that `get` understands: `Retry-After` in seconds or as a date.
    body : may name the end of a ban in milliseconds of the exchange's clock.
    now_s : the exchange's clock as far as it is known, for an answer without a `Date`: how long
        it is until a date depends on whose clock says now.
    """
    retry_after = headers.get("Retry-After") or ""
    waits = [float(part) for part in retry_after.split(",") if _SECONDS.fullmatch(part)]
    exchange_s = _date_s(headers.get("Date") or "")
    if exchange_s is None:
        exchange_s = now_s
    ends = (None if waits else _date_s(retry_after), _ban_end_s(body))
    waits += [end - exchange_s for end in ends if end is not None]
    if not waits:
        return None
    return min(max(*waits, SHORTEST_WAIT_S), LONGEST_WAIT_S)


def _date_s(text: str) -> float | None:
    """Read an HTTP date, in each of its three forms."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    try:
        return date.timestamp()
    except (ValueError, OverflowError):
        return None


def _ban_end_s(body: bytes) -> float | None:
    found = _BANNED_UNTIL.search(body)
    if found is None:
        return None
    try:
        return to_milliseconds(int(found[1])) / 1_000.0
    except FrameError:
        return None
