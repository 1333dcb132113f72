"""Rows of dump files as the exchange writes them, and what an import stored of them."""

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from ingest.files.summary import ImportResult
from ingest.store.reader import Reader

DAY = 1_704_412_800_000  # 2024-01-05
DAY_MS = 86_400_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
Load = Callable[..., list[ImportResult]]
Save = Callable[[str, Iterable[str]], Path]


def hour(number: int, price: float = 100.0, opens: int | None = None) -> str:
    opens = DAY + number * HOUR if opens is None else opens
    prices = f"{price:.8f},{price * 1.01:.8f},{price * 0.99:.8f},{price:.8f}"
    return f"{opens},{prices},2.00000000,{opens + HOUR - 1},{2 * price:.8f},3,1.00000000,1.0,0"


def aggregate(trade_id: int, time_ms: int, price: float = 100.0) -> str:
    return (
        f"{trade_id},{price:.8f},0.50000000,{trade_id * 2},{trade_id * 2 + 1},{time_ms},True,True"
    )


def opens(reader: Reader, symbol: str = "BTCUSDT", length: int = HOUR) -> list[int]:
    return [(int(time) - DAY) // length for time in reader.bars(symbol, length).open_time_ms]


def pack(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path
