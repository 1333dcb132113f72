"""Rooms import what `pyproject.toml` allows them; the contracts refuse what else is planted."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINT = (
    "import sys; from importlinter.cli import lint_imports_command;"
    " sys.argv = ['lint-imports', '--no-cache']; lint_imports_command()"
)
PLANTS = [
    ("core/metrics.py", "import time", "time"),
    ("core/metrics.py", "import os", "os"),
    ("core/metrics.py", "import socket", "socket"),
    ("core/metrics.py", "import requests", "requests"),
    ("core/windows.py", "from ingest.store.reader import Reader", "ingest.store.reader"),
    ("core/windows.py", "import sqlalchemy", "sqlalchemy"),
    ("core/settings.py", "import os", "os"),
    ("ingest/binance/frames.py", "from ingest.store import market", "ingest.store.market"),
    ("ingest/binance/frames.py", "import flask", "flask"),
    ("ingest/simulator/noise.py", "from core.settings import Settings", "core.settings"),
    ("ingest/live/repair.py", "import sqlalchemy", "sqlalchemy"),
    ("ingest/live/repair.py", "import sqlite3", "sqlite3"),
    ("ingest/live/repair.py", "import dash", "dash"),
    ("ingest/live/repair.py", "from ingest.binance import rest", "ingest.binance.rest"),
    ("ingest/files/rows.py", "from ingest.process import lifeline", "ingest.process.lifeline"),
    ("ingest/files/rows.py", "import pandas", "pandas"),
    ("ingest/schedule.py", "from app import create_app", "app"),
    ("ingest/analysis/evaluation.py", "import sqlalchemy", "sqlalchemy"),
    ("ingest/analysis/evaluation.py", "from ingest.live import chain", "ingest.live.chain"),
    ("ingest/store/pulse.py", "from ingest.live import chain", "ingest.live.chain"),
    ("ingest/store/pulse.py", "import plotly", "plotly"),
    ("app/services/market.py", "from ingest.store import market", "ingest.store.market"),
    ("app/services/market.py", "import sqlite3", "sqlite3"),
    ("app/views/text.py", "from ingest.live import pipeline", "ingest.live.pipeline"),
    ("app/views/text.py", "import httpx", "httpx"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's code and contracts, to plant imports in."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("core", "ingest", "app", "tests/support"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, capture_output=True, text=True, check=False
    )


def test_every_kind_of_forbidden_import_is_refused(copy: Path) -> None:
    assert lint(copy).returncode == 0
    for name, line, _ in PLANTS:
        with (copy / name).open("a") as file:
            file.write(f"\n{line}\n")
    verdict = lint(copy)
    assert verdict.returncode == 1
    told = " ".join(verdict.stdout.split())
    passed = [
        (name, line)
        for name, line, imported in PLANTS
        if f"{_module(name)} may not import {imported} (line" not in told
    ]
    assert passed == []


def _module(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".")


def test_a_numba_kernel_in_the_worker_s_way_is_refused(copy: Path) -> None:
    file = copy / "core/timeframes.py"
    file.write_text(file.read_text() + "\nimport numba\n")
    assert "the worker stays lean, through whatever it imports BROKEN" in lint(copy).stdout


def test_a_circle_is_refused(copy: Path) -> None:
    file = copy / "core/errors.py"
    file.write_text(file.read_text() + "\nfrom core import bars\n")
    assert "no circle anywhere BROKEN" in lint(copy).stdout


def test_a_room_that_is_renamed_does_not_slip_out_of_its_contract(copy: Path) -> None:
    (copy / "core/settings.py").rename(copy / "core/options.py")
    assert "core.settings is named here and doesn't exist" in lint(copy).stdout


def test_core_opens_nothing_and_prints_nothing() -> None:
    banned = {"open", "print", "input", "eval", "exec", "__import__", "breakpoint"}
    called = {
        f"{path.name}: {node.func.id}"
        for path in (ROOT / "core").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in banned
    }
    assert called == set()


FOUR_HOURS = """
from core.bars import PARENTS
from core.pair_spec import read_pair_spec
from core.settings import Settings
from ingest.live.backfill import longer_history

assert PARENTS[-1] == (14_400_000, 3_600_000)
assert longer_history(Settings())["4h"] == 400 * 6
assert Settings.from_mapping({"SCAN_TIMEFRAMES": "4h"}).scanned_timeframes == ("4h",)
assert read_pair_spec({"timeframe": "4h"}, Settings()).timeframe_ms == 14_400_000
"""


def test_a_timeframe_is_added_in_one_place(copy: Path) -> None:
    file = copy / "core/timeframes.py"
    text = file.read_text().replace('"1h"]', '"1h", "4h"]')
    file.write_text(text.replace("}\n", '    "4h": 14_400_000,\n}\n'))
    done = subprocess.run(
        [sys.executable, "-c", FOUR_HOURS], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
