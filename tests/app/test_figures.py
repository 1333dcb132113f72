"""What the charts draw: the result's own numbers, as plain lists, and deltas that add up."""

import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from app.views.live import figures, series
from app.views.live.packed import packed, packed_figure
from core.pair import analyse_pair
from core.pair_spec import PairSpec, read_pair_spec
from core.row_plan import plan_rows
from core.settings import Settings
from core.types import Bars, PairResult, Stopped

MINUTE = 60_000
START_MS = 1_795_392_000_000
ROWS = 9_000


def spec_of(**changes: Any) -> PairSpec:
    asked = {"symbol_a": "SOLUSDT", "symbol_b": "AVAXUSDT", "bars": 400}
    return replace(read_pair_spec(asked, Settings()), **changes)


def bars_of(closes: np.ndarray, missing: tuple[int, ...] = ()) -> Bars:
    here = np.setdiff1d(np.arange(len(closes)), missing)
    opens = np.concatenate([closes[:1], closes[:-1]])
    ones = np.ones(len(here))
    return Bars(
        open_time_ms=START_MS + here * MINUTE,
        open=opens[here],
        high=np.maximum(opens, closes)[here],
        low=np.minimum(opens, closes)[here],
        close=closes[here],
        volume=ones,
        quote_volume=ones,
        trade_count=np.ones(len(here), dtype=np.int64),
        taker_buy_volume=ones,
        complete=np.ones(len(here), dtype=np.bool_),
        imported=np.zeros(len(here), dtype=np.bool_),
    )


@pytest.fixture(scope="module")
def closes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    x = np.log(34.0) + rng.normal(0, 8e-4, ROWS).cumsum()
    spread = np.zeros(ROWS)
    for row, shock in enumerate(rng.normal(0, 1.5e-3, ROWS - 1), start=1):
        spread[row] = 0.97 * spread[row - 1] + shock
    return np.round(np.exp(1.4 + 1.1 * x + spread), 2), np.round(np.exp(x), 3)


def result_of(
    closes: tuple[np.ndarray, np.ndarray],
    rows: int,
    spec: PairSpec,
    missing: tuple[int, ...] = (),
) -> PairResult:
    plan = plan_rows(spec, START_MS, START_MS + (rows - 1) * MINUTE)
    bars_a, bars_b = (bars_of(leg[:rows], missing) for leg in closes)
    return analyse_pair(spec, plan, bars_a, bars_b)


def traces_of(figure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trace["name"]: trace for trace in figure["data"]}


def test_first_figure_of_a_long_history_stays_small_and_is_plain_json(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    result = result_of(closes, ROWS, spec_of(bars=4_320))
    drawn = series.drawn_rows(result)
    both = [
        figures.pair_figure(result, drawn, "key"),
        figures.equity_figure(result, drawn, "key"),
    ]
    assert len(result.rows) > 4_320
    assert len(json.dumps(both, allow_nan=False)) < 800_000
    for trace in both[0]["data"]:
        assert type(trace["y"]) is list


def unpacked(column: Any) -> list[float | None]:
    """What the browser makes of steps, one after another."""
    values: list[float | None] = []
    whole = 0
    for step in column["steps"]:
        whole += step or 0
        values.append(None if step is None else whole / 10 ** column["digits"])
    return values


def test_figure_is_packed_into_two_thirds_of_its_bytes_and_loses_no_digit(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    # As an exchange quotes them.
    quoted = (np.round(closes[0], 2), np.round(closes[1], 2))
    result = result_of(quoted, ROWS, spec_of(bars=4_320, hedge="kalman"), missing=(8_000, 8_001))
    figure = figures.pair_figure(result, series.drawn_rows(result), "key")
    told = packed_figure(figure)
    sizes = [len(zlib.compress(json.dumps(one).encode())) for one in (told, figure)]
    assert sizes[0] < 0.67 * sizes[1]
    for own, sent in zip(figure["data"], told["data"], strict=True):
        if "rows" not in own["meta"]:
            assert sent is own
            continue
        assert sent["x0"] == own["x0"]
        for part in {"y", "customdata"} & own.keys():
            assert set(sent[part]) == {"digits", "steps"}, own["name"]
            assert unpacked(sent[part]) == own[part], own["name"]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ([], {"digits": 0, "steps": []}),
        ([None, None], {"digits": 0, "steps": [None, None]}),
        ([None, 2.5, None, 2.25, -1.0], {"digits": 2, "steps": [None, 250, None, -25, -325]}),
        ([1.234e-5, 1.233e-5], {"digits": 8, "steps": [1_234, -1]}),
        # Whole numbers of so many digits are not exact: better as they are.
        ([1 / 3], [1 / 3]),
        ([2e16, 1e16], [2e16, 1e16]),
    ],
)
def test_column_is_told_by_its_steps(column: list[float | None], told: Any) -> None:
    assert packed(column) == told


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_charts_draw_the_numbers_of_the_result(
    closes: tuple[np.ndarray, np.ndarray], hedge: str
) -> None:
    result = result_of(closes, 2_000, spec_of(hedge=hedge))
    drawn = series.drawn_rows(result)
    traces = traces_of(figures.pair_figure(result, drawn, "key"))
    assert drawn.first_ms == result.start_ms
    assert drawn.last_ms == result.as_of_ms - MINUTE
    assert (traces["z"]["x0"], traces["z"]["dx"]) == (result.start_ms, MINUTE)
    np.testing.assert_allclose(traces["z"]["y"], result.chosen.zscore, atol=6e-4)
    np.testing.assert_allclose(traces["spread"]["y"], 100 * result.chosen.spread, atol=6e-4)
    np.testing.assert_allclose(traces["ols"]["y"], result.hedge_ratios["ols"], rtol=1e-3)
    np.testing.assert_allclose(traces["a"]["customdata"], result.rows.close_a)
    change = 100 * (result.rows.close_a[-1] / result.rows.close_a[0] - 1)
    assert traces["a"]["y"][-1] == pytest.approx(change, abs=6e-4)


def test_a_missing_bar_is_a_hole_and_never_a_number(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    result = result_of(closes, 2_000, spec_of(), missing=(1_900,))
    drawn = series.drawn_rows(result)
    row = (START_MS + 1_900 * MINUTE - result.start_ms) // MINUTE
    traces = traces_of(figures.pair_figure(result, drawn, "key"))
    assert traces["a"]["y"][row] is None
    assert traces["z"]["y"][row] is None
    json.dumps(traces, allow_nan=False)


def test_deltas_add_up_to_the_figure_drawn_at_once(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    spec = spec_of(entry_z=1.0, exit_z=0.2)
    result = result_of(closes, 2_000, spec)
    drawn = series.drawn_rows(result)
    grown = traces_of(figures.pair_figure(result, drawn, "key"))
    for rows in range(2_001, 2_060):
        result = result_of(closes, rows, spec)
        if result.start_ms != drawn.first_ms:
            break
        delta = series.newer_rows(result, drawn)
        for trace in grown.values():
            meta = trace["meta"]
            if "rows" in meta:
                trace["y"] += delta["rows"][meta["rows"]]
            for part, values in delta["marks"].get(meta.get("marks"), {}).items():
                trace[part] += values
        drawn = series.drawn_rows(result)
    assert rows > 2_040, "the left edge moved too soon for this test"
    whole = traces_of(figures.pair_figure(result, series.drawn_rows(result), "key"))
    assert len(whole["entry_long"]["x"]) + len(whole["entry_short"]["x"]) > 3
    for name, trace in whole.items():
        assert trace["y"] == grown[name]["y"], name
        assert trace.get("x") == grown[name].get("x"), name


def test_held_time_is_shaded_from_the_bar_after_the_decision(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    result = result_of(closes, 2_000, spec_of(entry_z=1.2, exit_z=0.2))
    drawn = series.drawn_rows(result)
    end = series.ends(result, drawn)
    traces = traces_of(figures.pair_figure(result, drawn, "key"))
    held = np.zeros(len(result.rows), dtype=int)
    for name, side in (("long", 1), ("short", -1)):
        areas = [time for time in traces[f"held_{name}"]["x"] if time is not None]
        spans = list(zip(areas[::4], areas[2::4], strict=True))
        spans += [tuple(end[f"open_{name}"])] if end[f"open_{name}"] else []
        for left_ms, right_ms in spans:
            left, right = ((ms - result.start_ms) // MINUTE for ms in (left_ms, right_ms))
            held[left:right] += side
    assert set(held) == {-1, 0, 1}
    np.testing.assert_array_equal(held[1:], result.position[:-1])


def test_very_long_results_draw_their_newest_rows(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    result = result_of(closes, ROWS, spec_of(bars=8_000, window=20, hedge_window=40))
    drawn = series.drawn_rows(result)
    figure = figures.pair_figure(result, drawn, "key")
    z = traces_of(figure)["z"]
    assert len(z["y"]) == series.MAX_DRAWN_ROWS
    assert drawn.last_ms == int(result.rows.open_time_ms[-1])
    assert traces_of(figure)["a"]["y"][0] == 0.0


def test_labels_beside_the_charts_say_the_result_s_own_numbers(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    result = result_of(closes, 2_000, spec_of(entry_z=1.95, hedge="shrunk"))
    end, labels = series.ends(result, series.drawn_rows(result)), series.labels(result.spec)
    said = end["said"]
    assert said["z"] == f"{result.chosen.zscore[-1]:+.2f}".replace("-", "−")
    assert (said["entry"], end["entry"]) == ("1.9", 1.95)
    assert said["a"] == f"{result.rows.close_a[-1]:.2f}"
    assert said["shrunk"] == f"{result.hedges['shrunk'].hedge_ratio:.2f}"
    assert said.keys() == {label[1] for label in labels}
    hedges = {label[1]: label[3:] for label in labels if label[0] == "y4"}
    assert hedges.pop("shrunk") == ["t", True]
    assert hedges == {name: ["m", False] for name in ("ols", "kalman", "ratio", "returns")}


def test_a_leg_that_has_stopped_is_named_beside_the_time_since_when_it_has(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    result = result_of(closes, 800, spec_of())
    assert series.ends(result, series.drawn_rows(result))["stopped"] is None
    stopped = Stopped("ETHUSDT", 1_725_570_840_000, "words for the API")
    ends = series.ends(replace(result, stopped=stopped), series.drawn_rows(result))
    assert ends["stopped"] == 1_725_570_840_000
    assert ends["waits"] == ["ETH has not traded", "since 05 Sep 21:14"]


@pytest.mark.parametrize("hedge", ["ols", "kalman", "ratio", "shrunk", "returns"])
def test_chosen_hedge_is_drawn_over_the_four_others_which_are_faint(
    closes: tuple[np.ndarray, np.ndarray], hedge: str
) -> None:
    result = result_of(closes, 2_000, spec_of(hedge=hedge))
    figure = figures.pair_figure(result, series.drawn_rows(result), "key")
    lines = [trace for trace in figure["data"] if trace["name"] in result.hedge_ratios]
    colors = {trace["name"]: trace["line"]["color"] for trace in lines}
    assert lines[-1]["name"] == hedge
    assert colors == dict.fromkeys(result.hedge_ratios, "--faint") | {hedge: "--text"}
    for trace in lines:
        np.testing.assert_allclose(trace["y"], result.hedge_ratios[trace["name"]], rtol=1e-3)
    # What the band means holds of the filter alone.
    assert ("kalman_low" in traces_of(figure)) == (hedge == "kalman")


def test_band_is_closed_over_a_hole_and_encloses_nothing_there() -> None:
    low, high = np.array([np.nan, 1.0, 2.0, np.nan, np.nan, 3.0]), np.full(6, 6.0)
    high[[0, 3, 4]] = np.nan
    cut_low, cut_high = series.cut_band(low, high)
    np.testing.assert_array_equal(cut_low, [np.nan, 1.0, 2.0, 4.0, 4.0, 3.0])
    np.testing.assert_array_equal(cut_high, [np.nan, 6.0, 6.0, 4.0, 4.0, 6.0])


@pytest.mark.parametrize(
    ("price", "said"),
    [(1.106e-05, "0.00001106"), (0.25, "0.2500"), (17.7, "17.70"), (56_588.0, "56,588.0")],
)
def test_prices_never_come_with_an_exponent(price: float, said: str) -> None:
    assert series.price_text(price) == said


def test_zoom_belongs_to_pair_and_timeframe_and_outlives_every_other_change(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    views = set()
    for spec in (spec_of(), spec_of(hedge="kalman"), spec_of(entry_z=3.0, window=60)):
        result = result_of(closes, 2_000, spec)
        layout = figures.pair_figure(result, series.drawn_rows(result), "key")["layout"]
        views.add((layout["meta"]["view"], layout["uirevision"]))
    assert views == {("SOLUSDT AVAXUSDT 1m", "SOLUSDT AVAXUSDT 1m")}


def test_costs_out_of_reach_do_not_flatten_the_z_chart(
    closes: tuple[np.ndarray, np.ndarray],
) -> None:
    for fee_bps, drawn_line in ((1.0, True), (500.0, False)):
        result = result_of(closes, 2_000, spec_of(fee_bps=fee_bps))
        end = series.ends(result, series.drawn_rows(result))
        assert (end["even"] is not None) == drawn_line


def test_figure_is_one_that_plotly_knows(closes: tuple[np.ndarray, np.ndarray]) -> None:
    result = result_of(closes, 2_000, spec_of(stop_z=4.0))
    drawn = series.drawn_rows(result)
    for figure in (
        figures.pair_figure(result, drawn, "key"),
        figures.equity_figure(result, drawn, "key"),
    ):
        text = json.dumps(figure)
        names = {part.split('"')[0] for part in text.split('"--')[1:]}
        for name in names:
            text = text.replace(f'"--{name}"', '"#123456"')
        go.Figure(json.loads(text))
        css = (figures.__file__ or "").replace("app/views/live/figures.py", "assets/desk.css")
        with open(css) as styles:
            known = styles.read()
        assert [name for name in names if f"--{name}:" not in known] == []


@pytest.mark.parametrize(
    ("price", "decimals", "text"),
    [
        (1.106e-05, 8, "0.00001106"),
        (1.106e-05, None, "0.00001106"),
        (6e-07, 10, "0.0000006000"),
        (0.5, 4, "0.5000"),
        (0.5, None, "0.5000"),
        (84_213.4, 2, "84,213.40"),
        (84_213.44, None, "84,213.4"),
        (123.456, None, "123.46"),
        (97.0, 0, "97"),
        (None, 2, ""),
    ],
)
def test_prices_have_the_decimals_that_the_exchange_quotes_and_no_exponent(
    price: float | None, decimals: int | None, text: str
) -> None:
    assert series.price_text(price, decimals) == text
