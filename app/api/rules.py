"""`/api/rules`: what the desk watches, and why each bar did or did not fire."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.values import choice, iso, judged, moment, next_page, text
from app.requests.fields import answer_field
from app.requests.rules import RuleBody, RulesParameters, WhyParameters, both_legs
from app.services import Desk
from app.services.alerts import Chosen
from core.episodes import Shown
from core.rule_spec import EVERY_PARAMETER, rule_body
from ingest.store.reader import Decided, Standing
from ingest.store.rules import StoredRule

RuleAnswer = Schema.from_dict(
    {
        "id": fields.Integer(),
        "version": fields.Integer(metadata={"description": "one more with each edit"}),
        "born": moment("open time of the bar that its signal and paper begin at"),
        "made": moment("when this version was made"),
        "link": text("path of the page with its own series"),
        "state": choice(get_args(Shown), "null before a first bar", null=True),
        "words": text("why the last bar did or did not fire", null=True),
        "judged": moment("open time of the last bar judged", null=True),
        **{name: answer_field(entry) for name, entry in EVERY_PARAMETER.items()},
    },
    name="Rule",
)
RulesAnswer = Schema.from_dict(
    {"rules": fields.List(fields.Nested(RuleAnswer)), "next": next_page("after")}, name="Rules"
)
DecisionAnswer = Schema.from_dict(
    {
        "time": moment("open time of the bar"),
        "version": fields.Integer(),
        "state": choice(get_args(Shown)),
        "words": text(),
        "values": judged("all that it hung on"),
        "eventful": fields.Boolean(metadata={"description": "something fired, was told or ended"}),
        "late": fields.Boolean(metadata={"description": "judged when newer bars had closed"}),
    },
    name="Decision",
)
WhyAnswer = Schema.from_dict(
    {
        "rule_id": fields.Integer(),
        "decisions": fields.List(fields.Nested(DecisionAnswer)),
        "next": next_page(),
    },
    name="Why",
)


def rule_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("rules", __name__, url_prefix="/api/rules", description="Watched")

    @routes.get("")
    @routes.arguments(RulesParameters, location="query")
    @routes.response(200, RulesAnswer)
    @routes.problems(400, 429, 503)
    def rules(values: dict[str, Any]) -> Response:
        """The rules in force with where they stand, paused ones too, oldest first."""
        enabled = {"enabled": True, "paused": False}.get(values["state"])
        chosen = Chosen(values["rule_id"], values["kind"], both_legs(values), enabled)
        found, after = page_of(desk.alerts.rules(chosen), values)
        standings = desk.alerts.reader.standings()
        told = [_rule(one, standings.get(one.rule_id)) for one in found]
        return json_answer({"rules": told, "next": after})

    @routes.post("")
    @routes.arguments(RuleBody, location="json")
    @routes.response(201, RuleAnswer)
    @routes.problems(400, 403, 404, 415, 429, 503)
    def create_rule(given: dict[str, Any]) -> Response:
        """Make a rule; it begins at the bar that is forming now."""
        return json_answer(_rule(desk.alerts.create(given), None), 201)

    @routes.patch("/<int:rule_id>")
    @routes.arguments(RuleBody, location="json")
    @routes.response(200, RuleAnswer)
    @routes.problems(400, 403, 404, 415, 429, 503)
    def edit_rule(given: dict[str, Any], rule_id: int) -> Response:
        """Change what is given of a rule, as a new version that announces nothing again."""
        edited = desk.alerts.edit(rule_id, given)
        return json_answer(_rule(edited, desk.alerts.reader.standings().get(rule_id)))

    @routes.delete("/<int:rule_id>")
    @routes.response(204)
    @routes.problems(403, 404, 429, 503)
    def delete_rule(rule_id: int) -> Response:
        """Judge a rule no more; what it found stays."""
        desk.alerts.delete(rule_id)
        return Response(status=204)

    @routes.get("/<int:rule_id>/why")
    @routes.arguments(WhyParameters, location="query")
    @routes.response(200, WhyAnswer)
    @routes.problems(400, 404, 429, 503)
    def why(values: dict[str, Any], rule_id: int) -> Response:
        """Every decision with its values and the reason in words, newest first."""
        desk.alerts.rule(rule_id)
        limit = values["limit"]
        found = desk.alerts.reader.decisions(
            rule_id, since_ms=values["since"], before_ms=values["before"], limit=limit
        )
        last = found[-1].open_time_ms if len(found) == limit else None
        decisions = [_decision(one) for one in found]
        return json_answer({"rule_id": rule_id, "decisions": decisions, "next": last})

    return routes


def page_of(
    found: Sequence[StoredRule], values: Mapping[str, Any]
) -> tuple[list[StoredRule], int | None]:
    """One page of what was found, by id, and after which rule the next one begins."""
    rest = [rule for rule in found if rule.rule_id > (values["after"] or 0)]
    page = rest[: values["limit"]]
    return page, page[-1].rule_id if len(rest) > len(page) else None


def _decision(one: Decided) -> dict[str, Any]:
    return {
        "time": iso(one.open_time_ms),
        "version": one.version,
        "state": one.shown,
        "words": one.words,
        "values": one.values,
        "eventful": one.eventful,
        "late": one.late,
    }


def _rule(rule: StoredRule, standing: Standing | None) -> dict[str, Any]:
    body = rule_body(rule.spec)
    every = dict.fromkeys(EVERY_PARAMETER) | body | {"mute_until": iso(body["mute_until"])}
    return {
        "id": rule.rule_id,
        "version": rule.version,
        "born": iso(rule.born_ms),
        "made": iso(rule.made_ms),
        "link": rule.link,
        "state": standing.shown if standing else None,
        "words": standing.words if standing else None,
        "judged": iso(standing.judged_ms) if standing else None,
        **every,
    }
