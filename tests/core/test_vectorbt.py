"""vectorbt, given our fills, books the equity that we book."""

import warnings

import numpy as np
import pytest

from core.backtest import run_backtest
from core.regression import log_prices, rolling_hedge
from core.signals import conditions, decide_positions
from core.types import PairRows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its own imports deprecate is not ours to heed
    vbt = pytest.importorskip("vectorbt", reason="vectorbt is not installed", exc_type=ImportError)

N = 10_000


def random_rows(seed, missing):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.normal(0, 1e-3, N))
    spread = np.zeros(N)
    for row in range(1, N):
        spread[row] = 0.97 * spread[row - 1] + rng.normal(0, 1e-3)
    close_b = 0.31 * np.exp(x)
    close_a = 61_000 * np.exp(1.3 * x + spread)
    open_a, open_b = (close * np.exp(rng.normal(0, 2e-4, N)) for close in (close_a, close_b))
    gone = rng.random(N) < missing
    for column in (open_a, close_a, open_b, close_b):
        column[gone] = np.nan
    times = np.arange(N, dtype=np.int64) * 60_000
    traded = np.ones((2, N), bool)
    return PairRows(times, open_a, close_a, open_b, close_b, *traded)


def orders_of(backtest, rows):
    """Quantity bought of each leg at each row's open."""
    orders = np.zeros((len(rows), 2))
    for trip in backtest.round_trips:
        entry = trip.entry_time_ms // 60_000
        assert not orders[entry].any()  # no exit on that row: netted they would pay one fee
        orders[entry] = trip.quantity_a, trip.quantity_b
        if trip.exit_time_ms is not None:
            orders[trip.exit_time_ms // 60_000] = -trip.quantity_a, -trip.quantity_b
    return orders


@pytest.mark.parametrize(
    ("seed", "missing", "limits"),
    [
        (1, 0.0, {}),
        (2, 0.03, {}),
        (3, 0.0, {"stop_z": 3.0}),
        (4, 0.03, {"max_hold_bars": 20, "fee_bps": 0.0, "slippage_bps": 0.0}),
    ],
)
def test_equity_of_the_same_fills_is_that_of_vectorbt(spec, seed, missing, limits):
    parameters, rows = spec(**limits), random_rows(seed, missing)
    y, x = log_prices(rows.close_a), log_prices(rows.close_b)
    hedge = rolling_hedge(y, x, first_index=0, hedge_window=300, window=60)
    given = conditions(parameters, rows, hedge.hedge_ratio, np.zeros(N, bool))
    position, code = decide_positions(parameters, y, x, hedge, given)
    backtest, _ = run_backtest(parameters, rows, y, x, hedge, given, position, code)
    assert len(backtest.round_trips) > 100
    equity = vectorbt_equity(backtest, rows, parameters)
    # Cash of 100·N, so that no order is filled in part: only what changes is compared.
    ours, theirs = backtest.equity - backtest.equity[0], equity - equity[0]
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6 * parameters.notional)


def filled_forward(column):
    """Each row's last known price, which an incomplete row is marked at."""
    known = np.where(np.isnan(column), 0, np.arange(len(column)))
    known[0] = int(np.argmax(~np.isnan(column)))
    return column[np.maximum.accumulate(known)]


def vectorbt_equity(backtest, rows, spec):
    close = np.column_stack([filled_forward(column) for column in (rows.close_a, rows.close_b)])
    price = np.column_stack((rows.open_a, rows.open_b))
    size = orders_of(backtest, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its code of pandas 1 and numba's own notes
        portfolio = vbt.Portfolio.from_orders(
            close, size=size, price=np.where(np.isnan(price), close, price), size_type="amount",
            direction="both", fees=(spec.fee_bps + spec.slippage_bps) / 1e4, slippage=0.0,
            init_cash=100.0 * spec.notional, cash_sharing=True, group_by=True, freq="1min",
        )  # fmt: skip
        value = portfolio.value()
    return np.asarray(value).reshape(-1)
