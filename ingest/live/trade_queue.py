"""Live trades between the read loop, which never waits, and the thread that writes them."""

from collections import deque
from collections.abc import Callable, Sequence

from core.types import Trade

LIMIT = 100_000
"""Full once, it takes nothing more until half of it is written: one gap a symbol. A trade for each
place that comes free would open a gap a trade, and the thread that is behind has to note, fetch and
build every one."""
LAG_SAMPLES = 2_000


class TradeQueue:
    """Trades in the order in which they came; `put` never waits.

    Parameters
    ----------
    monotonic : clock of the lags.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        # How many trades were ever queued, and how many of them have been written.
        self.put_count = 0
        self.written_count = 0
        self.dropped_total = 0
        self._is_full = False
        self._monotonic = monotonic
        self._trades: deque[Trade] = deque()
        # Of some trades: how many were put until then, when, and how late they were by then.
        self._marks: deque[tuple[int, float, float]] = deque()
        self._lags: deque[tuple[float, float]] = deque(maxlen=LAG_SAMPLES)

    def __len__(self) -> int:
        """Trades waiting."""
        return len(self._trades)

    # -- called from the event loop -----------------------------------------------------------

    def put(self, trade: Trade) -> None:
        """Queue a trade. When the queue is full it is dropped: its id will show as a gap."""
        self._is_full = len(self._trades) >= (LIMIT // 2 if self._is_full else LIMIT)
        if self._is_full:
            self.dropped_total += 1
        else:
            self._trades.append(trade)
            self.put_count += 1

    def mark(self, lag_ms: float) -> None:
        """Measure when the trade put next is stored; `lag_ms` is how late it came in."""
        if len(self._marks) < LAG_SAMPLES:
            self._marks.append((self.put_count + 1, self._monotonic(), lag_ms))

    def take_lags(self) -> list[tuple[float, float]]:
        """Of marked trades stored since the last call: ms from receipt, and ms from the event."""
        lags = list(self._lags)
        self._lags.clear()
        return lags

    # -- called from the thread that writes ---------------------------------------------------

    def take(self, limit: int) -> list[Trade]:
        """The oldest trades, out of the queue: to be written, or to be put back."""
        return [self._trades.popleft() for _ in range(min(len(self._trades), limit))]

    def put_back(self, trades: Sequence[Trade]) -> None:
        """They could not be written and come first again."""
        self._trades.extendleft(reversed(trades))

    def note_written(self, count: int) -> None:
        """That many more of the oldest are out of our hands."""
        self.written_count += count

    def note_lags(self) -> None:
        """Measure the marked ones among the trades that have been stored."""
        now = self._monotonic()
        while self._marks and self._marks[0][0] <= self.written_count:
            _, received_at, lag_ms = self._marks.popleft()
            stored_ms = (now - received_at) * 1_000.0
            self._lags.append((stored_ms, lag_ms + stored_ms))
