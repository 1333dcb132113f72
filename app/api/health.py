"""How the desk is: `/api/status` for people, and three more routes for what watches it."""

from dataclasses import asdict
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.metrics import CONTENT_TYPE, exposition
from app.api.values import choice, number, text
from app.requests.pair import NoParameters
from app.services import Desk
from app.services.status import DeskStatus
from core.report import to_mapping

ResourcesAnswer = Schema.from_dict(
    {
        "started_ms": fields.Integer(allow_none=True),
        "memory_bytes": fields.Integer(allow_none=True),
        "cpu_share": number("of one core, over the last second"),
    },
    name="Resources",
)
WorkerAnswer = Schema.from_dict(
    {
        "state": text("absent without a worker; silent after 30 s without a heartbeat"),
        "pid": fields.Integer(allow_none=True),
        "heartbeat_age_ms": fields.Integer(allow_none=True),
    },
    name="Worker",
)
ScansAnswer = Schema.from_dict(
    {
        "done": fields.Integer(metadata={"description": "since the analyst's start"}),
        "seconds": fields.Float(),
        "pairs": fields.Integer(),
        "refused": fields.Integer(),
    },
    name="Scans",
)
AnalystAnswer = Schema.from_dict(
    {
        **WorkerAnswer().fields,
        "rules": fields.Integer(metadata={"description": "that are judged"}),
        "late_ms_p99": number(
            "from a bar's end to its judgement being stored; a quiet symbol's bar is known late"
        ),
        "judging_ms_p99": number("of that, from when the bar was there to be judged"),
        "judged": fields.Integer(metadata={"description": "bars since its start, a rule each"}),
        "judged_late": fields.Integer(metadata={"description": "when newer ones had closed"}),
        "fired": fields.Integer(),
        "delivered": fields.Integer(metadata={"description": "messages that have arrived"}),
        "failed": fields.Integer(metadata={"description": "tries that a channel refused"}),
        "ping_ms": fields.Integer(
            allow_none=True, metadata={"description": "when HEARTBEAT_URL was last asked"}
        ),
        "ping_error": text("why it did not answer, or was not asked", null=True),
        "jobs": fields.Dict(
            keys=fields.String(),
            values=fields.Integer(),
            metadata={"description": "by the state that they ended in"},
        ),
        "scans": fields.Nested(ScansAnswer),
        "last_error": text("why nothing is judged at the moment", null=True),
    },
    name="Analyst",
)
FeedAnswer = Schema.from_dict(
    {
        "state": text("live, connecting, down or blocked"),
        "host": text(null=True),
        "age_ms": fields.Integer(allow_none=True),
        "trades_per_s": number(),
        "lag_ms_p50": number(),
        "lag_ms_p99": number(),
        "reconnects": fields.Integer(allow_none=True),
        "last_error": text(null=True),
        "failures": fields.Dict(
            keys=fields.String(),
            values=fields.Integer(),
            metadata={"description": "why connections ended or failed, and how often"},
        ),
        "store_lag_ms_p50": number("received to stored"),
        "store_lag_ms_p99": number(),
        "total_lag_ms_p50": number("event to stored"),
        "total_lag_ms_p99": number(),
        "trades_received": fields.Integer(allow_none=True),
    },
    name="Feed",
)
SymbolFeedAnswer = Schema.from_dict(
    {
        "symbol": text(),
        "last_id": fields.Integer(allow_none=True),
        "last_event_time_ms": fields.Integer(allow_none=True),
        "age_ms": fields.Integer(allow_none=True),
        "subscribed": fields.Boolean(),
        "missing_ids": fields.Integer(),
        "lost_ids": fields.Integer(metadata={"description": "of those, lost for good"}),
        "open_gaps": fields.Integer(),
        "filled_gaps": fields.Integer(),
        "unfillable_gaps": fields.Integer(),
        "status": text("as the exchange lists it: TRADING, BREAK …"),
    },
    name="SymbolFeed",
)
DatabaseAnswer = Schema.from_dict(
    {
        "kind": text(),
        "size_bytes": fields.Integer(allow_none=True),
        "wal_bytes": fields.Integer(allow_none=True),
        "used_bytes": fields.Integer(allow_none=True),
        "free_bytes": fields.Integer(allow_none=True, metadata={"description": "on its disk"}),
        "growth_bytes_per_day": number("null until known"),
        "days_left": number("until the disk is full at this rate; null until known"),
        "notice": text("what a start did to it, such as setting a damaged file aside", null=True),
        "error": text("why it can't be read", null=True),
    },
    name="Database",
)
PausedAnswer = Schema.from_dict(
    {"reason": text("why nothing is written"), "since_ms": fields.Integer()}, name="Paused"
)
BackfillAnswer = Schema.from_dict(
    {"done": fields.Integer(), "total": fields.Integer(), "message": text()}, name="Backfill"
)
ReconciliationAnswer = Schema.from_dict(
    {
        "checked": fields.Integer(metadata={"description": "minutes compared since the start"}),
        "repaired": fields.Integer(),
        "disagreed": fields.Integer(),
        "examples": fields.List(text(), metadata={"description": "the newest disagreements"}),
    },
    name="Reconciliation",
)
StatusAnswer = Schema.from_dict(
    {
        "source": choice(("binance", "simulated", "replay"), null=True),
        "source_reason": text(null=True),
        "worker": fields.Nested(WorkerAnswer),
        "analyst": fields.Nested(AnalystAnswer),
        "resources": fields.Nested(
            Schema.from_dict(
                {
                    "worker": fields.Nested(ResourcesAnswer),
                    "analyst": fields.Nested(ResourcesAnswer),
                },
                name="ResourcesByRole",
            )
        ),
        "feed": fields.Nested(FeedAnswer),
        "symbols": fields.List(fields.Nested(SymbolFeedAnswer)),
        "quarantined": fields.Integer(allow_none=True),
        "queue_depth": fields.Integer(allow_none=True),
        "dropped": fields.Integer(
            allow_none=True, metadata={"description": "trades that found the queue full"}
        ),
        "paused": fields.Nested(PausedAnswer, allow_none=True),
        "backfill": fields.Nested(BackfillAnswer, allow_none=True),
        "symbols_left_out": fields.List(fields.String()),
        "stalled_symbols": fields.List(fields.String()),
        "unjudged_symbols": fields.List(
            fields.String(), metadata={"description": "with ids that they can't have reached"}
        ),
        "odd_rows": fields.Integer(
            allow_none=True, metadata={"description": "of the exchange's answers, passed over"}
        ),
        "request_weight_share": number("of what the exchange allows in a minute"),
        "clock_offset_ms": fields.Integer(
            allow_none=True,
            metadata={"description": "how far our clock is ahead of the exchange's"},
        ),
        "reconciliation": fields.Nested(ReconciliationAnswer, allow_none=True),
        "database": fields.Nested(DatabaseAnswer),
        "kernels": choice(
            ("ready", "preparing"), "of the web process that answers; compiled once on a machine"
        ),
        "redis": choice(
            ("off", "up", "away"), "to the web process that answers; off without REDIS_URL"
        ),
        "now_ms": fields.Integer(),
    },
    name="Status",
)
HealthAnswer = Schema.from_dict({"status": text()}, name="Health")
ReadyAnswer = Schema.from_dict(
    {"ready": fields.Boolean(), "reasons": fields.List(fields.String())}, name="Ready"
)


def health_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("health", __name__, description="For whatever watches the process")

    @routes.get("/api/status")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, StatusAnswer)
    @routes.problems(400, 429)
    def status(values: dict[str, Any]) -> Response:
        """Worker, feed and database; answered without a worker and without a database too."""
        return json_answer(status_json(desk.status.view()))

    @routes.get("/healthz")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, HealthAnswer)
    @routes.problems(400)
    def healthz(values: dict[str, Any]) -> Response:
        """Whether this process answers."""
        return json_answer({"status": "ok"})

    @routes.get("/readyz")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, ReadyAnswer)
    @routes.alt_response(503, schema=ReadyAnswer, description="Not ready; the reasons are given")
    @routes.problems(400)
    def readyz(values: dict[str, Any]) -> Response:
        """Whether the feed is fresh and the database writable."""
        reasons = desk.status.readiness()
        body = {"ready": not reasons, "reasons": reasons}
        return json_answer(body, status=503 if reasons else 200)

    @routes.get("/metrics")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, {"type": "string"}, content_type="text/plain")
    @routes.problems(400)
    def metrics(values: dict[str, Any]) -> Response:
        """The same as `/api/status` for Prometheus, whichever web process answers."""
        return Response(exposition(desk.status.view()), content_type=CONTENT_TYPE)

    return routes


def status_json(status: DeskStatus) -> dict[str, Any]:
    """Body of `/api/status`; ages are as of now."""
    said = to_mapping(status.report)
    feed, space, resources = (said.pop(name) for name in ("feed", "space", "resources"))
    analysis = to_mapping(status.analysis)
    del feed["last_frame_ms"]
    return {
        "source": status.source,
        "source_reason": status.source_reason,
        "worker": asdict(status.worker),
        "resources": {"worker": resources, "analyst": analysis.pop("resources")},
        "analyst": asdict(status.analyst) | analysis,
        "feed": feed | {"age_ms": status.feed_age_ms},
        "symbols": [asdict(symbol) for symbol in status.symbols],
        "database": asdict(status.database) | space,
        "kernels": "preparing" if status.is_preparing else "ready",
        "redis": status.redis,
        "now_ms": status.now_ms,
        **said,
    }
