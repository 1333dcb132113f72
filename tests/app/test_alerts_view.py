"""The Alerts view and the page's tick without a browser."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from dash import html, no_update

from app.services import Desk
from app.services.found import EpisodeQuery, Subject
from app.views import VIEWS
from app.views.alerts.asked import Asked, read_asked
from app.views.alerts.form import FIRST, SET_ELSEWHERE
from app.views.alerts.history import z_around
from app.views.alerts.parts import parts
from app.views.alerts.watchlist import ordered
from app.views.alerts.words import half_life, rule_words
from app.views.drawing import path, sparkline
from app.views.markup import element, html_text
from app.views.shell.news import away_since
from app.views.shell.tick import Tick
from core.pair_spec import read_pair_spec
from core.rule_spec import RULE_PARAMETERS, read_rule_spec
from core.settings import Settings
from core.spread import half_life as half_life_of
from tests.app.conftest import MINUTE, NOW_MS, Clocked
from tests.support.waiting import wait_until


def text_of(part: Any) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", str(part)))


def test_foreign_words_are_text_in_a_part_and_never_html() -> None:
    evil = "<img src=x onerror=alert(1)>\"'&"
    made = html_text(html.P([evil, html.Span(title=evil, **{"data-id": evil})]))
    assert "<img" not in made
    assert made.count("&lt;img") == 3
    assert '"' not in str(element("path", d='"')).split('d="')[1][:-3]


def test_a_rule_with_markup_in_its_note_is_shown_as_it_was_written(clocked: Clocked) -> None:
    clocked.rule(note="<script>x</script>")
    clocked.close()
    shown = parts(clocked.desk, Asked())
    assert "<script" not in str(shown["alerts-watchlist"])
    assert "&lt;script&gt;" in str(shown["alerts-watchlist"])


def test_a_bound_below_zero_has_a_true_minus() -> None:
    pair = {"symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT"}
    traded = read_rule_spec({**pair, "kind": "zscore", "exit_z": -0.25}, Settings())
    assert rule_words(traded) == "1m · OLS · 120 · 2 / −0.25"
    bound = {"kind": "relationship", "measure": "correlation", "below": -0.5}
    assert rule_words(read_rule_spec({**pair, **bound}, Settings())).endswith(" < −0.5")


def test_client_gets_what_it_lacks_and_nothing_while_nothing_changed(clocked: Clocked) -> None:
    clocked.rule()
    clocked.close()
    tick = Tick(clocked.desk, VIEWS)
    request = {"path": "/alerts", "asked": {}, "since": None}
    first = tick.newer(request, {})
    assert {"news", "alerts-watchlist", "strip", "texts"} <= first["changed"].keys()
    assert tick.newer(request, first["marks"]) is no_update
    clocked.close(0.03)
    second = tick.newer(request, first["marks"])
    assert second["changed"]["news"]["count"] == 1
    (entry,) = second["changed"]["news"]["newest"]
    assert entry["heading"].startswith("BTC / ETH 1m fired at +")
    assert entry["words"].endswith("sell BTC, buy ETH")
    marks = first["marks"] | second["marks"]
    # What has fired waits for no pair; the view around it comes a moment later.
    assert (second["changed"].keys(), second["more"]) == ({"news"}, True)
    answers = list[Any]()

    def made() -> bool:
        answers.append(tick.newer(request, marks))
        return answers[-1] is not no_update

    wait_until(made, "the view is made")
    third = answers[-1]
    assert "alerts-watchlist" in third["changed"]
    assert "alerts-channels" not in third["changed"]
    assert not third["more"]
    assert tick.newer(request, marks | third["marks"]) is no_update


@pytest.mark.parametrize("request_", [None, 3, {}, {"path": []}, {"path": "/nosuch"}])
@pytest.mark.parametrize("marks", [{}, None, {"news": "x"}, {"news": -1}, {1: 1}])
def test_forged_ticks_are_answered_and_break_nothing(
    clocked: Clocked, request_: Any, marks: Any
) -> None:
    answer = Tick(clocked.desk, VIEWS).newer(request_, marks)
    assert answer is no_update or answer["changed"].keys() == {"news"}


def count_calls(function: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def counted(*given: Any, **named: Any) -> Any:
        calls.append(function.__name__)
        return function(*given, **named)

    return counted


def test_five_hundred_clients_cost_one_look(
    clocked: Clocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked.rule()
    clocked.close()
    tick, looks = Tick(clocked.desk, VIEWS), list[str]()
    for name in ("alerts", "decisions", "standings"):
        counted = count_calls(getattr(clocked.reader, name), looks)
        monkeypatch.setattr(clocked.reader, name, counted)
    request = {"path": "/alerts", "asked": {}, "since": None}
    tick.newer(request, {})
    once = len(looks)
    for _ in range(500):
        tick.newer(request, {})
    assert len(looks) == once


def test_what_is_asked_is_judged_by_the_schema_of_the_api() -> None:
    asked = read_asked({"sort": "pair", "kind": "data", "before": 7, "alert": 3})
    assert asked == Asked("pair", EpisodeQuery("data", None, 7), Subject(3, None))
    assert read_asked({"pair": "BTCUSDT/ETHUSDT"}).page.symbols == ("BTCUSDT", "ETHUSDT")
    for bad in (None, [], {"kind": "x"}, {"pair": "=1/2 2"}, {"before": "1; --"}, {"alert": True}):
        assert read_asked(bad) == Asked(), bad


def test_rules_stand_by_the_distance_to_their_next_event(clocked: Clocked) -> None:
    far, near = clocked.rule(entry_z=9), clocked.rule(entry_z=3)
    clocked.close()
    rules = clocked.desk.watchlist.view().rules
    assert [one.rule.rule_id for one in ordered(rules, "distance")] == [near, far]
    assert [one.rule.rule_id for one in ordered(reversed(rules), "pair")] == [far, near]


def test_a_p_that_is_watched_is_told_as_the_column_of_p_has_it(clocked: Clocked) -> None:
    """And not as 1.149e−16, at which the table no longer fits."""
    clocked.desk.alerts.create(
        {"kind": "relationship", "symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "window": 60,
         "measure": "pvalue_both", "above": 0.2}
    )  # fmt: skip
    clocked.close()
    (one,) = clocked.desk.watchlist.view().rules
    assert 0.0 <= one.value <= 1.0
    shown = str(parts(clocked.desk, Asked())["alerts-watchlist"])
    assert f'<td class="strong">{one.value:.3f}</td>' in shown


def test_whoever_was_away_is_told_what_fired_since_and_nothing_else(clocked: Clocked) -> None:
    clocked.rule()
    clocked.close()
    clocked.close(0.03)
    newest = clocked.desk.found.newest()
    (one,) = newest
    away = away_since(newest, one.episode_id - 1, NOW_MS, NOW_MS + 120_000)
    assert away.heading == "While you were away: 1 fired, none resolved."
    assert "BTC / ETH" in away.words
    assert away_since(newest, one.episode_id, NOW_MS, NOW_MS).fired == 0


def test_an_episode_is_taken_apart_with_its_own_numbers(clocked: Clocked) -> None:
    clocked.rule()
    clocked.close()
    clocked.close(0.03)
    (one,) = clocked.desk.found.newest()
    shown = parts(clocked.desk, Asked(subject=Subject(one.episode_id)))
    said = text_of(shown["alerts-episode"])
    assert "▼ firing" in said
    assert f"z {one.values['zscore']:+.2f}" in said
    link = re.search(r'href="/analytics/pair/explain\?([^"]*)"', str(shown["alerts-episode"]))
    assert link
    query = parse_qs(link[1].replace("&amp;", "&"))
    assert query["time"] == [str(one.start_ms)]
    assert "fired:" in text_of(shown["alerts-why"])


def test_the_chart_shows_z_of_the_rule_s_own_rows_and_of_many_the_farthest(
    services: Desk,
) -> None:
    spec = read_pair_spec({"bars": 1_200, "window": 60, "hedge_window": 120}, services.settings)
    result = services.pairs.view(spec).result
    assert result is not None
    start_ms = int(result.rows.open_time_ms[200])
    times, zscore, _ = z_around(result, start_ms, int(result.rows.open_time_ms[220]))
    assert times == result.rows.open_time_ms[140:250].tolist()
    np.testing.assert_array_equal(zscore, result.chosen.zscore[140:250])
    times, zscore, _ = z_around(result, start_ms, None)
    assert len(times) <= 401
    assert float(np.max(np.abs(zscore))) == float(np.max(np.abs(result.chosen.zscore[140:])))
    assert times[-1] == int(result.rows.open_time_ms[-1])


def test_a_line_is_cut_where_there_is_no_value() -> None:
    assert path([(0, 1), (1, float("nan")), (2, 3.25), (3, 4)]) == "M0 1M2 3.2L3 4"
    for values in ([1.0, float("nan")], []):
        assert "nan" not in sparkline(values, 2.0, "z").lower()


def test_all_paper_is_one_book_with_its_largest_leg_and_it_says_when_a_bar_was_judged(
    clocked: Clocked,
) -> None:
    for notional in (10_000, 4_000):
        clocked.rule(paper=True, notional=notional)
    clocked.desk.alerts.create({"kind": "data"})
    clocked.close()
    clocked.close(0.03)
    clocked.close()
    words = text_of(parts(clocked.desk, Asked())["alerts-watchlist"])
    held = list(clocked.desk.alerts.record().positions.values())
    assert [position.side for position in held] == ["short_spread"] * 2
    open_, btc = sum(one.pnl_open for one in held), sum(one.quantity_a * one.mark_a for one in held)
    eth = sum(one.quantity_b * one.mark_b for one in held)
    name, value = max(("BTC", btc), ("ETH", eth), key=lambda leg: abs(leg[1]))
    told = f"one book: {open_:+.1f} USDT open, largest leg {name} {value:+,.0f}".replace("-", "−")
    assert f"3 rules, 2 on paper · {told}" in words
    assert " p both paper, USDT 120 bars" in words
    at = datetime.fromtimestamp(clocked.now_s, UTC).strftime("%d %b %H:%M:%S")
    after_s = clocked.now_s - (clocked.last_ms + MINUTE) / 1_000
    assert f"judged {at}, {after_s:.0f} s after its bar" in words


def test_paper_that_waits_for_its_fill_says_at_which_open(clocked: Clocked) -> None:
    clocked.rule(paper=True)

    def row() -> tuple[str, str]:
        opens = datetime.fromtimestamp((clocked.last_ms + MINUTE) / 1_000, UTC).strftime("%H:%M")
        return text_of(parts(clocked.desk, Asked())["alerts-watchlist"]), opens

    clocked.close()
    clocked.close(0.03)
    words, opens = row()
    assert f" fills {opens} " in words, "its entry is decided, and not yet filled"
    clocked.close()
    words, _ = row()
    assert " fills " not in words
    (position,) = clocked.desk.alerts.record().positions.values()
    assert f" {position.pnl_open:+.1f} ".replace("-", "−") in words
    clocked.close(-0.03)
    words, opens = row()
    assert f", leaves {opens} " in words


def test_history_says_how_much_of_what_is_asked_for_fired_in_30_days(clocked: Clocked) -> None:
    clocked.rule()
    clocked.close()
    clocked.close(0.03)

    def heading(**given: str) -> str:
        shown = parts(clocked.desk, read_asked(given))["alerts-history"]
        return text_of(shown).split(" all ")[0].strip()

    assert heading() == "History 1 in 30 days"
    assert heading(kind="data") == "History 0 in 30 days"
    assert heading(pair="ETHUSDT/BTCUSDT") == "History 0 in 30 days"
    assert heading(pair="BTCUSDT/ETHUSDT") == "History 1 in 30 days"
    clocked.now_s += 31 * 86_400
    assert heading() == "History 0 in 30 days"
    assert "sell BTC, buy ETH" in text_of(parts(clocked.desk, Asked())["alerts-history"])


def test_a_half_life_that_noise_has_as_well_is_told_as_such_and_not_left_blank() -> None:
    """Whoever reads "–" looks for what is broken; nothing is."""
    walk = half_life_of(np.cumsum(np.random.default_rng(3).normal(0, 1e-3, 600)))

    def watched(bars: float, reason: str) -> Any:
        closed = SimpleNamespace(
            figures=SimpleNamespace(half_life_bars=bars), reasons={"half_life_bars": reason}
        )
        rule = SimpleNamespace(spec=SimpleNamespace(pair=SimpleNamespace(timeframe_ms=MINUTE)))
        return SimpleNamespace(pair=SimpleNamespace(closed=closed), rule=rule)

    assert half_life(watched(walk.bars, walk.words)) == "like a walk"
    assert half_life(watched(np.nan, "comes back within a bar")) == "–"
    assert half_life(watched(30.0, "")) == "30 min"


def test_the_form_has_every_parameter_that_is_not_set_elsewhere(clocked: Clocked) -> None:
    form = str(parts(clocked.desk, Asked())["alerts-form"])
    every = {name for table in RULE_PARAMETERS.values() for name in table}
    assert set(re.findall(r'data-field="(\w+)"', form)) == every - set(SET_ELSEWHERE) | {"kind"}
    assert set(FIRST) <= every


def test_a_rule_of_a_relationship_is_not_asked_for_entries_and_costs_it_never_has(
    clocked: Clocked,
) -> None:
    form = str(parts(clocked.desk, Asked())["alerts-form"])
    tags = re.findall(r"<div [^>]*data-kinds=[^>]*>", form)
    kinds = {
        re.findall(r'data-name="(\w+)"', tag)[0]: re.findall(r'data-kinds="([^"]*)"', tag)[
            0
        ].split()
        for tag in tags
    }
    asked = {name for name, of in kinds.items() if "relationship" in of}
    assert asked == {
        "symbol_a", "symbol_b", "timeframe", "window", "hedge", "hedge_window", "lags", "bars",
        "measure", "below", "above", "hysteresis", "for_bars", "keep_bars", "cooldown_s",
        "no_data_after_bars", "channels", "note",
    }  # fmt: skip
    assert {"entry_z", "exit_z", "fee_bps", "paper"} <= {
        name for name, of in kinds.items() if "zscore" in of
    }
