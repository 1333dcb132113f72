"""Why a number of a pair is undefined, or nothing is entered, in plain words."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from core.bars import BREAK_FACTOR
from core.hedges import Course
from core.pair_spec import Hedge, PairSpec
from core.regression import CHANGE_ROWS, changes
from core.signals import Conditions, last_traded
from core.types import (
    BoolArray,
    FloatArray,
    Listing,
    PairResult,
    PairRows,
    Stopped,
    is_listed,
)
from core.words import moment_text

NO_BAR = "the last bar is missing or incomplete in one leg"
TOO_SHORT = "too few stored bars to fill the windows"
B_STILL = "leg B does not move"
SPREAD_STILL = "the spread does not move inside the window"


def why_undefined(
    spec: PairSpec,
    hedge: Hedge,
    before: BoolArray,
    is_present: bool,
    hedge_ratio: float,
    spread_std: float,
) -> dict[str, str]:
    """Say why numbers of one hedge are undefined at a row.

    Parameters
    ----------
    hedge : the one that the numbers are of, whichever trades.
    before : which of the rows that this one may look back to are present.
    is_present : whether the row itself is; one still to come is not.

    Returns
    -------
    Name of each undefined number to its reason; the hedge ratio of a missing row is its prior.
    """
    bar = "" if is_present else NO_BAR
    fit = width = still = ""
    if math.isnan(hedge_ratio):
        fit = width = _why_no_fit(spec, hedge, before)
    elif math.isnan(spread_std):
        width = _why_no_window(spec, before)
    elif spread_std == 0.0:
        still = SPREAD_STILL
    reasons = {
        "hedge_ratio": fit,
        "intercept": fit,
        "spread": bar or fit,
        "spread_mean": width,
        "spread_std": width,
        "zscore": bar or width or still,
        "break_even_z": width or still,
    }
    return {name: words for name, words in reasons.items() if words}


def explain_missing(
    result: PairResult,
    why: Mapping[Hedge, Mapping[str, str]],
    course: Course,
    begin: int,
    held_out: FloatArray,
    no_half_life: str,
    missing_rows: int,
) -> dict[str, str]:
    """Give every undefined scalar of a result its reason, and name what deserves a warning.

    Parameters
    ----------
    why : of each hedge what is undefined at the last row.
    course, begin : log prices, and the row that the statistics of the present begin with.
    held_out, no_half_life : what half-life and Hurst exponent were taken of, and why the one is
        not told.
    missing_rows : rows that the shown ones look back to but that aren't stored.
    """
    spec, chosen = result.spec, why[result.spec.hedge]
    reasons = {
        name: chosen[name] for name in ("spread", "zscore", "break_even_z") if name in chosen
    }
    for hedge, of_hedge in why.items():
        for name in ("hedge_ratio", "intercept"):
            if name in of_hedge:
                reasons[f"{name}.{hedge}"] = of_hedge[name]
        if "zscore" in of_hedge:
            reasons[f"zscores.{hedge}"] = of_hedge["zscore"]
        if math.isnan(result.hedges[hedge].effectiveness):
            reasons[f"hedge_effectiveness.{hedge}"] = why_no_effectiveness(spec, course)
    if result.stopped:
        held_back = ("zscore", "zscore_provisional", *(f"zscores.{hedge}" for hedge in why))
        reasons |= dict.fromkeys(held_back, result.stopped.words)
    if math.isnan(result.kalman_stderr[-1]):
        reasons["hedge_ratio.kalman_stderr"] = why["kalman"].get(
            "break_even_z", "the filter's errors are too persistent for a band"
        )
    if math.isnan(result.ols_full_sample):
        few = np.count_nonzero(~np.isnan(course.y[begin:-1])) < 3
        reasons["hedge_ratio.ols_full_sample"] = "under 3 rows are present" if few else B_STILL
    if math.isnan(result.correlation):
        reasons["correlation"] = why_no_correlation(spec, course)
    no_spread = chosen.get("hedge_ratio") or why_no_spread(held_out)
    if no_half_life:
        reasons["half_life_bars"] = no_spread or no_half_life
    if math.isnan(result.hurst):
        reasons["hurst"] = no_spread or _why_no_hurst(held_out)
    if not math.isnan(result.half_life_bars) and math.isnan(result.half_life_interval[1]):
        reasons["half_life_interval"] = "no upper end: a random walk is within its error"
    if missing_rows:
        effect = (
            "the filter has not yet forgotten where it began"
            if spec.hedge == "kalman"
            else "the fit has not all its rows yet"
        )
        reasons["history"] = (
            f"begins {missing_rows} bars later than the first rows look back to: there {effect}"
        )
    return reasons


def name_breaks(spec: PairSpec, rows: PairRows, breaks: BoolArray) -> dict[str, str]:
    """Name each leg, time and factor of the breaks among the rows."""
    present = np.flatnonzero(rows.present)
    told = []
    for row in np.flatnonzero(breaks).tolist():
        before = present[np.searchsorted(present, row) - 1]
        moment = datetime.fromtimestamp(rows.open_time_ms[row] / 1000, UTC)
        for symbol, close in ((spec.symbol_a, rows.close_a), (spec.symbol_b, rows.close_b)):
            factor = float(close[row] / close[before])
            if max(factor, 1.0 / factor) >= BREAK_FACTOR:
                told.append(f"{symbol} × {factor:.4g} at {moment:%Y-%m-%dT%H:%M:%SZ}")
    if not told:
        return {}
    return {"breaks": f"{', '.join(told)}: no window, fit or position reaches over it"}


def stopped_leg(
    spec: PairSpec, rows: PairRows, given: Conditions, listing: Listing
) -> Stopped | None:
    """Which leg has stopped by the last row, and since when; None where both trade."""
    if not given.halted[-1]:
        return None
    legs = zip(
        (spec.symbol_a, spec.symbol_b),
        last_traded(rows),
        (listing.status_a, listing.status_b),
        strict=True,
    )
    # Both may have traded in the last bar: it is the suspended one that will not again.
    symbol, time_ms, status = min(legs, key=lambda leg: (is_listed(leg[2]), leg[1]))
    listed = "" if is_listed(status) else f" (listed as {status})"
    if time_ms < 0:
        since_ms, since = int(rows.open_time_ms[0]), "in these rows"
    else:
        since_ms = time_ms + spec.timeframe_ms
        since = f"since {moment_text(since_ms)}"
    return Stopped(symbol, since_ms, f"{symbol} has not traded {since}{listed}")


def why_no_entry(stopped: Stopped | None, hedge_ratio: float) -> str | None:
    """Why nothing is entered at the last row, whatever its z is; None where something may be."""
    if stopped:
        return f"no entry: {stopped.words}"
    if hedge_ratio <= 0.0:
        return (
            f"no entry: the hedge ratio {hedge_ratio:.4g} is not positive, "
            "both legs would stand on one side"
        )
    return None


def _why_no_fit(spec: PairSpec, hedge: Hedge, before: BoolArray) -> str:
    """`before` says which rows before the one in question are present."""
    needed = spec.window + (CHANGE_ROWS if hedge == "returns" else 0)
    if len(before) < needed:
        return TOO_SHORT
    if hedge == "kalman":
        few = before.sum() < spec.window
        return f"under {spec.window} rows are present for the filter to begin" if few else B_STILL
    fit = before[-spec.hedge_window :]
    if fit.sum() < 0.9 * len(fit):
        return f"under 90 % of the {len(fit)} rows of the fit are present"
    if hedge == "returns":
        changed = before[CHANGE_ROWS:] & before[:-CHANGE_ROWS]
        fit = changed[-spec.hedge_window :]
        if fit.sum() < 0.9 * len(fit):
            return f"under 90 % of the {len(fit)} changes of the fit are known"
    return B_STILL


def _why_no_window(spec: PairSpec, before: BoolArray) -> str:
    if before[-spec.window :].sum() < 0.9 * spec.window:
        return f"under 90 % of the window's {spec.window} rows are present"
    # Rows are there, errors are not: a filter that has just begun.
    return TOO_SHORT


def why_no_spread(recent: FloatArray) -> str:
    """Why nothing is told of the spread over these rows; "" where it is there."""
    if np.isnan(recent).all():
        return f"under 90 % of the last {len(recent)} rows have a spread"
    return ""


def _why_no_hurst(recent: FloatArray) -> str:
    present = recent[~np.isnan(recent)]
    if len(present) < 22:
        return "under 22 rows"
    return "outside (0, 1)" if np.ptp(present) > 0.0 else "the spread does not move"


def why_no_correlation(spec: PairSpec, course: Course) -> str:
    """Why the last returns have no correlation."""
    both = (course.y + course.x)[course.last_break : -1]
    returns = np.diff(both[-spec.window - 1 :])
    if np.count_nonzero(~np.isnan(returns)) < 0.9 * spec.window:
        return f"under 90 % of the last {spec.window} returns are present"
    return "a leg does not move"


def why_no_effectiveness(spec: PairSpec, course: Course) -> str:
    """Why no hedge has an effectiveness over the last rows."""
    recent = changes(course.y[course.last_break : -1])[-spec.hedge_window :]
    recent = recent[~np.isnan(recent)]
    if len(recent) >= 0.9 * spec.hedge_window and np.ptp(recent) == 0.0:
        return "leg A does not move"
    return f"under 90 % of the last {spec.hedge_window} changes have a hedge ratio from before"
