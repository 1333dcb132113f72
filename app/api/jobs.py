"""`/api/jobs`: long work that is done beside the desk."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import orjson
from flask import Response
from marshmallow import INCLUDE, Schema, fields

from app.api.blueprint import ApiBlueprint, json_answer
from app.api.rights import rights
from app.api.spreadsheets import CSV, csv_answer, csv_text
from app.api.values import choice, iso, moment, number, text
from app.requests.jobs import JobBody, JobsParameters
from app.requests.pair import NoParameters
from app.services import Desk
from app.services.refusals import NotThere
from core.grid_spec import AXES
from core.pair_spec import PAIR_PARAMETERS
from ingest.store.jobs import STATES
from ingest.store.reader import StoredJob

_SPEC: fields.Field[Any] = fields.Dict(
    keys=fields.String(),
    values=fields.Raw(
        metadata={
            "nullable": True,
            "anyOf": [
                *({"type": kind} for kind in ("number", "string", "boolean")),
                {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "string"}]}},
            ],
        }
    ),
    metadata={"description": "every parameter as used"},
)
JobAnswer = Schema.from_dict(
    {
        "id": fields.Integer(),
        "kind": text(),
        "spec": _SPEC,
        "state": choice(STATES),
        "progress": fields.Float(metadata={"description": "from 0 to 1"}),
        "message": text("what it does, or why it failed"),
        "elapsed_s": number("of the last try; null before the first"),
        "tries": fields.Integer(metadata={"description": "processes that were started for it"}),
        "asked": moment("when it was asked for"),
        "asked_by": text("who has signed in or which key; schedule for the desk's own scans"),
        "ended": moment("when it ended", null=True),
    },
    name="Job",
)
RESULT_HEAD = ("kind", "state", "progress", "spec")
JobsAnswer = Schema.from_dict({"jobs": fields.List(fields.Nested(JobAnswer))}, name="Jobs")


class JobResultAnswer(Schema):
    """What came of a job: these, and what is of its kind."""

    class Meta:
        unknown = INCLUDE

    job_id = fields.Integer()
    kind = text()
    state = choice(STATES)
    progress = fields.Float()
    spec = _SPEC


def job_routes(desk: Desk) -> ApiBlueprint:
    """Bind the routes to a desk."""
    routes = ApiBlueprint("jobs", __name__, url_prefix="/api/jobs", description="Long work")

    def answer(job: StoredJob) -> dict[str, Any]:
        return _job(job, desk.jobs.elapsed_s(job))

    @routes.get("")
    @routes.arguments(JobsParameters, location="query")
    @routes.response(200, JobsAnswer)
    @routes.problems(400, 429, 503)
    def jobs(values: dict[str, Any]) -> Response:
        """Jobs and how they stand, the last one asked for first."""
        found = desk.jobs.jobs(values["kind"], values["limit"])
        return json_answer({"jobs": [answer(one) for one in found]})

    @routes.post("")
    @routes.arguments(JobBody, location="json")
    @routes.response(202, JobAnswer)
    @routes.problems(400, 403, 404, 415, 429, 503)
    def ask_job(given: dict[str, Any]) -> Response:
        """Have a job done; one that waits for the same already stands for it."""
        return json_answer(answer(desk.jobs.ask(given, rights().visitor().name or "")), 202)

    @routes.get("/<int:job_id>")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, JobAnswer)
    @routes.problems(400, 404, 429, 503)
    def job(values: dict[str, Any], job_id: int) -> Response:
        """How one job stands."""
        return json_answer(answer(desk.jobs.job(job_id)))

    @routes.delete("/<int:job_id>")
    @routes.response(204)
    @routes.problems(403, 404, 429, 503)
    def cancel_job(job_id: int) -> Response:
        """Cancel a job; one that has ended stays as it is."""
        desk.jobs.cancel(job_id)
        return Response(status=204)

    @routes.get("/<int:job_id>/result")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, JobResultAnswer)
    @routes.problems(400, 404, 429, 503)
    def job_result(values: dict[str, Any], job_id: int) -> Response:
        """What came of a job."""
        result, told = desk.jobs.result(job_id), answer(desk.jobs.job(job_id))
        head = {"job_id": job_id} | {name: told[name] for name in RESULT_HEAD}
        return json_answer(head | orjson.loads(result))

    @routes.get("/<int:job_id>/cells.csv")
    @routes.arguments(NoParameters, location="query")
    @routes.response(200, CSV, content_type="text/csv")
    @routes.problems(400, 404, 429, 503)
    def cells(values: dict[str, Any], job_id: int) -> Response:
        """Each combination of a sweep with its figures as CSV; empty where a rule is not there."""
        run = desk.lab.run(job_id)
        if run.told is None:
            raise NotThere(f"job {job_id} has no result: it is {run.job.state}")
        columns = (*AXES, *run.told["metrics"])
        return csv_answer(csv_text(columns, _cell_rows(run.told)), f"sweep-{job_id}.csv")

    return routes


def _job(job: StoredJob, elapsed_s: float | None) -> dict[str, Any]:
    body = dict(job.body)
    return {
        "id": job.job_id,
        "kind": body.pop("kind"),
        "spec": body,
        "state": job.state,
        "progress": job.progress,
        "message": job.message,
        "elapsed_s": elapsed_s,
        "tries": job.tries,
        "asked": iso(job.asked_ms),
        "asked_by": job.asked_by,
        "ended": iso(job.ended_ms),
    }


def _cell_rows(told: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Values of the axes, then the figures; a hedge window that follows its window as it was."""
    cells = product(*(told["axes"][name] for name in AXES))
    figures = zip(*told["metrics"].values(), strict=True)
    for values, figure in zip(cells, figures, strict=True):
        at = dict(zip(AXES, values, strict=True))
        if at["hedge_window"] is None:
            at["hedge_window"] = PAIR_PARAMETERS["hedge_window"].default.value(at)
        yield [*at.values(), *figure]
