"""Kinds of parameters that anybody may send: what each takes, in words and as a check."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from core.errors import FieldError, ParameterErrors
from core.settings import Settings
from core.symbols import SYMBOL_RULE, read_symbol

Values: TypeAlias = Mapping[str, Any]

LATEST_MS = 253_402_300_799_999
"""End of the year 9999: later times fit no calendar."""

LISTED_SYMBOL = "a symbol that /api/symbols lists, such as BTCUSDT"

_DECIMAL = r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?"


@dataclass(frozen=True, slots=True)
class Derived:
    """A default that follows from the other parameters."""

    words: str
    value: Callable[[Values], Any]


@dataclass(frozen=True, slots=True)
class DeskDefault:
    """A default that is a setting of the desk."""

    setting: str
    words = "as the desk is set"


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What a value must be beside the others; asked once each of them is fine alone."""

    holds: Callable[[Any, Values], bool]
    message: str
    """With the others' values to be filled in: `must be below entry_z ({entry_z:g})`."""
    allowed: str


@dataclass(frozen=True, kw_only=True)
class Parameter(ABC):
    """One parameter: its words, what it takes, and what it is when nobody gives it.

    A `default` of None means that the parameter may be left out and is then None.
    """

    about: str
    label: str = ""
    """What the page calls it."""
    unit: str = ""
    default: Any = None
    without: str = ""
    """What it means to have no value, in words, where the default is None."""
    required: bool = False
    check: CrossCheck | None = None

    @property
    @abstractmethod
    def takes(self) -> str:
        """What it takes by itself, in words."""

    @abstractmethod
    def convert(self, value: object) -> Any:
        """Make a usable value of a foreign one.

        Raises
        ------
        ValueError
            It is of another type or out of bounds.
        """

    @property
    def allowed(self) -> str:
        """What it takes, in words, beside the other parameters."""
        return self.check.allowed if self.check else self.takes

    @property
    def default_words(self) -> str:
        """Which default it has, where that is no plain value."""
        if isinstance(self.default, Derived | DeskDefault):
            return self.default.words
        return self.without

    @property
    def description(self) -> str:
        """What it means, and its default where that is no plain value."""
        return f"{self.about}; default {self.default_words}" if self.default_words else self.about

    @property
    def plain_default(self) -> Any:
        """The default that needs nothing else to be known; None where there is none."""
        return None if isinstance(self.default, Derived | DeskDefault) else self.default

    def read(self, value: object) -> Any:
        """Judge what was given for it; it may be empty where its default is "".

        Raises
        ------
        ValueError
            Says in words what the value must be.
        """
        if value is None and self.plain_default is None and not self.required:
            return None
        if value == "" and self.default == "":
            return ""
        if value in ("", None):
            raise ValueError("must not be empty")
        try:
            return self.convert(value)
        except ValueError:
            raise ValueError(f"must be {self.takes}") from None


@dataclass(frozen=True)
class WholeNumber(Parameter):
    """A whole number within bounds; strings take digits only, so `1e3` and `1_000` are refused."""

    low: int
    high: int

    @property
    def takes(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def convert(self, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError
        if not self.low <= value <= self.high:
            raise ValueError
        return value


@dataclass(frozen=True)
class Number(Parameter):
    """A finite number within bounds; `above_low` leaves the lower bound itself out."""

    low: float
    high: float | None
    above_low: bool = False

    @property
    def takes(self) -> str:
        start = f"above {self.low:g}" if self.above_low else f"from {self.low:g}"
        return f"a number {start}" + ("" if self.high is None else f" to {self.high:.15g}")

    def convert(self, value: object) -> float:
        if isinstance(value, str) and re.fullmatch(_DECIMAL, value):
            value = float(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError
        number = float(value) if abs(value) <= 1e300 else math.inf
        if not math.isfinite(number) or number < self.low:
            raise ValueError
        if (self.above_low and number == self.low) or (
            self.high is not None and number > self.high
        ):
            raise ValueError
        return number


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words; `choices` says of each what the page calls it."""

    choices: Mapping[str, str]

    @property
    def takes(self) -> str:
        return "one of " + ", ".join(filter(None, self.choices))

    def convert(self, value: object) -> str:
        if isinstance(value, str) and value in self.choices:
            return value
        raise ValueError


@dataclass(frozen=True)
class Symbol(Parameter):
    """An exchange symbol, upper-cased; whether it is ingested is for the store to say."""

    takes = f"a symbol: {SYMBOL_RULE}"

    @property
    def allowed(self) -> str:
        return self.check.allowed if self.check else LISTED_SYMBOL

    @property
    def description(self) -> str:
        return f"{super().description}; upper or lower case"

    def convert(self, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError
        return read_symbol(value)


@dataclass(frozen=True)
class TimeMs(Parameter):
    """A moment as epoch milliseconds or ISO 8601; without an offset it is UTC."""

    takes = "epoch milliseconds or ISO 8601, such as 1795401000000 or 2026-11-23T02:30:00Z"

    @property
    def description(self) -> str:
        return f"{super().description}; {self.takes}"

    def convert(self, value: object) -> int:
        time_ms = value if isinstance(value, int) and not isinstance(value, bool) else -1
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
            time_ms = int(value)
        elif isinstance(value, str) and re.match(r"[0-9]{4}-", value):
            # An unescaped + arrives as a space in a query string.
            text = re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", value) if "T" in value else value
            try:
                moment = datetime.fromisoformat(text)
                aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                time_ms = round(aware.timestamp() * 1000)
            except OverflowError:
                raise ValueError from None
        if 0 <= time_ms <= LATEST_MS:
            return time_ms
        raise ValueError


@dataclass(frozen=True)
class Flag(Parameter):
    """Yes or no."""

    takes = "true or false"

    def convert(self, value: object) -> bool:
        given = (
            {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
        )
        if isinstance(given, bool):
            return given
        raise ValueError


@dataclass(frozen=True)
class Text(Parameter):
    """Words of the user's own, kept as they are."""

    longest: int = 200

    @property
    def takes(self) -> str:
        return f"text of at most {self.longest} characters"

    def convert(self, value: object) -> str:
        if isinstance(value, str) and len(value) <= self.longest and value.isprintable():
            return value
        raise ValueError


@dataclass(frozen=True)
class Names(Parameter):
    """A list of short names, each once; `each` judges one by itself."""

    each: Callable[[str], str]
    about_each: str
    most: int = 50

    @property
    def takes(self) -> str:
        return f"a list of at most {self.most} names: {self.about_each}"

    def convert(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > self.most:
            raise ValueError
        names = []
        for name in value:
            if not isinstance(name, str):
                raise ValueError
            names.append(self.each(name))
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Axis(Parameter):
    """Several values of another parameter: a list, or text such as `40, 60` or `1 to 4 by 0.25`."""

    one: Parameter
    most: int = 1_000

    @property
    def takes(self) -> str:
        return f"up to {self.most:,} values, listed or as `1 to 4 by 0.25`, each {self.one.takes}"

    def convert(self, value: object) -> tuple[Any, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            parts = [parts]
        if len(parts) > self.most:
            raise ValueError
        read: dict[Any, None] = {}
        for part in parts:
            for item in self._spread(part) if isinstance(part, str) else [part]:
                is_none = item is None or item == "none"
                read[self.one.read(None if is_none else item)] = None
        if not 0 < len(read) <= self.most:
            raise ValueError
        return tuple(read)

    def _spread(self, part: str) -> list[str]:
        """A single value, or those of a range, in decimals: steps of 0.1 end where they should."""
        found = re.fullmatch(rf"({_DECIMAL}) to ({_DECIMAL}) by ({_DECIMAL})", part.strip())
        if found is None:
            return [part.strip()]
        first, last, step = (Decimal(found[group]) for group in (1, 5, 9))
        count = (last - first) / step if step else Decimal(-1)
        if not 0 <= count < self.most:
            raise ValueError
        return [str(first + step * index) for index in range(int(count) + 1)]


def read_parameters(table: Mapping[str, Parameter], given: object) -> dict[str, Any]:
    """Judge foreign values: a query string's, a JSON body's, a stored rule's, a callback's.

    Returns
    -------
    A value for every parameter of the table, in its order; defaults that have to be worked out
    are None still, see `fill_in`.

    Raises
    ------
    ParameterErrors
        Names every bad parameter and what it allows, in the table's order, unknown ones last.
    """
    if not isinstance(given, Mapping):
        words = "must be an object of parameters"
        raise ParameterErrors([FieldError("body", words, ", ".join(table))])
    values: dict[str, Any] = {}
    errors = []
    for name, parameter in table.items():
        try:
            if name in given:
                values[name] = parameter.read(given[name])
            elif parameter.required:
                raise ValueError("is required")
            else:
                values[name] = parameter.plain_default
        except ValueError as error:
            errors.append(FieldError(name, str(error), parameter.allowed))
    errors += [
        FieldError(printable(name), "is not a parameter", ", ".join(table) or None)
        for name in sorted(str(name) for name in given if name not in table)
    ]
    if not errors:
        errors = [
            FieldError(name, parameter.check.message.format_map(values), parameter.allowed)
            for name, parameter in table.items()
            if parameter.check and values[name] is not None
            if not parameter.check.holds(values[name], values)
        ]
    if errors:
        raise ParameterErrors(errors)
    return values


def fill_in(table: Mapping[str, Parameter], values: Values, settings: Settings) -> dict[str, Any]:
    """Values with the defaults that follow from other values or from the desk's settings."""
    filled = dict(values)
    for name, parameter in table.items():
        if values[name] is None and isinstance(parameter.default, Derived):
            filled[name] = parameter.default.value(values)
        elif values[name] is None and isinstance(parameter.default, DeskDefault):
            filled[name] = getattr(settings, parameter.default.setting)
    return filled


def printable(text: str, length: int = 80) -> str:
    """Foreign text on one line, cut; what has no shape of its own is shown as its escape."""
    return "".join(
        part if part.isprintable() else part.encode("unicode_escape").decode()
        for part in text[:length]
    )
