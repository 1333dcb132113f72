"""What watching costs: rules over 20 symbols, judged and stored as the analyst does it."""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.ingestion import ROOT
from core.pair_spec import read_pair_spec
from core.rule_spec import read_rule_spec
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from core.types import Bar, Origin
from ingest.analysis.evaluation import Evaluation
from ingest.analysis.figures import warm_up
from ingest.analyst import LOOK_EVERY_S
from ingest.binance.answers import SymbolInfo
from ingest.store import market, rules
from ingest.store.engine import migrate
from ingest.store.reader import Reader
from ingest.store.transaction import durable_writer

SYMBOLS = 20
CLOSES = 12
IDLE_LOOKS = 50
SEEN, WARM_UP = 60, 3
"""Bars that an analyst's process sees, and how many of them until all has been used once."""
LOOK_S, HANG_S = 0.005, 120.0
FIRST_MS = 1_795_401_000_000 // 60_000 * 60_000
ASKED = ((200, "1m"), (50, "1s"))


class Cost(NamedTuple):
    """What rules cost: for a bar, and for a look at which nothing is new."""

    judged: int
    bar_core_s: float
    idle_core_s: float
    longest_bar_s: float


class Market:
    """Symbols whose bars close when it is said, and rules over pairs of them, born now."""

    def __init__(self, folder: str, count: int, timeframe: str, symbols: int, closes: int) -> None:
        self.step = TIMEFRAMES[timeframe]
        self.url = f"sqlite:///{Path(folder) / 'market.db'}"
        migrate(self.url)
        self.writer, self.reader = durable_writer(self.url), Reader(self.url)
        spec = read_pair_spec({"timeframe": timeframe}, Settings())
        history = spec.bars + 10 * spec.hedge_window + 2 * spec.window
        walk = np.random.default_rng(1).normal(0, 1e-3, (symbols, history + closes)).cumsum(axis=1)
        names = [f"S{number:02d}USDT" for number in range(symbols)]
        prices = np.exp(walk).tolist()
        self._bars = {name: _bars(own, self.step) for name, own in zip(names, prices, strict=True)}
        with self.writer.transaction() as tx:
            listed = [SymbolInfo(name, name[:3], "USDT", "TRADING") for name in names]
            self._ids = market.ensure_symbols(tx, listed)
        self.closed = 0
        self.close(history)
        born_ms = FIRST_MS + history * self.step
        asked = {"timeframe": timeframe, "paper": True}
        with self.writer.transaction() as tx:
            for leg_a, leg_b in itertools.islice(itertools.permutations(names, 2), count):
                rule = read_rule_spec({**asked, "symbol_a": leg_a, "symbol_b": leg_b}, Settings())
                rules.create(tx, rule, born_ms, born_ms)

    def close(self, bars: int = 1) -> int:
        """Let the next bars of every symbol close; open time of the last one."""
        rows = slice(self.closed, self.closed + bars)
        with self.writer.transaction() as tx:
            for name, own in self._bars.items():
                market.upsert_bars(tx, self._ids[name], self.step, own[rows], Origin.TRADES)
        self.closed += bars
        return FIRST_MS + (self.closed - 1) * self.step


@contextmanager
def a_market(
    count: int, timeframe: str, symbols: int = SYMBOLS, closes: int = CLOSES
) -> Iterator[Market]:
    """A market in a folder of its own, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        made = Market(folder, count, timeframe, symbols, closes)
        yield made
        made.writer.close()
        made.reader.close()


def measure_watching() -> Iterator[tuple[str, str]]:
    """The share of a core that rules take, and how soon after a close they are all stored."""
    warm_up()
    for count, timeframe in ASKED:
        cost = measure(count, timeframe)
        bar_s = TIMEFRAMES[timeframe] / 1_000
        share = cost.bar_core_s / bar_s + cost.idle_core_s / LOOK_EVERY_S
        yield f"{count} rules at {timeframe} with paper, share of a core", f"{100 * share:.1f} %"
        yield (
            f"{count} rules at {timeframe}, judged and stored, at most",
            f"{cost.longest_bar_s:.2f} s",
        )
    seen_ms = measure_sight()
    median, high = seen_ms[len(seen_ms) // 2], seen_ms[len(seen_ms) * 99 // 100]
    yield "a stored bar to its stored judgement, p50 / p99", f"{median:.0f} / {high:.0f} ms"


def measure(count: int, timeframe: str, symbols: int = SYMBOLS) -> Cost:
    """Close bars of so many symbols and let so many rules be judged; the first bar, at which the
    whole history is read, does not count."""
    with a_market(count, timeframe, symbols) as desk:
        evaluation = Evaluation(desk.reader, desk.writer, lambda: int(time.time() * 1_000))
        taken, waited, judged = list[float](), list[float](), 0
        for _ in range(CLOSES):
            desk.close()
            core_s, wall_s = time.process_time(), time.perf_counter()
            while judged < count * (len(taken) + 1):
                judged += evaluation.look()
            taken.append(time.process_time() - core_s)
            waited.append(time.perf_counter() - wall_s)
        core_s = time.process_time()
        for _ in range(IDLE_LOOKS):
            evaluation.look()
        idle_s = (time.process_time() - core_s) / IDLE_LOOKS
    return Cost(judged, float(np.median(taken[1:])), idle_s, max(waited[1:]))


def measure_sight(bars: int = SEEN) -> list[float]:
    """Milliseconds from storing a bar to storing its judgement, by an analyst's process; sorted."""
    with a_market(1, "1m", symbols=2, closes=bars) as desk:
        environ = os.environ | {"DATABASE_URL": desk.url, "SOURCE": "binance"}
        analyst = subprocess.Popen(
            [sys.executable, "-m", "ingest", "analyse"],
            cwd=ROOT,
            env=environ,
            stderr=subprocess.DEVNULL,
        )
        phase, late_ms = np.random.default_rng(1), list[float]()
        try:
            for _ in range(bars):
                time.sleep(phase.uniform(0.0, LOOK_EVERY_S))
                open_ms, stored_s = desk.close(), time.perf_counter()
                while not desk.reader.decisions(1, since_ms=open_ms, limit=1):
                    if time.perf_counter() - stored_s > HANG_S:
                        raise TimeoutError("the analyst judges nothing")
                    time.sleep(LOOK_S)
                late_ms.append((time.perf_counter() - stored_s) * 1_000)
        finally:
            analyst.terminate()
            analyst.wait()
    return sorted(late_ms[WARM_UP:])


def _bars(closes: list[float], step: int) -> list[Bar]:
    opens = [closes[0], *closes[:-1]]
    return [
        Bar(FIRST_MS + row * step, open_, max(open_, close), min(open_, close), close, 1.0, close,
            3, 0.5, True)
        for row, (open_, close) in enumerate(zip(opens, closes, strict=True))
    ]  # fmt: skip
