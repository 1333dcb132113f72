"""The one table of a pair's parameters; whatever asks for a pair takes them from here.

API schema and documentation, the page's controls, links, rules and grids follow from it. A new
parameter is one field of `PairSpec`: its type, bounds, default and words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias, get_type_hints

from core.parameters import (
    LISTED_SYMBOL,
    Choice,
    CrossCheck,
    Derived,
    DeskDefault,
    Number,
    Parameter,
    Symbol,
    TimeMs,
    WholeNumber,
    fill_in,
    read_parameters,
)
from core.settings import Settings
from core.timeframes import TIMEFRAMES, Timeframe

Hedge: TypeAlias = Literal["ols", "kalman", "ratio", "shrunk", "returns"]

HEDGES: Mapping[Hedge, str] = MappingProxyType(
    {
        "ols": "OLS",
        "kalman": "Kalman",
        "ratio": "ratio",
        "shrunk": "shrunk",
        "returns": "returns",
    }
)
"""Each way of hedging, and what the page calls it."""

HEDGE_WORDS: Mapping[Hedge, str] = MappingProxyType(
    {
        "ols": "least squares of log prices",
        "kalman": "a filter that forgets",
        "ratio": "β = 1, as much money in each leg",
        "shrunk": "halfway from least squares to 1",
        "returns": "least squares of 10-bar changes",
    }
)
"""How each finds its hedge ratio, in a few words."""

ExitRule: TypeAlias = Literal["moving", "anchored"]

EXIT_RULES: Mapping[str, str] = MappingProxyType(
    {"moving": "each bar's z", "anchored": "the entry's spread"}
)
"""What exits and stops look at, as the page calls it."""

MAX_HEDGE_WINDOW = 10_000
MAX_BARS = 20_000

OTHER_LEG = CrossCheck(
    lambda symbol_b, given: symbol_b != given["symbol_a"],
    "must differ from symbol_a",
    f"{LISTED_SYMBOL}, other than symbol_a",
)


@dataclass(frozen=True, slots=True)
class PairSpec:
    """Everything that decides a pair's numbers, each with what it may be."""

    symbol_a: Annotated[
        str, Symbol(label="Leg A", about="Leg A, the dependent one (y)", default="BTCUSDT")
    ]
    symbol_b: Annotated[
        str,
        Symbol(
            label="Leg B",
            about="Leg B, the explaining one (x)",
            default="ETHUSDT",
            check=OTHER_LEG,
        ),
    ]
    timeframe: Annotated[
        Timeframe,
        Choice(
            {name: name for name in TIMEFRAMES},
            label="Timeframe",
            about="Length of a bar",
            default="1m",
        ),
    ]
    window: Annotated[
        int,
        WholeNumber(
            10,
            2_000,
            label="Window",
            unit="bars",
            about="Rows before t that z is measured by",
            default=120,
        ),
    ]
    entry_z: Annotated[
        float,
        Number(0.1, 10, label="Entry z", about="|z| at which a position is opened", default=2.0),
    ]
    exit_z: Annotated[
        float,
        Number(
            -10,
            10,
            label="Exit z",
            about="|z| at which it is closed; below 0: how far beyond the mean",
            default=Derived("min(0.5, entry_z/4)", lambda given: min(0.5, given["entry_z"] / 4)),
            check=CrossCheck(
                lambda exit_z, given: -given["entry_z"] <= exit_z < given["entry_z"],
                "must be from -entry_z to below entry_z ({entry_z:g})",
                "a number from -entry_z to below entry_z",
            ),
        ),
    ]
    exit_rule: Annotated[
        ExitRule,
        Choice(
            EXIT_RULES,
            label="Exits look at",
            about="The z of each bar, or that of the spread as it stood when entry was decided",
            default="moving",
        ),
    ]
    stop_z: Annotated[
        float | None,
        Number(
            0,
            None,
            label="Stop z",
            about="|z| at which it is given up; above entry_z",
            without="none",
            check=CrossCheck(
                lambda stop_z, given: stop_z > given["entry_z"],
                "must be above entry_z ({entry_z:g})",
                "a number above entry_z",
            ),
        ),
    ]
    max_hold_bars: Annotated[
        int | None,
        WholeNumber(
            1,
            20_000,
            label="Longest hold",
            unit="bars",
            about="Bars after which a position is closed",
            without="none",
        ),
    ]
    hedge: Annotated[
        Hedge,
        Choice({**HEDGES}, label="Hedge", about="How the hedge ratio is found", default="ols"),
    ]
    hedge_window: Annotated[
        int,
        WholeNumber(
            10,
            MAX_HEDGE_WINDOW,
            label="Hedge window",
            unit="bars",
            about="Rows that the hedge ratio is fitted to; at least window",
            default=Derived("5 × window", lambda given: min(5 * given["window"], MAX_HEDGE_WINDOW)),
            check=CrossCheck(
                lambda hedge_window, given: hedge_window >= given["window"],
                "must be at least window ({window})",
                f"a whole number from window to {MAX_HEDGE_WINDOW}",
            ),
        ),
    ]
    lags: Annotated[
        int | None,
        WholeNumber(
            0,
            24,
            label="Lags",
            about="Lagged changes in the cointegration test",
            without="by AIC",
        ),
    ]
    bars: Annotated[
        int,
        WholeNumber(
            10,
            MAX_BARS,
            label="Bars shown",
            about="Least number of result rows",
            default=4_320,
        ),
    ]
    since: Annotated[
        int | None,
        TimeMs(
            label="Since",
            about="Bar that the result rows begin with, flat, instead of `bars` of them",
            without="the last `bars` rows",
            check=CrossCheck(
                lambda since, given: since % TIMEFRAMES[given["timeframe"]] == 0,
                "must be the open time of a {timeframe} bar",
                "the open time of a bar, as epoch milliseconds or ISO 8601",
            ),
        ),
    ]
    fee_bps: Annotated[
        float,
        Number(
            0,
            1_000,
            label="Fee",
            unit="bp a fill",
            about="Fee per fill and leg",
            default=DeskDefault("fee_bps"),
        ),
    ]
    slippage_bps: Annotated[
        float,
        Number(
            0,
            1_000,
            label="Slippage",
            unit="bp a fill",
            about="Slippage and half bid-ask spread per fill and leg",
            default=DeskDefault("slippage_bps"),
        ),
    ]
    notional: Annotated[
        float,
        Number(
            0,
            1e12,
            above_low=True,
            label="Notional",
            about="Both legs together, quote currency",
            default=10_000.0,
        ),
    ]

    @property
    def timeframe_ms(self) -> int:
        return TIMEFRAMES[self.timeframe]


PAIR_PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        name: hint.__metadata__[0]
        for name, hint in get_type_hints(PairSpec, include_extras=True).items()
    }
)
"""The table by name, in order."""


def read_pair_spec(given: object, settings: Settings) -> PairSpec:
    """Make a spec of foreign values, with every default filled in.

    Raises
    ------
    ParameterErrors
        Names every bad parameter and what it allows.
    """
    values = read_parameters(PAIR_PARAMETERS, given)
    return PairSpec(**fill_in(PAIR_PARAMETERS, values, settings))
