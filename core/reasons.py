"""Why a number of a pair is undefined, in plain words."""

import math

import numpy as np

from core.types import BoolArray, FloatArray, Hedge, HedgeSeries, PairResult, PairSpec

NO_BAR = "the last bar is missing or incomplete in one leg"
TOO_SHORT = "too few stored bars to fill the windows"
B_STILL = "leg B does not move"
SPREAD_STILL = "the spread does not move inside the window"


def why_undefined(
    spec: PairSpec, hedge: Hedge, y: FloatArray, x: FloatArray, series: HedgeSeries, row: int
) -> dict[str, str]:
    """Say why numbers of one hedge are undefined at a row.

    Parameters
    ----------
    hedge : the one that `series` is of, whichever trades.
    y, x, series : (n,) log prices from the start of history on, and what came of them.
    row : index of the row, which may be one still to come, with prices of NaN.

    Returns
    -------
    Name of each undefined number to its reason; the hedge ratio of a missing row is its prior.
    """
    bar = NO_BAR if math.isnan(y[row] + x[row]) else ""
    fit = width = still = ""
    if math.isnan(series.hedge_ratio[row]):
        fit = width = _why_no_fit(spec, hedge, ~np.isnan(y + x)[:row])
    elif math.isnan(series.spread_std[row]):
        width = _why_no_window(spec, ~np.isnan(y + x)[:row])
    elif series.spread_std[row] == 0.0:
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
    y: FloatArray,
    x: FloatArray,
    ols: HedgeSeries,
    kalman: HedgeSeries,
    recent_spread: FloatArray,
    missing_rows: int,
) -> None:
    """Give every undefined scalar of a result its reason, and name what deserves a warning.

    Parameters
    ----------
    y, x, ols, kalman : log prices from the start of history to the row to come, and their series.
    recent_spread : what half-life and Hurst exponent were taken of.
    missing_rows : rows that the calculation should begin earlier but aren't stored.
    """
    spec, reasons, last = result.spec, result.reasons, len(y) - 2
    why: dict[Hedge, dict[str, str]] = {
        "ols": why_undefined(spec, "ols", y, x, ols, last),
        "kalman": why_undefined(spec, "kalman", y, x, kalman, last),
    }
    chosen = why[spec.hedge]
    series = kalman if spec.hedge == "kalman" else ols
    why_next = why_undefined(spec, spec.hedge, y, x, series, last + 1)
    for hedge, of_hedge in why.items():
        for name, words in of_hedge.items():
            if name in ("hedge_ratio", "intercept"):
                reasons[f"{name}.{hedge}"] = words
        if "zscore" in of_hedge:
            reasons[f"zscores.{hedge}"] = of_hedge["zscore"]
    for name in ("spread", "zscore", "break_even_z"):
        if name in chosen:
            reasons[name] = chosen[name]
    if "break_even_z" in why_next:
        reasons["zscore_provisional"] = why_next["break_even_z"]
    if math.isnan(result.kalman_stderr[-1]):
        reasons["hedge_ratio.kalman_stderr"] = why["kalman"].get(
            "break_even_z", "the filter's errors are too persistent for a band"
        )
    if math.isnan(result.ols_full_sample):
        few = np.count_nonzero(~np.isnan(result.rows.close_a)) < 3
        reasons["hedge_ratio.ols_full_sample"] = "under 3 rows are present" if few else B_STILL
    if math.isnan(result.correlation):
        reasons["correlation"] = _why_no_correlation(spec, (y + x)[: last + 1])
    no_spread = chosen.get("hedge_ratio") or _why_no_spread(recent_spread)
    if math.isnan(result.half_life_bars):
        few = np.count_nonzero(~np.isnan(np.diff(recent_spread))) < 20
        words = "under 20 pairs of rows" if few else "the spread does not revert"
        reasons["half_life_bars"] = no_spread or words
    if math.isnan(result.hurst):
        reasons["hurst"] = no_spread or _why_no_hurst(recent_spread)
    if missing_rows:
        reasons["history"] = (
            f"begins {missing_rows} bars later than the calculation asks for: "
            "the first rows are still warming up"
        )
    ratio = result.chosen.hedge_ratio[-1]
    if ratio == 0.0:
        reasons["hedge_ratio"] = "0 leaves no leg B"
    elif ratio < 0.0:
        reasons["hedge_ratio"] = f"{ratio:.4g} is not positive: both legs on one side"


def _why_no_fit(spec: PairSpec, hedge: Hedge, before: BoolArray) -> str:
    """`before` says which rows before the one in question are present."""
    if len(before) < spec.window:
        return TOO_SHORT
    if hedge == "kalman":
        few = before.sum() < spec.window
        return f"under {spec.window} rows are present for the filter to begin" if few else B_STILL
    fit = before[-spec.hedge_window :]
    if fit.sum() < 0.9 * len(fit):
        return f"under 90 % of the {len(fit)} rows of the fit are present"
    return B_STILL


def _why_no_window(spec: PairSpec, before: BoolArray) -> str:
    if before[-spec.window :].sum() < 0.9 * spec.window:
        return f"under 90 % of the window's {spec.window} rows are present"
    # Rows are there, errors are not: a filter that has just begun.
    return TOO_SHORT


def _why_no_spread(recent: FloatArray) -> str:
    if np.isnan(recent).all():
        return f"under 90 % of the last {len(recent)} rows have a spread"
    return ""


def _why_no_hurst(recent: FloatArray) -> str:
    present = recent[~np.isnan(recent)]
    if len(present) < 22:
        return "under 22 rows"
    return "outside (0, 1)" if np.ptp(present) > 0.0 else "the spread does not move"


def _why_no_correlation(spec: PairSpec, both: FloatArray) -> str:
    returns = np.diff(both[-spec.window - 1 :])
    if np.count_nonzero(~np.isnan(returns)) < 0.9 * spec.window:
        return f"under 90 % of the last {spec.window} returns are present"
    return "a leg does not move"
