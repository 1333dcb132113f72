"""`/api/alerts`: what fired, how it ended and who was told."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.spreadsheets import CSV, csv_answer, csv_text
from app.api.values import choice, finite, iso, judged, moment, next_page, number, text
from app.requests.rules import AcknowledgeBody, AlertsParameters, both_legs
from app.services import Desk
from core.rule_spec import KINDS
from core.timeframes import TIMEFRAMES
from ingest.store.reader import StoredEpisode
from ingest.store.rules import StoredRule

DeliveryAnswer = Schema.from_dict(
    {
        "channel": text(),
        "event": choice(("fired", "resolved")),
        "state": choice(("pending", "delivered")),
        "attempts": fields.Integer(),
        "error": text("why it has not arrived yet", null=True),
        "next_attempt": moment(null=True),
        "delivered": moment(null=True),
    },
    name="Delivery",
)
AlertAnswer = Schema.from_dict(
    {
        "id": fields.Integer(),
        "rule_id": fields.Integer(),
        "version": fields.Integer(metadata={"description": "of the rule when it fired"}),
        "kind": choice(KINDS),
        "symbol_a": text(null=True),
        "symbol_b": text(null=True),
        "timeframe": choice(TIMEFRAMES, null=True),
        "direction": text("long_spread, short_spread, below, above, no_data or what is wrong"),
        "state": choice(("firing", "recovering", "resolved")),
        "outcome": text("how it ended"),
        "start_time": moment("open time of the bar that it fired at"),
        "end_time": moment(null=True),
        "z_at_start": number("z, or the figure that is watched"),
        "z_peak": number(),
        "z_at_end": number(),
        "words": text("why it fired"),
        "values": judged("all that it fired on"),
        "told": moment("when its message went out; null while it is held back", null=True),
        "acknowledged_by": text(null=True),
        "acknowledged": moment(null=True),
        "late": fields.Boolean(metadata={"description": "judged when newer bars had closed"}),
        "revised": fields.Boolean(metadata={"description": "a bar it hung on was rewritten since"}),
        "link": text("path of the page with the rule's own series"),
        "deliveries": fields.List(fields.Nested(DeliveryAnswer)),
    },
    name="Alert",
)
AlertsAnswer = Schema.from_dict(
    {
        "alerts": fields.List(fields.Nested(AlertAnswer)),
        "next": next_page(),
    },
    name="Alerts",
)

CSV_COLUMNS = (
    "id", "rule_id", "version", "kind", "symbol_a", "symbol_b", "timeframe", "direction", "state",
    "outcome", "start_time", "end_time", "z_at_start", "z_peak", "z_at_end", "words", "told",
    "acknowledged_by", "acknowledged", "late", "revised", "link",
)  # fmt: skip


def alert_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("alerts", __name__, url_prefix="/api/alerts", description="Found")

    @routes.get("")
    @routes.arguments(AlertsParameters, location="query")
    @routes.response(200, AlertsAnswer)
    @routes.problems(400, 429, 503)
    def alerts(values: dict[str, Any]) -> Response:
        """What fired, newest first, with its reasons and deliveries."""
        found = _found(desk, values)
        last = found[-1].episode_id if len(found) == values["limit"] else None
        return json_answer({"alerts": _alerts(desk, found), "next": last})

    @routes.get("/history.csv")
    @routes.arguments(AlertsParameters, location="query")
    @routes.response(200, CSV, content_type="text/csv")
    @routes.problems(400, 429, 503)
    def history(values: dict[str, Any]) -> Response:
        """The same as CSV, a row an alert, without its deliveries' details."""
        found = _alerts(desk, _found(desk, values))
        rows = [[*(one[name] for name in CSV_COLUMNS), _delivered(one)] for one in found]
        return csv_answer(csv_text((*CSV_COLUMNS, "delivered"), rows), "alerts.csv")

    @routes.post("/<int:alert_id>/acknowledge")
    @routes.arguments(AcknowledgeBody, location="json")
    @routes.response(200, AlertAnswer)
    @routes.problems(400, 403, 404, 415, 429, 503)
    def acknowledge(values: dict[str, Any], alert_id: int) -> Response:
        """Keep an alert quiet until it resolves; the first word stands."""
        desk.alerts.acknowledge(alert_id, values["by"])
        found = desk.alerts.reader.alert(alert_id)
        return json_answer(_alerts(desk, [found] if found else [])[0])

    return routes


def _found(desk: Desk, values: dict[str, Any]) -> list[StoredEpisode]:
    return desk.alerts.reader.alerts(
        rule_id=values["rule_id"],
        kind=values["kind"],
        symbols=both_legs(values),
        since_ms=values["since"],
        still_open=values["state"] == "open",
        before_id=values["before"],
        limit=values["limit"],
    )


def _delivered(alert: dict[str, Any]) -> str:
    """Each channel with how its message stands, and after how many tries."""
    return "; ".join(
        f"{sent['channel']} {sent['event']} {sent['state']} {sent['attempts']}"
        for sent in alert["deliveries"]
    )


def _alerts(desk: Desk, found: list[StoredEpisode]) -> list[dict[str, Any]]:
    rules = dict[tuple[int, int], StoredRule | None]()
    told = []
    for one in found:
        key = one.rule_id, one.version
        if key not in rules:
            rules[key] = desk.alerts.reader.rule(*key)
        rule = rules[key]
        told.append(_alert(one, rule.link_of(one.symbol_a, one.symbol_b) if rule else "/"))
    return told


def _alert(one: StoredEpisode, link: str) -> dict[str, Any]:
    return {
        "id": one.episode_id,
        "rule_id": one.rule_id,
        "version": one.version,
        "kind": one.kind,
        "symbol_a": one.symbol_a,
        "symbol_b": one.symbol_b,
        "timeframe": one.timeframe,
        "direction": one.direction,
        "state": one.state,
        "outcome": one.outcome,
        "start_time": iso(one.start_ms),
        "end_time": iso(one.end_ms),
        **{
            f"z_{name}": None if value is None else finite(value)
            for name, value in (
                ("at_start", one.value_at_start),
                ("peak", one.value_peak),
                ("at_end", one.value_at_end),
            )
        },
        "words": one.words,
        "values": one.values,
        "told": iso(one.told_ms),
        "acknowledged_by": one.acknowledged_by,
        "acknowledged": iso(one.acknowledged_ms),
        "late": one.late,
        "revised": one.revised,
        "link": link,
        "deliveries": [
            {
                "channel": sent.channel,
                "event": sent.event,
                "state": sent.state,
                "attempts": sent.attempts,
                "error": sent.error,
                "next_attempt": iso(sent.next_ms) if sent.state == "pending" else None,
                "delivered": iso(sent.delivered_ms),
            }
            for sent in one.deliveries
        ],
    }
