"""What the routes of a pair and of stored bars may be asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.requests.fields import parameters
from core.pair_spec import MAX_BARS, PAIR_PARAMETERS, PairSpec
from core.parameters import CrossCheck, Symbol, TimeMs, WholeNumber, fill_in
from core.settings import Settings

NoParameters = parameters("NoParameters", {})
"""For routes that take none."""

PairParameters = parameters(
    "PairParameters",
    {
        **PAIR_PARAMETERS,
        "points": WholeNumber(
            0, MAX_BARS, about="Newest rows of `series`; `equity` is whole", default=500
        ),
    },
)
"""Parameters of everything that is computed from a pair."""

ExplainParameters = parameters(
    "ExplainParameters",
    {
        **PairParameters.table,
        "time": TimeMs(
            about="Open time of the bar whose z is taken apart", without="the last closed one"
        ),
    },
)
"""Parameters of `/analytics/pair/explain`: a pair's, and which of its rows."""

PlaceboParameters = parameters(
    "PlaceboParameters",
    {
        **PairParameters.table,
        "runs": WholeNumber(20, 500, about="Random pairs to trade", default=200),
    },
)
"""Parameters of `/analytics/pair/placebo`: a pair's, and how many walks stand for noise."""

BarsParameters = parameters(
    "BarsParameters",
    {
        "symbol": Symbol(about="Whose bars", required=True),
        "timeframe": PAIR_PARAMETERS["timeframe"],
        "start": TimeMs(about="First open time, inclusive"),
        "end": TimeMs(
            about="Last open time, exclusive",
            check=CrossCheck(
                lambda end, given: given["start"] is None or end > given["start"],
                "must be after start",
                TimeMs.takes,
            ),
        ),
        "limit": WholeNumber(
            1,
            5_000,
            about="Most bars: the newest ones, or with `start` the first from there",
            default=500,
        ),
    },
)
"""Parameters of `/api/bars`."""


@dataclass(frozen=True, slots=True)
class PairRequest:
    """A validated request: what to compute and how many rows of it to show."""

    spec: PairSpec
    points: int


def pair_request(values: Mapping[str, Any], settings: Settings) -> PairRequest:
    """A request of values that were judged, with the defaults that are worked out."""
    spec = {name: values[name] for name in PAIR_PARAMETERS}
    return PairRequest(PairSpec(**fill_in(PAIR_PARAMETERS, spec, settings)), values["points"])
