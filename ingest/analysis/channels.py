"""Ways to somebody who is told: Apprise's many, and a plain webhook for programs.

Whatever goes wrong is said without an address: those hold tokens and passwords.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

import apprise
import httpx
import structlog

from core.errors import SettingsError
from core.settings import Settings
from ingest.binance.proxies import Proxies

log = structlog.get_logger()

TIMEOUT_S = 10.0
LONGEST_WAIT_S = 86_400.0
WEBHOOK = "webhook+"
logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines hold parts of addresses


class Message(NamedTuple):
    """One message, for people and for programs."""

    title: str
    body: str
    content: Mapping[str, Any]


class Refusal(NamedTuple):
    """Why a message has not arrived, and how long the receiver wants to be left alone."""

    reason: str
    wait_s: float = 0.0


class Channel(Protocol):
    """Takes a message; None where it has arrived."""

    def __call__(self, message: Message) -> Refusal | None: ...


def open_channels(settings: Settings, now_s: Callable[[], float]) -> dict[str, Channel]:
    """Make every channel of `ALERT_CHANNELS`; one that can't be made refuses what it is given."""
    proxies = Proxies.of(settings)
    return {
        name: _open(name, address.get_secret_value(), now_s, proxies)
        for name, address in settings.channels.items()
    }


def _open(name: str, address: str, now_s: Callable[[], float], proxies: Proxies) -> Channel:
    if address.startswith(WEBHOOK):
        return Webhook(address.removeprefix(WEBHOOK), now_s, proxies)
    plugin = apprise.Apprise.instantiate(address)
    if plugin is None:
        log.error("the address of a channel can't be used", channel=name)
        return _unusable
    plugin.overflow_mode = apprise.OverflowMode.SPLIT  # what is too long comes in parts
    return AppriseChannel(plugin)


def _unusable(message: Message) -> Refusal:
    return Refusal("its address in ALERT_CHANNELS can't be used")


class AppriseChannel:
    """One of Apprise's services."""

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin

    def __call__(self, message: Message) -> Refusal | None:
        try:
            arrived = self._plugin.notify(title=message.title, body=message.body)
        except Exception as error:  # the edge to a hundred services, each with errors of its own
            return Refusal(f"the service failed ({type(error).__name__})")
        return None if arrived else Refusal("the service did not take it")


class Webhook:
    """POSTs every number as JSON; see docs/alerts.md for its fields."""

    def __init__(self, url: str, now_s: Callable[[], float], proxies: Proxies) -> None:
        self._url = url
        self._now_s = now_s
        self._proxies = proxies

    def __call__(self, message: Message) -> Refusal | None:
        try:
            content = dict(message.content)
            answer = self._proxies.request("POST", self._url, json=content, timeout=TIMEOUT_S)
        except httpx.TimeoutException:
            return Refusal("did not answer in time")
        except (httpx.HTTPError, SettingsError) as error:
            return Refusal(f"could not be reached ({type(error).__name__})")
        if answer.is_success:
            return None
        wait_s = _retry_after_s(answer.headers.get("Retry-After", ""), self._now_s())
        return Refusal(f"answered {answer.status_code}", wait_s)


def _retry_after_s(value: str, now_s: float) -> float:
    """Seconds of a Retry-After header, a number or a date; 0 where it is neither."""
    if value.strip().isdigit():
        wait_s = float(value)
    else:
        try:
            wait_s = parsedate_to_datetime(value).timestamp() - now_s
        except ValueError:
            return 0.0
    return min(max(wait_s, 0.0), LONGEST_WAIT_S)


def ping(url: str, proxies: Proxies) -> str:
    """Ask the user's own dead man's switch; "" or why it did not answer, without its address."""
    try:
        answer = proxies.request("GET", url, timeout=TIMEOUT_S)
    except (httpx.HTTPError, SettingsError) as error:
        return type(error).__name__
    return "" if answer.is_success else f"answered {answer.status_code}"


def open_heartbeat(url: str, proxies: Proxies) -> Channel:
    """The dead man's switch as a channel that is only ever tried: whatever the message, it asks."""

    def ask(message: Message) -> Refusal | None:
        reason = ping(url, proxies)
        return Refusal(reason) if reason else None

    return ask


def trial(channel: str, desk: str) -> Message:
    """A message that only tries a channel."""
    words = f"This is a test of the channel {channel}. Alerts of your rules come this way."
    content = {"version": 1, "desk": desk, "alerts": [], "test": True}
    return Message("Pairdesk: test", f"{words}\n{desk}/alerts", content)


def texts(alerts: Sequence[Mapping[str, Any]], desk: str) -> Message:
    """One message of one alert, or of a burst of them."""
    lines = []
    for one in alerts:
        pair = f"{one['symbol_a']} / {one['symbol_b']} {one['timeframe']}"
        subject = pair if one["symbol_a"] else "data"
        what = one["words"] if one["event"] == "fired" else f"resolved: {one['outcome']}"
        late = " (judged late)" if one["late"] else ""
        lines.append((f"{subject}: {one['direction']} {one['event']}",
                      f"{subject}: {one['direction']}: {what}{late}\n{one['link']}"))  # fmt: skip
    title = lines[0][0] if len(lines) == 1 else f"{len(lines)} alerts"
    content = {"version": 1, "desk": desk, "alerts": list(alerts), "test": False}
    return Message(f"Pairdesk: {title}", "\n\n".join(body for _, body in lines), content)
