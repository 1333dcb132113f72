"""What a pair's numbers are worth: net per trade by entry, and what noise gives."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.services import Desk
from app.views.live.callbacks import load_noise
from app.views.live.texts import NOISE
from app.views.live.worth import RUNS
from core.pair_spec import read_pair_spec

REACH = "window=30&hedge_window=100&bars=600"
PAIR = f"{REACH}&entry_z=1.5"


def test_expectancy_holds_the_backtest_of_the_entry_asked_for(client: FlaskClient) -> None:
    pair = client.get(f"/analytics/pair?{PAIR}").get_json()
    told = client.get(f"/analytics/pair/expectancy?{PAIR}").get_json()
    assert [entry["entry_z"] for entry in told["entries"]][:3] == [1.0, 1.25, 1.5]
    assert (told["since"], told["as_of"]) == (pair["backtest"]["since"], pair["as_of"])
    assert told["since"] < told["middle"] < told["as_of"]
    whole = told["entries"][2]["whole"]
    assert whole["trades"] == pair["backtest"]["total_trades"]
    assert whole["net"] == pytest.approx(pair["backtest"]["avg_pnl"])  # bp of 10,000
    halves = [told["entries"][2][half]["trades"] for half in ("first_half", "second_half")]
    assert sum(halves) == whole["trades"]
    assert told["cost_bps"] == 18.0
    assert told["entries"][-1]["whole"] == {
        "trades": 0, "gross": None, "gross_stderr": None, "net": None, "net_stderr": None,
    }  # fmt: skip
    assert told["warnings"] == [
        "entries: gross and net are null without a closed trade, their errors under two"
    ]


def test_an_exit_beyond_every_entry_leaves_none_and_says_so(client: FlaskClient) -> None:
    told = client.get(f"/analytics/pair/expectancy?{REACH}&entry_z=9&exit_z=7").get_json()
    assert told["entries"] == []
    assert told["warnings"] == ["entries: exit_z and stop_z leave none of 1.0 … 6.0"]


def test_placebo_ranks_the_figures_of_the_pair_and_repeats_itself(client: FlaskClient) -> None:
    pair = client.get(f"/analytics/pair?{PAIR}").get_json()
    url = f"/analytics/pair/placebo?{PAIR}&runs=20"
    told = client.get(url).get_json()
    assert told["runs"] == 20
    figures = told["figures"]
    assert figures["win_rate"]["value"] == pair["backtest"]["win_rate"]
    assert figures["half_life_bars"]["value"] == pair["half_life_bars"]
    assert (
        figures["total_pnl"]["low"] < figures["total_pnl"]["median"] < figures["total_pnl"]["high"]
    )
    assert 0 <= figures["total_pnl"]["rank"] <= 100
    assert {"beyond_entry", "half_life_found", "reversion_capture"} < set(figures)
    assert figures["sharpe"] == {
        "value": None, "low": None, "median": None, "high": None, "rank": None, "defined": 0,
    }  # fmt: skip
    assert client.get(url).get_json() == told
    words = pair["backtest"]["sharpe"], [w for w in pair["warnings"] if "backtest.sharpe:" in w]
    assert words == (None, ["backtest.sharpe: 0.4 days; 30 are needed"])
    assert "figures.sharpe.value: 0.4 days; 30 are needed" in told["warnings"]


def test_page_sets_the_noise_of_the_api_beside_each_card(
    client: FlaskClient, services: Desk
) -> None:
    query = "window=30&hedge_window=100&bars=600&entry_z=1.5"
    told = client.get(f"/analytics/pair/placebo?{query}&runs={RUNS}").get_json()["figures"]
    texts = load_noise(services, {"query": query})["texts"]
    effect, pvalue, correlation = (
        told[name] for name in ("hedge_effectiveness", "pvalue_both", "correlation")
    )
    low, high = (f"{100 * effect[part]:.0f}".replace("-", "−") for part in ("low", "high"))
    joint = " to " if effect["low"] < 0 else "–"
    assert texts["effect-noise"] == f" · noise {low}{joint}{high}"
    assert texts["coint-noise"] == f" · noise {pvalue['low']:.2g}–{pvalue['high']:.2g}"
    assert texts["corr-noise"] in (
        f"noise {correlation['low']:.2f}–{correlation['high']:.2f}",
        f"noise {correlation['low']:.2f} to {correlation['high']:.2f}".replace("-", "−"),
    )
    assert set(texts) == set(NOISE)


@pytest.mark.parametrize("query", [f"{PAIR}&runs=20", f"{REACH}&entry_z=9&runs=20"])
def test_every_null_of_a_placebo_has_a_reason(client: FlaskClient, query: str) -> None:
    """With an entry that nothing reaches, too: no trade, and no walk has one."""
    told = client.get(f"/analytics/pair/placebo?{query}").get_json()
    explained = {line.partition(": ")[0] for line in told["warnings"]}
    for name, figure in told["figures"].items():
        of_walks = {"low", "median", "high"}
        assert (f"figures.{name}.value" in explained) == (figure["value"] is None)
        assert (f"figures.{name}" in explained) == (figure["defined"] == 0)
        assert (figure["defined"] == 0) == all(figure[part] is None for part in of_walks)
        if figure["rank"] is None:
            assert explained & {f"figures.{name}", f"figures.{name}.rank"}
    assert not any("undefined on these bars" in line for line in told["warnings"])


@pytest.mark.parametrize(
    ("query", "status"), [("runs=19", 400), ("runs=501", 400), ("symbol_a=NOPEUSDT", 404)]
)
def test_placebo_of_what_can_not_be_had_is_refused(
    client: FlaskClient, query: str, status: int
) -> None:
    assert client.get(f"/analytics/pair/placebo?{query}").status_code == status


@pytest.mark.parametrize(("route", "empty"), [("expectancy", "entries"), ("placebo", "figures")])
def test_without_common_bars_the_reason_stands_instead(
    client: FlaskClient, route: str, empty: str
) -> None:
    told = client.get(f"/analytics/pair/{route}?symbol_b=SOLUSDT").get_json()
    assert not told[empty]
    assert told["warnings"] == [f"{empty}: no bars that the legs have in common are stored yet"]


def test_the_same_question_is_computed_once(
    services: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = read_pair_spec({"window": 30, "hedge_window": 100, "bars": 300}, services.settings)
    first = services.worth.placebo(spec, 20)

    def refuse(*_: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("app.services.worth.placebo", refuse)
    assert repr(services.worth.placebo(spec, 20)) == repr(first)
