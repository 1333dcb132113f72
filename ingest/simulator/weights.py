"""The request-weight budget by client address: 429 above it, 418 for going on."""

from dataclasses import dataclass

from ingest.simulator.parameters import RequestRefused

WEIGHT_PER_MINUTE = 6_000
_BAN_FROM = WEIGHT_PER_MINUTE + 1_000
_BAN_MS = 120_000
_MINUTE_MS = 60_000


@dataclass(slots=True)
class _Use:
    minute: int = -1
    weight: int = 0
    banned_until_ms: int = 0


class Overused(RequestRefused):
    """Too much weight; `retry_after_s` goes into the header."""

    def __init__(self, status: int, message: str, retry_after_s: int) -> None:
        super().__init__(-1003, message, status)
        self.retry_after_s = retry_after_s


class WeightMeter:
    """Weight used by each address in the present UTC minute."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def charge(self, address: str, weight: int, now_ms: int) -> int:
        """Add `weight` and return the weight used this minute.

        Raises
        ------
        Overused
            Above the budget; the refused requests count too, and 1,000 of them bring a ban.
        """
        use = self._uses.setdefault(address, _Use())
        if now_ms < use.banned_until_ms:
            raise self._ban(use, now_ms)
        if use.minute != now_ms // _MINUTE_MS:
            use.minute, use.weight = now_ms // _MINUTE_MS, 0
        use.weight += weight
        if use.weight > _BAN_FROM:
            use.banned_until_ms = now_ms + _BAN_MS
            raise self._ban(use, now_ms)
        if use.weight > WEIGHT_PER_MINUTE:
            raise Overused(
                429,
                f"Too much request weight used; current limit is {WEIGHT_PER_MINUTE} request"
                " weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid"
                " polling the API.",
                _seconds(_MINUTE_MS - now_ms % _MINUTE_MS),
            )
        return use.weight

    def used(self, address: str) -> int:
        """Weight used in the minute of the last request."""
        use = self._uses.get(address)
        return 0 if use is None else use.weight

    @staticmethod
    def _ban(use: _Use, now_ms: int) -> Overused:
        return Overused(
            418,
            f"Way too much request weight used; IP banned until {use.banned_until_ms}."
            " Please use WebSocket Streams for live updates to avoid bans.",
            _seconds(use.banned_until_ms - now_ms),
        )


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1_000))
