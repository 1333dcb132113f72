"""What a run says, in the words of a trader; pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.views.text import NONE, plain, time_text
from core.pair_spec import HEDGES
from core.words import with_minus

NEWS_BELOW = 0.05
"""A reality check's p below which a best of many is worth a second look."""


def share_words(value: float) -> str:
    """A share in whole per cent, or in words where that would be none."""
    return "under 1 %" if value < 0.01 else f"{100 * value:.0f} %"


def parameters_words(chosen: Mapping[str, Any] | None) -> str:
    """What tells one combination from another."""
    if chosen is None:
        return "nothing: too few trades"
    parts = [HEDGES.get(chosen["hedge"], chosen["hedge"]), f"{chosen['window']}",
             with_minus(f"{chosen['entry_z']:g} / {chosen['exit_z']:g}")]  # fmt: skip
    if chosen["stop_z"] is not None:
        parts.append(f"stop {chosen['stop_z']:g}")
    if chosen["exit_rule"] != "moving":
        parts.append(chosen["exit_rule"])
    if chosen["max_hold_bars"] is not None:
        parts.append(f"≤ {chosen['max_hold_bars']} bars")
    return " · ".join(parts)


def verdict(told: Mapping[str, Any], notional: float) -> tuple[str, str, str, str]:
    """The first sentence, what it rests on, what came after, and its look."""
    best, pbo, walked = told["best"], told["pbo"], told["walk_forward"]
    if best is None:
        return "Can't say: too few returns to judge luck.", "; ".join(told["warnings"]), "", "no"
    p = best["reality_check_p"]
    noise = f"{share_words(p)} of pure noise does as well."
    said = f"Better than luck: {noise}" if p < NEWS_BELOW else f"Not proven: {noise}"
    figures = {name: values[best["index"]] for name, values in told["metrics"].items()}
    trades = figures["total_trades"] or 0
    net = figures["avg_pnl"]
    gain = "" if net is None else f": {plain(net / notional * 1e4, '+.1f')} bp a trade"
    basis = (
        f"Best of {told['trials']:,}: {parameters_words(best['parameters'])}{gain},"
        f" {trades:.0f} trades, in sample."
    )
    after = []
    if walked is not None:
        after.append(
            f"Out of sample the choices earned {plain(walked['net'], '+,.0f')} in"
            f" {walked['trades']} trades"
        )
    if pbo is not None:
        after.append(
            "what was best in one half is below the median in the other in"
            f" {share_words(pbo['value'])} of splits"
        )
    return said, basis, "; ".join(after) + ("." if after else ""), look_of(p, walked)


def look_of(p: float, walked: Mapping[str, Any] | None) -> str:
    """Only what stood both checks is in the hue of what can be done."""
    return "go" if p < NEWS_BELOW and walked is not None and walked["net"] > 0.0 else ""


def day(time_ms: int) -> str:
    """A moment by its day."""
    return time_text(time_ms)[:6]


def known(value: float | None, form: str) -> str:
    """A number in a form, or what stands for none."""
    return NONE if value is None else plain(value, form)


def mean_of(values: Sequence[float | None]) -> float:
    """The mean of those that there are; NaN of none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan
