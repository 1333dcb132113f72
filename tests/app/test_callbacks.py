"""The page's callbacks without a browser: its parts, whole screens, values that were forged."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash, no_update
from flask.testing import FlaskClient

from app.services import Desk, open_desk
from app.views import VIEWS, ids
from app.views.controls import FIELDS
from app.views.links import read_link, read_query
from app.views.live import ids as live_ids
from app.views.live.callbacks import load_newer, load_screen
from app.views.live.parameters import follow_controls, follow_link
from app.views.shell.layout import page_layout
from app.views.shell.tick import Tick
from app.views.text import signed
from core.settings import Settings
from ingest.store import process
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import NOW_MS
from tests.support.screens import REQUEST, as_sent


def components_of(tree: Any) -> list[Any]:
    found = [tree]
    children = getattr(tree, "children", None)
    for child in children if isinstance(children, list | tuple) else [children]:
        if hasattr(child, "_prop_names"):
            found += components_of(child)
    return found


def test_every_text_and_callback_has_its_element_once(desk: Dash, services: Desk) -> None:
    anywhere = set[str]()
    for view in reversed(VIEWS):  # Live last
        layout = page_layout(services, VIEWS, view)
        known = [part.id for part in components_of(layout) if getattr(part, "id", None)]
        assert len(known) == len(set(known)), view.path
        anywhere |= set(known)
    screen = load_screen(services, REQUEST)
    keys = [*screen["texts"], *screen["later"], *screen["strip"]["texts"], "badge"]
    assert [key for key in keys if ids.text(key) not in known] == []
    wanted = set()
    for name, callback in desk.callback_map.items():
        for output in name.strip(".").split("..."):
            wanted.add(output.rpartition(".")[0])
        wanted |= {entry["id"] for entry in [*callback["inputs"], *callback["state"]]}
    assert wanted - anywhere == set()


def test_first_visitor_of_a_fresh_desk_finds_every_script(
    own_desk: tuple[Dash, dict[str, float]],
) -> None:
    # A browser asks for scripts side by side, perhaps of a process that never served the page.
    fresh = own_desk[0]
    assert {"dash", "dash_bootstrap_components"} <= set(fresh.registered_paths)
    assert f"{live_ids.DELTA}.data" in fresh.callback_map


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


FORGED: list[Any] = [None, 7, -1.5, True, "", "x" * 5_000, "%00", [], [1], {}, {"query": 5}]


@pytest.mark.parametrize("value", FORGED)
def test_forged_values_never_break_a_callback(
    services: Desk, client: FlaskClient, value: Any
) -> None:
    inputs = [{"id": live_ids.CURSOR, "property": "data", "value": value}]
    state = [{"id": live_ids.REQUEST, "property": "data", "value": value}]
    answer = client.post(
        "/_dash-update-component",
        json={
            "output": f"{live_ids.DELTA}.data",
            "outputs": {"id": live_ids.DELTA, "property": "data"},
            "inputs": inputs,
            "state": state,
            "changedPropIds": [f"{live_ids.CURSOR}.data"],
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


def test_a_first_start_says_what_is_awaited_and_not_that_the_pair_is_wrong(
    settings: Settings, empty_database: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "market.db"
    path.write_bytes(empty_database)
    reader = Reader(f"sqlite:///{path}")
    texts = load_screen(open_desk(settings, reader), {"query": "", "note": ""})["texts"]
    reader.close()
    assert texts["verdict"] == "Can't say: nothing is stored yet."
    assert texts["empty"] == "Nothing is stored yet."
    assert "Health says what to do" in texts["empty-help"]


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


def test_a_desk_that_starts_again_says_so_quietly_and_that_its_numbers_are_of_then(
    own_writer: Writer, database_url: str, settings: Settings
) -> None:
    clock, reader = {"now": NOW_MS / 1_000 + 8 * 3_600}, Reader(database_url)
    own = open_desk(settings, reader, lambda: clock["now"], lambda: clock["now"])
    with own_writer.transaction() as tx:
        process.set_meta(tx, "source", "binance")
    screen = as_sent(load_screen(own, REQUEST))
    told = json.dumps(screen["notices"])
    assert "The worker is starting" in told
    assert "notice bad" not in told
    assert screen["strip"]["feed"] == "cut"
    assert screen["strip"]["texts"]["verdict-cut"].startswith("Can't say")
    elsewhere = Tick(own, VIEWS).newer({"path": "/scanner", "asked": {}, "since": None}, {})
    assert elsewhere["changed"]["strip"]["feed"] == "cut", "on every view"
    clock["now"] += 31
    told = json.dumps(as_sent(load_screen(own, REQUEST))["notices"])
    reader.close()
    assert "The worker is away since" in told
    assert "notice bad" in told


def test_every_minus_of_the_screen_is_a_true_one(services: Desk) -> None:
    request = {**REQUEST, "query": f"{REQUEST['query']}&exit_z=-0.25&hedge=returns"}
    screen = load_screen(services, request)
    said = [*screen["texts"].values(), *screen["ends"]["said"].values()]
    said += [trip["pnl_text"] for trip in screen["trips"]]
    assert [words for words in said if re.search(r"(?<![\w.])-\d", words)] == []
    assert screen["texts"]["fold-rest"] == "1m · 60 bars · 2 / −0.25 · returns"


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
