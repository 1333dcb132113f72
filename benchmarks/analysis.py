"""The mathematics: 100,000 bars of a cointegrated pair, ours beside each library."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from benchmarks.timing import Comparison
from core.backtest import run_backtest
from core.bars import align, break_rows
from core.blocks import FORGETTING, plan_runs
from core.hedges import course_of, fit_hedge
from core.kalman import kalman_hedge
from core.pair import analyse_pair
from core.pair_spec import HEDGES, read_pair_spec
from core.regression import rolling_hedge
from core.row_plan import plan_rows
from core.settings import Settings
from core.signals import conditions, decide_positions
from core.stationarity import engle_granger
from core.sweep import read_grid, sweep
from core.tiles import engle_granger_blocks
from core.types import Bars, FloatArray, Leg

BARS = 100_000
MINUTE = 60_000
SPEC = read_pair_spec({"bars": 1_000}, Settings())


def _pair(n: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(7)
    x = 8.0 + np.cumsum(rng.normal(0.0, 1e-3, n))
    noise = rng.normal(0.0, 5e-4, n)
    spread = np.zeros(n)
    for i in range(1, n):
        spread[i] = 0.97 * spread[i - 1] + noise[i]
    return 3.0 + 0.8 * x + spread, x


Y, X = _pair(BARS)
SHORT_Y, SHORT_X = Y[:1_440], X[:1_440]


def _bars(log_close: FloatArray) -> Bars:
    close = np.exp(log_close)
    open_ = np.concatenate((close[:1], close[:-1]))
    zero, n = np.zeros(len(close)), len(close)
    return Bars(
        MINUTE * np.arange(n, dtype=np.int64), open_, np.maximum(open_, close),
        np.minimum(open_, close), close, zero, zero, np.ones(n, np.int64), zero,
        np.ones(n, bool), np.zeros(n, bool),
    )  # fmt: skip


BARS_A, BARS_B = _bars(Y), _bars(X)
LEG_A, LEG_B = (Leg(*(getattr(bars, name) for name in Leg.__slots__)) for bars in (BARS_A, BARS_B))
ROWS = align(LEG_A, LEG_B, MINUTE, 0, BARS * MINUTE)
SERIES = rolling_hedge(Y, X, first_index=0, hedge_window=600, window=120)
GIVEN = conditions(SPEC, ROWS, SERIES.hedge_ratio, break_rows(ROWS))
POSITION, _ = decide_positions(SPEC, Y, X, SERIES, GIVEN)


def ours_ols() -> object:
    return rolling_hedge(Y, X, first_index=0, hedge_window=600, window=120)


def statsmodels_ols() -> Callable[[], object]:
    from statsmodels.regression.rolling import RollingOLS
    from statsmodels.tools import add_constant

    def run() -> object:
        fit = RollingOLS(Y, add_constant(X), window=600).fit(params_only=True)
        spread = pd.Series(Y - fit.params[:, 0] - fit.params[:, 1] * X)
        before = spread.shift(1).rolling(120)
        return (spread - before.mean()) / before.std()

    return run


def pandas_ols() -> Callable[[], object]:
    def run() -> object:
        y, x = pd.Series(Y), pd.Series(X)
        past_x = x.shift(1).rolling(600)
        ratio = past_x.cov(y.shift(1)) / past_x.var()
        spread = y - y.shift(1).rolling(600).mean() - ratio * (x - past_x.mean())
        before = spread.shift(1).rolling(120)
        return (spread - before.mean()) / before.std()

    return run


def ours_kalman() -> object:
    return kalman_hedge(Y, X, first_index=0, hedge_window=600, window=120)


def pykalman_hedge() -> Callable[[], object]:
    from pykalman import KalmanFilter

    few = BARS // 20

    def run() -> object:
        observed = np.column_stack((X[:few], np.ones(few)))[:, None, :]
        return KalmanFilter(
            transition_matrices=np.eye(2), observation_matrices=observed,
            transition_covariance=1e-5 * np.eye(2), observation_covariance=1.0,
            initial_state_mean=np.zeros(2), initial_state_covariance=np.eye(2),
        ).filter(Y[:few])  # fmt: skip

    return run


def filterpy_hedge() -> Callable[[], object]:
    from filterpy.kalman import predict, update

    few = BARS // 20

    def run() -> object:
        state, covariance, noise = np.zeros(2), np.eye(2), 1e-5 * np.eye(2)
        for i in range(few):
            state, covariance = predict(state, covariance, F=np.eye(2), Q=noise)
            state, covariance = update(
                state, covariance, Y[i : i + 1], np.eye(1), np.array([[X[i], 1.0]])
            )
        return state

    return run


def ours_engle_granger() -> object:
    return engle_granger(SHORT_Y, SHORT_X)


def statsmodels_coint() -> Callable[[], object]:
    from statsmodels.tsa.stattools import coint

    def run() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return coint(SHORT_Y, SHORT_X), coint(SHORT_X, SHORT_Y)

    return run


def ours_backtest() -> object:
    position, code = decide_positions(SPEC, Y, X, SERIES, GIVEN)
    return run_backtest(SPEC, ROWS, Y, X, SERIES, GIVEN, position, code)


def vectorbt_backtest(rows: int = BARS) -> Callable[[], object]:
    """The orders of our positions on the last rows."""
    import vectorbt

    sizes = np.zeros((BARS, 2))
    changed = np.flatnonzero(np.diff(np.concatenate(([0], POSITION))))
    for row in changed[changed + 1 < BARS]:
        ratio, side = SERIES.hedge_ratio[row], POSITION[row]
        scale = side * SPEC.notional / (1 + abs(ratio))
        sizes[row + 1] = scale / ROWS.open_a[row + 1], -ratio * scale / ROWS.open_b[row + 1]
    orders = np.full((BARS, 2), np.nan)
    orders[changed[changed + 1 < BARS] + 1] = sizes[changed[changed + 1 < BARS] + 1]
    close = pd.DataFrame(np.column_stack((ROWS.close_a, ROWS.close_b))[-rows:])
    opens = np.column_stack((ROWS.open_a, ROWS.open_b))[-rows:]
    orders = orders[-rows:]

    def run() -> object:
        portfolio = vectorbt.Portfolio.from_orders(
            close, size=orders, size_type="targetamount", price=opens, fees=12e-4,
            init_cash=100 * SPEC.notional, cash_sharing=True, group_by=True,
        )  # fmt: skip
        return portfolio.value(), portfolio.trades.records

    return run


PLAN = plan_rows(SPEC, 0, (1_440 + 10 * 600 + 2 * 120 - 1) * MINUTE)


def ours_whole() -> object:
    return analyse_pair(SPEC, PLAN, LEG_A, LEG_B)


def libraries_whole() -> Callable[[], object]:
    test = statsmodels_coint()
    from statsmodels.regression.rolling import RollingOLS
    from statsmodels.tools import add_constant

    rows = slice(0, PLAN.end_ms // MINUTE)
    y, x = Y[rows], X[rows]
    open_a, open_b = ROWS.open_a[rows], ROWS.open_b[rows]
    close_a, close_b = ROWS.close_a[rows], ROWS.close_b[rows]

    def run() -> object:
        params = RollingOLS(y, add_constant(x), window=600).fit(params_only=True).params
        spread = pd.Series(y - params[:, 0] - params[:, 1] * x)
        before = spread.shift(1).rolling(120)
        z = ((spread - before.mean()) / before.std()).to_numpy()
        test()
        side, cash, quantity, equity = 0, 10_000.0, (0.0, 0.0), []
        for row in range(1, len(z)):
            known = z[row - 1]
            target = side
            if side == 0 and known >= 2.0:
                target = -1
            elif side == 0 and known <= -2.0:
                target = 1
            elif (side == 1 and known >= -0.5) or (side == -1 and known <= 0.5):
                target = 0
            if target != side:
                ratio = params[row - 1, 1]
                scale = target * 10_000.0 / (1 + abs(ratio))
                new = scale / open_a[row], -ratio * scale / open_b[row]
                for i, price in enumerate((open_a[row], open_b[row])):
                    moved = (new[i] - quantity[i]) * price
                    cash -= moved + abs(moved) * 12e-4
                side, quantity = target, new
            equity.append(cash + quantity[0] * close_a[row] + quantity[1] * close_b[row])
        return equity

    return run


SYMBOLS = 80
MARKET = 8.0 + np.cumsum(np.random.default_rng(11).normal(0.0, 2e-3, (SYMBOLS, 1_440)), axis=1)
ALL_PAIRS = np.triu(np.ones((SYMBOLS, SYMBOLS), dtype=np.bool_), 1)
FEW = 40
"""Of the market's pairs tested by what they would take minutes with."""


def ours_every_pair() -> object:
    return engle_granger_blocks(MARKET, MARKET, ALL_PAIRS)


def ours_pair_by_pair() -> Callable[[], object]:
    def run() -> object:
        return [engle_granger(MARKET[0], MARKET[leg]) for leg in range(1, FEW + 1)]

    return run


def statsmodels_every_pair() -> Callable[[], object]:
    from statsmodels.tsa.stattools import coint

    def run() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [
                (coint(MARKET[0], MARKET[leg]), coint(MARKET[leg], MARKET[0]))
                for leg in range(1, FEW + 1)
            ]

    return run


LONG = 2_000
WRAPPED_Y = X + np.random.default_rng(3).normal(0.0, 1e-6, BARS)
"""A wrapped coin: its spread is tiny beside its legs."""


def ours_wrapped() -> object:
    return rolling_hedge(WRAPPED_Y, X, first_index=0, hedge_window=5 * LONG, window=LONG)


def pandas_wrapped() -> Callable[[], object]:
    def run() -> object:
        y, x = pd.Series(WRAPPED_Y), pd.Series(X)
        past_x = x.shift(1).rolling(5 * LONG)
        ratio = past_x.cov(y.shift(1)) / past_x.var()
        spread = y - y.shift(1).rolling(5 * LONG).mean() - ratio * (x - past_x.mean())
        before = spread.shift(1).rolling(LONG)
        return (spread - before.mean()) / before.std()

    return run


USUAL = read_pair_spec({}, Settings())
USUAL_ROWS = slice(0, USUAL.bars + FORGETTING * USUAL.hedge_window + 2 * USUAL.window)
USUAL_COURSE = course_of(
    align(LEG_A, LEG_B, MINUTE, 0, USUAL_ROWS.stop * MINUTE),
    0,
    plan_runs(USUAL, 0, USUAL_ROWS.stop - USUAL.bars, USUAL_ROWS.stop + 1),
)


def ours_five() -> object:
    return [fit_hedge(USUAL, hedge, USUAL_COURSE, USUAL_ROWS.stop - USUAL.bars) for hedge in HEDGES]


def statsmodels_one() -> Callable[[], object]:
    from statsmodels.regression.rolling import RollingOLS
    from statsmodels.tools import add_constant

    y, x = Y[USUAL_ROWS][-USUAL.bars :], add_constant(X[USUAL_ROWS][-USUAL.bars :])
    return lambda: RollingOLS(y, x, window=USUAL.hedge_window).fit(params_only=True)


CELLS, SWEPT = 10_000, 10_000
GRID = read_grid(
    read_pair_spec({"since": (BARS - SWEPT) * MINUTE}, Settings()),
    {"window": [60, 80, 100, 120], "entry_z": np.linspace(1.0, 4.0, 50).tolist(),
     "exit_z": np.linspace(-0.5, 0.9, 50).tolist()},
    Settings(),
)  # fmt: skip


def ours_sweep() -> object:
    with ThreadPoolExecutor() as pool:
        return sweep(GRID, LEG_A, LEG_B, 0, (BARS - 1) * MINUTE, pool.map)


def vectorbt_sweep() -> Callable[[], object]:
    """The orders of one cell alone, without deciding on them."""
    return vectorbt_backtest(SWEPT)


def pandas_sweep() -> Callable[[], object]:
    """One cell as a notebook has it: a loop over z, marked at closes by pandas."""
    zscore = SERIES.zscore[-SWEPT:].tolist()
    ratio = pd.Series(SERIES.hedge_ratio[-SWEPT:]).shift(1)
    gain_a, gain_b = (
        pd.Series(close[-SWEPT:]).pct_change() for close in (ROWS.close_a, ROWS.close_b)
    )

    def run() -> object:
        side, sides = 0, []
        for z in zscore:
            if side == 0 and abs(z) >= 2.0:
                side = -1 if z > 0.0 else 1
            elif side * z >= 0.5:
                side = 0
            sides.append(side)
        held = pd.Series(sides).shift(1, fill_value=0)
        costs = 12e-4 * held.diff().abs()
        equity = 1.0 + (held * (gain_a - ratio * gain_b) / (1.0 + ratio.abs()) - costs).cumsum()
        return equity, (equity / equity.cummax() - 1.0).min()

    return run


COMPARISONS = (
    Comparison("rolling OLS, spread, z", "statsmodels RollingOLS", BARS, ours_ols, statsmodels_ols),
    Comparison("rolling OLS, spread, z", "pandas rolling", BARS, ours_ols, pandas_ols),
    Comparison(
        f"the same of a wrapped coin, window {LONG:,}", "pandas rolling", BARS, ours_wrapped,
        pandas_wrapped,
    ),
    Comparison(
        "all five hedges of 4,320 rows", "statsmodels RollingOLS, one", 1, ours_five,
        statsmodels_one,
    ),
    Comparison("Kalman, z", "pykalman", BARS, ours_kalman, pykalman_hedge, 20.0),
    Comparison("Kalman, z", "filterpy", BARS, ours_kalman, filterpy_hedge, 20.0),
    Comparison(
        "Engle-Granger both ways, 1,440 bars", "statsmodels coint", 1, ours_engle_granger,
        statsmodels_coint,
    ),
    Comparison(
        "Engle-Granger of every pair, a pair", f"statsmodels coint, {FEW} pairs extrapolated",
        int(ALL_PAIRS.sum()), ours_every_pair, statsmodels_every_pair, ALL_PAIRS.sum() / FEW,
    ),
    Comparison(
        "Engle-Granger of every pair, a pair", f"our own, pair by pair, {FEW} pairs extrapolated",
        int(ALL_PAIRS.sum()), ours_every_pair, ours_pair_by_pair, ALL_PAIRS.sum() / FEW,
    ),
    Comparison("two-leg backtest", "vectorbt from_orders", BARS, ours_backtest, vectorbt_backtest),
    Comparison(
        f"a sweep of {CELLS:,} cells of {SWEPT:,} bars", "vectorbt from_orders, one extrapolated",
        1, ours_sweep, vectorbt_sweep, float(CELLS),
    ),
    Comparison(
        f"a sweep of {CELLS:,} cells of {SWEPT:,} bars", "a loop and pandas, one extrapolated",
        1, ours_sweep, pandas_sweep, float(CELLS),
    ),
    Comparison(
        "a whole pair, 1,440 result rows", "statsmodels, pandas, a loop", 1, ours_whole,
        libraries_whole,
    ),
)  # fmt: skip
"""Every comparison, in the order of the table."""
