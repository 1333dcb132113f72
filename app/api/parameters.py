"""Fields that say what they allow, and the errors that pass it on."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from core.errors import PairdeskError

LATEST_MS = 253_402_300_799_999
"""End of the year 9999: later times fit no calendar."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One parameter that can't be used, and what would be."""

    field: str
    message: str
    allowed: str | None


class ParameterErrors(PairdeskError):
    """One or more parameters are unusable; `errors` has an entry for each."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in self.errors))


class WholeNumber(fields.Integer):
    """A whole number within bounds; strings take digits only, so `1e3` and `1_000` are refused."""

    def __init__(self, low: int, high: int, *, about: str, **options: Any) -> None:
        self.allowed = f"a whole number from {low} to {high}"
        super().__init__(
            validate=validate.Range(low, high, error=f"must be {self.allowed}"),
            metadata={"description": about},
            **options,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        raise ValidationError(f"must be {self.allowed}")


class Number(fields.Float):
    """A finite number within bounds."""

    def __init__(
        self,
        low: float,
        high: float | None,
        *,
        about: str,
        above_low: bool = False,
        **options: Any,
    ) -> None:
        start = f"above {low:g}" if above_low else f"from {low:g}"
        self.allowed = f"a number {start}" + ("" if high is None else f" to {high:.15g}")
        super().__init__(
            validate=validate.Range(
                low, high, min_inclusive=not above_low, error=f"must be {self.allowed}"
            ),
            metadata={"description": about} | ({"exclusiveMinimum": True} if above_low else {}),
            **options,
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> float:
        if isinstance(value, str):
            decimal = r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?"
            if re.fullmatch(decimal, value):
                value = float(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value) if abs(value) <= 1e300 else math.inf
            if math.isfinite(number):
                return number
        raise ValidationError(f"must be {self.allowed}")


class Choice(fields.String):
    """One of a few words."""

    def __init__(self, choices: Sequence[str], *, about: str, **options: Any) -> None:
        self.choices = tuple(choices)
        self.allowed = "one of " + ", ".join(self.choices)
        super().__init__(
            validate=validate.OneOf(choices), metadata={"description": about}, **options
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        if isinstance(value, str) and value in self.choices:
            return value
        raise ValidationError(f"must be {self.allowed}")


class Symbol(fields.String):
    """An exchange symbol, upper-cased; whether it is ingested is for the service to say."""

    allowed = "a symbol that /api/symbols lists, such as BTCUSDT"

    def __init__(self, *, about: str, **options: Any) -> None:
        text = f"{about}; upper or lower case"
        super().__init__(metadata={"description": text}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        if isinstance(value, str) and re.fullmatch(r"[\w.-]{1,40}", value):
            return value.upper()
        raise ValidationError("must be a symbol: 1 to 40 letters, digits, dots, dashes")


class TimeMs(fields.Field[int]):
    """A moment as epoch milliseconds or ISO 8601; without an offset it is UTC."""

    allowed = "epoch milliseconds or ISO 8601, such as 1795401000000 or 2026-11-23T02:30:00Z"

    def __init__(self, *, about: str, **options: Any) -> None:
        super().__init__(
            metadata={"description": f"{about}; {self.allowed}", "type": "string"}, **options
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> int:
        time_ms = -1
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
            time_ms = int(value)
        elif isinstance(value, str) and re.match(r"[0-9]{4}-", value):
            # An unescaped + arrives as a space in a query string.
            text = re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", value) if "T" in value else value
            try:
                moment = datetime.fromisoformat(text)
                aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                time_ms = round(aware.timestamp() * 1000)
            except (ValueError, OverflowError):
                time_ms = -1
        if 0 <= time_ms <= LATEST_MS:
            return time_ms
        raise ValidationError(f"must be {self.allowed}")


class Parameters(Schema):
    """A schema whose errors name the field and what it allows."""

    class Meta:
        unknown = RAISE

    def handle_error(self, error: ValidationError, data: Any, **options: Any) -> NoReturn:
        """Turn marshmallow's error into ours, in the schema's own order."""
        messages = error.normalized_messages()
        known = [name for name in self.fields if name in messages]
        others = sorted(str(name) for name in messages if name not in self.fields)
        raise ParameterErrors(
            [self._field_error(name, messages[name], data) for name in known]
            + [self._unknown(name, messages) for name in others]
        )

    def _field_error(self, name: str, messages: Any, data: Any) -> FieldError:
        message = messages[0] if isinstance(messages, list) else str(messages)
        value = data.get(name) if isinstance(data, Mapping) else None
        if name in (data if isinstance(data, Mapping) else ()) and value in ("", None):
            message = "must not be empty"
        elif message.startswith("Missing"):
            message = "is required"
        return FieldError(name, message, self.allowed_for(name))

    def _unknown(self, name: str, messages: Mapping[str, Any]) -> FieldError:
        if name == "_schema":
            return FieldError("body", "must be an object of parameters", ", ".join(self.fields))
        return FieldError(printable(name), "is not a parameter", ", ".join(self.fields) or None)

    def allowed_for(self, name: str) -> str | None:
        """What the field takes, in words."""
        allowed: str | None = getattr(self.fields[name], "allowed", None)
        return allowed


def printable(text: str, length: int = 80) -> str:
    """Foreign text, cut and safe to put into JSON."""
    return text[:length].encode("utf-8", "backslashreplace").decode()
