"""Compiles what jobs need, once on a machine: the first ones would wait for it."""

import numpy as np

from core.made_up import made_up_legs
from core.pair import analyse_pair
from core.pair_spec import read_pair_spec
from core.row_plan import plan_rows
from core.scan import scan
from core.settings import Settings
from core.sweep import read_grid
from core.timeframes import TIMEFRAMES
from core.universe import Universe
from core.walk_forward import walk_forward
from ingest.analysis.figures import warm_up

SYMBOLS, ROWS = 20, 400
STEP = TIMEFRAMES["1m"]


def compile_kernels() -> None:
    """Judge a bar, scan a market, analyse and sweep a pair, all of them made up."""
    warm_up()
    spec = read_pair_spec({"window": 10, "hedge_window": 50, "bars": 200}, Settings())
    scan(_market(), spec)
    legs = made_up_legs(STEP)
    last_ms = int(legs[0].open_time_ms[-1])
    analyse_pair(spec, plan_rows(spec, 0, last_ms), *legs)
    grid = read_grid(spec, {"hedge": ["ols", "kalman"]}, Settings())
    walk_forward([np.ones(grid.cells, dtype=np.bool_)], grid, *legs, 0, last_ms, 100)


def _market() -> Universe:
    """Walks, some of whose bars are missing."""
    rng = np.random.default_rng(1)
    logs = 4.0 + rng.normal(0.0, 1e-3, (SYMBOLS, ROWS)).cumsum(axis=1)
    logs[0, : ROWS // 10] = np.nan
    names = tuple(f"S{number}USDT" for number in range(SYMBOLS))
    return Universe(names, STEP, 0, ROWS * STEP, logs, np.ones(SYMBOLS))
