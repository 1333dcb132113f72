"""Link and controls say the same; what is refused is told at its field."""

from typing import Any

import pytest
from dash import no_update

from app.services import Desk
from app.views.links import control_values, query_of, read_link, read_query
from app.views.live.parameters import follow_controls, follow_link, told_anew


def defaults(services: Desk, **changes: Any) -> dict[str, Any]:
    return control_values(read_query("", services.settings), services.settings) | changes


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
        ("?exit_z=3&entry_z=2", "Exit z: must be from −entry z to below entry z (2)"),
        ("?stop_z=1", "Stop z: must be above entry z (2)"),
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


def test_a_mark_is_told_and_taken_back_and_others_are_left_alone(services: Desk) -> None:
    bad = follow_controls(services, defaults(services, window="abc"), None, swap=False)
    good = follow_controls(services, defaults(services, window="90"), None, swap=False)
    for answer, judged, told in (
        (bad, None, {"window": "Must be a whole number from 10 to 2000"}),
        (good, bad["judged"], {"window": ""}),
        (good, good["judged"], {}),
        (good, {"refused": "window"}, {}),
    ):
        sent = told_anew(answer, judged)
        for part in ("errors", "looks"):
            assert {field for field, said in sent[part].items() if said is not no_update} == {*told}
        assert {field: sent["errors"][field] for field in told} == told
        assert sent["request"] is answer["request"]


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
            {"exit_z": "Must be from −entry z to below entry z (2)"},
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
