"""A rule is read by one table: what is wrong with it is named, what is stored reads back."""

import json

import pytest

from core.errors import ParameterErrors
from core.pair_spec import read_pair_spec
from core.rule_spec import (
    KINDS,
    RULE_PARAMETERS,
    is_reborn,
    read_rule_spec,
    rule_body,
    same_subject,
)
from core.settings import Settings

SETTINGS = Settings()
BODIES = {
    "zscore": {"symbol_a": "btcusdt", "symbol_b": "ETCUSDT", "timeframe": "1h", "paper": True},
    "relationship": {"symbol_a": "SOLUSDT", "symbol_b": "AVAXUSDT", "measure": "pvalue_both",
                     "above": 0.2, "hysteresis": 0.05},
    "data": {"symbols": ["ltcusdt", "LTCUSDT"], "silent_after_s": 180},
    "radar": {"timeframe": "5m", "max_q": 0.05, "min_half_life": 2, "fee_bps": 7},
}  # fmt: skip


def read(kind="zscore", **changes):
    return read_rule_spec({"kind": kind, **BODIES[kind], **changes}, SETTINGS)


def errors_of(given):
    with pytest.raises(ParameterErrors) as raised:
        read_rule_spec(given, SETTINGS)
    return {error.field: error.message for error in raised.value.errors}


def test_a_rule_without_a_word_has_the_defaults_that_the_api_promises():
    rule = read_rule_spec({}, SETTINGS)
    assert rule.pair == read_pair_spec({}, SETTINGS)
    body = rule_body(rule)
    assert {name: body[name] for name in ("kind", "for_bars", "keep_bars", "cooldown_s",
            "mute_until", "no_data_after_bars", "channels", "paper", "enabled", "note")} == {
        "kind": "zscore", "for_bars": 1, "keep_bars": 1, "cooldown_s": 0, "mute_until": None,
        "no_data_after_bars": 5, "channels": (), "paper": False, "enabled": True, "note": "",
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_rule_reads_back_as_it_was(kind):
    rule = read(kind, channels=["phone", "mail"], mute_until="2026-11-27T08:00Z", note="é ☕ ok")
    kept = json.loads(json.dumps(rule_body(rule)))
    assert list(kept) == list(RULE_PARAMETERS[kind])
    assert read_rule_spec(kept, Settings(fee_bps=99.0)) == rule


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"kind": "horoscope"}, "kind", "must be one of zscore, relationship, data"),
        ({"kind": "zscore", "measure": "hurst"}, "measure", "is not a parameter"),
        ({"for_bars": 0}, "for_bars", "a whole number from 1 to 10000"),
        ({"paper": "perhaps"}, "paper", "must be true or false"),
        ({"paper": 1}, "paper", "must be true or false"),
        ({"channels": "phone"}, "channels", "a list of at most 50 names"),
        ({"channels": ["https://example.org/secret"]}, "channels", "as in ALERT_CHANNELS"),
        ({"note": "x" * 201}, "note", "at most 200 characters"),
        ({"note": "a\nb"}, "note", "at most 200 characters"),
        ({"since": 0}, "since", "is not a parameter"),
        ({"entry_z": 2, "stop_z": 1}, "stop_z", "above entry_z"),
        ({"kind": "relationship"}, "measure", "is required"),
        ({"kind": "relationship", "measure": "correlation"}, "measure", "needs a bound"),
        ({"kind": "relationship", "measure": "correlation", "below": 1, "above": 1}, "above",
         "must be above below (1)"),
        ({"kind": "relationship", "measure": "correlation", "below": 0, "above": 1,
          "hysteresis": 0.6}, "hysteresis", "leaves nothing between"),
        ({"kind": "relationship", "measure": "correlation", "below": 0, "paper": True}, "paper",
         "is not a parameter"),
        ({"kind": "data", "symbol_a": "BTCUSDT"}, "symbol_a", "is not a parameter"),
        ({"kind": "radar", "timeframe": "1s"}, "timeframe", "must be one of 1m, 5m, 15m, 1h"),
        ({"kind": "radar", "min_half_life": 9, "max_half_life": 9}, "max_half_life",
         "must be above min_half_life (9)"),
        ({"kind": "radar", "min_z": 1, "back_z": 1}, "back_z", "must be below min_z (1)"),
        ({"kind": "radar", "symbol_a": "BTCUSDT"}, "symbol_a", "is not a parameter"),
        ({"kind": "data", "symbols": ["no symbol!"]}, "symbols", "a list of at most 1000 names"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_rule_is_named(given, field, words):
    assert words in errors_of(given)[field]


def test_a_body_that_is_no_object_is_refused():
    assert "must be an object" in errors_of([1])["body"]


def test_words_and_channels_may_change_without_a_new_birth():
    rule = read()
    same = read(note="other", channels=["mail"], cooldown_s=60, for_bars=3, enabled=False)
    assert same_subject(rule, same)
    assert not is_reborn(rule, same)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"entry_z": 2.5}, True),
        ({"hedge": "kalman"}, True),
        ({"symbol_b": "ETHUSDT"}, False),
        ({"timeframe": "1m"}, False),
    ],
)
def test_what_trades_otherwise_is_born_anew_and_another_pair_is_another_subject(changes, is_same):
    assert is_reborn(read(), read(**changes))
    assert same_subject(read(), read(**changes)) is is_same


def test_paper_that_is_turned_on_and_a_rule_that_is_resumed_begin_flat():
    assert is_reborn(read(paper=False), read(paper=True))
    assert not is_reborn(read(paper=True), read(paper=False))
    assert is_reborn(read(enabled=False), read(enabled=True))
