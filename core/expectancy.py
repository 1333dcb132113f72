"""What a trade earned by the z that it was entered at: which entry would have paid, if any."""

from dataclasses import dataclass, replace

import numpy as np

from core.backtest import trade
from core.metrics import Trips, standard_error
from core.pair_spec import PairSpec
from core.signals import Conditions, decide_positions
from core.types import BoolArray, FloatArray, HedgeSeries, PairRows

ENTRIES = tuple(1.0 + 0.25 * step for step in range(21))
"""1.0, 1.25 … 6.0"""


@dataclass(frozen=True, slots=True)
class Expected:
    """Closed round trips and their mean, in bp of the notional; NaN where there are too few."""

    trades: int
    gross: float
    gross_stderr: float
    net: float
    net_stderr: float


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry threshold gave, over all rows and over each half of them."""

    entry_z: float
    whole: Expected
    first_half: Expected
    second_half: Expected


@dataclass(frozen=True, slots=True)
class Expectancy:
    """Every entry threshold, and what a round trip costs.

    A trade belongs to the half that it was entered in; the second begins at `middle_ms`.
    """

    since_ms: int
    middle_ms: int
    end_ms: int
    cost_bps: float
    entries: tuple[Entry, ...]
    """Only those that exit_z and stop_z allow."""


def expectancy(
    spec: PairSpec,
    rows: PairRows,
    y: FloatArray,
    x: FloatArray,
    hedge: HedgeSeries,
    given: Conditions,
    first: int = 0,
) -> Expectancy:
    """Trade the same z once per entry threshold, all else as in the spec.

    Parameters
    ----------
    rows, y, x, hedge, given, first : see `core.backtest.run_backtest`.

    Notes
    -----
    In-sample: the best of the entries did best on these rows, and the two halves tell how much of
    that lasts. exit_z stays what it is in the spec, whatever the entry.
    """
    middle = (len(rows) - first) // 2
    entries = []
    for entry_z in ENTRIES:
        if not -entry_z <= spec.exit_z < entry_z or not entry_z < (spec.stop_z or np.inf):
            continue
        asked = replace(spec, entry_z=entry_z)
        position, exit_code = decide_positions(asked, y, x, hedge, given)
        _, trips = trade(asked, rows, hedge, given, position, exit_code, first)
        early = trips.entry[: trips.closed] < middle
        entries.append(
            Entry(
                entry_z=entry_z,
                whole=_expected(spec, trips, np.ones_like(early)),
                first_half=_expected(spec, trips, early),
                second_half=_expected(spec, trips, ~early),
            )
        )
    return Expectancy(
        since_ms=int(rows.open_time_ms[first]),
        middle_ms=int(rows.open_time_ms[first + middle]),
        end_ms=int(rows.open_time_ms[-1]) + spec.timeframe_ms,
        cost_bps=2.0 * (spec.fee_bps + spec.slippage_bps),
        entries=tuple(entries),
    )


def _expected(spec: PairSpec, trips: Trips, counted: BoolArray) -> Expected:
    gross = trips.gross[: trips.closed][counted] / spec.notional * 1e4
    net = gross - trips.costs[: trips.closed][counted] / spec.notional * 1e4
    return Expected(
        trades=len(gross),
        gross=float(gross.mean()) if len(gross) else np.nan,
        gross_stderr=standard_error(gross),
        net=float(net.mean()) if len(net) else np.nan,
        net_stderr=standard_error(net),
    )
