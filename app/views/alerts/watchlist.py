"""Firing now, and the grid of every rule; pure but for what the desk is asked."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from dash import html

from app.services import Desk
from app.services.alerts import books_of
from app.services.watchlist import WatchedRule
from app.views.alerts.asked import SORTS, Asked
from app.views.alerts.words import (
    STATES,
    distance,
    half_life,
    is_seen,
    moment,
    needed,
    rule_name,
    rule_words,
    state_of,
)
from app.views.drawing import sparkline
from app.views.markup import aria, data, html_text, table
from app.views.shell.news import direction_words, mark_of, pair_words
from app.views.text import NONE, coin, count, money, plain, quote_of, signed, time_text
from core.pair_spec import HEDGES
from core.paper import Together
from core.rule_spec import Z_KINDS
from core.timeframes import HOUR_MS
from core.words import duration_text
from ingest.store.reader import StoredEpisode

PAPER = "paper"
COLUMNS = (
    "rule", "state", "z", "forming", "distance", "needed", "half-life", "p both", PAPER,
    "120 bars, entry lines",
)  # fmt: skip
_ORDER = ("firing", "recovering", "pending", "no_data", "normal", "", "paused")
MOST_CARDS = 6
"""What fires at once may be fifty pairs of a radar, and the watchlist stands below."""
MUTES = (("1 hour", HOUR_MS), ("8 hours", 8 * HOUR_MS), ("1 day", 24 * HOUR_MS))


def firing_cards(rules: Sequence[WatchedRule]) -> Any:
    """What fires and nobody has seen, the newest first: its last word, and what can be done."""
    unseen = [
        (one, episode) for one in rules for episode in one.firing if episode.acknowledged_ms is None
    ]
    if not unseen:
        seen = sum(len(one.firing) for one in rules)
        words = f"{count(seen, 'alert')} firing, seen." if seen else "Nothing fires."
        return html_text(html.P(f"{words} A rule that fires stands here until it is seen."))
    unseen.sort(key=lambda each: -each[1].start_ms)
    cards = html.Div([_card(*each) for each in unseen[:MOST_CARDS]], className="firing-cards")
    return html_text([cards, *_more([episode for _, episode in unseen])])


def _more(unseen: Sequence[StoredEpisode]) -> list[html.P]:
    """A line for those that have no card yet."""
    waiting = len(unseen) - MOST_CARDS
    if waiting <= 0:
        return []
    words = "more fires: it follows" if waiting == 1 else "more fire: they follow"
    every = " ".join(str(one.episode_id) for one in unseen)
    return [
        html.P(
            [
                f"{waiting:,} {words} as these are seen. ",
                _button(f"Acknowledge all {len(unseen):,}", **data(do="acknowledge", id=every)),
            ]
        )
    ]


def _card(one: WatchedRule, episode: StoredEpisode) -> html.Article:
    spec, closed = one.rule.spec, one.pair.closed if one.pair else None
    pair = spec.pair
    small = f"{pair.timeframe} · {HEDGES[pair.hedge]}" if pair else spec.timeframe or "data"
    name = rule_name(spec) if spec.radar is None else pair_words(episode)
    line: Any = None
    if closed is not None and pair is not None and spec.kind == "zscore":
        line = sparkline(closed.figures.recent_z, pair.entry_z, f"z of {rule_name(spec)}, 120 bars")
    fired = f"fired {moment(episode.start_ms, episode.timeframe)}"
    if episode.value_at_start is not None:
        fired += f" at {plain(episode.value_at_start, '+.2f')}"
    worth = needed(one)
    note = {"never": " · costs need more than any z here: grey", NONE: ""}.get(
        worth, f" · needed {worth}{': grey' if cannot_pay(one, episode) else ''}"
    )
    look = "grey" if cannot_pay(one, episode) else side_look(episode.direction)
    now = _figure(one)
    return html.Article(
        className="panel-desk firing-card",
        **data(key=episode.episode_id),
        children=[
            html.Div([
                html.H3([html.A(name, href=one.rule.link_of(episode.symbol_a, episode.symbol_b)),
                         html.Small(f" {small}")]),
                html.Strong(now if pair else mark_of(episode.direction) or "!"),
            ]),
            html.Div(line, className="line"),
            html.Div([
                html.P([html.Span(mark_of(episode.direction), className=look), " ",
                        direction_words(episode) if spec.kind in Z_KINDS else episode.words]),
                html.Small(f"{fired}{note}"),
            ]),
            html.Div(
                className="actions",
                children=[
                    _button("Acknowledge", **data(do="acknowledge", id=episode.episode_id)),
                    mute_menu(one.rule.rule_id),
                    _button("Why", **data(ask="alert", value=episode.episode_id)),
                ],
            ),
        ],
    )  # fmt: skip


def _figure(one: WatchedRule) -> str:
    """What is watched, as its own column has it: a p of 1e−16 is 0.000."""
    bound = one.rule.spec.bound
    if bound is None:
        return signed(one.value)
    return plain(one.value, ".3f" if bound.measure == "pvalue_both" else ".4g")


def mute_menu(rule_id: int) -> html.Details:
    """For how long a rule sends no messages."""
    choices = [
        _button(words, **data(do="mute", id=rule_id, value=span_ms)) for words, span_ms in MUTES
    ]
    return html.Details(
        [html.Summary("Mute ▾"), html.Div(choices, className="menu")], className="mute"
    )


def watchlist_table(desk: Desk, asked: Asked, rules: Sequence[WatchedRule]) -> Any:
    """Every rule with where it stands, in the order asked for."""
    head = html.Div(
        className="panel-head",
        children=[
            html.H2(["Watchlist", html.Small(_summary(desk, rules))]),
            html.Div(
                [
                    _button(
                        name,
                        **data(ask="sort", value=name),
                        **aria(pressed=str(name == asked.sort).lower()),
                    )
                    for name in SORTS
                ],
                className="seg-buttons",
                role="group",
                **aria(label="Sort by"),
            ),
            _button("New rule", **data(do="new")),
        ],
    )
    if not rules:
        return html_text([head, _no_rule()])
    money_of = {
        quote_of(one.rule.spec.pair.symbol_a)
        for one in rules
        if one.rule.spec.paper and one.rule.spec.pair is not None
    }
    is_one = len(money_of) == 1
    columns = [
        f"{PAPER}, {min(money_of)}" if is_one and name == PAPER else name for name in COLUMNS
    ]
    rows = [_row(one, asked.subject.rule_id, not is_one) for one in ordered(rules, asked.sort)]
    return html_text(
        [head, table(columns, rows, "watchlist", ("rule", "state"), sorted_by=asked.sort)]
    )


def ordered(rules: Iterable[WatchedRule], sort: str) -> list[WatchedRule]:
    """By distance to the next event, by state, or by name; equal ones by number."""

    def key(one: WatchedRule) -> tuple[Any, ...]:
        near = distance(one)[0]
        if sort == "pair":
            return rule_name(one.rule.spec), one.rule.rule_id
        if sort == "state":
            state = state_of(one)
            place = _ORDER.index(state) if state in _ORDER else len(_ORDER)
            return place, is_seen(one), near, one.rule.rule_id
        return near, one.rule.rule_id

    return sorted(rules, key=key)


def _row(one: WatchedRule, chosen: int | None, has_money: bool) -> html.Tr:
    """A rule; its paper with the money it is in, where the heading does not say it."""
    rule, spec = one.rule, one.rule.spec
    pair, closed, state = spec.pair, one.pair.closed if one.pair else None, state_of(one)
    episode = one.firing[0] if one.firing else None
    look = "" if episode is None else side_look(episode.direction)
    if episode is not None and cannot_pay(one, episode):
        look = "grey"
    words = STATES.get(state, state) + (", seen" if is_seen(one) else "")
    chip = "chip" if state == "firing" and not is_seen(one) else None
    is_z = spec.kind == "zscore"
    line: Any = NONE
    if is_z and closed is not None and pair is not None:
        line = sparkline(closed.figures.recent_z, pair.entry_z, f"z of {rule_name(spec)}, 120 bars")
    figure = _figure(one)
    p_both = closed.figures.pvalue_both if closed else math.nan
    return html.Tr(
        className="on" if rule.rule_id == chosen else None,
        **data(key=rule.rule_id, ask="rule", value=rule.rule_id),
        children=[
            html.Td(
                [html.A(rule_name(spec), href=rule.link, title="Open with the rule's own series"),
                 html.Small(f" {rule_words(spec)}"), *_notes(one)],
                className="left",
            ),
            html.Td(
                html.Button(
                    [html.Span(mark_of(episode.direction) if episode else "", className=look), " ",
                     html.Span(words, className=chip)],
                    title=one.standing.words if one.standing else "its first bar is to come",
                    className="plain", type="button", **data(ask="rule", value=rule.rule_id),
                ),
                className="left",
            ),
            html.Td(figure, className="strong"),
            html.Td(html.Span(id=forming_id(rule.rule_id), **data(kept="")), className="muted"),
            html.Td(distance(one)[1]),
            html.Td(needed(one)),
            html.Td(half_life(one), className="muted"),
            html.Td(plain(p_both, ".3f")),
            html.Td(_paper(one, has_money)),
            html.Td(line),
        ],
    )  # fmt: skip


def forming(rules: Iterable[WatchedRule]) -> dict[str, str]:
    """z of the forming bars, by the id of the cell: it moves every second, the rest does not."""
    return {
        forming_id(one.rule.rule_id): signed(one.pair.zscore_provisional)
        if one.pair is not None and one.rule.spec.kind == "zscore"
        else NONE
        for one in rules
    }


def forming_id(rule_id: int) -> str:
    """Of the cell of a rule."""
    return f"alerts-forming-{rule_id}"


def cannot_pay(one: WatchedRule, episode: StoredEpisode) -> bool:
    """Whether what fires stands below what the pair's own record needs to pay its costs."""
    closed = one.pair.closed if one.pair else None
    if one.rule.spec.kind != "zscore" or closed is None or episode.value_at_start is None:
        return False
    required_z = closed.figures.required_z
    return not abs(episode.value_at_start) >= required_z


def side_look(direction: str) -> str:
    """Class of a side's hue."""
    return {"long_spread": "long", "short_spread": "short"}.get(direction, "")


def _notes(one: WatchedRule) -> list[Any]:
    watch = one.rule.spec.watch
    notes = []
    if watch.note:
        notes.append(html.Small(f" · {watch.note}"))
    if watch.mute_until is not None:
        notes.append(html.Small(f" · muted until {moment(watch.mute_until)}"))
    if one.why_no_pair:
        notes.append(html.Small(f" · {one.why_no_pair}"))
    return notes


def _paper(one: WatchedRule, has_money: bool) -> str:
    pair = one.rule.spec.pair
    if not one.rule.spec.paper or one.position is None or pair is None:
        return NONE
    own = f" {quote_of(pair.symbol_a)}" if has_money else ""
    held = f"{money(one.position.pnl_open, '+')}{own}"
    if one.position.next_fill_ms is None:
        return held
    at = moment(one.position.next_fill_ms, pair.timeframe).rpartition(" ")[2]
    return f"{held}, leaves {at}" if one.position.side else f"fills {at}"


def _summary(desk: Desk, rules: Sequence[WatchedRule]) -> str:
    held = [
        (one.rule.spec.pair, one.position)
        for one in rules
        if one.rule.spec.pair is not None and one.position is not None
    ]
    words = [count(len(rules), "rule") + (f", {len(held)} on paper" if held else "")]
    quotes = {one.symbol: one.quote for one in desk.market.symbols()} if held else {}
    words += [book_words(quote, book) for quote, book in books_of(held, quotes).items()]
    return " · ".join([*words, *judged_words(rules)])


def book_words(quote: str, book: Together) -> str:
    """All paper positions of one currency together, and the symbol that most hangs on."""
    words = f"one book: {money(book.pnl_open, '+')} {quote} open".replace("  ", " ")
    largest = next(iter(book.exposure.items()), None)
    if largest is None:
        return words
    return f"{words}, largest leg {coin(largest[0])} {money(largest[1].value, '+')}"


def judged_words(rules: Iterable[WatchedRule]) -> list[str]:
    """When a bar was last judged, and how long after it had closed."""
    judged = [
        (one.standing.judged_at_ms, one.standing.judged_ms + one.rule.spec.timeframe_ms)
        for one in rules
        if one.standing is not None
        and one.standing.judged_ms is not None
        and one.rule.spec.data is None  # the data are judged by the minute, not after a bar
    ]
    if not judged:
        return []
    at_ms, end_ms = max(judged)
    after = duration_text(max(0, at_ms - end_ms))
    return [f"judged {time_text(at_ms, True)}, {after} after its bar"]


def _no_rule() -> html.Div:
    return html.Div(
        className="empty",
        children=[
            html.H3("No rule yet."),
            html.P(
                "A rule watches a pair on closed bars when nobody looks, and tells each channel"
                " once. The quickest way: open a pair in Live and press “Watch this pair”."
            ),
            html.A("Open Live", href="/"),
        ],
    )


def _button(words: str, **more: Any) -> html.Button:
    return html.Button(words, className="btn-small", type="button", **more)
