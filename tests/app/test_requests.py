"""API, documentation, controls and links hold exactly the parameters of `core`'s table."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from flask.testing import FlaskClient

from app.requests.pair import BarsParameters, ExplainParameters, PairParameters
from app.views import ids
from app.views.controls import FIELDS, MORE_FIELDS, controls, placeholders
from app.views.links import control_values, query_of, read_controls
from core.errors import ParameterErrors
from core.pair_spec import PAIR_PARAMETERS, read_pair_spec
from core.parameters import Choice, Number, WholeNumber
from core.settings import Settings

SETTINGS = Settings()
OTHERS: dict[str, Any] = {
    "symbol_a": "SOLUSDT", "symbol_b": "XRPUSDT", "timeframe": "5m", "window": 60,
    "entry_z": 1.75, "exit_z": 0.25, "exit_rule": "anchored", "lags": 4,
    "stop_z": 3.5, "max_hold_bars": 50, "hedge": "kalman",
    "hedge_window": 250, "bars": 900, "since": 1_795_401_000_000, "fee_bps": 3.25,
    "slippage_bps": 0.0, "notional": 123.5,
}  # fmt: skip
"""A usable value of every parameter, none of them its default."""


def test_schemas_hold_the_table_and_what_a_route_adds() -> None:
    assert list(PairParameters().fields) == [*PAIR_PARAMETERS, "points"]
    assert list(ExplainParameters().fields) == [*PAIR_PARAMETERS, "points", "time"]


def test_documentation_gives_type_bounds_and_default_of_every_parameter(
    client: FlaskClient,
) -> None:
    document = client.get("/openapi.json").get_json()
    listed = document["paths"]["/analytics/pair"]["get"]["parameters"]
    described = {item["name"]: item for item in listed}
    assert set(described) - {"points"} == set(PAIR_PARAMETERS)
    for name, parameter in PAIR_PARAMETERS.items():
        schema = described[name]["schema"]
        assert described[name]["description"] == parameter.description
        assert schema.get("default") == parameter.plain_default, name
        if isinstance(parameter, WholeNumber | Number):
            assert schema["minimum"] == parameter.low
            assert schema.get("maximum") == parameter.high
        if isinstance(parameter, Choice):
            assert schema["enum"] == list(parameter.choices)
    answered = document["components"]["schemas"]["Pair"]["properties"]
    assert set(PAIR_PARAMETERS) <= set(answered)


def test_page_has_one_control_with_a_heading_for_every_parameter() -> None:
    assert sorted(FIELDS) == sorted(PAIR_PARAMETERS)
    spec = read_pair_spec({}, SETTINGS)
    tree = controls(spec)
    found = [getattr(part, "id", None) for part in _parts(tree)]
    for field in PAIR_PARAMETERS:
        assert found.count(ids.control(field)) == 1, field
    texts = {part for part in _parts(tree) if isinstance(part, str)}
    assert {"Leg A", "Leg B", "Window, bars", "Hedge", "Fee, bp a fill"} <= texts
    assert placeholders(spec)["hedge_window"] == "5 × window"
    assert placeholders(spec)["stop_z"] == "none"
    assert placeholders(spec)["lags"] == "by AIC"  # "none" would read as no lags at all
    assert placeholders(spec)["fee_bps"] == "10"


@pytest.mark.parametrize("field", list(PAIR_PARAMETERS))
def test_link_and_controls_carry_every_parameter_there_and_back(field: str) -> None:
    asked = {field: OTHERS[field]} | ({"hedge_window": 250} if field == "window" else {})
    spec = read_pair_spec(asked, SETTINGS)
    assert getattr(spec, field) == OTHERS[field]
    query = dict(parse_qsl(query_of(spec, SETTINGS)))
    assert field in query
    assert read_pair_spec(query, SETTINGS) == spec
    values = control_values(spec, SETTINGS)
    assert list(values) == list(PAIR_PARAMETERS)
    assert read_controls(values, SETTINGS) == spec


def test_shortest_link_leaves_out_what_is_default() -> None:
    spec = read_pair_spec({}, SETTINGS)
    assert set(MORE_FIELDS).isdisjoint(dict(parse_qsl(query_of(spec, SETTINGS))))
    whole = read_pair_spec(OTHERS, SETTINGS)
    assert set(dict(parse_qsl(query_of(whole, SETTINGS)))) == set(PAIR_PARAMETERS)


def test_range_of_bars_must_hold_something() -> None:
    asked = {"symbol": "btcusdt", "start": "60000", "end": "1970-01-01T00:02:00Z"}
    read = BarsParameters().load(asked)
    assert (read["symbol"], read["start"], read["end"]) == ("BTCUSDT", 60_000, 120_000)
    with pytest.raises(ParameterErrors) as caught:
        BarsParameters().load(asked | {"end": "60000"})
    assert [(error.field, error.message) for error in caught.value.errors] == [
        ("end", "must be after start")
    ]


def _parts(tree: Any) -> Iterator[Any]:
    yield tree
    children = getattr(tree, "children", None)
    for child in children if isinstance(children, list) else [children]:
        if child is not None:
            yield from _parts(child)
