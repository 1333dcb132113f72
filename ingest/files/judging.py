"""Which rows of a dump file are taken, passed over or left out, and what the file lacks. No I/O.

The judges see the rows in the order of the file and give the same verdicts when they see them
again: a file is checked whole before the first row is written.
"""

from array import array
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from core.bars import STEP_BACK_MS
from core.timeframes import DAY_MS
from core.types import Bar, Trade
from ingest.files import rows
from ingest.files.rows import BadLine, Columns

JUMP = 100.0
"""From one row to the next no price rises or falls so many times over: another unit or symbol."""
JUMP_MS = 31 * DAY_MS
"""A price this much older says nothing of the one after it."""
LISTING_IDS = 100
"""The first trades of a listing find its price, wherever it is."""
MAX_SLOTS = 10_000_000
"""Bars from a file's first to its last: four months of 1s, nineteen years of 1m."""
MAX_TRADES_SPAN_MS = 32 * DAY_MS
"""Dumps of trades hold a month at most, and each second of it becomes a bar."""
MAX_ID_HOLES = 2_000
TOLD_HOLES = 5
_PAGE = 4_096

NOT_OVER = "not over yet"
STILL_TO_COME = "of a time that is still to come"
OFF_GRID = "off the grid of the timeframe"
JUMPED = f"with a price {JUMP:.0f} times that of the row before, or a hundredth"
STEPPED_BACK = f"more than {STEP_BACK_MS // 1_000} s earlier than trades before it"
LEAPT = f"more than {STEP_BACK_MS // 1_000} s later than trades after them"
DENIED = "with a price or time that the rows after it deny"
DOUBTFUL = (JUMPED, STEPPED_BACK, LEAPT, DENIED)
"""A file of which more is doubtful than taken is the wrong file."""


class LeftOut(NamedTuple):
    """How many rows were left out for one reason, and the first one's line."""

    rows: int
    first_line: int


class Hole(NamedTuple):
    """A stretch that a file lacks, end exclusive: `missing` bars, or ids from `first_id` on."""

    start_ms: int
    end_ms: int
    missing: int
    first_id: int = -1


@dataclass(slots=True)
class Account:
    """What became of a file's rows."""

    taken: int = 0
    repeated: int = 0
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    start_ms: int = 0
    end_ms: int = 0
    """End of the last bar, or the moment after the last trade."""
    first_price: float = 0.0
    last_price: float = 0.0

    def leave_out(self, reason: str, line: int) -> None:
        """Count a row that is not taken."""
        before = self.left_out.get(reason, LeftOut(0, line))
        self.left_out[reason] = LeftOut(before.rows + 1, before.first_line)

    def take(self, start_ms: int, end_ms: int, first_price: float, last_price: float) -> None:
        """Count a row that is taken."""
        if not self.taken or start_ms < self.start_ms:
            self.start_ms, self.first_price = start_ms, first_price
        if end_ms > self.end_ms:
            self.end_ms, self.last_price = end_ms, last_price
        self.taken += 1

    @property
    def is_doubtful(self) -> bool:
        """Whether more of the file contradicts itself than doesn't."""
        counts = (self.left_out[reason].rows for reason in DOUBTFUL if reason in self.left_out)
        return sum(counts) > self.taken

    def words(self) -> str:
        """What was left out and why."""
        return ", ".join(
            f"{count:,} {reason} ({'line' if count == 1 else 'from line'} {line})"
            for reason, (count, line) in self.left_out.items()
        )


class SeenRows:
    """A digest of what each row says, by its place: to tell a repeat from a contradiction.

    Four bytes a row; of more pages than allowed the oldest go.
    """

    def __init__(self, pages: int) -> None:
        self._limit = pages
        self._pages: dict[int, array[int]] = {}

    def add(self, place: int, row: Hashable) -> Literal["new", "same", "other"]:
        """Note a row; say whether its place was free, or held by the same or another one."""
        number, offset = divmod(place, _PAGE)
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) >= self._limit:
                del self._pages[next(iter(self._pages))]
            page = self._pages[number] = array("I", bytes(4 * _PAGE))
        digest = hash(row) & 0xFFFF_FFFF or 1
        if page[offset] == 0:
            page[offset] = digest
            return "new"
        return "same" if page[offset] == digest else "other"

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield free stretches between places that are held, end exclusive."""
        last = None
        for number in sorted(self._pages):
            held = np.flatnonzero(np.frombuffer(self._pages[number], np.uint32)) + number * _PAGE
            places = held if last is None else np.concatenate(([last], held))
            for index in np.flatnonzero(np.diff(places) > 1):
                yield int(places[index]) + 1, int(places[index + 1])
            last = places[-1]


class KnownPrice(NamedTuple):
    """A price that others of about that time are measured by; 0 where there is none."""

    time_ms: int
    price: float

    def denies(self, price: float, time_ms: int) -> bool:
        """Whether another price can't be the same thing's."""
        return (
            self.price > 0
            and price > 0
            and abs(time_ms - self.time_ms) <= JUMP_MS
            and not self.price / JUMP < price < self.price * JUMP
        )


class FirstRow:
    """Finds out whether it is a file's first row that is odd: the next two deny it, and agree.

    Parameters
    ----------
    denied_line : its line, where an earlier reading has found so.
    """

    def __init__(self, denied_line: int) -> None:
        self.denied_line = denied_line
        self._line = 0
        self._denier: KnownPrice | None = None

    def take(self, line: int, taken: int) -> None:
        """Note a row that is taken, of so many."""
        if taken == 1:
            self._line = line
        self._denier = None

    def deny(self, time_ms: int, price: float, taken: int) -> None:
        """Note a row that contradicts those before it."""
        before, self._denier = self._denier, KnownPrice(time_ms, price)
        if taken == 1 and before is not None and not before.denies(price, time_ms):
            self.denied_line = self._line


class KlineJudge:
    """Judges the rows of klines: any order, each bar once.

    Parameters
    ----------
    denied_line : of a first row that those after it deny, as an earlier reading found; 0 for none.
    """

    def __init__(self, symbol: str, timeframe_ms: int, now_ms: int, denied_line: int = 0) -> None:
        self.account = Account()
        self.first_row = FirstRow(denied_line)
        self._denied_line = denied_line
        self._symbol = symbol
        self._timeframe_ms = timeframe_ms
        self._now_ms = now_ms
        self._seen = SeenRows(MAX_SLOTS // _PAGE + 2)
        self._known = KnownPrice(0, 0.0)
        self._are_contracts = True
        self._contract_prices: set[float] = set()

    @property
    def is_in_contracts(self) -> bool:
        """Whether every bar that was traded has volumes of coin-margined futures.

        Made-up volumes that are all the same may seem to; prices that they tell do not move.
        """
        return self._are_contracts and len(self._contract_prices) > 1

    def judge(self, number: int, line: bytes, columns: Columns) -> Bar | None:
        """Give the bar of a row that is taken.

        Raises
        ------
        BadLine
            The file can't be what it says it is.
        """
        account, length = self.account, self._timeframe_ms
        bar = rows.kline(_fields(line), columns, self._symbol, length)
        if bar is None:
            account.leave_out(OFF_GRID, number)
            return None
        opens = bar.open_time_ms
        if opens + length > self._now_ms:
            account.leave_out(NOT_OVER, number)
            return None
        if number == self._denied_line:
            account.leave_out(DENIED, number)
            return None
        if self._known.denies(bar.open, opens):
            account.leave_out(JUMPED, number)
            self.first_row.deny(opens, bar.open, account.taken)
            return None
        if account.taken:
            span = max(opens + length, account.end_ms) - min(opens, account.start_ms)
            if span > MAX_SLOTS * length:
                raise BadLine(f"the rows lie more than {MAX_SLOTS:,} bars apart")
        found = self._seen.add(opens // length, bar)
        if found == "same":
            account.repeated += 1
            return None
        if found == "other":
            raise BadLine("the open time does not rise, and another row of it says otherwise")
        self._known = KnownPrice(opens, bar.close)
        if bar.volume and self._are_contracts:
            price = rows.contract_price(bar)
            self._are_contracts = price is not None
            if price is not None and len(self._contract_prices) < 2:
                self._contract_prices.add(price)
        account.take(opens, opens + length, bar.open, bar.close)
        self.first_row.take(number, account.taken)
        return bar

    def holes(self) -> Iterator[Hole]:
        """Yield stretches without a bar between the first and the last one, oldest first."""
        length = self._timeframe_ms
        for start, end in self._seen.gaps():
            yield Hole(start * length, end * length, end - start)


class _Before(NamedTuple):
    """Where a judge stood before a trade whose time leapt ahead, and that trade's line."""

    line: int
    account: Account
    first: Trade | None
    last: Trade
    latest_ms: int
    known: KnownPrice
    holes: int


class TradeJudge:
    """Judges the rows of aggregate trades: ids give the order, as the exchange's own pages do.

    Parameters
    ----------
    leapt : ids of the trades that an earlier reading found too late for the one after them.
    denied_line : as for klines.
    """

    def __init__(
        self, symbol: str, now_ms: int, leapt: Collection[int] = (), denied_line: int = 0
    ) -> None:
        self.account = Account()
        self.first_row = FirstRow(denied_line)
        self._denied_line = denied_line
        self.first: Trade | None = None
        self.last: Trade | None = None
        self.id_holes: list[Hole] = []
        self.leapt = set(leapt)
        self._before_leap: _Before | None = None
        self._symbol = symbol
        self._now_ms = now_ms
        self._latest_ms = 0
        self._seen = SeenRows(1_024)
        self._known = KnownPrice(0, 0.0)

    def judge(self, number: int, line: bytes) -> Trade | None:
        """Give the trade of a row that is taken.

        Raises
        ------
        BadLine
            The file can't be what it says it is.
        """
        account = self.account
        trade = rows.trade(_fields(line), self._symbol)
        time_ms = trade.trade_time_ms
        if self.last is not None and trade.trade_id <= self.last.trade_id:
            if self._seen.add(trade.trade_id, trade) != "same":
                raise BadLine("the trade id does not rise")
            account.repeated += 1
            return None
        if trade.trade_id in self.leapt:
            account.leave_out(LEAPT, number)
            return None
        if time_ms > self._now_ms:
            account.leave_out(STILL_TO_COME, number)
            return None
        if number == self._denied_line:
            account.leave_out(DENIED, number)
            return None
        before = self._before_leap
        if before and before.latest_ms - STEP_BACK_MS <= time_ms < self._latest_ms - STEP_BACK_MS:
            account = self._take_back(before)
        if time_ms < self._latest_ms - STEP_BACK_MS:
            account.leave_out(STEPPED_BACK, number)
            self.first_row.deny(time_ms, trade.price, account.taken)
            return None
        if trade.trade_id >= LISTING_IDS and self._known.denies(trade.price, time_ms):
            account.leave_out(JUMPED, number)
            self.first_row.deny(time_ms, trade.price, account.taken)
            return None
        self._note_leap(number, time_ms)
        account.take(time_ms, time_ms + 1, trade.price, trade.price)
        self.first_row.take(number, account.taken)
        if account.end_ms - account.start_ms > MAX_TRADES_SPAN_MS:
            raise BadLine(
                f"the trades lie more than {MAX_TRADES_SPAN_MS // DAY_MS} days apart; a dump holds"
                " a month of them at most"
            )
        self._seen.add(trade.trade_id, trade)
        if trade.price > 0:
            self._known = KnownPrice(time_ms, trade.price)
        self._note_hole(trade)
        self._latest_ms = max(self._latest_ms, time_ms)
        self.first = self.first or trade
        self.last = trade
        return trade

    def holes(self) -> Iterator[Hole]:
        """Yield stretches of ids that the file lacks, in order."""
        yield from self.id_holes

    def _note_leap(self, line: int, time_ms: int) -> None:
        """Remember where we stood: the trade after this one may tell that its time is wrong."""
        self._before_leap = None
        if self.last is not None and time_ms > self._latest_ms + STEP_BACK_MS:
            self._before_leap = _Before(
                line,
                replace(self.account),
                self.first,
                self.last,
                self._latest_ms,
                self._known,
                len(self.id_holes),
            )

    def _take_back(self, before: _Before) -> Account:
        """Leave the last trade out after all: it was the odd one, and not those after it."""
        assert self.last is not None
        self.leapt.add(self.last.trade_id)
        self.account, self.first, self.last = before.account, before.first, before.last
        self._latest_ms, self._known, self._before_leap = before.latest_ms, before.known, None
        del self.id_holes[before.holes :]
        self.account.leave_out(LEAPT, before.line)
        return self.account

    def _note_hole(self, trade: Trade) -> None:
        if self.last is None or trade.trade_id == self.last.trade_id + 1:
            return
        if len(self.id_holes) >= MAX_ID_HOLES:
            raise BadLine(
                f"the trade ids skip more than {MAX_ID_HOLES:,} times: not the whole chain of a"
                " spot symbol"
            )
        first_id = self.last.trade_id + 1
        times = sorted((self.last.trade_time_ms, trade.trade_time_ms))
        self.id_holes.append(Hole(times[0], times[1], trade.trade_id - first_id, first_id))


def _fields(line: bytes) -> list[bytes]:
    return (line.replace(b'"', b"") if b'"' in line else line).split(b",")
