"""The one table of a rule's parameters: a pair's, and when, how and to whom it is told.

API schema, the page's form and the stored rule follow from it, as those of a pair follow from
`core.pair_spec`.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_type_hints

from core.pair_spec import PAIR_PARAMETERS, PairSpec
from core.parameters import (
    Choice,
    CrossCheck,
    Flag,
    Names,
    Number,
    Parameter,
    Text,
    TimeMs,
    Values,
    WholeNumber,
    fill_in,
    read_parameters,
)
from core.radar_spec import RadarWatch
from core.settings import Settings
from core.symbols import SYMBOL_RULE, read_symbol
from core.timeframes import TIMEFRAMES, Timeframe

Kind: TypeAlias = Literal["zscore", "relationship", "data", "radar"]

KINDS: Mapping[str, str] = MappingProxyType(
    {"zscore": "z-score", "relationship": "relationship", "data": "data", "radar": "radar"}
)
"""What a rule may watch, and what the page calls it."""

Z_KINDS = frozenset(("zscore", "radar"))
"""Those whose value is a z, and whose directions are sides of a spread."""

Measure: TypeAlias = Literal[
    "pvalue_both", "half_life_bars", "hedge_ratio", "hedge_effectiveness", "correlation"
]

MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "pvalue_both": "p both",
        "half_life_bars": "half-life",
        "hedge_ratio": "hedge ratio",
        "hedge_effectiveness": "hedge effectiveness",
        "correlation": "correlation",
    }
)
"""What a relationship rule may bound, and what the page calls it."""


def channel_name(name: str) -> str:
    """Judge the name of a channel; its address is nobody's business here.

    Raises
    ------
    ValueError
        It is no name.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) is None:
        raise ValueError
    return name


HEARTBEAT = "/heartbeat"
"""The dead man's switch among the channels that are tried: no channel can have this name."""


@dataclass(frozen=True, slots=True)
class Watch:
    """When a rule fires and resolves, and how it is told; every kind has it."""

    for_bars: Annotated[
        int,
        WholeNumber(
            1, 10_000, label="For", unit="bars", default=1,
            about="Judged bars in a row at the condition before it fires",
        ),
    ]  # fmt: skip
    keep_bars: Annotated[
        int,
        WholeNumber(
            1, 10_000, label="Keep", unit="bars", default=1,
            about="Judged bars in a row beyond the exit before it resolves",
        ),
    ]  # fmt: skip
    cooldown_s: Annotated[
        int,
        WholeNumber(
            0, 31 * 86_400, label="Cooldown", unit="s", default=0,
            about="Time after a message in which the next episode is not told yet",
        ),
    ]  # fmt: skip
    mute_until: Annotated[
        int | None,
        TimeMs(
            label="Mute until", without="not muted",
            about="No message goes out before; what still fires then is told then",
        ),
    ]  # fmt: skip
    no_data_after_bars: Annotated[
        int,
        WholeNumber(
            1, 10_000, label="No data after", unit="bars", default=5,
            about="Bars in a row without the number watched before that is told",
        ),
    ]  # fmt: skip
    channels: Annotated[
        tuple[str, ...],
        Names(
            channel_name, "letters, digits, _ and -, as in ALERT_CHANNELS",
            label="Channels", default=(), about="Names of the channels that are told",
        ),
    ]  # fmt: skip
    enabled: Annotated[
        bool, Flag(label="Enabled", about="Whether it is judged at all", default=True)
    ]
    note: Annotated[str, Text(label="Note", about="Words of your own", default="")]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a relationship rule watches: it fires below the one bound or above the other."""

    measure: Annotated[
        Measure,
        Choice(
            MEASURES, label="Measure", about="Which figure of the pair", required=True,
            check=CrossCheck(
                lambda _, given: given["below"] is not None or given["above"] is not None,
                "needs a bound: below, above or both",
                f"one of {', '.join(MEASURES)}, with below, above or both",
            ),
        ),
    ]  # fmt: skip
    below: Annotated[
        float | None,
        Number(-1e9, 1e9, label="Below", without="no bound", about="Fires under this value"),
    ]
    above: Annotated[
        float | None,
        Number(
            -1e9, 1e9, label="Above", without="no bound", about="Fires over this value",
            check=CrossCheck(
                lambda above, given: given["below"] is None or above > given["below"],
                "must be above below ({below:g})",
                "a number above below",
            ),
        ),
    ]  # fmt: skip
    hysteresis: Annotated[
        float,
        Number(
            0, 1e9, label="Hysteresis", default=0.0,
            about="How far back inside a bound the value must come for it to resolve",
            check=CrossCheck(
                lambda margin, given: (
                    given["below"] is None
                    or given["above"] is None
                    or given["below"] + margin <= given["above"] - margin
                ),
                "leaves nothing between below ({below:g}) and above ({above:g})",
                "a number up to half the way from below to above",
            ),
        ),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class DataWatch:
    """What a data rule watches, judged once a minute; bars are minutes to it."""

    symbols: Annotated[
        tuple[str, ...],
        Names(
            read_symbol, SYMBOL_RULE, label="Symbols", most=1_000, default=(),
            about="Symbols that are watched; an empty list means all that are streamed",
        ),
    ]  # fmt: skip
    silent_after_s: Annotated[
        int,
        WholeNumber(
            10, 86_400, label="Silent after", unit="s", default=60,
            about="Time without a trade of a symbol while others trade",
        ),
    ]  # fmt: skip
    stale_after_s: Annotated[
        int,
        WholeNumber(
            5, 86_400, label="Stale after", unit="s", default=30,
            about="Time without anything from the exchange",
        ),
    ]  # fmt: skip
    missing_ids: Annotated[
        int,
        WholeNumber(
            0, 10**12, label="Missing ids", default=0,
            about="Fires over so many trades of a symbol that are missing",
        ),
    ]  # fmt: skip
    days_left: Annotated[
        float,
        Number(
            0, 3_650, label="Days left", unit="days", default=3.0,
            about="Fires when the disk lasts for less at the present growth",
        ),
    ]  # fmt: skip


T = TypeVar("T")


def _table(kind: type) -> dict[str, Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


_KIND = Choice(KINDS, label="Kind", about="What is watched", default="zscore")
_PAPER = Flag(label="Paper", about="Whether its signals are traded on paper", default=False)
# A rule's record begins at its birth: nobody else says since when.
_PAIR = {name: value for name, value in PAIR_PARAMETERS.items() if name != "since"}

RULE_PARAMETERS: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {
        "zscore": {"kind": _KIND, **_PAIR, **_table(Watch), "paper": _PAPER},
        "relationship": {"kind": _KIND, **_PAIR, **_table(Bound), **_table(Watch)},
        "data": {"kind": _KIND, **_table(DataWatch), **_table(Watch)},
        "radar": {"kind": _KIND, **_table(RadarWatch), **_table(Watch)},
    }
)
"""The table of each kind by name, in order."""

IDLE_PARAMETERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "relationship": frozenset(
            ("entry_z", "exit_z", "exit_rule", "stop_z", "max_hold_bars", "fee_bps",
             "slippage_bps", "notional")
        )
    }
)  # fmt: skip
"""Those that a kind only carries for its links: they decide on positions, and it takes none."""

EVERY_PARAMETER: Mapping[str, Parameter] = MappingProxyType(
    {
        name: next(table[name] for table in RULE_PARAMETERS.values() if name in table)
        for name in dict.fromkeys(chain.from_iterable(RULE_PARAMETERS.values()))
    }
)
"""Those of all kinds; what two kinds have is told as the first one has it."""


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """What a rule watches: a pair, a pair and a bound, the data, or every pair that passes.

    What its kind does not have is None.
    """

    kind: Kind
    watch: Watch
    pair: PairSpec | None = None
    bound: Bound | None = None
    data: DataWatch | None = None
    radar: RadarWatch | None = None
    paper: bool = False

    @property
    def timeframe_ms(self) -> int:
        """How long one of its bars is; a data rule is judged by the minute."""
        return TIMEFRAMES[self.timeframe or "1m"]

    @property
    def timeframe(self) -> Timeframe | None:
        """Whose bars it is judged on; None of a data rule."""
        part = self.pair or self.radar
        return None if part is None else part.timeframe

    def pair_of(self, symbol_a: str | None, symbol_b: str | None) -> PairSpec | None:
        """The pair that an episode is of: its own, or one of those that a radar rule watches."""
        if self.radar is None or symbol_a is None or symbol_b is None:
            return self.pair
        return self.radar.pair_of(symbol_a, symbol_b)


def read_rule_spec(given: object, settings: Settings) -> RuleSpec:
    """Make a rule of foreign values: a request's body, or a stored rule's.

    Raises
    ------
    ParameterErrors
        Names every bad parameter and what it allows.
    """
    asked = {"kind": given["kind"]} if isinstance(given, Mapping) and "kind" in given else {}
    kind: Kind = read_parameters({"kind": _KIND}, asked)["kind"]
    table = RULE_PARAMETERS[kind]
    values = fill_in(table, read_parameters(table, given), settings)
    return RuleSpec(
        kind=kind,
        watch=_part(Watch, values),
        pair=_part(PairSpec, {"since": None, **values}) if "symbol_a" in table else None,
        bound=_part(Bound, values) if kind == "relationship" else None,
        data=_part(DataWatch, values) if kind == "data" else None,
        radar=_part(RadarWatch, values) if kind == "radar" else None,
        paper=bool(values.get("paper", False)),
    )


def _part(kind: type[T], values: Values) -> T:
    return kind(**{name: values[name] for name in get_type_hints(kind)})


def rule_body(rule: RuleSpec) -> dict[str, Any]:
    """Every parameter as used, flat: what `read_rule_spec` makes the same rule of."""
    parts: dict[str, Any] = {"kind": rule.kind, "paper": rule.paper}
    for part in (rule.pair, rule.bound, rule.data, rule.radar, rule.watch):
        if part is not None:
            parts |= asdict(part)
    return {name: parts[name] for name in RULE_PARAMETERS[rule.kind]}


def same_subject(old: RuleSpec, new: RuleSpec) -> bool:
    """Whether an edit leaves a rule watching the same thing: what fires goes on firing."""

    def subject(rule: RuleSpec) -> tuple[Any, ...]:
        pair = rule.pair
        legs = () if pair is None else (pair.symbol_a, pair.symbol_b)
        return rule.kind, legs, rule.timeframe, rule.bound and rule.bound.measure

    return subject(old) == subject(new)


def is_reborn(old: RuleSpec, new: RuleSpec) -> bool:
    """Whether an edit changes what is traded: signal and paper begin again, flat."""
    return (
        not same_subject(old, new)
        or old.pair != new.pair
        or (new.paper and not old.paper)
        or (new.watch.enabled and not old.watch.enabled)
    )
