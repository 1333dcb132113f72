"""Pairs to compute on: simulated ones, and recorded ones where the recordings are at hand."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.stattools import adfuller, coint

from core.pair_spec import PairSpec, read_pair_spec
from core.settings import Settings
from core.types import Bars, FloatArray

RECORDINGS = Path(__file__).parents[3] / "shared" / "data"


def make_spec(**changes: object) -> PairSpec:
    asked = {"symbol_a": "AAAUSDT", "symbol_b": "BBBUSDT", "window": 60, "bars": 1_000}
    return replace(read_pair_spec(asked, Settings()), **changes)  # type: ignore[arg-type]


@pytest.fixture
def coint_with_lag(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`coint` of two legs, and its lag: it keeps that to itself, and adfuller is slow."""
    chosen = []

    def adfuller_that_tells(*arguments: Any, **options: Any) -> Any:
        answer = adfuller(*arguments, **options)
        chosen.append(answer[2])
        return answer

    monkeypatch.setattr(sys.modules[coint.__module__], "adfuller", adfuller_that_tells)
    return lambda y, x: (coint(y, x), chosen[-1])


@pytest.fixture
def spec() -> Callable[..., PairSpec]:
    return make_spec


@pytest.fixture(scope="session")
def spec_fixture() -> Callable[..., PairSpec]:
    """`spec` for hypothesis, which wants fixtures that outlive one example."""
    return make_spec


@pytest.fixture
def log_pair() -> Callable[..., tuple[FloatArray, FloatArray]]:
    """Cointegrated log prices, optionally with missing rows."""

    def make(n: int, seed: int, missing: float = 0.0) -> tuple[FloatArray, FloatArray]:
        rng = np.random.default_rng(seed)
        x = 8.0 + np.cumsum(rng.normal(0.0, 1e-3, n))
        noise = rng.normal(0.0, 5e-4, n)
        spread = np.empty(n)
        level = 0.0
        for i in range(n):
            level = 0.95 * level + noise[i]
            spread[i] = level
        y = 3.0 + 0.8 * x + spread
        y[rng.random(n) < missing] = np.nan
        x[rng.random(n) < missing] = np.nan
        return y, x

    return make


@pytest.fixture
def as_bars() -> Callable[[FloatArray, int, int], Bars]:
    """Bars whose opens are the closes before; NaN closes are left out."""

    def make(close: FloatArray, first_index: int, timeframe_ms: int) -> Bars:
        present = ~np.isnan(close)
        before = pd.Series(close).ffill().shift(1).bfill().to_numpy(copy=True)
        close, open_ = close[present], before[present]
        nothing = np.zeros(len(close))
        return Bars(
            open_time_ms=(first_index + np.flatnonzero(present)) * timeframe_ms,
            open=open_, high=np.maximum(open_, close), low=np.minimum(open_, close), close=close,
            volume=nothing, quote_volume=nothing,
            trade_count=np.ones(len(close), dtype=np.int64), taker_buy_volume=nothing,
            complete=np.ones(len(close), dtype=bool), imported=np.zeros(len(close), dtype=bool),
        )  # fmt: skip

    return make


@pytest.fixture
def recorded_logs() -> Callable[[str, str], tuple[FloatArray, FloatArray]]:
    """Log closes of two recorded 1h series on their common hours."""

    def load(a: str, b: str) -> tuple[FloatArray, FloatArray]:
        folder = RECORDINGS / "klines_1h"
        if not folder.is_dir():
            pytest.skip(f"no recordings in {folder}")
        legs = [
            pd.read_feather(folder / f"{name}_USDT-1h.feather").set_index("date")["close"]
            for name in (a, b)
        ]
        both = pd.concat(legs, axis=1, join="inner").to_numpy()
        return np.log(both[:, 0]), np.log(both[:, 1])

    return load
