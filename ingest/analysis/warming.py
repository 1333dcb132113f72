"""Compiles what jobs need, once on a machine: a first scan would wait for it."""

import numpy as np

from core.pair_spec import read_pair_spec
from core.scan import scan
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from core.universe import Universe
from ingest.analysis.figures import warm_up

SYMBOLS, ROWS = 20, 400


def compile_kernels() -> None:
    """Judge a bar and scan a market that is made up, some of whose bars are missing."""
    warm_up()
    rng = np.random.default_rng(1)
    logs = 4.0 + rng.normal(0.0, 1e-3, (SYMBOLS, ROWS)).cumsum(axis=1)
    logs[0, : ROWS // 10] = np.nan
    names = tuple(f"S{number}USDT" for number in range(SYMBOLS))
    step = TIMEFRAMES["1m"]
    universe = Universe(names, step, 0, ROWS * step, logs, np.ones(SYMBOLS))
    scan(universe, read_pair_spec({"window": 10, "hedge_window": 50, "bars": ROWS}, Settings()))
