"""The first line of the page: what it says, and that it advises nothing its numbers don't carry."""

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from app.views.live.texts import entry_note, lasting_texts, live_texts, signal_look
from app.views.live.verdict import verdict
from app.views.text import time_text
from core.pair import analyse_pair
from core.pair_spec import read_pair_spec
from core.row_plan import plan_rows
from core.settings import Settings
from core.types import Bars, PairResult, Stopped, Wait

HOUR = 3_600_000
START_MS = 497_000 * HOUR


def bars_of(closes: np.ndarray) -> Bars:
    count = len(closes)
    ones = np.ones(count)
    opens = np.concatenate([closes[:1], closes[:-1]])
    return Bars(
        open_time_ms=START_MS + np.arange(count) * HOUR,
        open=opens,
        high=np.maximum(opens, closes),
        low=np.minimum(opens, closes),
        close=closes,
        volume=ones,
        quote_volume=ones,
        trade_count=np.ones(count, dtype=np.int64),
        taker_buy_volume=ones,
        complete=np.ones(count, dtype=np.bool_),
        imported=np.zeros(count, dtype=np.bool_),
    )


@pytest.fixture(scope="module")
def computed() -> PairResult:
    return analysed()


def analysed(**asked: Any) -> PairResult:
    rng = np.random.default_rng(4)
    x = np.log(20.0) + rng.normal(0, 4e-3, 1_500).cumsum()
    spread = np.zeros(1_500)
    for row, shock in enumerate(rng.normal(0, 4e-3, 1_499), start=1):
        spread[row] = 0.9 * spread[row - 1] + shock
    legs = {"symbol_a": "BTCUSDT", "symbol_b": "ETCUSDT", "timeframe": "1h"}
    given = legs | {"bars": 800, "window": 60, "notional": 10_000} | asked
    spec = read_pair_spec(given, Settings())
    plan = plan_rows(spec, START_MS, START_MS + 1_499 * HOUR)
    return analyse_pair(spec, plan, bars_of(np.exp(1.0 + x + spread)), bars_of(np.exp(x)))


def standing(
    result: PairResult,
    positions: tuple[int, int],
    zscore: float,
    *,
    required_z: float = 1.5,
    avg_pnl: float = 12.0,
    trades: int = 47,
    capture: float = 0.3,
    **changes: Any,
) -> PairResult:
    """The result with its last two positions and what the first line hangs on set by hand."""
    position = result.position.copy()
    position[:] = 0
    position[-2:] = positions
    z = result.chosen.zscore.copy()
    z[-1] = zscore
    metrics = replace(
        result.backtest.metrics,
        avg_pnl=avg_pnl, avg_pnl_stderr=3.0, total_trades=trades, reversion_capture=capture,
    )  # fmt: skip
    side = {1: "long_spread", -1: "short_spread", 0: "flat"}[positions[1]]
    return replace(
        result,
        **{
            "position": position,
            "chosen": replace(result.chosen, zscore=z),
            "backtest": replace(result.backtest, metrics=metrics),
            "required_z": required_z,
            "signal": side,
            "signal_note": None,
            **changes,
        },
    )


def test_entry_below_what_the_pair_needs_is_no_trade(computed: PairResult) -> None:
    said = verdict(standing(computed, (1, 1), -1.25, required_z=3.5, avg_pnl=-5.5))
    assert said.look == ""
    assert said.words == "Wait: entry 2.0 is below what this pair needs (3.5)."
    assert said.figures.startswith("At 2.0 a trade lost 5.5 ± 3.0 bp after 24 bp of costs, 47 tr")
    assert "holds BTC bought, ETC sold since" in said.rule
    assert said.rule.endswith("leaves at z ≥ −0.5, 0.75 away.")


def test_new_entry_that_pays_says_what_is_sold_and_bought_and_how_much(
    computed: PairResult,
) -> None:
    result = standing(computed, (0, -1), 3.62)
    said = verdict(result)
    beta = result.chosen.hedge_ratio[-1]
    sold = 10_000 / (1 + abs(beta)) / result.rows.close_a[-1]
    bought = abs(beta) * 10_000 / (1 + abs(beta)) / result.rows.close_b[-1]
    assert said.look == "go"
    words = said.words.removesuffix("; leave at z ≤ 0.5.").replace(",", "").split()
    assert [words[0], words[2], words[3], words[5]] == ["Sell", "BTC", "buy", "ETC"]
    assert float(words[1]) == pytest.approx(sold, rel=1e-3)
    assert float(words[4]) == pytest.approx(bought, rel=1e-3)
    assert "beyond the needed 1.5" in said.figures


def test_what_is_held_is_held_until_its_own_exit(computed: PairResult) -> None:
    said = verdict(standing(computed, (-1, -1), 1.77))
    assert said.look == "go"
    assert said.words == "Hold: BTC sold, ETC bought; leave at z ≤ 0.5, 1.27 away."


def test_exit_of_the_newest_bar_says_what_to_trade_back(computed: PairResult) -> None:
    result = standing(computed, (1, 0), -0.4)
    trip = computed.backtest.round_trips[-1]._replace(
        exit_time_ms=None, quantity_a=0.0989, quantity_b=-248.7
    )
    backtest = replace(result.backtest, round_trips=(trip,))
    said = verdict(replace(result, backtest=backtest))
    assert (said.look, said.words) == ("go", "Leave: sell 0.09890 BTC, buy 248.7 ETC back.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Nothing: z +0.62 is 1.38 below your entry."),
        ({"required_z": math.nan, "capture": -0.09}, "Never: no entry has paid for 24 bp of costs"),
        (
            {"required_z": 187.4, "avg_pnl": -23.7},
            "Never: only z 187.4 would pay 24 bp of costs; here it reached 5.0.",
        ),
        ({"required_z": math.nan, "trades": 11}, "Wait: too few trades here to tell"),
        ({"avg_pnl": -1.0}, "Wait: at entry 2.0 this pair has not paid for 24 bp of costs."),
        (
            {
                "stopped": Stopped(
                    "ETCUSDT", 0, "ETCUSDT has not traded since 2024-09-05 03:41:00 UTC"
                )
            },
            "Can't say: ETCUSDT has not traded since 2024-09-05 03:41:00 UTC.",
        ),
    ],
)
def test_without_a_trade_the_first_line_says_why(
    computed: PairResult, changes: dict[str, Any], words: str
) -> None:
    said = verdict(standing(computed, (0, 0), 0.62, **changes))
    assert said.words.startswith(words)
    assert said.look == ("no" if words.startswith("Can't") else "")


def test_a_minus_of_the_first_line_is_a_true_one() -> None:
    given = analysed(exit_z=-0.5)
    back = verdict(standing(given, (0, 0), 2.5))
    assert back.words == "Nothing: z +2.50 has to come back inside −0.5 first."
    assert "leave at z ≤ −0.5, 1.70 away." in verdict(standing(given, (-1, -1), 1.2)).words


def test_legs_on_one_side_are_no_pair(computed: PairResult) -> None:
    result = standing(computed, (0, 0), 2.5)
    ratio = result.chosen.hedge_ratio.copy()
    ratio[-1] = -0.04
    said = verdict(replace(result, chosen=replace(result.chosen, hedge_ratio=ratio)))
    assert said.words == "Nothing: β is −0.04, both legs would stand on one side."
    # Whether the pair has paid for its costs is told all the same.
    assert said.figures.startswith("No entry while β ≤ 0. At 2.0 a trade earned 12.0 ± 3.0 bp")


@pytest.mark.parametrize(("avg_pnl", "look"), [(12.0, "long"), (-12.0, "grey")])
def test_signal_that_cannot_pay_is_grey(computed: PairResult, avg_pnl: float, look: str) -> None:
    result = standing(computed, (1, 1), -1.0, avg_pnl=avg_pnl)
    assert signal_look(result) == look
    assert ("can't pay" in live_texts(result, math.nan)["signal-note"]) == (look == "grey")


def test_no_z_is_nothing_to_act_upon(computed: PairResult) -> None:
    result = standing(computed, (1, 1), math.nan, signal="no_data")
    said = verdict(replace(result, reasons={"zscore": "under 90 % of the window is present"}))
    assert (said.look, said.words) == ("no", "Can't say: under 90 % of the window is present.")
    waiting = replace(result, wait=Wait(bars=60, here=480, needed=540, of=600))
    assert verdict(waiting).words == (
        "Can't say: 540 of 600 bars needed, 480 here; ready in 2.5 d."
    )
    assert entry_note(waiting).reason == "ready in 2.5 d"
    gone = replace(result, reasons={"zscore": "a bar is missing"}, wait=Wait(1, 590, 540, 600))
    assert verdict(gone).words == "Can't say: a bar is missing; ready with the next bar."


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, ""),  # 1,500 hours are stored; 800 of them and the 300 before each are enough
        ({"bars": 1_400}, " · of fewer bars until {300}"),
        ({"bars": 1_400, "hedge": "returns"}, " · of fewer bars until {310}"),
        (
            {"bars": 1_400, "hedge": "kalman", "hedge_window": 100},
            " · still running in until {1120}",
        ),
        ({"hedge": "kalman"}, " · still running in: no more are stored"),
    ],
)
def test_short_history_is_told_in_one_grey_line_with_its_end(
    asked: dict[str, Any], said: str
) -> None:
    """The row named is the first that has all that its hedge looks back to."""
    rows = re.search(r"\{(\d+)\}", said)
    if rows:
        moment = datetime.fromtimestamp((START_MS + int(rows[1]) * HOUR) / 1000, UTC)
        said = said.replace(rows[0], f"{moment:%d %b %H:%M}")
    assert lasting_texts(analysed(**asked))["history-note"] == said


def test_the_local_time_of_the_host_moves_no_time_of_the_page(
    computed: PairResult, in_time_zone: Any
) -> None:
    """Bars and toasts are told in UTC, as the exchange does."""
    told = lasting_texts(computed)
    with in_time_zone("Asia/Kolkata"):
        assert lasting_texts(computed) == told
        assert time_text(1_700_000_000_000, with_seconds=True) == "14 Nov 22:13:20"
