"""The domain's vocabulary: what flows from the exchange through the store to the screen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

# What a pair is asked by belongs to the vocabulary, too, and is defined where its table is.
from core.pair_spec import Hedge as Hedge
from core.pair_spec import PairSpec as PairSpec
from core.timeframes import TIMEFRAMES as TIMEFRAMES
from core.timeframes import Timeframe as Timeframe

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

Signal: TypeAlias = Literal["long_spread", "short_spread", "flat", "no_data"]
ExitReason: TypeAlias = Literal["revert", "stop", "time", "no_data", "halted", "break", "open"]
Side: TypeAlias = Literal["long_spread", "short_spread"]


class Trade(NamedTuple):
    """One exchange print; an aggregate (`@aggTrade`) covers raw trades `first_id` to `last_id`."""

    symbol: str
    trade_id: int
    price: float
    quantity: float
    trade_time_ms: int
    event_time_ms: int
    first_id: int
    last_id: int
    buyer_is_maker: bool

    @property
    def raw_count(self) -> int:
        """Raw trades behind this print."""
        return self.last_id - self.first_id + 1


class Origin(IntEnum):
    """Where a stored bar comes from; the higher one wins."""

    INCOMPLETE = 0
    ROLL_UP = 1
    KLINE = 2
    TRADES = 3


class Bar(NamedTuple):
    """One bar of one symbol. Volumes are rounded to 1e-8, the exchange's own step."""

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trade_count: int
    taker_buy_volume: float
    complete: bool


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars of one symbol and timeframe as columns, oldest first; times are unique, not dense."""

    open_time_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    quote_volume: FloatArray
    trade_count: IntArray
    taker_buy_volume: FloatArray
    complete: BoolArray
    imported: BoolArray

    def __len__(self) -> int:
        return len(self.open_time_ms)


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """What a pair needs of one symbol's bars, oldest first; `Bars` has it too."""

    open_time_ms: IntArray
    open: FloatArray
    close: FloatArray
    trade_count: IntArray
    complete: BoolArray
    imported: BoolArray

    def __len__(self) -> int:
        return len(self.open_time_ms)


@dataclass(frozen=True, slots=True, eq=False)
class Closes:
    """What a scan needs of one symbol's bars, oldest first; `Bars` has it too."""

    open_time_ms: IntArray
    close: FloatArray
    quote_volume: FloatArray
    complete: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class PairRows:
    """Both legs on one dense time axis; NaN where a bar is missing or incomplete in either leg.

    `traded_a` and `traded_b` say of each leg by itself whether it is known to have traded.
    """

    open_time_ms: IntArray
    open_a: FloatArray
    close_a: FloatArray
    open_b: FloatArray
    close_b: FloatArray
    traded_a: BoolArray
    traded_b: BoolArray

    def __len__(self) -> int:
        return len(self.open_time_ms)

    @property
    def present(self) -> BoolArray:
        """Rows with a complete bar of both legs."""
        return ~np.isnan(self.close_a)

    def from_row(self, first: int) -> "PairRows":
        """The rows from number `first` on."""
        return PairRows(*(getattr(self, name)[first:] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class HedgeSeries:
    """One way of hedging: its hedge ratio and what follows from it, a value a row, all causal."""

    hedge_ratio: FloatArray
    intercept: FloatArray
    spread: FloatArray
    spread_mean: FloatArray
    spread_std: FloatArray
    zscore: FloatArray

    def from_row(self, first: int) -> "HedgeSeries":
        """The rows from number `first` on."""
        return HedgeSeries(*(getattr(self, name)[first:] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class NextRow:
    """What is known of the row after the last closed one: enough for its provisional z."""

    hedge_ratio: float
    intercept: float
    spread_mean: float
    spread_std: float


@dataclass(frozen=True, slots=True)
class Wait:
    """How long z waits if no bar is missing from here on, and for what."""

    bars: int
    """Bars that have to close; the last of them has a z."""
    here: int
    needed: int
    of: int
    """Rows that are there and have to be, of all that the window has which is filled last."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A leg that has not traded for long, or is listed as not trading."""

    symbol: str
    since_ms: int
    """Close of the last bar that it traded in; the first row where it never did."""
    words: str


@dataclass(frozen=True, slots=True)
class Subwindows:
    """How many equal parts of the rows pass a test by themselves."""

    passing: int
    of: int


@dataclass(frozen=True, slots=True)
class HedgeNow:
    """What one way of hedging says at the last row."""

    hedge_ratio: float
    intercept: float
    zscore: float
    effectiveness: float
    """Share of leg A's variance that it took away of late."""


@dataclass(frozen=True, slots=True)
class Cointegration:
    """Engle-Granger in the stronger direction; `pvalue_both` allows for its being the better."""

    statistic: float
    pvalue: float
    pvalue_both: float
    lags: int
    direction: Literal["a_on_b", "b_on_a"]
    critical_5pct: float
    subwindows: Subwindows | None


@dataclass(frozen=True, slots=True)
class Johansen:
    """Johansen's trace test of two series; each pair of figures is for rank 0 and rank ≤ 1."""

    trace: tuple[float, float]
    critical_5pct: tuple[float, float]
    rank: int


class RoundTrip(NamedTuple):
    """One backtest trade; times are the open times of the bars whose opens filled.

    One that a break ended was left at the close of the bar that `exit_time_ms` names.
    """

    side: Side
    entry_time_ms: int
    exit_time_ms: int | None
    entry_z: float
    exit_z: float
    quantity_a: float
    quantity_b: float
    pnl: float
    costs: float
    bars: int
    exit_reason: ExitReason


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures of one backtest; NaN where undefined."""

    total_trades: int
    total_return: float
    total_pnl: float
    avg_pnl: float
    avg_pnl_stderr: float
    win_rate: float
    profit_factor: float
    sharpe: float
    sharpe_stderr: float
    sortino: float
    max_drawdown: float
    calmar: float
    exposure: float
    turnover: float
    costs: float
    avg_hold_bars: float
    reversion_capture: float


def is_listed(status: str) -> bool:
    """Whether nothing is known against a leg of that status."""
    return status in ("TRADING", "IMPORTED", "")


@dataclass(frozen=True, slots=True)
class Listing:
    """What the exchange says of the legs now; "" where it is not known."""

    quote_a: str = ""
    quote_b: str = ""
    status_a: str = ""
    status_b: str = ""
    decimals_a: int | None = None
    decimals_b: int | None = None
    """Of prices, as the exchange quotes them."""

    @property
    def no_common_money(self) -> str:
        """Why profits of the two legs can't be added up; "" where they can."""
        if "" in (self.quote_a, self.quote_b) or self.quote_a == self.quote_b:
            return ""
        return f"the legs are quoted in {self.quote_a} and {self.quote_b}, which do not add up"

    @property
    def suspended(self) -> bool:
        """A leg is listed, and not as trading."""
        return not (is_listed(self.status_a) and is_listed(self.status_b))


@dataclass(frozen=True, slots=True)
class Inherited:
    """A position held over the first row that counts; None where it was not filled yet."""

    side: Side
    entry_time_ms: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """Marked equity on the rows that count, its round trips (the open one last), their figures."""

    since_ms: int
    inherited: Inherited | None
    equity: FloatArray
    drawdown: FloatArray
    round_trips: tuple[RoundTrip, ...]
    metrics: Metrics


@dataclass(frozen=True, slots=True, eq=False)
class PairResult:
    """All that is known of a pair at the close of its last bar.

    Arrays hold one value per result row. A scalar that is undefined is NaN and has an entry in
    `reasons`: field name to plain words.
    """

    spec: PairSpec
    history_start_ms: int
    start_ms: int
    as_of_ms: int
    rows: PairRows
    chosen: HedgeSeries
    """Of the hedge that the spec asks for; it alone drives signal and backtest."""
    hedge_ratios: Mapping[Hedge, FloatArray]
    kalman_stderr: FloatArray
    hedges: Mapping[Hedge, HedgeNow]
    next_row: NextRow
    position: IntArray
    ols_full_sample: float
    break_even_z: float
    signal: Signal
    signal_note: str | None
    """Why nothing is entered, whatever z is."""
    correlation: float
    required_z: float
    half_life_bars: float
    half_life_interval: tuple[float, float]
    hurst: float
    cointegration: Cointegration | None
    backtest: Backtest
    reasons: dict[str, str]
    wait: Wait | None = None
    """What z waits for where there is none; nothing where more bars would not help."""
    stopped: Stopped | None = None
    """The leg that has not traded for long; None where both trade."""

    @property
    def zscore(self) -> float:
        """At the close of the last bar; NaN while a leg has stopped: it has no price now."""
        return math.nan if self.stopped else float(self.chosen.zscore[-1])
