"""Rules and what they found, as the store has them; writing goes through the rule book alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from app.services.looks import SharedLook, exchange_now_ms
from app.services.refusals import NotThere, ingested, writable
from core.errors import FieldError, ParameterErrors
from core.pair_spec import PairSpec
from core.paper import Position, Together, position_of, revive, together
from core.rule_spec import RuleSpec, read_rule_spec, rule_body
from core.settings import Settings
from core.timeframes import MINUTE_MS
from core.types import Listing
from ingest.store.desk_book import DeskBook
from ingest.store.reader import Reader, Snapshot, Standing, StoredEpisode
from ingest.store.rules import StoredRule

MOST_FIRING = 1_000


class Record(NamedTuple):
    """Every rule in force, and by rule what is known of it at the moment."""

    rules: list[StoredRule]
    standings: dict[int, Standing]
    firing: dict[int, list[StoredEpisode]]
    """What has not resolved, the newest first."""
    positions: dict[int, Position]
    """On paper; of rules that have had a bar since their birth."""


class Chosen(NamedTuple):
    """Which rules are asked for; None where any will do."""

    rule_id: int | None = None
    kind: str | None = None
    symbols: tuple[str, str] | None = None
    enabled: bool | None = None


class AlertService:
    """Makes, changes and lists rules, and reads what the analyst found."""

    def __init__(
        self,
        settings: Settings,
        reader: Reader,
        look: SharedLook[Snapshot],
        now_ms: Callable[[], int],
        book: DeskBook | None,
    ) -> None:
        self.reader = reader
        self._settings = settings
        self._look = look
        self._now_ms = now_ms
        self._book = book
        self._listed: tuple[dict[int, int], list[StoredRule]] = ({}, [])

    def create(self, given: Mapping[str, Any]) -> StoredRule:
        """Make a rule that begins at the bar that is forming now.

        Raises
        ------
        ParameterErrors
            Names every bad parameter and what it allows.
        SymbolNotIngested
            Nothing comes of a leg.
        """
        book = writable(self._book)
        spec = read_rule_spec(given, self._settings)
        self._check(spec)
        return book.create(spec, self._forming_ms(spec), self._now_ms())

    def edit(self, rule_id: int, given: Mapping[str, Any]) -> StoredRule:
        """Change what is given of a rule, as a new version; raises as `create` does, and NotThere.

        Where what it trades changes, it begins anew at the bar that is forming now.
        """
        book = writable(self._book)
        old = self.rule(rule_id)
        if given.get("kind", old.spec.kind) != old.spec.kind:
            words = "can't be changed: make another rule"
            raise ParameterErrors([FieldError("kind", words, old.spec.kind)])
        spec = read_rule_spec({**rule_body(old.spec), **given}, self._settings)
        self._check(spec)
        edited = book.edit(rule_id, spec, self._forming_ms(spec), self._now_ms())
        if edited is None:
            raise _no_rule(rule_id)
        return edited

    def delete(self, rule_id: int) -> None:
        """Judge a rule no more; what it found stays."""
        if not writable(self._book).delete(rule_id, self._now_ms()):
            raise _no_rule(rule_id)

    def acknowledge(self, episode_id: int, who: str) -> None:
        """Keep an episode quiet until it resolves."""
        if not writable(self._book).acknowledge(episode_id, who, self._now_ms()):
            raise NotThere(f"no alert {episode_id} that still fires")

    def rule(self, rule_id: int) -> StoredRule:
        """The version in force; NotThere without one."""
        found = self.reader.rule(rule_id)
        if found is None:
            raise _no_rule(rule_id)
        return found

    def rules(self, chosen: Chosen) -> list[StoredRule]:
        """The rules in force that are asked for, paused ones too, by id."""
        return [rule for rule in self._rules() if _is_chosen(rule, chosen)]

    def record(self) -> Record:
        """Every rule with where it stands, what fires of it and what it holds on paper."""
        rules, firing = self._rules(), defaultdict[int, list[StoredEpisode]](list)
        for one in self.reader.alerts(still_open=True, limit=MOST_FIRING):
            firing[one.rule_id].append(one)
        return Record(rules, self.reader.standings(), dict(firing), self.positions(rules))

    def positions(self, rules: list[StoredRule]) -> dict[int, Position]:
        """How the paper of rules stands, by rule, where one has had a bar since its birth."""
        states = self.reader.paper_states()
        found = {}
        for rule in rules:
            if rule.spec.pair is None or rule.rule_id not in states:
                continue
            state = revive(states[rule.rule_id])
            if state.since_ms == rule.born_ms:
                found[rule.rule_id] = position_of(rule.spec.pair, state)
        return found

    def _rules(self) -> list[StoredRule]:
        versions = self.reader.rule_versions()
        if versions != self._listed[0]:  # reading a rule is dear, and seldom is one changed
            self._listed = versions, self.reader.rules()
        return self._listed[1]

    def _check(self, spec: RuleSpec) -> None:
        """Refuse a rule of which nothing could come."""
        names = self._settings.channels
        unknown_channels = [name for name in spec.watch.channels if name not in names]
        if unknown_channels:
            words = f"{', '.join(unknown_channels)}: not in ALERT_CHANNELS"
            allowed = ", ".join(names) or "none: ALERT_CHANNELS names no channel"
            raise ParameterErrors([FieldError("channels", words, allowed)])
        scanned = self._settings.scanned_timeframes
        if spec.radar is not None and spec.radar.timeframe not in scanned:
            words = f"{spec.radar.timeframe} is not scanned"
            allowed = ", ".join(scanned) or "none: SCAN_TIMEFRAMES names none"
            raise ParameterErrors([FieldError("timeframe", words, allowed)])
        pair, look = spec.pair, self._look.value()
        if pair is None:
            return
        legs = {"symbol_a": pair.symbol_a, "symbol_b": pair.symbol_b}
        a, b = ingested(legs, look.symbols)
        reason = Listing(a.quote, b.quote).no_common_money
        if spec.paper and reason:
            raise ParameterErrors([FieldError("paper", f"can't be traded: {reason}", "false")])

    def _forming_ms(self, spec: RuleSpec) -> int:
        """Open time of the bar that is forming, by the exchange's own clock where it is known."""
        look, step, pair = self._look.value(), spec.timeframe_ms, spec.pair
        now_ms = exchange_now_ms(look, self._now_ms())
        if spec.timeframe is None:
            return now_ms // MINUTE_MS * MINUTE_MS
        names = look.symbols if pair is None else (pair.symbol_a, pair.symbol_b)
        legs = [look.symbols[name] for name in names]
        ends = [leg.newest_bars_ms[step] + step for leg in legs if step in leg.newest_bars_ms]
        events = [leg.last_event_time_ms for leg in look.symbols.values()]
        seen = [time_ms for time_ms in events if time_ms is not None]
        clock_ms = max(seen, default=now_ms)
        return max(min(ends, default=0), clock_ms // step * step)


def books_of(
    held: Iterable[tuple[PairSpec, Position]], quotes: Mapping[str, str]
) -> dict[str, Together]:
    """Paper positions of one currency together, by that currency; `quotes` are by symbol."""
    parts = defaultdict[str, list[tuple[str, str, float, Position]]](list)
    for pair, position in held:
        part = pair.symbol_a, pair.symbol_b, pair.notional, position
        parts[quotes.get(pair.symbol_a, "")].append(part)
    return {quote: together(parts[quote]) for quote in sorted(parts)}


def _is_chosen(rule: StoredRule, chosen: Chosen) -> bool:
    pair = rule.spec.pair
    legs = None if pair is None else (pair.symbol_a, pair.symbol_b)
    return (
        chosen.rule_id in (None, rule.rule_id)
        and chosen.kind in (None, rule.spec.kind)
        and chosen.symbols in (None, legs)
        and chosen.enabled in (None, rule.spec.watch.enabled)
    )


def _no_rule(rule_id: int) -> NotThere:
    return NotThere(f"no rule {rule_id}")
