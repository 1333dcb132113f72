"""`/api/watchlist`: every rule beside how its pair stands, in one call."""

import math
from typing import Any, get_args

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint
from app.api.kept import kept_json
from app.api.values import (
    SIDES,
    UNDEFINED,
    choice,
    finite,
    iso,
    moment,
    number,
    numbers,
    text,
)
from app.requests.pair import NoParameters
from app.services import Desk
from app.services.watchlist import WatchedRule, Watchlist
from core.episodes import Shown
from core.pair_spec import HEDGES
from core.rule_spec import KINDS, MEASURES
from core.timeframes import TIMEFRAMES

FiringAnswer = Schema.from_dict(
    {
        "id": fields.Integer(metadata={"description": "of the alert"}),
        "direction": text(),
        "state": choice(("firing", "recovering")),
        "start_time": moment("open time of the bar that it fired at"),
        "acknowledged_by": text(null=True),
    },
    name="Firing",
)
WatchedAnswer = Schema.from_dict(
    {
        "rule_id": fields.Integer(),
        "version": fields.Integer(),
        "kind": choice(KINDS),
        "symbol_a": text(null=True),
        "symbol_b": text(null=True),
        "timeframe": choice(TIMEFRAMES, null=True),
        "hedge": choice(HEDGES, null=True),
        "window": fields.Integer(allow_none=True),
        "entry_z": number(),
        "exit_z": number(),
        "measure": choice(MEASURES, "of a relationship rule", null=True),
        "note": text(),
        "enabled": fields.Boolean(),
        "mute_until": moment(null=True),
        "link": text("path of the page with its own series"),
        "state": choice((*get_args(Shown), "paused"), "null before a first bar", null=True),
        "words": text("why the last bar judged did or did not fire", null=True),
        "judged": moment("open time of that bar", null=True),
        "firing": fields.List(fields.Nested(FiringAnswer)),
        "as_of": moment("close of the last bar that the figures are of", null=True),
        "newest": fields.Boolean(
            metadata={"description": "false while a newer bar's figures are being computed"}
        ),
        "stale": fields.Boolean(metadata={"description": "a bar is overdue"}),
        "zscore": number(),
        "zscore_provisional": number("of the forming bar"),
        "value": number("z, or the figure that a relationship rule watches"),
        "distance_to_entry": number("what the value lacks to fire; 0 or less beyond"),
        "distance_to_exit": number("what it lacks to resolve; null while nothing fires"),
        "half_life_bars": number(),
        "pvalue_both": number(),
        "required_z": number(),
        "sparkline": numbers(),
        "paper": fields.Boolean(),
        "side": choice(SIDES, "what is held on paper", null=True),
        "pnl_open": number("of paper, net of what its entry cost"),
        "pnl_realised": number(),
        "warnings": fields.List(fields.String(metadata={"description": "field: reason"})),
    },
    name="Watched",
)
WatchlistAnswer = Schema.from_dict(
    {"rules": fields.List(fields.Nested(WatchedAnswer))}, name="Watchlist"
)
_FIGURES = ("zscore", "half_life_bars", "pvalue_both", "required_z")


def watchlist_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route to a desk."""
    routes = ApiBlueprint("watchlist", __name__, url_prefix="/api", description="At a glance")

    @routes.get("/watchlist")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, WatchlistAnswer)
    @routes.problems(400, 429, 503)
    def watchlist(values: dict[str, Any]) -> Response:
        """Every rule with z, what it lacks, what its pair is worth and what it holds on paper.

        `sparkline` is z of the last 120 bars.
        """
        view = desk.watchlist.view()
        return kept_json(desk.answers, ("watchlist", view.number), lambda: watchlist_json(view))

    return routes


def watchlist_json(view: Watchlist) -> dict[str, Any]:
    """Body of `/api/watchlist`; sparklines stay arrays, whose NaN the JSON encoder writes null."""
    return {"rules": [_watched(one) for one in view.rules]}


def _watched(one: WatchedRule) -> dict[str, Any]:
    rule, watch, pair = one.rule, one.rule.spec.watch, one.rule.spec.pair
    standing, state, position = one.standing, one.pair, one.position
    closed = state.closed if state else None
    figures = {name: getattr(closed.figures, name) if closed else math.nan for name in _FIGURES}
    return {
        "rule_id": rule.rule_id,
        "version": rule.version,
        "kind": rule.spec.kind,
        **{
            name: getattr(pair, name, None)
            for name in ("symbol_a", "symbol_b", "timeframe", "hedge", "window", "entry_z",
                         "exit_z")
        },
        "measure": rule.spec.bound.measure if rule.spec.bound else None,
        "note": watch.note,
        "enabled": watch.enabled,
        "mute_until": iso(watch.mute_until),
        "link": rule.link,
        "state": (standing.shown if standing else None) if watch.enabled else "paused",
        "words": standing.words if standing else None,
        "judged": iso(standing.judged_ms) if standing else None,
        "firing": [
            {
                "id": episode.episode_id,
                "direction": episode.direction,
                "state": episode.state,
                "start_time": iso(episode.start_ms),
                "acknowledged_by": episode.acknowledged_by,
            }
            for episode in one.firing
        ],
        "as_of": iso(closed.as_of_ms) if closed else None,
        "newest": state.is_newest if state else pair is None,
        "stale": state.stale if state else False,
        **{name: finite(value) for name, value in figures.items()},
        "zscore_provisional": finite(state.zscore_provisional) if state else None,
        "value": finite(one.value),
        "distance_to_entry": finite(one.distance_to_entry),
        "distance_to_exit": finite(one.distance_to_exit),
        "sparkline": closed.figures.recent_z if closed else [],
        "paper": rule.spec.paper,
        "side": position.side if position else None,
        "pnl_open": finite(position.pnl_open) if position else None,
        "pnl_realised": finite(position.pnl_realised) if position else None,
        "warnings": _warnings(one, figures),
    }  # fmt: skip


def _warnings(one: WatchedRule, figures: dict[str, float]) -> list[str]:
    """Why what is null is null, where the rule has a pair."""
    if one.why_no_pair:
        return [f"pair: {one.why_no_pair}"]
    if one.rule.spec.pair is None:
        return []
    if one.pair is None:
        return ["pair: its figures are being computed"]
    lines, closed = list(one.pair.warnings), one.pair.closed
    if closed is None:
        return lines
    reasons = {**closed.reasons, "pvalue_both": closed.reasons.get("cointegration", UNDEFINED)}
    return lines + [
        f"{name}: {reasons.get(name, UNDEFINED)}"
        for name, value in figures.items()
        if not math.isfinite(value)
    ]
