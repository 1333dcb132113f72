"""What the checks come to, in words: each that fails is named, with its number."""

import math

import pytest

from core.honest_words import judge
from core.honesty import Difference, Noise, Placebo, TruncationCheck
from core.stress import ANCHORED, AS_SET, LATE, MOVING, NO_COSTS, TWICE_COSTS, Outcome
from core.types import Cointegration, Johansen

CLEAN = TruncationCheck(20, 123_456, ())
GOOD = {
    AS_SET: 12.0, NO_COSTS: 36.0, TWICE_COSTS: 2.0, MOVING: 12.0, ANCHORED: 9.0, LATE: 8.0,
}  # fmt: skip


def outcomes(trades=30, **changed):
    return {name: Outcome(trades, bp, bp * trades) for name, bp in {**GOOD, **changed}.items()}


def placebo(rank):
    noise = Noise(400.0, -300.0, 10.0, 250.0, rank, 200)
    return Placebo(200, 0.5, 1.0, 1.0, {"total_pnl": noise}, {})


def tie(pvalue_both=0.02, rank=1):
    by_residual = Cointegration(-3.9, pvalue_both / 2, pvalue_both, 0, "a_on_b", -3.34, None)
    return by_residual, Johansen((22.4, 1.9), (15.4943, 3.8415), rank), ""


def passed(verdict):
    return {check.name: check.passed for check in verdict.checks}


def test_what_stands_every_check_is_said_to_and_each_number_is_told():
    told = judge(CLEAN, placebo(98.0), "", outcomes(), tie())
    assert set(passed(told).values()) == {True}
    assert (
        told.words == "Nothing looks ahead, and its +12.0 bp a trade (30 trades) stood every check."
    )
    words = {check.name: check.words for check in told.checks}
    assert "cut off 20 times and 123,456 numbers" in words["future"]
    assert "more than 98 % of 200 pairs" in words["noise"]
    assert "−300 to +250" in words["noise"]
    assert "+36.0 bp without any, +2.0 bp at twice" in words["costs"]
    assert "+9.0 bp when it leaves at the mean of its entry" in words["exits"]
    assert "+8.0 bp a trade when every fill comes a bar later" in words["late"]
    assert "p 0.02; Johansen" in words["tie"]
    assert "trace 22.4, of which 15.5 is the 5 % value: on these rows both tie" in words["tie"]


@pytest.mark.parametrize(
    ("changed", "rank", "name", "why"),
    [
        ({}, 60.0, "noise", "chance does as well"),
        ({ANCHORED: -4.0}, 98.0, "exits", "the mean came to it"),
        ({LATE: -1.0}, 98.0, "late", "it is gone a bar later"),
    ],
)
def test_a_profit_that_hangs_on_one_assumption_is_not_proven(changed, rank, name, why):
    told = judge(CLEAN, placebo(rank), "", outcomes(**changed), tie())
    assert [one for one, is_good in passed(told).items() if not is_good] == [name]
    assert told.words.endswith(f"is not proven: {why}.")


def test_a_loss_is_called_one_and_says_whether_costs_make_it():
    by_costs = judge(CLEAN, placebo(98.0), "", outcomes(**{AS_SET: -5.0}), tie())
    assert "but it loses: −5.0 bp a trade" in by_costs.words
    assert "the costs take more than it earns" in by_costs.checks[2].words
    before = judge(CLEAN, placebo(98.0), "", outcomes(**{AS_SET: -5.0, NO_COSTS: -1.0}), tie())
    assert "loses before it pays anything" in before.checks[2].words


@pytest.mark.parametrize(
    ("pvalue_both", "rank", "said"),
    [
        (0.2, 0, "neither ties the legs."),
        (0.2, 1, "they disagree."),
        (0.02, 0, "they disagree."),
        (0.02, 2, "but each leg is stationary without the other."),
    ],
)
def test_a_profit_of_legs_that_two_tests_do_not_tie_is_not_proven(pvalue_both, rank, said):
    told = judge(CLEAN, placebo(98.0), "", outcomes(), tie(pvalue_both, rank))
    assert passed(told)["tie"] is False
    assert told.checks[-1].words.endswith(said)
    assert told.words.endswith("is not proven: the tests don't tie its legs.")


def test_legs_that_can_t_be_tested_are_neither_tied_nor_not():
    told = judge(CLEAN, placebo(98.0), "", outcomes(), (None, None, "a leg does not move"))
    assert passed(told)["tie"] is None
    assert told.checks[-1].words == "Not tested: a leg does not move."


def test_a_number_that_looks_ahead_comes_before_all_else(in_time_zone):
    seen = TruncationCheck(20, 10, (Difference("ols.zscore", 3_600_000, 1.5, 1.25),))
    with in_time_zone("Asia/Kolkata"):
        told = judge(seen, placebo(98.0), "", outcomes(), tie())
    assert told.words.startswith("A number looks ahead")
    assert "ols.zscore of 1970-01-01 01:00 UTC changes from 1.5 to 1.25" in told.checks[0].words


def test_what_can_t_be_compared_is_neither_passed_nor_failed():
    told = judge(CLEAN, None, "under 50 returns of both legs", outcomes(), tie())
    assert passed(told)["noise"] is None
    assert "under 50 returns" in told.checks[1].words
    assert passed(judge(CLEAN, placebo(math.nan), "", outcomes(), tie()))["noise"] is None
    nothing = judge(CLEAN, None, "", outcomes(trades=0), tie())
    assert passed(nothing) == {"future": True}
    assert "never closed a trade" in nothing.words
