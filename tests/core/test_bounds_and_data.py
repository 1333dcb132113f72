"""What rules of a relationship and of the data themselves tell: once, by name, and its end too."""

from core.alerts import DataFacts, SymbolFacts, judge_data, judge_measure
from core.episodes import RuleState
from tests.support.judging import FIRED, GAP, MINUTE, kept, rule_of, shorthand


def measures(asked, *values):
    state, told = RuleState(0), []
    for number, value in enumerate(values):
        judged = judge_measure(asked, 1, number * MINUTE, value, state)
        state = kept(judged.after)
        told.append(judged)
    return told


def test_a_bound_fires_beyond_it_and_resolves_only_behind_its_hysteresis():
    asked = rule_of("relationship", measure="pvalue_both", above=0.2, hysteresis=0.1)
    told = measures(asked, 0.172, 0.25, 0.15, 0.1, 0.21)
    assert [shorthand(judged) for judged in told] == [
        "normal", FIRED, "firing", "normal, !resolved back", FIRED,
    ]  # fmt: skip
    assert [judged.words for judged in told[:2]] == [
        "no: p both 0.172 is not above 0.2",
        "fired: p both 0.25 is above 0.2",
    ]


def test_both_bounds_of_a_measure_are_episodes_of_their_own():
    asked = rule_of("relationship", measure="hedge_ratio", below=0.5, above=1.5)
    told = measures(asked, 0.4, 1.6, GAP, 1.0)
    assert [shorthand(judged) for judged in told] == [
        FIRED, "firing, !resolved back, fired, !told", "firing", "normal, !resolved back",
    ]  # fmt: skip
    assert told[0].after.latches["below"].peak == 0.4


def data(asked, *facts):
    state, told = RuleState(0), []
    for number, fact in enumerate(facts):
        judged = judge_data(asked, 1, number * MINUTE, fact, state)
        state = kept(judged.after)
        told.append(judged)
    return told


def facts(*symbols, age=0.5, days=None):
    return DataFacts(symbols, age, days)


def test_a_silent_symbol_is_told_once_and_its_return_too():
    well, silent = (SymbolFacts("LTCUSDT", "TRADING", s, 0) for s in (1.0, 180.0))
    told = data(rule_of("data"), facts(well), facts(silent), facts(silent), facts(well))
    assert [shorthand(judged) for judged in told] == [
        "normal", FIRED, "firing", "normal, !resolved back",
    ]  # fmt: skip
    assert told[0].words == "1 of 1 well"
    assert told[1].words == "fired: LTCUSDT silent for 180 s"


def test_a_dead_feed_is_one_episode_and_not_one_a_symbol():
    silent = [SymbolFacts(name, "TRADING", 500.0, 0) for name in ("AUSDT", "BUSDT")]
    (judged,) = data(rule_of("data"), facts(*silent, age=90.0))
    assert [event.episode.direction for event in judged.events] == ["stale", "stale"]


def test_what_stopped_trading_misses_ids_or_is_short_of_space_is_named():
    halted = SymbolFacts("AUSDT", "BREAK", 1.0, 0)
    holed = SymbolFacts("BUSDT", "TRADING", 1.0, 12)
    (judged, gone) = data(rule_of("data"), facts(halted, holed, days=1.5), facts(days=1.5))
    assert judged.words == (
        "fired: the disk lasts for 1.5 days, AUSDT is BREAK, BUSDT misses 12 ids"
    )
    assert sorted(event.outcome for event in gone.events) == ["gone", "gone"]
    told = {
        event.episode.direction: event.facts for event in judged.events if event.kind == "fired"
    }
    assert {name: facts and facts.words for name, facts in told.items()} == {
        "no_space": "the disk lasts for 1.5 days",
        "not_trading:AUSDT": "AUSDT is BREAK",
        "missing_ids:BUSDT": "BUSDT misses 12 ids",
    }, "each tells its own"


def test_only_the_symbols_asked_for_are_watched():
    other = SymbolFacts("AUSDT", "BREAK", 1.0, 0)
    (judged,) = data(rule_of("data", symbols=["BUSDT"]), facts(other))
    assert not judged.events
