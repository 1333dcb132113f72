"""What fired before, and one episode or rule taken apart: its chart, and why bar by bar."""

import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
from dash import html

from app.services import Desk
from app.services.found import COUNTED_MS, EpisodeDetail, EpisodeQuery, History
from app.services.refusals import SymbolNotIngested
from app.services.watchlist import WatchedRule
from app.views.alerts.watchlist import mute_menu, side_look
from app.views.alerts.words import moment, outcome, rule_name, rule_words, value_text
from app.views.drawing import episode_chart
from app.views.markup import aria, data, element, html_text, table
from app.views.shell.news import direction_words, mark_of, pair_words
from app.views.text import money, plain
from core.errors import ParameterErrors
from core.rule_spec import KINDS, Z_KINDS, RuleSpec
from core.timeframes import DAY_MS, TIMEFRAMES
from core.types import FloatArray, PairResult
from ingest.store.reader import StoredEpisode
from ingest.store.rules import StoredRule

COLUMNS = ("fired, UTC", "pair", "direction", "z", "peak", "outcome", "delivered")
LEFT = ("fired, UTC", "pair", "direction", "outcome", "delivered")
AROUND_BARS = 60
MOST_POINTS = 400


def history_table(page: EpisodeQuery, found: History, rules: Sequence[WatchedRule],
                  chosen: int | None) -> Any:  # fmt: skip
    """A page of the history under its filters."""
    shown = found.episodes[: page.limit]
    query = {"kind": page.kind or ""} | dict(
        zip(("symbol_a", "symbol_b"), page.symbols or (), strict=False)
    )
    asked = urlencode({name: value for name, value in query.items() if value})
    kinds = {"": "all"} | dict(KINDS)
    pairs = sorted({
        (one.rule.spec.pair.symbol_a, one.rule.spec.pair.symbol_b)
        for one in rules if one.rule.spec.pair is not None
    } | ({page.symbols} if page.symbols else set()))  # fmt: skip
    options = [element("option", "any pair", value="", selected=page.symbols is None)] + [
        element("option", f"{a} / {b}", value=f"{a}/{b}", selected=page.symbols == (a, b))
        for a, b in pairs
    ]
    select = element(
        "select", *options, class_="btn-small", **data(ask="pair"), **aria(label="Pair")
    )
    csv = html.A("CSV ↓", href=f"/api/alerts/history.csv?{asked}", download="")
    head = html.Div(
        className="panel-head",
        children=[
            html.H2(["History", html.Small(f"{found.lately:,} in {COUNTED_MS // DAY_MS} days")]),
            html.Div(
                [
                    html.Button(
                        words, className="btn-small", type="button",
                        **data(ask="kind", value=kind),
                        **aria(pressed=str((page.kind or "") == kind).lower()),
                    )
                    for kind, words in kinds.items()
                ],
                className="seg-buttons", role="group", **aria(label="Kind"),
            ),
            select,
            csv,
        ],
    )  # fmt: skip
    rows = [_row(one, chosen) for one in shown]
    body: Any = table(COLUMNS, rows, "history", LEFT)
    if not rows:
        words = "Nothing like that fired." if asked else "Nothing has fired yet."
        body = html.Div([html.P(words)], className="empty")
    foot = html.Div(className="panel-foot", children=[*_paging(page, found.episodes)])
    return html_text([head, body, foot])


def _paging(page: EpisodeQuery, found: Sequence[StoredEpisode]) -> list[Any]:
    parts = []
    if page.before is not None:
        parts.append(_pager("⇤ newest", ""))
    if len(found) > page.limit:
        parts.append(_pager("older →", str(found[page.limit - 1].episode_id)))
    return parts


def _pager(words: str, before: str) -> html.Button:
    return html.Button(words, className="btn-small", type="button",
                       **data(ask="before", value=before))  # fmt: skip


def _row(one: StoredEpisode, chosen: int | None) -> html.Tr:
    step = TIMEFRAMES.get(one.timeframe or "1m", 60_000)
    flags = [name for name, on in (("late", one.late), ("revised", one.revised)) if on]
    return html.Tr(
        className="on" if one.episode_id == chosen else None,
        **data(key=one.episode_id, ask="alert", value=one.episode_id),
        children=[
            html.Td(
                html.Button(
                    moment(one.start_ms, one.timeframe), className="plain", type="button",
                    **data(ask="alert", value=one.episode_id),
                ),
                className="left",
            ),
            html.Td(pair_words(one), className="left strong"),
            html.Td([html.Span(mark_of(one.direction), className=side_look(one.direction)), " ",
                     direction_words(one)], className="left"),
            html.Td(value_text(one, one.value_at_start)),
            html.Td(value_text(one, one.value_peak)),
            html.Td([outcome(one, step), *(html.Span(name, className="tag") for name in flags)],
                    className="left"),
            html.Td(_deliveries(one), className="left muted"),
        ],
    )  # fmt: skip


def _deliveries(one: StoredEpisode) -> list[Any]:
    if not one.deliveries:
        return ["no channel" if one.told_ms else "not told"]
    parts: list[Any] = []
    for sent in (each for each in one.deliveries if each.event == "fired"):
        tries = "" if sent.attempts < 2 else f" {sent.attempts} tries"
        if sent.state == "delivered":
            parts.append(html.Span(f"{sent.channel} ✓{tries} "))
        elif sent.error:
            parts.append(html.Span(f"{sent.channel} ✕{tries} ", className="bad", title=sent.error))
        else:
            parts.append(html.Span(f"{sent.channel} waits "))
    return parts


def episode_panel(desk: Desk, judged: EpisodeDetail, watched: WatchedRule | None) -> Any:
    """z around an episode, or of a rule as it stands, with what it was judged on."""
    rule, episode = judged.rule, judged.episode
    if rule is None:
        words = "Choose a row of the watchlist or of the history: here come its chart and why."
        return html_text(html.Div(html.P(words), className="empty"))
    spec = rule.spec
    state = "" if episode is None else f"{mark_of(episode.direction)} {episode.state}"
    since = "" if episode is None else f"since {moment(episode.start_ms, episode.timeframe)}"
    head = html.Div(
        className="panel-head",
        children=[
            html.H2([rule_name(spec) if spec.pair or not episode else pair_words(episode), " ",
                     html.Span(state, className=side_look(episode.direction) if episode else ""),
                     html.Small(since or rule_words(spec))]),
            _link(rule, episode),
            html.Button("✕", className="plain", type="button", **aria(label="Close"),
                        **data(ask="alert" if episode else "rule", value="")),
        ],
    )  # fmt: skip
    chart = _chart(desk, spec, episode)
    made = f"Rule {rule.rule_id}, version {rule.version} of {moment(rule.made_ms)}."
    notes = [html.P([made, " ", *_judged_on(judged)])]
    if episode is not None and episode.revised:
        notes.append(html.P("Revised: a bar that it hung on was rewritten since."))
    if watched is not None and watched.position is not None:
        paper = watched.position
        pnl = paper.pnl_open + paper.pnl_realised
        notes.append(
            html.P(
                f"Paper {money(pnl, '+')} = price {money(paper.price_pnl, '+')},"
                f" hedge drift {money(paper.drift_pnl, '+')}, costs {money(-paper.costs, '+')}"
            )
        )
    tools = []
    if watched is not None:
        is_on = watched.rule.spec.watch.enabled
        tools = [
            _tool("Edit", "edit", rule.rule_id),
            _tool("Pause" if is_on else "Resume", "pause" if is_on else "resume", rule.rule_id),
            mute_menu(rule.rule_id),
            _tool("Delete", "delete", rule.rule_id),
        ]
    return html_text([head, chart, html.Div(notes, className="notes"),
                      html.Div(tools, className="actions")])  # fmt: skip


def _link(rule: StoredRule, episode: StoredEpisode | None) -> html.A:
    legs = (episode.symbol_a, episode.symbol_b) if episode else (None, None)
    href = rule.link_of(*legs)
    names = {"/health": "Open Health", "/scanner": "Open the Scanner"}
    return html.A(names.get(href, "Open in Live"), href=href)


def _tool(words: str, what: str, rule_id: int) -> html.Button:
    return html.Button(words, className="btn-small", type="button", **data(do=what, id=rule_id))


def _judged_on(judged: EpisodeDetail) -> list[Any]:
    rule, episode = judged.rule, judged.episode
    values = episode.values if episode else judged.decisions[0].values if judged.decisions else {}
    legs = (episode.symbol_a, episode.symbol_b) if episode else (None, None)
    pair = rule.spec.pair_of(*legs) if rule else None
    if rule is None or pair is None or not values:
        return []
    shown = [
        f"{words} {plain(float(values[name]), form)}"
        for name, words, form in (
            ("close_a", pair.symbol_a, ",.6g"), ("close_b", pair.symbol_b, ",.6g"),
            ("intercept", "α", ".4g"), ("hedge_ratio", "β", ".3f"),
            ("spread_mean", "mean", ".4g"), ("spread_std", "σ", ".4g"), ("zscore", "z", "+.2f"),
            ("value", "value", ".4g"), ("level", "counts from", ".2f"), ("qvalue", "q", ".3f"),
            ("p_quarters_median", "quarters", ".3f"),
        )
        if isinstance(values.get(name), int | float)
    ]  # fmt: skip
    parts: list[Any] = [f"Judged on {', '.join(shown)}. "]
    if episode is not None and rule.spec.kind in Z_KINDS:
        asked = rule.link_of(*legs).partition("?")[2]
        parts.append(
            html.A(
                "all numbers of this bar",
                href=f"/analytics/pair/explain?{asked}&time={episode.start_ms}",
            )
        )
    return parts


def _chart(desk: Desk, spec: RuleSpec, episode: StoredEpisode | None) -> Any:
    legs = (episode.symbol_a, episode.symbol_b) if episode else (None, None)
    pair = spec.pair_of(*legs)
    if pair is None or spec.kind not in Z_KINDS:
        return html.P("No chart: it watches no z.", className="none")
    try:
        state = desk.pairs.state(pair)
    except (SymbolNotIngested, ParameterErrors) as refused:
        return html.P(f"No chart: {refused}.", className="none")
    if state.closed is None:
        return html.P("No chart: no bars of it are stored.", className="none")
    span = (None, None) if episode is None else (episode.start_ms, episode.end_ms)
    times, zscore, required_z = desk.pairs.shown(
        state.closed, ("z around", *span), lambda result: z_around(result, *span)
    )
    if not times:
        return html.P("No chart: the bars around it are not kept any more.", className="none")
    side = -1 if episode is not None and episode.direction == "long_spread" else 1
    levels = [
        ("entry", f"entry {plain(side * pair.entry_z, 'g')}", side * pair.entry_z),
        ("exit", f"exit {plain(side * pair.exit_z, 'g')}", side * pair.exit_z),
    ]
    if math.isfinite(required_z) and required_z <= 8.0:
        levels.append(("needed", f"needed {plain(side * required_z, '.1f')}", side * required_z))
    last = times[-1]
    begin, end = (last, last) if episode is None else (episode.start_ms, episode.end_ms or last)
    look = side_look(episode.direction) if episode else ""
    label = f"z of {rule_name(spec)} around the episode, now {plain(float(zscore[-1]), '+.2f')}"
    return episode_chart(times, zscore, levels, (begin, end, look), label)


def z_around(
    result: PairResult, start_ms: int | None, end_ms: int | None
) -> tuple[list[int], FloatArray, float]:
    """Rows around an episode, thinned to what a small chart shows, and the needed z.

    Without a start the newest rows. Of each group of rows the farthest out stays.
    """
    times = result.rows.open_time_ms
    first, last = 0, len(times)
    if start_ms is None:
        first = max(0, last - 4 * AROUND_BARS)
    else:
        first = max(0, int(np.searchsorted(times, start_ms)) - AROUND_BARS)
        if end_ms is not None:
            last = min(last, int(np.searchsorted(times, end_ms)) + AROUND_BARS // 2)
        if start_ms < int(times[0]) - AROUND_BARS * result.spec.timeframe_ms:
            return [], np.empty(0), math.nan
    zscore = result.chosen.zscore[first:last]
    size = math.ceil(max(1, len(zscore)) / MOST_POINTS)
    kept = [
        start + int(np.argmax(np.nan_to_num(np.abs(zscore[start : start + size]), nan=-1.0)))
        for start in range(0, len(zscore), size)
    ]
    if kept and kept[-1] != len(zscore) - 1:
        kept.append(len(zscore) - 1)
    return times[first:last][kept].tolist(), zscore[kept], result.required_z


def why_panel(judged: EpisodeDetail) -> Any:
    """Each closed bar, newest first."""
    head = html.Div(
        html.H2(["Why", html.Small("each closed bar, newest first")]), className="panel-head"
    )
    if not judged.decisions:
        return html_text([head, html.Div(html.P("No bar judged."), className="empty")])
    timeframe = judged.rule.spec.timeframe if judged.rule else None
    start_ms = judged.episode.start_ms if judged.episode else None
    rows = [
        html.Li(
            [html.Time(moment(one.open_time_ms, timeframe)), html.Span(one.words),
             html.Small("late") if one.late else ""],
            className="on" if one.open_time_ms == start_ms else "event" if one.eventful else None,
            **data(key=f"{one.open_time_ms}.{one.version}"),
        )
        for one in judged.decisions
    ]  # fmt: skip
    return html_text([head, html.Ol(rows, className="why scrolls", tabIndex="0")])
