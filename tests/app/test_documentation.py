"""`/openapi.json` and `/docs` show the routes that there are, and load nothing from outside."""

import json
import re

from dash import Dash
from flask.testing import FlaskClient


def test_openapi_lists_every_route_and_parameter(desk: Dash, client: FlaskClient) -> None:
    response = client.get("/openapi.json")
    assert response.content_type == "application/json"
    document = response.get_json()
    assert document["openapi"].startswith("3.")
    served = {
        re.sub(r"<(?:int:)?(\w+)>", r"{\1}", rule.rule)
        for rule in desk.server.url_map.iter_rules()
        if re.match(r"/(api|analytics|healthz|readyz|metrics)", rule.rule)
    }
    assert set(document["paths"]) == served
    operation = document["paths"]["/analytics/pair"]["get"]
    parameters = {item["name"]: item["schema"] for item in operation["parameters"]}
    assert set(parameters) == {
        *("symbol_a", "symbol_b", "timeframe", "window", "entry_z", "exit_z", "stop_z"),
        *("exit_rule", "lags"),
        *("max_hold_bars", "hedge", "hedge_window", "bars", "since", "fee_bps", "slippage_bps"),
        *("notional", "points"),
    }
    assert parameters["window"]["minimum"] == 10
    assert parameters["window"]["maximum"] == 2_000
    assert parameters["window"]["default"] == 120
    assert parameters["stop_z"] == {"type": "number", "minimum": 0.0}
    assert parameters["notional"]["exclusiveMinimum"] is True
    assert parameters["timeframe"]["enum"] == ["1s", "1m", "5m", "15m", "1h"]
    expected = {"200", "304", "400", "401", "404", "413", "421", "429", "503"}
    assert set(operation["responses"]) == expected
    assert list(operation["responses"]["400"]["content"]) == ["application/problem+json"]


def test_openapi_references_resolve_and_describe_the_answers(client: FlaskClient) -> None:
    text = client.get("/openapi.json").text
    document = json.loads(text)
    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text))
    assert references == set(document["components"]["schemas"])
    described = document["components"]["schemas"]["Pair"]["properties"]
    answer = client.get("/analytics/pair?window=30&hedge_window=100&bars=100").get_json()
    assert set(described) == set(answer)
    schemas = document["components"]["schemas"]
    assert set(schemas["Backtest"]["properties"]) == set(answer["backtest"])
    assert set(schemas["Status"]["properties"]) == set(client.get("/api/status").get_json())


def test_documentation_page_loads_nothing_from_outside(client: FlaskClient) -> None:
    page = client.get("/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sorted(source for source in sources if source.startswith("/")) == [
        "/assets/swagger-ui/start.js",
        "/assets/swagger-ui/swagger-ui-bundle.js",
        "/assets/swagger-ui/swagger-ui.css",
    ]
    assert [source for source in sources if not source.startswith("/")] == ["data:,"]
    for source in sources:
        if source.startswith("/"):
            with client.get(source) as response:
                assert response.status_code == 200
    with client.get("/assets/swagger-ui/start.js") as response:
        assert "validatorUrl: null" in response.text
    with client.get("/assets/swagger-ui/swagger-ui.css") as response:
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", response.text)


def test_page_does_not_load_the_documentation(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "swagger" not in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
