"""What a radar rule watches: every pair that the newest scan lets pass, at each closed bar."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from core.pair_spec import PAIR_PARAMETERS, PairSpec, read_pair_spec
from core.parameters import Choice, CrossCheck, Number
from core.scan_query import THIN_QUOTE_VOLUME
from core.settings import Settings
from core.timeframes import SCANNED, Timeframe

_PAIR = PAIR_PARAMETERS
_USUAL_ENTRY_Z = 2.0


@dataclass(frozen=True, slots=True)
class RadarWatch:
    """Which pairs pass, and how far out one of them has to be."""

    timeframe: Annotated[
        Timeframe,
        Choice(
            {name: name for name in SCANNED}, label="Timeframe", default="1h",
            about="Length of a bar; one of SCAN_TIMEFRAMES",
        ),
    ]  # fmt: skip
    window: Annotated[int, _PAIR["window"]]
    hedge_window: Annotated[int, _PAIR["hedge_window"]]
    fee_bps: Annotated[float, _PAIR["fee_bps"]]
    slippage_bps: Annotated[float, _PAIR["slippage_bps"]]
    max_q: Annotated[
        float | None,
        Number(0, 1, label="q ≤", without="any", about="Largest q-value in the newest scan"),
    ]
    max_median: Annotated[
        float | None,
        Number(
            0, 1, label="Quarters median ≤", default=0.2,
            about="Largest median p of the scan's quarters",
        ),
    ]  # fmt: skip
    min_half_life: Annotated[
        float | None,
        Number(
            0, 10_000, label="Half-life ≥", unit="bars", without="any",
            about="Shortest half-life; with it a pair needs one",
        ),
    ]  # fmt: skip
    max_half_life: Annotated[
        float | None,
        Number(
            0, 10_000, label="Half-life ≤", unit="bars", without="any",
            about="Longest half-life; with it a pair needs one",
            check=CrossCheck(
                lambda most, given: given["min_half_life"] is None or most > given["min_half_life"],
                "must be above min_half_life ({min_half_life:g})",
                "a number above min_half_life",
            ),
        ),
    ]  # fmt: skip
    min_quote_volume: Annotated[
        float,
        Number(
            0, 1e15, label="Thinner leg ≥", default=THIN_QUOTE_VOLUME,
            about="Quote units that the thinner leg trades a day",
        ),
    ]  # fmt: skip
    min_z: Annotated[
        float | None,
        Number(
            0.1, 10, label="|z| ≥", without="where a full reversion pays its costs",
            about="How far out a pair has to be",
        ),
    ]  # fmt: skip
    back_z: Annotated[
        float,
        Number(
            0, 5, label="Back at |z| ≤", default=0.5, about="Where what fired resolves",
            check=CrossCheck(
                lambda back, given: given["min_z"] is None or back < given["min_z"],
                "must be below min_z ({min_z:g})",
                "a number below min_z",
            ),
        ),
    ]  # fmt: skip

    def pair_of(self, symbol_a: str, symbol_b: str) -> PairSpec:
        """A pair of the universe as the rule judges it, for its page and its link."""
        usual = max(_USUAL_ENTRY_Z, 2.0 * self.back_z)
        asked: Mapping[str, Any] = {
            "symbol_a": symbol_a, "symbol_b": symbol_b, "timeframe": self.timeframe,
            "window": self.window, "hedge_window": self.hedge_window, "fee_bps": self.fee_bps,
            "slippage_bps": self.slippage_bps, "exit_z": self.back_z,
            "entry_z": usual if self.min_z is None else self.min_z,
        }  # fmt: skip
        return read_pair_spec(asked, Settings())


def legs_of(direction: str) -> tuple[str, str] | None:
    """The legs in the direction of an episode, A first; None where it has none."""
    a, _, b = direction.partition(":")[2].partition("/")
    return (a, b) if a and b else None
