"""The page's callbacks without a browser: links, controls, screens, deltas, notices."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash, no_update
from flask.testing import FlaskClient
from plotly.utils import PlotlyJSONEncoder

from app.services import Desk, open_desk
from app.views import VIEWS, ids
from app.views.controls import FIELDS
from app.views.links import control_values, query_of, read_link, read_query
from app.views.live import ids as live_ids
from app.views.live.callbacks import load_newer, load_screen
from app.views.live.client_cursor import ClientCursor, read_cursor
from app.views.live.parameters import follow_controls, follow_link
from app.views.shell.layout import page_layout
from app.views.text import signed
from core.settings import Settings
from core.types import Bar, Origin
from ingest.store import market, process
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import LAST_OPEN_MS, minute_bars

MINUTE = 60_000
HOUR = 60 * MINUTE
REQUEST = {"query": "symbol_a=BTCUSDT&symbol_b=ETHUSDT&window=60&hedge_window=120", "note": ""}


@pytest.fixture
def own_services(own_desk: tuple[Dash, dict[str, float]]) -> Desk:
    service: Desk = own_desk[0].server.extensions["pairdesk"]
    return service


@pytest.fixture
def close_bar(
    own_services: Desk,
    own_desk: tuple[Dash, dict[str, float]],
    own_writer: Writer,
    own_ids: dict[str, int],
) -> Callable[[float], None]:
    """Closes the next minute of both legs; A moves by the given share."""

    def close(move: float) -> None:
        with own_writer.transaction() as tx:
            for symbol, share in (("BTCUSDT", move), ("ETHUSDT", 0.0)):
                stored = own_services.market.bars(symbol, MINUTE, limit=1)
                last, open_ms = float(stored.close[-1]), int(stored.open_time_ms[-1]) + MINUTE
                price = last * (1 + share)
                bar = Bar(
                    open_ms,
                    last,
                    max(last, price),
                    min(last, price),
                    price,
                    1.0,
                    price,
                    3,
                    0.5,
                    True,
                )
                market.upsert_bars(tx, own_ids[symbol], MINUTE, [bar], Origin.TRADES)
            own_desk[1]["now"] += 60
            now_ms = int(own_desk[1]["now"] * 1000)
            feed = {"state": "live", "last_frame_ms": now_ms - 250, "trades_per_s": 12.5}
            process.save_status(tx, "worker", 4242, "running", now_ms - 800, {"feed": feed})

    return close


def defaults(services: Desk, **changes: Any) -> dict[str, Any]:
    return control_values(read_query("", services.settings), services.settings) | changes


def as_sent(content: Any) -> Any:
    """What the browser gets of it."""
    return json.loads(json.dumps(content, cls=PlotlyJSONEncoder))


def components_of(tree: Any) -> list[Any]:
    found = [tree]
    children = getattr(tree, "children", None)
    for child in children if isinstance(children, list | tuple) else [children]:
        if hasattr(child, "_prop_names"):
            found += components_of(child)
    return found


def test_every_text_and_callback_has_its_element_once(desk: Dash, services: Desk) -> None:
    layout = page_layout(services, VIEWS, VIEWS[0])
    known = [part.id for part in components_of(layout) if getattr(part, "id", None)]
    assert len(known) == len(set(known))
    screen = load_screen(services, REQUEST)
    keys = [*screen["texts"], *screen["later"], *screen["strip"]["texts"], "badge"]
    assert [key for key in keys if ids.text(key) not in known] == []
    wanted = set()
    for name, callback in desk.callback_map.items():
        for output in name.strip(".").split("..."):
            wanted.add(output.rpartition(".")[0])
        wanted |= {entry["id"] for entry in [*callback["inputs"], *callback["state"]]}
    assert wanted - set(known) == set()


def test_first_visitor_of_a_fresh_desk_finds_every_script(
    own_desk: tuple[Dash, dict[str, float]],
) -> None:
    # A browser asks for scripts side by side, perhaps of a process that never served the page.
    fresh = own_desk[0]
    assert {"dash", "dash_bootstrap_components"} <= set(fresh.registered_paths)
    assert f"{live_ids.DELTA}.data" in fresh.callback_map


def test_link_and_controls_say_the_same(services: Desk) -> None:
    link = (
        "symbol_a=ETHUSDT&symbol_b=BTCUSDT&timeframe=5m&window=60&entry_z=2.5&exit_z=0.1"
        "&hedge=kalman&stop_z=4&notional=2500.5"
    )
    symbols = ("BTCUSDT", "ETHUSDT")
    read = read_link(f"?{link}", services, symbols)
    assert read.complaints == ()
    assert query_of(read.spec, services.settings) == link
    values = control_values(read.spec, services.settings)
    assert values["stop_z"] == "4"
    assert values["hedge_window"] == ""
    assert read_query(link, services.settings) == read.spec


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("?window=5", "Window: must be a whole number from 10 to 2000"),
        ("?window=", "Window: must not be empty"),
        ("?exit_z=3&entry_z=2", "Exit z: must be from -entry_z to below entry_z (2)"),
        ("?stop_z=1", "Stop z: must be above entry_z (2)"),
        ("?symbol_a=NOPE", "Leg A: NOPE is not on this desk"),
        ("?symbol_a=ETHUSDT&symbol_b=ETHUSDT", "Leg B: must differ from leg A"),
        ("?symbol_b=BTCUSDT", "Leg B: must differ from leg A"),
        ("?colour=red", "colour: is not a parameter of this page"),
        ("?window=60&window=70", "Window: given twice"),
        ("?hedge=magic&timeframe=7m", "Timeframe: must be one of 1s, 1m, 5m, 15m, 1h"),
        (f"?window={'9' * 3_000}", "The link is too long to be one of this page"),
        ("?%ff=%00&=&&", "is not a parameter of this page"),
    ],
)
def test_bad_link_gives_way_to_defaults_and_says_so(services: Desk, search: str, said: str) -> None:
    answer = follow_link(services, search, None)
    assert said in answer["request"]["note"]
    spec = read_query(answer["request"]["query"], services.settings)
    assert spec.symbol_a != spec.symbol_b
    assert answer["search"] is no_update


def test_desk_without_the_usual_pair_begins_with_its_own_symbols(services: Desk) -> None:
    spec = read_link("", services, ("AAA", "BBB", "CCC")).spec
    assert (spec.symbol_a, spec.symbol_b) == ("AAA", "BBB")


def test_refused_control_is_named_and_nothing_else_moves(services: Desk) -> None:
    answer = follow_controls(services, defaults(services, window="abc"), None, swap=False)
    assert answer["errors"]["window"] == "Must be a whole number from 10 to 2000"
    assert answer["looks"]["window"].split() == ["f", "bad"]
    assert answer["errors"]["entry_z"] == ""
    assert answer["request"] is no_update
    assert answer["search"] is no_update


def test_valid_controls_go_into_the_link_and_clear_every_mark(services: Desk) -> None:
    answer = follow_controls(services, defaults(services, window="90"), None, swap=False)
    assert answer["search"].startswith("?symbol_a=BTCUSDT&symbol_b=ETHUSDT")
    assert "window=90" in answer["request"]["query"]
    assert set(answer["errors"].values()) == {""}
    again = follow_controls(
        services, defaults(services, window="90"), answer["request"], swap=False
    )
    assert (again["request"], again["search"]) == (no_update, no_update)


def test_swap_exchanges_the_legs(services: Desk) -> None:
    answer = follow_controls(services, defaults(services), None, swap=True)
    assert answer["controls"]["symbol_a"] == "ETHUSDT"
    assert answer["request"]["query"].startswith("symbol_a=ETHUSDT&symbol_b=BTCUSDT")


@pytest.mark.parametrize(
    ("changed_field", "values", "messages"),
    [
        ("entry_z", {"entry_z": "0.1"}, {"entry_z": "Must be above exit z (0.5)"}),
        (
            "exit_z",
            {"exit_z": "3"},
            {"exit_z": "Must be from -entry z to below entry z (2)"},
        ),
        ("symbol_b", {"symbol_b": "BTCUSDT"}, {"symbol_b": "Must differ from leg A"}),
        ("symbol_a", {"symbol_a": "ETHUSDT"}, {"symbol_a": "Must differ from leg B (ETHUSDT)"}),
    ],
)
def test_a_contradiction_is_told_at_the_field_that_was_changed(
    services: Desk, changed_field: str, values: dict[str, str], messages: dict[str, str]
) -> None:
    given = defaults(services, **values)
    answer = follow_controls(services, given, None, swap=False, changed_field=changed_field)
    told = {field: words for field, words in answer["errors"].items() if words}
    assert told == messages
    assert answer["request"] is no_update


def test_screen_shows_the_service_s_own_numbers(services: Desk) -> None:
    screen = as_sent(load_screen(services, REQUEST))
    view = services.pairs.view(read_query(REQUEST["query"], services.settings))
    assert view.result is not None
    assert screen["texts"]["z"] == signed(view.result.chosen.zscore[-1])
    assert f"forming {signed(view.zscore_provisional)}" == screen["texts"]["z-forming"]
    assert screen["texts"]["trades"] == str(view.result.backtest.metrics.total_trades)
    assert len(screen["trips"]) == len(view.result.backtest.round_trips)
    assert screen["links"]["trades"].startswith("/analytics/pair/trades.csv?symbol_a=BTCUSDT")
    assert screen["strip"]["badge"]["label"] == "SIMULATED"
    assert "no exchange answers" in json.dumps(screen["notices"])
    assert "NaN" not in json.dumps(screen)


def test_every_chart_has_a_name_and_a_text_that_is_on_the_page(services: Desk) -> None:
    parts = components_of(page_layout(services, VIEWS, VIEWS[0]))
    known = {part.id for part in parts if getattr(part, "id", None)}
    charts = [part for part in parts if getattr(part, "role", None) == "figure"]
    graphs = [part for chart in charts for part in components_of(chart) if hasattr(part, "figure")]
    assert len(graphs) == sum(type(part).__name__ == "Graph" for part in parts) == 3
    for chart in charts:
        named = chart.to_plotly_json()["props"]
        assert named["aria-label"]
        assert set(named["aria-describedby"].split()) <= known


def test_nothing_new_costs_nothing(services: Desk) -> None:
    screen = as_sent(load_screen(services, REQUEST))
    assert load_newer(services, REQUEST, screen["cursor"]) is no_update


def test_new_bar_is_a_small_delta(own_services: Desk, close_bar: Callable[[float], None]) -> None:
    cursor = as_sent(load_screen(own_services, REQUEST))["cursor"]
    close_bar(1e-4)
    delta = as_sent(load_newer(own_services, REQUEST, cursor))
    assert len(json.dumps(delta, separators=(",", ":"), ensure_ascii=False).encode()) < 2_400
    assert delta["after"] == cursor["last_ms"]
    assert delta["last"] == cursor["last_ms"] + MINUTE
    assert {len(values) for values in delta["rows"].values()} == {1}
    view = own_services.pairs.view(read_query(REQUEST["query"], own_services.settings))
    assert view.result is not None
    assert delta["rows"]["z"][0] == pytest.approx(view.result.chosen.zscore[-1], abs=6e-4)
    assert load_newer(own_services, REQUEST, cursor | delta["cursor"]) is no_update


def test_rewritten_bars_ask_for_a_whole_screen(
    own_services: Desk,
    own_desk: tuple[Dash, dict[str, float]],
    own_writer: Writer,
    own_ids: dict[str, int],
) -> None:
    cursor = as_sent(load_screen(own_services, REQUEST))["cursor"]
    rewritten = minute_bars(np.array([1_234.5]), LAST_OPEN_MS - 30 * MINUTE)
    with own_writer.transaction() as tx:
        market.upsert_bars(tx, own_ids["ETHUSDT"], MINUTE, rewritten, Origin.TRADES)
        market.rise_revision(tx, own_ids["ETHUSDT"])
    own_desk[1]["now"] += 0.25
    assert load_newer(own_services, REQUEST, cursor)["reload"] is True


def test_bars_rewritten_where_a_screen_does_not_look_leave_it_as_it_is(
    own_services: Desk,
    own_desk: tuple[Dash, dict[str, float]],
    own_writer: Writer,
    own_ids: dict[str, int],
    close_bar: Callable[[float], None],
) -> None:
    """History of other timeframes comes in for minutes after a start; so do late trades of 1s."""
    cursor = as_sent(load_screen(own_services, REQUEST))["cursor"]
    hours = minute_bars(np.array([1_234.5]), LAST_OPEN_MS // HOUR * HOUR - 30 * HOUR)
    with own_writer.transaction() as tx:
        market.upsert_bars(tx, own_ids["ETHUSDT"], HOUR, hours, Origin.KLINE)
        market.rise_revision(tx, own_ids["ETHUSDT"])
    own_desk[1]["now"] += 0.25
    assert load_newer(own_services, REQUEST, cursor) is no_update
    close_bar(1e-4)
    delta = as_sent(load_newer(own_services, REQUEST, cursor))
    assert delta["last"] == cursor["last_ms"] + MINUTE
    after = cursor | delta["cursor"]
    assert after["revision_b"] == cursor["revision_b"] + 1
    assert after["drawn"] == load_screen(own_services, REQUEST)["cursor"]["drawn"]


def test_open_round_trip_is_updated_and_not_added_twice(
    own_services: Desk, close_bar: Callable[[float], None]
) -> None:
    screen = as_sent(load_screen(own_services, REQUEST))
    cursor, trips = screen["cursor"], {row["id"]: row for row in screen["trips"]}
    for move in (0.02, 0.0, -0.01, -0.01, 0.0, -0.02, 0.0):
        close_bar(move)
        delta = as_sent(load_newer(own_services, REQUEST, cursor))
        cursor |= delta["cursor"]
        news = {"update": [], "add": [], **delta.get("trips", {})}
        for row in news["update"]:
            assert row["id"] in trips
            trips[row["id"]] = row
        for row in news["add"]:
            assert row["id"] not in trips
            trips[row["id"]] = row
    whole = as_sent(load_screen(own_services, REQUEST))["trips"]
    assert len(whole) > len(screen["trips"])
    assert list(trips.values()) == whole


def test_entry_is_news_only_while_it_is_fresh(
    own_services: Desk, close_bar: Callable[[float], None]
) -> None:
    request = REQUEST | {"query": f"{REQUEST['query']}&entry_z=4"}
    cursor = as_sent(load_screen(own_services, request))["cursor"]
    close_bar(0.03)
    print(
        own_services.pairs.view(
            read_query(request["query"], own_services.settings)
        ).result.position[-5:]
    )
    first = load_newer(own_services, request, cursor)["news"]
    assert first["heading"].startswith("▼ short spread · z +")
    assert "BTC sold, ETH bought" in first["words"]
    close_bar(0.0)
    assert load_screen(own_services, request)["news"]["id"] == first["id"]
    close_bar(0.0)
    assert load_screen(own_services, request)["news"] is None


def test_each_entry_of_the_signal_is_news_once_and_nothing_else_is(
    own_services: Desk, close_bar: Callable[[float], None]
) -> None:
    request = REQUEST | {"query": f"{REQUEST['query']}&entry_z=1&exit_z=0.5&stop_z=2"}
    spec = read_query(request["query"], own_services.settings)
    cursor = as_sent(load_screen(own_services, request))["cursor"]
    told = set()
    rng = np.random.default_rng(3)
    for move in rng.normal(0.0, 2e-3, 60):
        close_bar(float(move))
        delta = as_sent(load_newer(own_services, request, cursor))
        cursor |= delta["cursor"]
        if "news" in delta:
            told.add(int(delta["news"]["id"].rpartition("@")[2]))
    result = own_services.pairs.view(spec).result
    assert result is not None
    entered = (result.position != 0) & (np.diff(result.position, prepend=0) != 0)
    times = result.rows.open_time_ms[entered]
    assert told == set(times[times > cursor["last_ms"] - 60 * MINUTE].tolist())
    assert len(told) > 2
    beyond = (np.abs(result.chosen.zscore[-60:]) >= 1).astype(int)
    assert np.count_nonzero(np.diff(beyond) > 0) > len(told), "crossings alone would do as well"


@pytest.mark.parametrize(
    "change",
    [
        {"start_ms": 7},
        {"first_ms": 0},
        {"first_ms": 1 << 52},
        {"last_ms": 1 << 52},
        {"last_ms": 12_345},
    ],
)
def test_cursor_of_another_result_gets_a_new_screen_and_no_rows(
    services: Desk, change: dict[str, int]
) -> None:
    cursor = as_sent(load_screen(services, REQUEST))["cursor"]
    delta = load_newer(services, REQUEST, cursor | change)
    assert delta["reload"] is True


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        [],
        {},
        {"key": 3},
        dict.fromkeys(ClientCursor.__dataclass_fields__, -1),
        dict.fromkeys(ClientCursor.__dataclass_fields__, True),
        dict.fromkeys(ClientCursor.__dataclass_fields__, float("nan")),
    ],
)
def test_what_is_no_cursor_is_ignored(services: Desk, raw: Any) -> None:
    assert read_cursor(raw) is None
    assert load_newer(services, REQUEST, raw) is no_update


FORGED: list[Any] = [None, 7, -1.5, True, "", "x" * 5_000, "%00", [], [1], {}, {"query": 5}]


@pytest.mark.parametrize("value", FORGED)
def test_forged_values_never_break_a_callback(
    services: Desk, client: FlaskClient, value: Any
) -> None:
    inputs = [{"id": live_ids.INTERVAL, "property": "n_intervals", "value": value}]
    state = [
        {"id": live_ids.REQUEST, "property": "data", "value": value},
        {"id": live_ids.CURSOR, "property": "data", "value": value},
    ]
    answer = client.post(
        "/_dash-update-component",
        json={
            "output": f"{live_ids.DELTA}.data",
            "outputs": {"id": live_ids.DELTA, "property": "data"},
            "inputs": inputs,
            "state": state,
            "changedPropIds": [f"{live_ids.INTERVAL}.n_intervals"],
        },
    )
    assert answer.status_code in (200, 204)
    assert load_screen(services, value) is no_update
    forged = follow_controls(services, dict.fromkeys(FIELDS, value), value, swap=False)
    assert forged["request"] is no_update
    assert follow_link(services, value, value)["request"]["query"]


def test_unknown_symbol_is_said_on_screen(services: Desk) -> None:
    request = {"query": "symbol_a=NOPE&symbol_b=ETHUSDT", "note": ""}
    screen = as_sent(load_screen(services, request))
    assert screen["figures"] is None
    assert "NOPE: not ingested here" in json.dumps(screen["notices"])


def test_pair_without_common_bars_waits_in_words(services: Desk) -> None:
    request = {"query": "symbol_a=DOGEUSDT&symbol_b=ETHUSDT", "note": ""}
    screen = as_sent(load_screen(services, request))
    assert screen["figures"] is None
    assert "Waiting for the first bars" in json.dumps(screen["notices"])
    assert load_newer(services, request, screen["cursor"]) is no_update


def links_of(part: Any) -> list[dict[str, Any]]:
    """Properties of every link in a tree."""
    if isinstance(part, list):
        return [link for child in part for link in links_of(child)]
    if not isinstance(part, dict):
        return []
    own = [part["props"]] if part["type"] == "A" else []
    return own + links_of(part["props"].get("children"))


def test_a_timeframe_that_has_bars_is_offered_where_the_asked_one_has_none(services: Desk) -> None:
    request = {"query": "symbol_a=BTCUSDT&symbol_b=ETHUSDT&timeframe=15m&window=60", "note": ""}
    screen = as_sent(load_screen(services, request))
    words = "No 15m bars of BTCUSDT and ETHUSDT are stored together; of 1m there are."
    assert screen["texts"]["verdict"] == words
    assert words in json.dumps(screen["notices"])
    (link,) = links_of(screen["notices"])
    assert link["children"] == "Show 1m"
    offered = read_link(link["href"], services, ["BTCUSDT", "ETHUSDT"])
    assert offered.complaints == ()
    assert (offered.spec.timeframe, offered.spec.window) == ("1m", 60)
    assert load_screen(services, {"query": link["href"][1:], "note": ""})["figures"] is not None


def test_a_store_that_cannot_be_read_is_said_on_screen(settings: Settings, tmp_path: Path) -> None:
    reader = Reader(f"sqlite:///{tmp_path}/none.db")
    request = {"query": "", "note": ""}
    screen = as_sent(load_screen(open_desk(settings, reader), request))
    reader.close()
    assert screen["figures"] is None
    assert "not there" in json.dumps(screen["notices"])


def test_rows_are_never_numpy(services: Desk) -> None:
    screen = load_screen(services, REQUEST)

    def kinds(part: Any) -> set[type]:
        if isinstance(part, dict):
            return set().union(*(kinds(value) for value in part.values()))
        if isinstance(part, list | tuple):
            return set().union(*(kinds(value) for value in part))
        return {type(part)}

    shown = {key: value for key, value in screen.items() if key != "notices"}
    assert not [kind for kind in kinds(shown) if issubclass(kind, np.generic | np.ndarray)]
