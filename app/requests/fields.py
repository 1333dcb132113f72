"""Tables of parameters as schemas: flask-smorest documents them, `core.parameters` judges."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from marshmallow import Schema, fields

from core.errors import FieldError, ParameterErrors
from core.parameters import (
    Axis,
    Choice,
    Flag,
    Names,
    Number,
    Parameter,
    Symbol,
    TimeMs,
    WholeNumber,
    read_parameters,
)
from core.symbols import MAX_SYMBOL_LENGTH

SYMBOL_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "string",
        # No blanks and no signs of ASCII but for dot, dash and underscore after the first: dialects
        # differ in what they call a letter of another script.
        "pattern": r"^[^\s!-/:-@\[-`{-~][^\s!-,/:-@\[-^`{-~]*$",
        "minLength": 1,
        "maxLength": MAX_SYMBOL_LENGTH,
        "example": "BTCUSDT",
    }
)


class Parameters(Schema):
    """A table of parameters; its errors are ours, which name the field and what it allows."""

    table: ClassVar[Mapping[str, Parameter]] = {}

    def load(self, data: Any, **options: Any) -> dict[str, Any]:
        """Judge a request's values.

        Raises
        ------
        ParameterErrors
            Names every bad field and what it allows.
        """
        return read_parameters(self.table, data)


def parameters(name: str, table: Mapping[str, Parameter]) -> type[Parameters]:
    """The schema of a table, under the name that it has in the documentation."""
    schema: Any = Parameters.from_dict(
        {key: _field(entry) for key, entry in table.items()}, name=name
    )
    schema.table = table
    return schema


def whole_object(data: Any, table: Mapping[str, Parameter]) -> Mapping[str, Any]:
    """A body as it came, whose kind tells which parameters of the table there are.

    Raises
    ------
    ParameterErrors
        It is no object.
    """
    if not isinstance(data, Mapping):
        words = "must be an object of parameters"
        raise ParameterErrors([FieldError("body", words, ", ".join(table))])
    return data


def answer_field(parameter: Parameter) -> fields.Field[Any]:
    """A parameter in an answer that says what was used."""
    kind, nullable = dict(_kind(parameter)), parameter.default is None
    if nullable and "enum" in kind:
        kind["enum"] = [*kind["enum"], None]  # to a validator the list goes before `nullable`
    return fields.Raw(allow_none=nullable, metadata=kind)


def _field(parameter: Parameter) -> fields.Field[Any]:
    default = {} if parameter.required else {"load_default": parameter.plain_default}
    return fields.Raw(
        required=parameter.required,
        metadata={"description": parameter.description, **_kind(parameter)},
        **default,
    )


def _kind(parameter: Parameter) -> Mapping[str, Any]:
    """Type and bounds in OpenAPI's words."""
    match parameter:
        case WholeNumber(low=low, high=high):
            return {"type": "integer", "minimum": low, "maximum": high}
        case Number(low=low, high=high, above_low=above_low):
            bounds = {"minimum": low, "exclusiveMinimum": above_low or None, "maximum": high}
            return {"type": "number"} | {
                key: value for key, value in bounds.items() if value is not None
            }
        case Choice(choices=choices):
            return {"type": "string", "enum": list(choices)}
        case Flag():
            return {"type": "boolean"}
        case Axis(one=one, most=most):
            return {
                "oneOf": [
                    {"type": "string", "maxLength": 20_000, "example": "40, 60 to 120 by 20"},
                    {"type": "array", "items": dict(_kind(one)), "minItems": 1, "maxItems": most},
                ]
            }
        case Names(most=most):
            return {"type": "array", "items": {"type": "string"}, "maxItems": most}
        case Symbol():
            return SYMBOL_SCHEMA
        case TimeMs():
            return {
                "type": "string",
                "pattern": r"^([0-9]{1,15}|[0-9]{4}-[0-9T:.Z+ -]*)$",
                "maxLength": 40,
                "example": "2026-11-23T02:30:00Z",
            }
    return {"type": "string"}
