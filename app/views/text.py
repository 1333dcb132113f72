"""Numbers and times in the words of the page; pure."""

import math
import re
from datetime import UTC, datetime

from core.pair_spec import PAIR_PARAMETERS
from core.symbols import split_symbol
from core.words import with_minus

NONE = "–"
SIDES = {"long_spread": "▲ long", "short_spread": "▼ short", "flat": "flat", "no_data": "no data"}


def time_text(time_ms: int, with_seconds: bool = False) -> str:
    """A moment in UTC."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.strftime("%d %b %H:%M:%S" if with_seconds else "%d %b %H:%M")


def count(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(value: float, form: str = "") -> str:
    """An amount, with a decimal while it is small."""
    return plain(value, f"{form},.{0 if abs(value) >= 1_000 else 1}f")


def signed(value: float) -> str:
    """A z-score, with its sign."""
    return with_minus(f"{value:+.2f}") if math.isfinite(value) else NONE


def amount(quantity: float) -> str:
    """A quantity of a coin in four digits, never with an exponent."""
    if not math.isfinite(quantity) or quantity <= 0.0:
        return NONE
    decimals = 3 - math.floor(math.log10(quantity))
    return f"{quantity:,.{max(0, decimals)}f}"


def reach(low: float, high: float, form: str = ".0f") -> str:
    """A range: with "to" where a sign stands in it."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    joint = " to " if low < 0.0 else "–"
    return with_minus(f"{low:{form}}{joint}{high:{form}}")


def coin(symbol: str) -> str:
    """What is bought and sold: the symbol without the money that it is quoted in."""
    return split_symbol(symbol)[0]


def quote_of(symbol: str) -> str:
    """The money that a symbol is quoted in, as far as its name tells."""
    return split_symbol(symbol)[1]


def in_words(message: str) -> str:
    """What the schema says of a value, with the page's own names and its minus."""
    return re.sub(r"[a-z]+(?:_[a-z]+)+", _named, re.sub(r"(?<!\S)-(?=\S)", "−", message))


def _named(name: re.Match[str]) -> str:
    parameter = PAIR_PARAMETERS.get(name[0])
    return f"{parameter.label[:1].lower()}{parameter.label[1:]}" if parameter else name[0]


def plain(value: float, form: str, unit: str = "") -> str:
    """A number in a format, or the dash for what is undefined."""
    return with_minus(f"{value:{form}}{unit}") if math.isfinite(value) else NONE
