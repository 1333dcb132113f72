"""`/analytics/pair/explain`: the z on screen, taken apart."""

import numpy as np
import pytest

PAIR = "window=30&hedge_window=100&bars=600&entry_z=1.5"


def test_rows_told_reproduce_the_z_of_the_pair_route(client):
    pair = client.get(f"/analytics/pair?{PAIR}").get_json()
    told = client.get(f"/analytics/pair/explain?{PAIR}").get_json()
    assert told["zscore"] == pair["zscore"]
    assert told["hedge_ratio"] == pair["hedge_ratio"]["ols"]
    rows = {name: np.array(values, float) for name, values in told["rows"].items()}
    spread = (
        np.log(rows["close_a"]) - told["intercept"] - told["hedge_ratio"] * np.log(rows["close_b"])
    )
    window = rows["in_z_window"].astype(bool)
    assert window.sum() == told["z_window"]["rows"] == 30
    assert told["fit"]["rows"] == 100
    z = (spread[-1] - spread[window].mean()) / spread[window].std(ddof=1)
    assert z == pytest.approx(told["zscore"], abs=1e-8)


def test_costs_stand_beside_what_the_reversion_would_earn(client):
    pair = client.get(f"/analytics/pair?{PAIR}").get_json()
    told = client.get(f"/analytics/pair/explain?{PAIR}&fee_bps=7.5").get_json()
    assert told["break_even_z"] == pair["break_even_z"]
    assert told["round_trip_cost"] == 2 * (7.5 + 1.5) / 1e4 * 10_000
    reach = max(0.0, abs(told["zscore"]) - told["exit_z"])
    unit = told["spread_std"] / (1 + abs(told["hedge_ratio"]))
    assert told["expected_reversion"] == pytest.approx(10_000 * unit * reach)
    at_break_even = 10_000 * unit * (told["break_even_z"] - told["exit_z"])
    assert at_break_even == pytest.approx(told["round_trip_cost"])


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_any_result_row_can_be_asked_for(client, hedge):
    pair = client.get(f"/analytics/pair?{PAIR}&hedge={hedge}").get_json()
    series = pair["series"]
    for row in (0, 250, -1):
        url = f"/analytics/pair/explain?{PAIR}&hedge={hedge}&time={series['time'][row]}"
        assert client.get(url).get_json()["zscore"] == series["zscore"][row]


@pytest.mark.parametrize("time", ["0", "1795401000001", "yesterday", "", "9" * 15])
def test_a_time_without_a_row_is_400_and_says_which_there_are(client, time):
    answer = client.get(f"/analytics/pair/explain?{PAIR}&time={time}")
    assert answer.status_code == 400
    (error,) = answer.get_json()["errors"]
    assert error["field"] == "time"
    assert error["allowed"]


def test_unknown_symbol_is_404(client):
    assert client.get("/analytics/pair/explain?symbol_a=NOPEUSDT").status_code == 404


def test_a_row_of_the_warm_up_is_neither_counted_nor_blamed_on_a_hole(client):
    """The filter has errors from row 30 on: the first z window is half of warm-up rows."""
    query = f"{PAIR.replace('bars=600', 'bars=20000')}&hedge=kalman"
    start = client.get(f"/analytics/pair?{query}&points=20000").get_json()["series"]["time"]
    told = client.get(f"/analytics/pair/explain?{query}&time={start[45]}").get_json()
    assert sum(told["rows"]["in_z_window"]) == 15
    words = "too few stored bars to fill the windows"
    missing = ("spread_mean", "spread_std", "zscore", "break_even_z", "expected_reversion")
    assert told["warnings"] == [f"{name}: {words}" for name in missing]
    early = client.get(f"/analytics/pair/explain?{query}&time={start[5]}").get_json()
    assert f"hedge_ratio: {words}" in early["warnings"]


def test_the_documented_answer_has_every_key_of_the_body(client):
    documented = client.get("/openapi.json").get_json()["components"]["schemas"]["Explanation"]
    told = client.get(f"/analytics/pair/explain?{PAIR}").get_json()
    assert set(documented["properties"]) == set(told)
