"""A million bars fit into a small machine."""

import subprocess
import sys
from pathlib import Path

from tests.support.waiting import HANG_S

ROOT = Path(__file__).parents[2]

ANALYSIS = """
from dataclasses import replace

import numpy as np

from core.pair import analyse_pair
from core.row_plan import plan_rows
from core.pair_spec import read_pair_spec
from core.settings import Settings
from core.types import Leg


def leg(close):
    n = len(close)
    complete = np.ones(n, dtype=bool)
    return Leg(np.arange(n) * 1_000, close * 1.0, close * 1.0, np.ones(n, int), complete, ~complete)


def analyse(n):
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(0, 1e-4, n))
    legs = leg(np.exp(8 + path + rng.normal(0, 3e-4, n))), leg(np.exp(3 + path))
    asked = {"timeframe": "1s", "hedge": "kalman"}
    spec = replace(read_pair_spec(asked, Settings()), bars=n - 3_240)
    result = analyse_pair(spec, plan_rows(spec, 0, (n - 1) * 1_000), *legs)
    return len(result.rows), result.backtest.metrics.total_trades


def peak():
    # Not getrusage: its peak begins with that of the process that forked this one.
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1])


analyse(20_000)  # all is imported and compiled
bare = peak()
rows, trades = analyse(1_000_000)
print(rows, trades, (peak() - bare) // 1024)
"""


def test_a_million_bars_and_all_that_comes_of_them_stay_under_400_mb():
    """Both legs' bars included, and some ten thousands of round trips."""
    child = subprocess.run(
        [sys.executable, "-c", ANALYSIS],
        cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=True,
    )  # fmt: skip
    rows, trades, megabytes = map(int, child.stdout.split())
    assert rows > 990_000
    assert trades > 10_000
    assert 100 < megabytes < 400
