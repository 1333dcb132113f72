"""Text that nobody can write down: read, shown or refused, but never a failure inside."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from dash import Dash
from flask.testing import FlaskClient

from app.services import Desk
from app.views.links import read_link
from ingest.process.console import configure_logging
from ingest.store import market
from tests.support.market import listing

URL = "/_dash-update-component"
REQUEST = {"query": "symbol_a=BTCUSDT&symbol_b=ETHUSDT&window=60&bars=100", "note": "said"}


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Logs as the roots do; gives what was logged since."""
    configure_logging()
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()


def entry(part: dict[str, str], known: dict[str, Any]) -> dict[str, Any]:
    return {**part, "value": known.get(f"{part['id']}.{part['property']}")}


@pytest.fixture
def calls(desk: Dash, client: FlaskClient) -> list[dict[str, Any]]:
    """A call of each callback, as the page makes it."""
    controls = client.post(URL, json=_call(desk, "live-request", {"live-url.search": "?window=60"}))
    known = {
        f"{component}.{name}": value
        for component, properties in controls.get_json()["response"].items()
        for name, value in properties.items()
    }
    known |= {"live-request.data": REQUEST, "live-url.search": "?window=60&bars=100"}
    screen = client.post(URL, json=_call(desk, "live-screen.data", known)).get_json()
    known["live-cursor.data"] = {
        **dict.fromkeys(("start_ms", "first_ms", "last_ms", "revision_a", "revision_b"), 0),
        **dict.fromkeys(("trips_closed", "trips_shown", "forming", "strip", "notices", "drawn"), 0),
        **screen["response"]["live-screen"]["data"]["cursor"],
    }
    served = [name for name, callback in desk.callback_map.items() if "callback" in callback]
    recorded = [_call(desk, name, known) for name in served]
    # From a link, and from a control that was changed.
    recorded += [call | {"changedPropIds": [_name(call["inputs"][-1])]} for call in recorded]
    for call in recorded:
        assert client.post(URL, json=call).status_code in (200, 204)
    return recorded


def _call(desk: Dash, output: str, known: dict[str, Any]) -> dict[str, Any]:
    name = next(name for name in desk.callback_map if output in name)
    callback = desk.callback_map[name]
    outputs = callback["output"]
    several = isinstance(outputs, list | tuple)
    written = [
        {"id": part.component_id_str(), "property": part.component_property}
        for part in (outputs if several else [outputs])
    ]
    return {
        "output": name,
        "outputs": written if several else written[0],
        "inputs": [entry(part, known) for part in callback["inputs"]],
        "state": [entry(part, known) for part in callback["state"]],
        "changedPropIds": [],
    }


def _name(part: dict[str, Any]) -> str:
    return f"{part['id']}.{part['property']}"


def odd_text(rng: random.Random) -> str:
    kinds = (
        lambda: chr(rng.randrange(0xD800, 0xE000)),
        lambda: chr(rng.randrange(0x20)) + "\x7f\x85\x9b31m",
        lambda: rng.choice("\u061c\u200f\u202a\u202e\u2066\u2069") + "TDSUCTB",
        lambda: "\u2028\u2029\ufeff\ufffe\U000e0001\U0010ffff",
        lambda: rng.choice(("=1+1", "<script>", "%ed%a0%80", "%00", "../..", "{x}", "&&=&", "Ⅷ٣")),
        lambda: "e" + "\u0301" * rng.randrange(1, 2_000),
        lambda: rng.choice("9aé\ud800") * rng.randrange(1_000, 8_000),
        lambda: "".join(chr(rng.randrange(1, 0x110000)) for _ in range(rng.randrange(1, 60))),
    )
    return "".join(rng.choice(kinds)() for _ in range(rng.randrange(1, 3)))


def odd_value(rng: random.Random, value: Any) -> Any:
    """Another value in the place of one; often the old one with something in it."""
    text = odd_text(rng)
    if isinstance(value, dict) and value and rng.random() < 0.7:
        name = rng.choice(list(value))
        return {**value, name: odd_value(rng, value[name])}
    if isinstance(value, str) and rng.random() < 0.6:
        place = rng.randrange(len(value) + 1)
        return value[:place] + text + value[place + rng.randrange(3) :]
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice((-value, 1e300, value + 1, 1 << 70, -(10**400), float("nan")))
    return rng.choice(
        (text, [text], {text: text}, [[{}]], None, True, 0, -1, 1e308, float("inf"), 1 << 63)
    )


def mutate(rng: random.Random, call: dict[str, Any]) -> dict[str, Any]:
    forged = copy.deepcopy(call)
    for _ in range(rng.randrange(1, 4)):
        part = rng.choice(forged["inputs"] + forged["state"])
        part["value"] = odd_value(rng, part["value"])
    return forged


def try_odd_values(
    client: FlaskClient, calls: list[dict[str, Any]], console: Callable[[], str], count: int
) -> None:
    rng = random.Random(11)
    answered = 0
    for number in range(count):
        client.environ_base["REMOTE_ADDR"] = f"10.2.{number // 250}.{number % 250}"
        forged = mutate(rng, rng.choice(calls))
        sent = json.dumps(forged)
        response = client.post(URL, data=sent, content_type="application/json")
        told = console()
        assert response.status_code < 500, sent[:2_000]
        assert max(map(len, told.encode().split(b"\n"))) <= 10_000, sent[:2_000]
        assert len(told) <= 10_000, sent[:2_000]
        answered += response.status_code in (200, 204)
    assert answered > count / 2


def test_odd_values_in_calls_of_the_page_are_never_a_failure_inside(
    client: FlaskClient, calls: list[dict[str, Any]], console: Callable[[], str]
) -> None:
    try_odd_values(client, calls, console, 150)


@pytest.mark.soak
def test_thousands_of_odd_values_are_never_a_failure_inside(
    client: FlaskClient,
    calls: list[dict[str, Any]],
    console: Callable[[], str],
    soak_times: Callable[[int], int],
) -> None:
    try_odd_values(client, calls, console, soak_times(5_000))


def test_half_a_letter_in_a_note_is_shown_as_one_that_nobody_knows(
    desk: Dash, client: FlaskClient
) -> None:
    known = {"live-request.data": REQUEST | {"note": "a\ud800\x1bb\u202ec"}}
    response = client.post(URL, json=_call(desk, "live-screen.data", known))
    assert response.status_code == 200
    assert "a��b�c" in json.dumps(response.get_json(), ensure_ascii=False)


@pytest.mark.parametrize(
    "text", ["\ud800", "\u202eTDSU", "\x1b[2J", "\x00", "%ed%a0%80", "%1b%5b2J"]
)
def test_what_a_link_complains_of_can_be_written_down(services: Desk, text: str) -> None:
    for search in (f"?{text}=1", f"?symbol_a={text}", f"?window={text}"):
        (complaint, *_) = read_link(search, services, ("BTCUSDT", "ETHUSDT")).complaints
        assert complaint.isprintable()


def test_names_of_unknown_parameters_are_escaped(client: FlaskClient) -> None:
    body = client.get("/analytics/pair?%1b%5b2J%e2%80%ae=1").get_json()
    assert body["errors"][0]["field"] == r"\x1b[2J\u202e"
    repeated = client.get("/analytics/pair?%0a=1&%0a=2").get_json()
    assert repeated["errors"][0]["field"] == r"\n"


@pytest.mark.parametrize("name", ["trades", "equity"])
def test_csv_of_a_symbol_in_any_script_is_saved_under_its_name(
    own_desk: Any, own_writer: Any, open_client: Callable[[Dash], FlaskClient], name: str
) -> None:
    with own_writer.transaction() as tx:
        market.ensure_symbols(tx, [listing("币安人生")])
    response = open_client(own_desk[0]).get(
        f"/analytics/pair/{name}.csv",
        query_string={"symbol_a": "币安人生USDT", "symbol_b": "ETHUSDT", "bars": 20},
    )
    assert response.status_code == 200
    header = response.headers["Content-Disposition"]
    # A server writes headers in latin-1 at best; gunicorn refuses others.
    assert header.isascii()
    assert header == (
        f"attachment; filename=\"____USDT-ETHUSDT-1m-{name}.csv\"; filename*=UTF-8''"
        f"%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT-ETHUSDT-1m-{name}.csv"
    )
