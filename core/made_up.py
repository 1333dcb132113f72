"""Bars that nobody traded, so that kernels are compiled before there are any."""

import numpy as np

from core.types import Leg

ROWS = 400


def made_up_legs(timeframe_ms: int) -> tuple[Leg, Leg]:
    """Two unrelated random walks from the beginning of time on, the same ones every time."""
    times = timeframe_ms * np.arange(ROWS, dtype=np.int64)
    walks = np.random.default_rng(1).normal(0, 1e-3, (2, ROWS)).cumsum(axis=1)
    traded = np.ones(ROWS, np.int64)
    leg_a, leg_b = (
        Leg(times, prices, prices, traded, traded > 0, traded < 0) for prices in np.exp(walks)
    )
    return leg_a, leg_b
