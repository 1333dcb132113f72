"""Figures that Stata, R and MacKinnon's papers publish come out of our own functions.

The data are those of the publications: macroeconomic series that come with statsmodels, and a
sample that its tests generate. Nothing here asks statsmodels for a result.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels
from statsmodels.datasets import macrodata

from core.kalman import kalman_hedge
from core.regression import rolling_hedge
from core.stationarity import critical_5pct, engle_granger, mackinnon_pvalue
from core.unit_root import adf

RECURSIVE_R = (
    Path(statsmodels.__file__).parent / "regression" / "tests" / "results" / "results_rls_R.csv"
)


@pytest.fixture(scope="module")
def macro():
    return macrodata.load_pandas().data


@pytest.fixture(scope="module")
def egranger_sample():
    """The sample that statsmodels' tests were run on in Stata: two legs of one random walk."""
    state = np.random.RandomState(123)  # the old generator made it
    walk = state.randn(200).cumsum()
    y = state.randn(200, 4)
    y[:, :2] += walk[:, None]
    y += [1, 0, 0.5, 0]
    return np.round(y, 4)[:, :2].T


def residual(y, x):
    y, x = y - y.mean(), x - x.mean()
    return y - (x @ y) / (x @ x) * x


def statistic_at(values, lags):
    """Dickey-Fuller statistic without constant at a lag that the publication chose."""
    return adf(values, lags)[0]


@pytest.mark.parametrize(
    ("series", "lags", "statistic"), [("realgdp", 4, 3.5227498), ("infl", 1, -2.4511596)]
)
def test_dickey_fuller_without_constant_is_that_of_stata(macro, series, lags, statistic):
    """Stata: dfuller, noconstant lags()."""
    assert statistic_at(macro[series].to_numpy(), lags) == pytest.approx(statistic, abs=5e-6)


def test_engle_granger_of_consumption_and_income_is_that_of_statsmodels_old_tables(macro):
    y, x = macro["realcons"].to_numpy(), macro["realgdp"].to_numpy()
    assert statistic_at(residual(y, x), 0) == pytest.approx(-1.830170986148, abs=1e-10)


def test_engle_granger_with_four_lags_is_that_of_stata(egranger_sample):
    """Stata: egranger, lags(4); its second figure is the 5 % value."""
    y, x = egranger_sample
    assert statistic_at(residual(y, x), 4) == pytest.approx(-5.760696844656, rel=1e-11)
    got, _ = engle_granger(y, x)
    assert got.critical_5pct == pytest.approx(-3.367006313729, abs=6e-7)


def test_critical_values_are_those_of_mackinnons_table_for_two_series_and_a_constant(macro):
    """MacKinnon (2010), table 2: b + b1/T + b2/T² at 5 %, T one less than the rows given."""
    for rows in (50, 100, 203, 1440, 20_000):
        assert critical_5pct(rows) == pytest.approx(
            -3.33613 - 6.1101 / rows - 6.823 / rows**2, abs=1e-12
        )
    y, x = macro["realcons"].to_numpy(), macro["realgdp"].to_numpy()
    got, _ = engle_granger(y, x)
    assert got.critical_5pct == pytest.approx(-3.33613 - 6.1101 / 202 - 6.823 / 202**2, abs=1e-12)


@pytest.mark.parametrize(
    ("statistic", "level"), [(-3.89644, 0.01), (-3.33613, 0.05), (-3.04445, 0.10)]
)
def test_p_value_at_mackinnons_asymptotic_critical_values_is_their_level(statistic, level):
    """The p-values' surface is of 1994, the critical values are of 2010: they agree to 2 %."""
    assert mackinnon_pvalue(statistic) == pytest.approx(level, rel=0.02)


@pytest.fixture(scope="module")
def recursive(macro):
    """Consumer prices on money without forgetting, and a row more: it shows the last prior."""
    y, x = (np.append(macro[name].to_numpy(), np.nan) for name in ("cpi", "m1"))
    series, _ = kalman_hedge(y, x, first_index=0, hedge_window=20, window=2, discount=1.0)
    return series


@pytest.mark.parametrize(
    ("quarters", "intercept", "ratio"),
    [
        (3, 20.0003289473666, 0.0651315789473821),
        (4, 27.2660687432794, 0.01385606874334),
        (5, 38.67905442175, -0.0670068027209533),
        (101, -2.73891519437972, 0.205460331097488),
        (203, 16.1941692821757, 0.133070741096307),
    ],
)
def test_recursive_least_squares_are_those_of_r(recursive, quarters, intercept, ratio):
    """R: lm.fit.recursive, cpi on m1; what so many quarters say is the prior of the next one."""
    assert recursive.hedge_ratio[quarters] == pytest.approx(ratio, rel=1e-9)
    assert recursive.intercept[quarters] == pytest.approx(intercept, rel=1e-9)


@pytest.mark.skipif(not RECURSIVE_R.is_file(), reason=f"statsmodels came without {RECURSIVE_R}")
def test_every_recursive_coefficient_and_forecast_error_is_that_of_r(macro, recursive):
    r, x = pd.read_csv(RECURSIVE_R), macro["m1"].to_numpy()
    np.testing.assert_allclose(recursive.intercept[3:], r["beta1"], rtol=1e-8)
    np.testing.assert_allclose(recursive.hedge_ratio[3:], r["beta2"], rtol=1e-8)
    # R's recresid scales each error by how much more than the noise its row scatters.
    errors = []
    for row in range(2, len(x)):
        design, now = np.column_stack((np.ones(row), x[:row])), np.array([1.0, x[row]])
        scale = np.sqrt(1.0 + now @ np.linalg.inv(design.T @ design) @ now)
        errors.append(recursive.spread[row] / scale)
    np.testing.assert_allclose(errors, r["rec_resid"], rtol=1e-7, atol=1e-7)


def test_rolling_fit_before_its_window_is_full_is_the_recursive_one_of_r(macro):
    y, x = macro["cpi"].to_numpy(), macro["m1"].to_numpy()
    series = rolling_hedge(y, x, first_index=0, hedge_window=500, window=3)
    assert series.hedge_ratio[4] == pytest.approx(0.01385606874334, abs=1e-10)
    assert series.intercept[5] == pytest.approx(38.67905442175, abs=1e-8)
