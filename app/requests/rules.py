"""What may be asked of rules and of what they found."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.requests.fields import Parameters, parameters, whole_object
from core.errors import FieldError, ParameterErrors
from core.parameters import Choice, Symbol, Text, TimeMs, WholeNumber
from core.rule_spec import EVERY_PARAMETER, KINDS

_NAMED: Any = parameters(
    "RuleBody",
    {name: replace(entry, required=False) for name, entry in EVERY_PARAMETER.items()},
)


class RuleBody(_NAMED):
    """A rule's parameters; which of them there are, and which are needed, hangs on its kind."""

    def load(self, data: Any, **options: Any) -> Any:
        """As it came: `core.rule_spec` judges it by the table of its kind."""
        return whole_object(data, self.table)


_LIMIT = WholeNumber(1, 500, about="Most of them, newest first", default=100)
_OF_RULE = {
    "rule_id": WholeNumber(1, 2**31 - 1, about="Only of this rule"),
    "kind": Choice(KINDS, about="Only of rules of this kind"),
    "symbol_a": Symbol(about="Only of pairs with this leg A; with symbol_b"),
    "symbol_b": Symbol(about="Only of pairs with this leg B; with symbol_a"),
}
_BY_RULE = {
    "after": WholeNumber(1, 2**31 - 1, about="`next` of the page before"),
    "limit": WholeNumber(1, 1_000, about="Most of them, oldest rule first", default=500),
}

AlertsParameters = parameters(
    "AlertsParameters",
    {
        **_OF_RULE,
        "state": Choice(
            {"all": "all", "open": "not resolved"}, about="Which of them", default="all"
        ),
        "since": TimeMs(about="Only those that fired at or after this bar"),
        "before": WholeNumber(1, 2**62, about="`next` of the page before"),
        "limit": _LIMIT,
    },
)
"""Parameters of `/api/alerts`."""

RulesParameters = parameters(
    "RulesParameters",
    {
        **_OF_RULE,
        "state": Choice(
            {"all": "all", "enabled": "judged", "paused": "paused"},
            about="Which of them",
            default="all",
        ),
        **_BY_RULE,
    },
)
"""Parameters of `/api/rules`."""

PaperParameters = parameters(
    "PaperParameters",
    {**{name: entry for name, entry in _OF_RULE.items() if name != "kind"}, **_BY_RULE},
)
"""Parameters of `/api/paper`."""


def both_legs(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """The pair that is asked for; None where any is.

    Raises
    ------
    ParameterErrors
        One leg is given and the other is not.
    """
    a, b = values["symbol_a"], values["symbol_b"]
    if a is None and b is None:
        return None
    if a is None or b is None:
        missing = "symbol_a" if a is None else "symbol_b"
        raise ParameterErrors(
            [FieldError(missing, "goes with the other leg", "both legs or neither")]
        )
    return a, b


WhyParameters = parameters(
    "WhyParameters",
    {
        "since": TimeMs(about="Only bars that open at or after this time"),
        "before": TimeMs(about="Only bars that open before; `next` of the page before"),
        "limit": _LIMIT,
    },
)
"""Parameters of `/api/rules/{id}/why`."""

TestBody: type[Parameters] = parameters("TestBody", {})
"""Body of a test of a channel: nothing, the name is in the path."""

AcknowledgeBody: type[Parameters] = parameters(
    "AcknowledgeBody", {"by": Text(about="Who has seen it", default="somebody", longest=80)}
)
"""Body of an acknowledgement."""
