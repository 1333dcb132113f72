"""Values as answers write them, and the fields that document them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

from marshmallow import fields

from app.requests.fields import answer_field
from core.pair_spec import PAIR_PARAMETERS, PairSpec
from core.types import ExitReason, Side

NAN = math.nan
UNDEFINED = "undefined on these bars"
SIDES: tuple[str, ...] = get_args(Side)
EXIT_REASONS: tuple[str, ...] = get_args(ExitReason)
DIRECTIONS = ("a_on_b", "b_on_a")


def iso(time_ms: int | None) -> str | None:
    """ISO 8601 in UTC, to the millisecond where there are any."""
    if time_ms is None:
        return None
    moment = datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{time_ms % 1000:03d}Z" if time_ms % 1000 else f"{moment}Z"


def finite(value: float) -> float | None:
    """The number, or None for what JSON can't say."""
    return float(value) if math.isfinite(value) else None


def finite_tree(values: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings within mappings, without what JSON can't say."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            tree[name] = finite_tree(value)
        else:
            tree[name] = finite(value) if isinstance(value, float) else value
    return tree


def nulls(values: Mapping[str, Any], prefix: str) -> list[str]:
    """Dotted names of what isn't finite."""
    names: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            names += nulls(value, f"{prefix}{name}.")
        elif isinstance(value, float) and not math.isfinite(value):
            names.append(prefix + name)
    return names


def number(about: str = "") -> fields.Float:
    """A number, or null."""
    return fields.Float(allow_none=True, metadata={"description": about} if about else {})


def text(about: str = "", *, null: bool = False) -> fields.String:
    """A text, which may be null when told so."""
    return fields.String(allow_none=null, metadata={"description": about} if about else {})


def moment(about: str = "", *, null: bool = False) -> fields.String:
    """A time as `iso` writes it, which may be null when told so."""
    metadata = {"format": "date-time", "example": "2026-11-23T02:30:00Z"}
    if about:
        metadata["description"] = about
    return fields.String(allow_none=null, metadata=metadata)


def choice(values: Iterable[str], about: str = "", *, null: bool = False) -> fields.String:
    """One of a closed set of texts, which may be null when told so."""
    enum = [*values, *([None] if null else [])]
    metadata = {"enum": enum} | ({"description": about} if about else {})
    return fields.String(allow_none=null, metadata=metadata)


def times() -> fields.List[int]:
    """A column of times."""
    return fields.List(fields.Integer(metadata={"description": "epoch milliseconds"}))


def numbers() -> fields.List[float]:
    """A column of numbers or nulls."""
    return fields.List(fields.Float(allow_none=True))


def spec_fields() -> dict[str, fields.Field[Any]]:
    """What was asked for, as used."""
    return {name: answer_field(entry) for name, entry in PAIR_PARAMETERS.items()}


def spec_values(spec: PairSpec) -> dict[str, Any]:
    """The values of those fields."""
    return {**asdict(spec), "since": iso(spec.since)}


def judged(about: str) -> fields.Field[Any]:
    """The values of a decision by name: numbers, words, yes or no."""
    kinds = [{"type": "number"}, {"type": "string"}, {"type": "boolean"}]
    value: fields.Field[Any] = fields.Raw(metadata={"anyOf": kinds, "nullable": True})
    return fields.Dict(keys=fields.String(), values=value, metadata={"description": about})


def next_page(by: str = "before") -> fields.Field[Any]:
    """Where a list goes on, and by which parameter it is asked for."""
    words = f"`{by}` of the next page; null at its end"
    return fields.Integer(allow_none=True, metadata={"description": words})
