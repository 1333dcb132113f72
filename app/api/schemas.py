"""What a request may say: one schema for the API, its documentation and the page's callbacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, validates_schema

from app.api.parameters import (
    Choice,
    FieldError,
    Number,
    ParameterErrors,
    Parameters,
    Symbol,
    TimeMs,
    WholeNumber,
)
from core.settings import Settings
from core.types import TIMEFRAMES, PairSpec

__all__ = [
    "BarsParameters",
    "ExplainParameters",
    "FieldError",
    "NoParameters",
    "PairParameters",
    "PairRequest",
    "ParameterErrors",
    "load_pair_request",
    "pair_request",
]

MAX_HEDGE_WINDOW = 10_000


@dataclass(frozen=True, slots=True)
class PairRequest:
    """A validated request: what to compute and how many rows of it to show."""

    spec: PairSpec
    points: int


class NoParameters(Parameters):
    """For routes that take none."""


class PairParameters(Parameters):
    """Parameters of everything that is computed from a pair."""

    symbol_a = Symbol(about="Leg A, the dependent one (y)", load_default="BTCUSDT")
    symbol_b = Symbol(about="Leg B, the explaining one (x)", load_default="ETHUSDT")
    timeframe = Choice(tuple(TIMEFRAMES), about="Length of a bar", load_default="1m")
    window = WholeNumber(10, 2_000, about="Rows before t that z is measured by", load_default=120)
    entry_z = Number(0.1, 10, about="|z| at which a position is opened", load_default=2.0)
    exit_z = Number(
        0,
        10,
        about="|z| at which it is closed; below entry_z; default min(0.5, entry_z/4)",
        load_default=None,
    )
    stop_z = Number(
        0,
        None,
        about="|z| at which it is given up; above entry_z; default none",
        load_default=None,
        allow_none=True,
    )
    max_hold_bars = WholeNumber(
        1,
        20_000,
        about="Bars after which a position is closed; default none",
        load_default=None,
        allow_none=True,
    )
    hedge = Choice(("ols", "kalman"), about="How the hedge ratio is found", load_default="ols")
    hedge_window = WholeNumber(
        10,
        MAX_HEDGE_WINDOW,
        about="Rows that the hedge ratio is fitted to; at least window; default 5 × window",
        load_default=None,
    )
    bars = WholeNumber(10, 20_000, about="Least number of result rows", load_default=4_320)
    fee_bps = Number(
        0, 1_000, about="Fee per fill and leg; default as the desk is set", load_default=None
    )
    slippage_bps = Number(
        0,
        1_000,
        about="Slippage and half bid-ask spread per fill and leg; default as the desk is set",
        load_default=None,
    )
    notional = Number(
        0, 1e12, above_low=True, about="Both legs together, quote currency", load_default=10_000.0
    )
    points = WholeNumber(
        0, 20_000, about="Newest rows of `series`; `equity` is whole", load_default=500
    )

    @validates_schema
    def check_together(self, values: dict[str, Any], **options: Any) -> None:
        """Refuse values that are fine alone and not together."""
        errors: dict[str, list[str]] = {}
        if values["symbol_a"] == values["symbol_b"]:
            errors["symbol_b"] = ["must differ from symbol_a"]
        exit_z, stop_z, entry_z = values["exit_z"], values["stop_z"], values["entry_z"]
        if exit_z is not None and exit_z >= entry_z:
            errors["exit_z"] = [f"must be below entry_z ({entry_z:g})"]
        if stop_z is not None and stop_z <= entry_z:
            errors["stop_z"] = [f"must be above entry_z ({entry_z:g})"]
        hedge_window, window = values["hedge_window"], values["window"]
        if hedge_window is not None and hedge_window < window:
            errors["hedge_window"] = [f"must be at least window ({window})"]
        if errors:
            raise ValidationError(errors)

    def allowed_for(self, name: str) -> str | None:
        bounds = {
            "symbol_b": f"{Symbol.allowed}, other than symbol_a",
            "exit_z": "a number from 0 to below entry_z",
            "stop_z": "a number above entry_z",
            "hedge_window": f"a whole number from window to {MAX_HEDGE_WINDOW}",
        }
        return bounds.get(name) or super().allowed_for(name)


class ExplainParameters(PairParameters):
    """Parameters of `/analytics/pair/explain`: a pair's, and which of its rows."""

    time = TimeMs(
        about="Open time of the bar whose z is taken apart; default the last closed one",
        load_default=None,
    )


class BarsParameters(Parameters):
    """Parameters of `/api/bars`."""

    symbol = Symbol(about="Whose bars", required=True)
    timeframe = Choice(tuple(TIMEFRAMES), about="Length of a bar", load_default="1m")
    start = TimeMs(about="First open time, inclusive", load_default=None)
    end = TimeMs(about="Last open time, exclusive", load_default=None)
    limit = WholeNumber(
        1,
        5_000,
        about="Most bars: the newest ones, or with `start` the first from there",
        load_default=500,
    )

    @validates_schema
    def check_order(self, values: dict[str, Any], **options: Any) -> None:
        """Refuse a range that can hold nothing."""
        start, end = values["start"], values["end"]
        if start is not None and end is not None and end <= start:
            raise ValidationError({"end": ["must be after start"]})


def load_pair_request(mapping: Mapping[str, Any], settings: Settings) -> PairRequest:
    """Validate foreign values, from a query string or a callback.

    Raises
    ------
    ParameterErrors
        Names every bad field and what it allows.
    """
    return pair_request(PairParameters().load(mapping), settings)


def pair_request(values: Mapping[str, Any], settings: Settings) -> PairRequest:
    """Fill in the defaults that follow from other values or from the settings."""
    given = dict(values)
    points: int = given.pop("points")
    derived = {
        "exit_z": min(0.5, given["entry_z"] / 4),
        "hedge_window": min(5 * given["window"], MAX_HEDGE_WINDOW),
        "fee_bps": settings.fee_bps,
        "slippage_bps": settings.slippage_bps,
    }
    given.update({name: value for name, value in derived.items() if given[name] is None})
    return PairRequest(PairSpec(**given), points)
