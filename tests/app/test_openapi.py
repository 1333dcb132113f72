"""The description of the API is one that a client can be generated from, and it tells the truth."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from flask.testing import FlaskClient
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

from core.pair_spec import Hedge
from core.rule_spec import Measure
from core.timeframes import SCANNED, Timeframe
from core.types import ExitReason, Side, Signal

PAIR = "window=30&hedge_window=60&bars=60"
ANSWERS = [
    ("/analytics/pair", f"?{PAIR}&points=20"),
    ("/analytics/pair", "?symbol_b=DOGEUSDT"),
    ("/analytics/pair", "?symbol_a=SOLUSDT&window=10&hedge_window=10&bars=10&stop_z=4"),
    ("/analytics/pair/explain", f"?{PAIR}"),
    ("/analytics/pair/expectancy", f"?{PAIR}"),
    ("/analytics/pair/placebo", f"?{PAIR}&runs=20"),
    ("/analytics/pair/placebo", f"?{PAIR}&runs=20&since=1795380000000"),
    ("/analytics/pair/explain", f"?{PAIR}&since=1795380000000"),
    ("/analytics/pair/expectancy", f"?{PAIR}&since=1795380000000"),
    ("/analytics/pair", f"?{PAIR}&since=1795380000000"),
    ("/analytics/scan", ""),
    ("/analytics/scan/history", "?symbol_a=BTCUSDT&symbol_b=ETHUSDT"),
    ("/analytics/radar", "?timeframe=1m&limit=5"),
    ("/api/jobs", ""),
    ("/api/symbols", ""),
    ("/api/bars", "?symbol=BTCUSDT&limit=3"),
    ("/api/status", ""),
    ("/healthz", ""),
    ("/readyz", ""),
    ("/api/bars", "?symbol=NOPE"),
    ("/api/bars", ""),
    ("/analytics/pair", "?window=1&colour=red"),
]


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    described: dict[str, Any] = client.get("/openapi.json").get_json()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in ("get", "post", "patch", "delete"):
            if method in item:
                operation = item[method]
                parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                yield path, method, operation | {"parameters": parameters}


def parts(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from parts(part)


def complaints(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    # References are looked up in the schema itself.
    whole = copy.deepcopy(schema) | {"components": document["components"]}
    return [error.message[:300] for error in OAS30Validator(whole).iter_errors(value)]


def test_description_follows_the_standard(document: dict[str, Any]) -> None:
    validate(document)


def test_every_route_has_a_name_to_call_it_by(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)
    assert {"pair", "explain", "trades", "equity", "symbols", "bars", "status"} <= set(names)


@pytest.mark.parametrize(("path", "query"), ANSWERS)
def test_answers_are_what_is_described(
    client: FlaskClient, document: dict[str, Any], path: str, query: str
) -> None:
    response = client.get(path + query)
    described = document["paths"][path]["get"]["responses"][str(response.status_code)]
    schema = described["content"][response.mimetype]["schema"]
    assert complaints(document, schema, json.loads(response.data)) == []
    for name in described.get("headers", {}):
        assert (name in response.headers) or name == "Retry-After"


def test_what_is_described_leaves_nothing_open(document: dict[str, Any]) -> None:
    bodies = {
        content["schema"]["$ref"].rpartition("/")[2]
        for _, _, operation in operations(document)
        for content in operation.get("requestBody", {}).get("content", {}).values()
    }
    schemas = document["components"]["schemas"]
    for schema in parts({name: schemas[name] for name in schemas if name not in bodies}):
        if schema.get("type") == "object" and schema.get("enum") != [None]:
            typed = schema.get("properties") or schema.get("additionalProperties")
            assert typed, schema
            assert set(schema.get("required", ())) == set(schema.get("properties", ()))
        if schema.get("type") == "array":
            assert schema["items"], schema


def test_closed_sets_are_told_value_by_value(document: dict[str, Any]) -> None:
    """A client that is generated has them as types of its own."""
    words = {
        "timeframe": set(get_args(Timeframe)),
        "side": set(get_args(Side)),
        "exit_reason": set(get_args(ExitReason)),
        "signal": set(get_args(Signal)),
        "hedge": set(get_args(Hedge)),
        "measure": set(get_args(Measure)),
    }
    scanned = {"Scan", "ScanHistory", "Radar"}
    open_ended = {"Worker", "Analyst", "Feed"}  # a newer worker may have a word more
    seen = set()
    for name, schema in document["components"]["schemas"].items():
        for key, told in schema.get("properties", {}).items():
            if key in words and told.get("type") == "string" and "Body" not in name:
                whole = set(SCANNED) if name in scanned and key == "timeframe" else words[key]
                assert set(told.get("enum", ())) - {None} == whole, (name, key)
                assert (None in told["enum"]) is told.get("nullable", False), (name, key)
                seen.add(key)
            if key == "state" and name not in open_ended:
                assert "enum" in told, name
            if key == "direction" and name not in ("Alert", "Firing"):
                assert set(told["enum"]) == {"a_on_b", "b_on_a"}, name
    assert seen >= {"timeframe", "side", "exit_reason", "signal", "hedge"}
    pair = document["components"]["schemas"]["Pair"]["properties"]
    assert set(pair["source"]["enum"]) == {"binance", "simulated", "replay", "import", None}


def test_a_default_can_be_given_as_well(client: FlaskClient, document: dict[str, Any]) -> None:
    """A client that is generated sends all of them."""
    asked = set()
    for path, method, operation in operations(document):
        schemas = {one["name"]: one["schema"] for one in operation["parameters"]}
        defaults = {name: one["default"] for name, one in schemas.items() if "default" in one}
        if method == "get" and defaults:
            answer = client.get(re.sub(r"{.*?}", "1", path), query_string={**defaults, "colour": 1})
            assert answer.status_code == 400
            told = {error["field"] for error in answer.get_json()["errors"]}
            assert "colour" in told, path
            assert not told & set(defaults), path
            asked.add(path)
    assert {"/analytics/pair", "/analytics/scan", "/api/rules"} <= asked


def _pascal(name: str) -> str:
    return re.sub(r"(?:^|_)([a-z0-9])", lambda found: found[1].upper(), name)


def test_a_closed_set_has_one_meaning_wherever_clients_call_it_the_same(
    document: dict[str, Any],
) -> None:
    """Generators name sets by operation or schema; of two that differ they leave out one."""
    named: dict[str, list[tuple[str, ...]]] = {}
    for _, _, operation in operations(document):
        for parameter in operation["parameters"]:
            name = _pascal(operation["operationId"]) + _pascal(parameter["name"])
            named.setdefault(name, []).append(tuple(parameter["schema"].get("enum", ())))
    parameters = set(named)
    for schema, described in document["components"]["schemas"].items():
        for name, value in described.get("properties", {}).items():
            named.setdefault(schema + _pascal(name), []).append(tuple(value.get("enum", ())))
    shared = {name: set(sets) for name, sets in named.items() if name in parameters}
    assert len(shared["ScanTimeframe"]) == 1
    assert [name for name, sets in shared.items() if len(sets - {()}) > 1] == []


def times_by_name(answer: Any, name: str = "") -> Iterator[str]:
    """Names of what holds a time."""
    if isinstance(answer, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", answer):
        yield name
    for key, part in answer.items() if isinstance(answer, dict) else ():
        yield from times_by_name(part, key)
    for part in answer if isinstance(answer, list) else ():
        yield from times_by_name(part, name)


def test_times_are_told_to_be_times(client: FlaskClient, document: dict[str, Any]) -> None:
    """A client that is generated has them as its language's own."""
    names = {"asked", "born", "delivered", "down_since", "ended", "judged", "tried"}
    for path, query in ANSWERS:
        names |= set(times_by_name(client.get(path + query).get_json()))
    assert {"as_of", "entry_time", "from", "history_start", "middle", "time"} <= names
    for name, schema in document["components"]["schemas"].items():
        for key, told in schema.get("properties", {}).items():
            is_text = told.get("type") == "string" and "pattern" not in told  # what is asked for
            if is_text and (key in names or key.endswith("_time")):
                assert told.get("format") == "date-time", (name, key)


def test_a_missing_or_wrong_key_would_be_noticed(
    client: FlaskClient, document: dict[str, Any]
) -> None:
    schema = {"$ref": "#/components/schemas/Pair"}
    answer = client.get(f"/analytics/pair?{PAIR}&points=5").get_json()
    for name in answer:
        assert complaints(document, schema, {k: v for k, v in answer.items() if k != name})
    assert complaints(document, schema, answer | {"cointegration": {"anything": 1}})
    assert complaints(document, schema, answer | {"symbol_a": "BTC USDT"})
    bars = client.get("/api/bars?symbol=BTCUSDT&limit=1").get_json()
    schema = {"$ref": "#/components/schemas/Bars"}
    assert complaints(document, schema, bars | {"rows": [bars["rows"][0][:-1]]})
    assert complaints(document, schema, bars | {"rows": [["1", *bars["rows"][0][1:]]]})


def test_examples_are_what_they_show(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                continue  # whole numbers, which nobody needs an example of
            schema = {k: v for k, v in parameter["schema"].items() if k != "exclusiveMinimum"}
            assert complaints(document, schema, parameter["example"]) == [], (path, parameter)
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                if "example" in content:
                    assert complaints(document, content["schema"], content["example"]) == []


@pytest.mark.parametrize("symbol", ["BTCUSDT", "1INCHUSDT", "币安人生USDT", "A.B-C_D", "btcusdt"])
def test_symbols_that_are_listed_fit_the_pattern(document: dict[str, Any], symbol: str) -> None:
    parameters = document["paths"]["/api/bars"]["get"]["parameters"]
    schema = next(item["schema"] for item in parameters if item["name"] == "symbol")
    assert complaints(document, schema, symbol) == []
    for bad in ("", "A B", "A/B", "A+B", "_A", ".A", "A" * 21, "=A"):
        assert complaints(document, schema, bad)


def test_unchanged_answers_and_limits_are_described(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        responses = operation["responses"]
        assert {"413", "421"} <= set(responses)
        assert {"200", "201", "202", "204"} & set(responses)
        assert ("400" in responses) is (method != "delete")
        is_kept = method == "get" and path != "/metrics"
        assert ("304" in responses) is is_kept
        assert ("429" in responses) is (path != "/healthz")
        assert ("ETag" in responses.get("200", {}).get("headers", {})) is is_kept
