"""No job waits for the compiler after `python -m ingest compile`."""

import os
import subprocess
import sys
from pathlib import Path

from core.job_spec import read_job_spec
from core.settings import Settings
from ingest.store import jobs
from tests.support.hours import Hours

ROOT = Path(__file__).resolve().parents[3]
LEGS = {
    "timeframe": "1h",
    "symbol_a": "ACOINUSDT",
    "symbol_b": "BCOINUSDT",
    "bars": 200,
    "window": 20,
}
ASKED = (
    {"kind": "scan", "timeframe": "1h", "bars": 300},
    {"kind": "sweep", **LEGS, "hedge_values": "ols, kalman, ratio, shrunk, returns",
     "exit_rule_values": "moving, anchored", "train_bars": 100},
    {"kind": "honesty", **LEGS},
)  # fmt: skip
COMPARE = """
import gc, os, sys
from numba.core.dispatcher import Dispatcher
from core.settings import Settings
from ingest.analysis.job import work_off
from ingest.analysis.warming import compile_kernels
compile_kernels()
kernels = [one for one in gc.get_objects() if isinstance(one, Dispatcher)]
before = [len(kernel.signatures) for kernel in kernels]
for job in sys.argv[1:]:
    work_off(int(job), Settings(), os.environ["DATABASE_URL"])
for kernel, known in zip(kernels, before, strict=True):
    if len(kernel.signatures) > known:
        print(kernel.py_func.__module__, kernel.py_func.__name__)
"""


def test_what_jobs_need_is_compiled_before_the_first_of_them(tmp_path: Path) -> None:
    hours = Hours(f"sqlite:///{tmp_path}/market.db")
    hours.fill()
    claimed = []
    for asked in ASKED:
        with hours.writer.transaction() as tx:
            jobs.ask(tx, read_job_spec(asked, Settings()), "me", 0)
            claimed += [jobs.claim(tx, lane, 0) for lane in ("scan", "lab")]
    numbers = [str(one[0]) for one in claimed if one is not None]
    assert len(numbers) == len(ASKED)
    told = subprocess.run(
        [sys.executable, "-c", COMPARE, *numbers], cwd=ROOT, check=True, text=True,
        stdout=subprocess.PIPE, env=os.environ | {"DATABASE_URL": hours.url},
    )  # fmt: skip
    assert told.stdout == ""
    states = {hours.reader.job(int(number)).state for number in numbers}
    assert states == {"done"}
    hours.shut()
