"""Every single number of a pair, recomputed in plain words from the arrays that stand beside it."""

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.api import OLS, add_constant
from statsmodels.tsa.stattools import adfuller, coint

from core.pair import analyse_pair
from core.row_plan import plan_rows
from core.types import Subwindows

MINUTE = 60_000
N, H, W = 6_000, 300, 60
NOTIONAL, EXIT_Z, RATE = 5_000.0, 0.4, 3.5e-4


@pytest.fixture
def logs(log_pair):
    """Both legs, each missing where the other is."""
    y, x = log_pair(N, 21, 0.01)
    gone = np.isnan(y + x)
    return np.where(gone, np.nan, y), np.where(gone, np.nan, x)


@pytest.fixture
def at(spec, logs, as_bars):
    """The result at the close of row number `last` of the logs."""

    def analyse(last, hedge):
        parameters = spec(hedge=hedge, hedge_window=H, window=W, bars=3_200, fee_bps=2.5,
                          slippage_bps=1.0, exit_z=EXIT_Z, notional=NOTIONAL)  # fmt: skip
        plan = plan_rows(parameters, 0, last * MINUTE)
        legs = (as_bars(np.exp(leg[: last + 1]), 0, MINUTE) for leg in logs)
        return analyse_pair(parameters, plan, *legs)

    return analyse


def slope(y, x):
    return OLS(y, add_constant(x)).fit().params[1]


def variance_of_ratio(y, x):
    """P⁻₀₀ of the row after the last, by the filter in plain matrices."""
    discount, here = 1 - 2 / (H + 1), np.flatnonzero(~np.isnan(y))
    design = np.c_[x - x[here[0]], np.ones(len(x))]
    start = here[W - 1]
    P = np.linalg.inv(design[here[:W]].T @ design[here[:W]])
    for row in range(start + 1, len(y)):
        P = P / discount
        if not np.isnan(y[row]):
            h = design[row]
            P = P - np.outer(P @ h, h @ P) / (1 + h @ P @ h)
    return P[0, 0] / discount


def band(e, prior_variance):
    """Standard error of the filter's ratio at the last row, from the errors before it."""
    before, after = e[-W - 2 : -2], e[-W - 1 : -1]
    both = ~np.isnan(before + after)
    b, a = before[both] - before[both].mean(), after[both] - after[both].mean()
    rho = 2 * (b @ a) / (b @ b + a @ a)
    return math.sqrt(prior_variance * np.nanvar(after, ddof=1) * (1 + rho) / (1 - rho))


def stronger(a, b):
    """Engle-Granger both ways on centred logs by statsmodels: the lower statistic and its own."""
    answers = []
    for y, x, direction in ((a, b, "a_on_b"), (b, a, "b_on_a")):
        y, x = y - y.mean(), x - x.mean()
        statistic, pvalue, critical = coint(y, x)
        lags = adfuller(y - (y @ x) / (x @ x) * x, regression="n", result_object=False)[2]
        answers.append((statistic, pvalue, critical[1], lags, direction))
    return min(answers)


def expected_metrics(result, chosen):
    """Every figure of the backtest from its equity, its round trips and the bars' opens."""
    rows, trips, equity = result.rows, result.backtest.round_trips, result.backtest.equity
    closed = [trip for trip in trips if trip.exit_reason != "open"]
    pnl = np.array([trip.pnl for trip in closed])
    held, traded, gross, promised, bars = np.zeros(len(rows), bool), 0.0, 0.0, 0.0, []
    for trip in trips:
        entry = (trip.entry_time_ms - result.start_ms) // MINUTE
        decided = entry - 1
        while decided and result.position[decided - 1] == result.position[decided]:
            decided -= 1
        ratio, sigma, z = (
            series[decided] for series in (chosen.hedge_ratio, chosen.spread_std, chosen.zscore)
        )
        sign = 1 if z < 0 else -1
        assert trip.side == ("long_spread" if sign > 0 else "short_spread")
        assert trip.entry_z == z
        money = NOTIONAL / (1 + abs(ratio))
        quantities = sign * money / rows.open_a[entry], -sign * ratio * money / rows.open_b[entry]
        assert (trip.quantity_a, trip.quantity_b) == pytest.approx(quantities, rel=1e-12)

        def legs_at(row, trip=trip):
            return np.array(
                [trip.quantity_a * rows.open_a[row], trip.quantity_b * rows.open_b[row]]
            )

        traded += np.abs(legs_at(entry)).sum()
        if trip.exit_reason == "open":
            assert trip is trips[-1]
            held[entry:] = True
            continue
        left = (trip.exit_time_ms - result.start_ms) // MINUTE
        held[entry:left] = True
        traded += np.abs(legs_at(left)).sum()
        gross += (legs_at(left) - legs_at(entry)).sum()
        promised += money * sigma * (abs(z) - EXIT_Z)
        bars.append(left - entry)
    return {
        "total_trades": len(closed),
        "total_return": equity[-1] / NOTIONAL - 1,
        "total_pnl": sum(trip.pnl for trip in trips),
        "avg_pnl": pnl.mean(),
        "avg_pnl_stderr": pd.Series(pnl).sem(),
        "win_rate": (pnl > 0).mean(),
        "profit_factor": pnl[pnl > 0].sum() / -pnl[pnl < 0].sum(),
        **dict.fromkeys(("sharpe", "sharpe_stderr", "sortino", "calmar"), math.nan),  # two days
        "max_drawdown": (equity / np.maximum.accumulate(equity) - 1).min(),
        "exposure": held.mean(),
        "turnover": traded / NOTIONAL,
        "costs": traded * RATE,
        "avg_hold_bars": np.mean(bars),
        "reversion_capture": gross / promised,
    }


@pytest.mark.parametrize("hedge", ["ols", "kalman"])
def test_every_scalar_follows_from_the_arrays_and_the_prices(at, logs, hedge):
    position = at(N - 1, hedge).position
    first = N - len(position)
    known = ~np.isnan(logs[0])
    # One result for each word, past the rows of history that the earliest of them needs.
    for word, held in (("long_spread", 1), ("short_spread", -1), ("flat", 0)):
        last = next(row for row in range(N - 2, N - 500, -1)
                    if position[row - first] == held and known[row])  # fmt: skip
        result = at(last, hedge)
        chosen = result.chosen
        y, x = (leg[: last + 1] for leg in logs)
        history, start = result.history_start_ms // MINUTE, result.start_ms // MINUTE
        assert history == max(0, start // 4_096 * 4_096 - 10 * H - 2 * W)
        assert result.signal == word
        if held:
            assert result.backtest.round_trips[-1].exit_reason == "open"
            assert result.backtest.round_trips[-1].side == word

        ratio, intercept = chosen.hedge_ratio[-H], chosen.intercept[-H]
        s = (y - intercept - ratio * x)[-H:]  # with what was known before these rows
        ratio = chosen.hedge_ratio[-1]
        before, after = s[:-1], s[1:]
        both = ~np.isnan(before + after)
        m = both.sum()
        rho = (m * slope(after[both], before[both]) + 1) / (m - 3)
        reach = 1.645 * math.sqrt((1 - rho**2) / m)
        expected = [
            -math.log(2) / math.log(r) if r < 1 else math.nan
            for r in (rho, rho - reach, rho + reach)
        ]
        if adfuller(s[~np.isnan(s)], result_object=False)[1] >= 0.05:
            expected = [math.nan] * 3
        told = [result.half_life_bars, *result.half_life_interval]
        assert told == pytest.approx(expected, nan_ok=True)
        lags = np.arange(2, 21)
        widths = [np.log(np.nanstd(s[k:] - s[:-k])) for k in lags]
        assert result.hurst == pytest.approx(np.polyfit(np.log(lags), widths, 1)[0])

        a, b = np.diff(y[-W - 1 :]), np.diff(x[-W - 1 :])
        both = ~np.isnan(a)
        assert result.correlation == pytest.approx(np.corrcoef(a[both], b[both])[0, 1])
        recent = known[last + 1 - 3_200 : last + 1]  # exactly as many rows as were asked for
        a, b = y[-3_200:][recent], x[-3_200:][recent]
        assert result.ols_full_sample == pytest.approx(slope(a, b))
        if word == "flat":  # once: statsmodels takes its time
            sixths = zip(*(np.array_split(leg[-3_200:], 6) for leg in (y, x)), strict=True)
            kept = [[leg[~np.isnan(ya)] for leg in (ya, xa)] for ya, xa in sixths]
            passing = sum(2 * stronger(ya, xa)[1] < 0.1 for ya, xa in kept)
            assert result.cointegration.subwindows == Subwindows(passing, 6)
        assert result.cointegration.pvalue_both == min(1, 2 * result.cointegration.pvalue)
        found, (statistic, pvalue, critical, lag, direction) = result.cointegration, stronger(a, b)
        assert (found.direction, found.lags) == (direction, lag)
        assert (found.statistic, found.pvalue, found.critical_5pct) == pytest.approx(
            (statistic, pvalue, critical), abs=1e-6
        )

        even = EXIT_Z + 2 * RATE * (1 + abs(ratio)) / chosen.spread_std[-1]
        assert result.break_even_z == pytest.approx(even)
        capture = result.backtest.metrics.reversion_capture
        assert result.required_z == pytest.approx(EXIT_Z + (even - EXIT_Z) / capture)
        prior_variance = variance_of_ratio(y[history:-1], x[history:-1])
        if hedge == "kalman":
            assert result.kalman_stderr[-1] == pytest.approx(
                band(chosen.spread, prior_variance), rel=1e-6
            )
        following = at(last + 1, hedge)
        after = following.chosen
        for name in ("hedge_ratio", "intercept", "spread_mean", "spread_std"):
            assert getattr(result.next_row, name) == pytest.approx(getattr(after, name)[-1]), name

        metrics = expected_metrics(result, chosen)
        assert set(metrics) == set(result.backtest.metrics.__slots__)
        for name, value in metrics.items():
            got = getattr(result.backtest.metrics, name)
            assert got == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), name
