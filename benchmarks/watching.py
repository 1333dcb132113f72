"""What watching costs: rules over 20 symbols, judged and stored as the analyst does it."""

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

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
FIRST_MS = 1_795_401_000_000 // 60_000 * 60_000
ASKED = ((200, "1m"), (50, "1s"))


class Cost(NamedTuple):
    """What rules cost: for a bar, and for a look at which nothing is new."""

    judged: int
    bar_core_s: float
    idle_core_s: float
    longest_bar_s: float


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


def measure(count: int, timeframe: str, symbols: int = SYMBOLS) -> Cost:
    """Close bars of so many symbols and let so many rules be judged; the first bar, at which the
    whole history is read, does not count."""
    step = TIMEFRAMES[timeframe]
    asked = {"timeframe": timeframe, "paper": True}
    spec = read_pair_spec({"timeframe": timeframe}, Settings())
    history = spec.bars + 10 * spec.hedge_window + 2 * spec.window
    walk = np.random.default_rng(1).normal(0, 1e-3, (symbols, history + CLOSES)).cumsum(axis=1)
    names = [f"S{number:02d}USDT" for number in range(symbols)]
    bars = dict(zip(names, (_bars(prices.tolist(), step) for prices in np.exp(walk)), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'market.db'}"
        migrate(url)
        writer, reader = durable_writer(url), Reader(url)
        with writer.transaction() as tx:
            listed = [SymbolInfo(name, name[:3], "USDT", "TRADING") for name in names]
            ids = market.ensure_symbols(tx, listed)

        def close(rows: slice) -> None:
            with writer.transaction() as tx:
                for name in names:
                    market.upsert_bars(tx, ids[name], step, bars[name][rows], Origin.TRADES)

        close(slice(0, history))
        born_ms = FIRST_MS + history * step
        with writer.transaction() as tx:
            for leg_a, leg_b in itertools.islice(itertools.permutations(names, 2), count):
                rule = read_rule_spec({**asked, "symbol_a": leg_a, "symbol_b": leg_b}, Settings())
                rules.create(tx, rule, born_ms, born_ms)
        evaluation = Evaluation(reader, writer, lambda: int(time.time() * 1_000))
        taken, waited, judged = list[float](), list[float](), 0
        for row in range(history, history + CLOSES):
            close(slice(row, row + 1))
            core_s, wall_s = time.process_time(), time.perf_counter()
            while judged < count * (len(taken) + 1):
                judged += evaluation.look()
            taken.append(time.process_time() - core_s)
            waited.append(time.perf_counter() - wall_s)
        core_s = time.process_time()
        for _ in range(IDLE_LOOKS):
            evaluation.look()
        idle_s = (time.process_time() - core_s) / IDLE_LOOKS
        writer.close()
        reader.close()
    return Cost(judged, float(np.median(taken[1:])), idle_s, max(waited[1:]))


def _bars(closes: list[float], step: int) -> list[Bar]:
    opens = [closes[0], *closes[:-1]]
    return [
        Bar(FIRST_MS + row * step, open_, max(open_, close), min(open_, close), close, 1.0, close,
            3, 0.5, True)
        for row, (open_, close) in enumerate(zip(opens, closes, strict=True))
    ]  # fmt: skip
