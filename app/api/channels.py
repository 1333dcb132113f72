"""`/api/channels`: how the channels are that alerts go to, by name; no address is ever told."""

from typing import Any, get_args

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.values import choice, iso, moment, text
from app.requests.pair import NoParameters
from app.requests.rules import TestBody
from app.services import Desk
from app.services.channels import ChannelState, DeadMansSwitch, State
from core.report import AnalystReport
from ingest.store.reader import ChannelTest

TestAnswer = Schema.from_dict(
    {
        "asked": moment(),
        "state": choice(("pending", "arrived", "refused"), "pending until the analyst has sent it"),
        "tried": moment(null=True),
        "error": text("why it was refused", null=True),
    },
    name="ChannelTest",
)
ChannelAnswer = Schema.from_dict(
    {
        "name": text(),
        "configured": fields.Boolean(metadata={"description": "ALERT_CHANNELS names it"}),
        "state": choice(get_args(State), "waiting: a message is on its way"),
        "last_sent": moment("when a message last arrived", null=True),
        "sent_24h": fields.Integer(metadata={"description": "messages that arrived"}),
        "retried_24h": fields.Integer(metadata={"description": "of those, not at the first try"}),
        "failed_24h": fields.Integer(
            metadata={"description": "messages that were refused and have not arrived yet"}
        ),
        "waiting": fields.Integer(metadata={"description": "messages that are kept"}),
        "down_since": moment("since when it refuses", null=True),
        "error": text("why", null=True),
        "next_try": moment(null=True),
        "test": fields.Nested(TestAnswer, allow_none=True),
    },
    name="Channel",
)
HeartbeatAnswer = Schema.from_dict(
    {
        "configured": fields.Boolean(metadata={"description": "HEARTBEAT_URL is set"}),
        "asked": moment("when it was last asked", null=True),
        "error": text("why it did not answer, or was not asked", null=True),
        "test": fields.Nested(TestAnswer, allow_none=True),
    },
    name="Heartbeat",
)
ChannelsAnswer = Schema.from_dict(
    {
        "channels": fields.List(fields.Nested(ChannelAnswer)),
        "heartbeat": fields.Nested(HeartbeatAnswer),
    },
    name="Channels",
)


def channel_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("channels", __name__, url_prefix="/api/channels", description="Told")

    @routes.get("")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, ChannelsAnswer)
    @routes.problems(400, 429, 503)
    def channels(values: dict[str, Any]) -> Response:
        """Every channel with what it took and what waits, and the dead man's switch."""
        analysis = desk.status.view().analysis
        return json_answer(
            {
                "channels": [channel_json(one) for one in desk.channels.view()],
                "heartbeat": _heartbeat_json(desk.channels.heartbeat(), analysis),
            }
        )

    @routes.post("/<name>/test")
    @routes.arguments(TestBody, location="json")
    @routes.response(202, ChannelAnswer)
    @routes.problems(400, 403, 404, 415, 429, 503)
    def try_channel(values: dict[str, Any], name: str) -> Response:
        """Have the analyst send a message that only tries the channel; `test` tells what came."""
        return json_answer(channel_json(desk.channels.ask_test(name)), 202)

    return routes


def heartbeat_routes(desk: Desk) -> ApiBlueprint:
    """Bind the route of the dead man's switch: it is no channel, which could have its name."""
    routes = ApiBlueprint("heartbeat", __name__, url_prefix="/api/heartbeat", description="Told")

    @routes.post("/test")
    @routes.arguments(TestBody, location="json")
    @routes.response(202, HeartbeatAnswer)
    @routes.problems(400, 403, 404, 415, 429, 503)
    def try_heartbeat(values: dict[str, Any]) -> Response:
        """Have the analyst ask HEARTBEAT_URL now; `test` in `/api/channels` tells what came."""
        heartbeat, analysis = desk.channels.ask_heartbeat(), desk.status.view().analysis
        return json_answer(_heartbeat_json(heartbeat, analysis), 202)

    return routes


def _heartbeat_json(one: DeadMansSwitch, analysis: AnalystReport) -> dict[str, Any]:
    return {
        "configured": one.is_configured,
        "asked": iso(analysis.ping_ms),
        "error": analysis.ping_error,
        "test": _test_json(one.test),
    }


def channel_json(one: ChannelState) -> dict[str, Any]:
    """One channel of `/api/channels`."""
    health = one.health
    return {
        "name": one.name,
        "configured": one.is_configured,
        "state": one.state,
        "last_sent": iso(health.delivered_ms) if health else None,
        "sent_24h": health.delivered_since if health else 0,
        "retried_24h": health.retried_since if health else 0,
        "failed_24h": health.failed_since if health else 0,
        "waiting": health.pending if health else 0,
        "down_since": iso(health.failing_since_ms) if health else None,
        "error": health.error if health else None,
        "next_try": iso(health.next_ms) if health else None,
        "test": _test_json(one.test),
    }


def _test_json(test: ChannelTest | None) -> dict[str, Any] | None:
    if test is None:
        return None
    return {
        "asked": iso(test.asked_ms),
        "state": "pending" if test.tried_ms is None else "refused" if test.error else "arrived",
        "tried": iso(test.tried_ms),
        "error": test.error,
    }
