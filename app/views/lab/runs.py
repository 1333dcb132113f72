"""The runs that are kept, the newest first."""

from collections.abc import Sequence
from typing import Any

from dash import html

from app.services import Desk
from app.services.lab import SweepRun
from app.views.lab.words import known
from app.views.markup import data, html_text, table
from app.views.text import NONE, coin, time_text
from ingest.store.reader import StoredJob


def runs_panel(desk: Desk, runs: Sequence[StoredJob], shown: SweepRun | None) -> Any:
    """What can be shown, compared, or cancelled."""
    rows = []
    for job in runs:
        values = desk.lab.values(job)
        told = desk.lab.summary(job)
        pair = (
            ""
            if values is None
            else (f"{coin(values['symbol_a'])} / {coin(values['symbol_b'])} {values['timeframe']}")
        )
        state: Any = job.state
        if job.state in ("queued", "running"):
            state = html.Button("Cancel", className="btn-small", type="button",
                                **data(lab_do="cancel", id=job.job_id))  # fmt: skip
        rows.append(
            html.Tr(
                [
                    html.Td(time_text(job.asked_ms), className="left"),
                    html.Td(str(job.body.get("name") or ""), className="left"),
                    html.Td(pair, className="left"),
                    html.Td(f"{told.trials:,}" if told else f"{100 * job.progress:.0f} %"),
                    html.Td(known(told.reality_check_p, ".2f") if told else state),
                    html.Td(known(told.tested_net, "+,.0f") if told else NONE),
                    html.Td(_beside(job, shown)),
                ],
                className="on" if shown and shown.job.job_id == job.job_id else "",
                tabIndex=0,
                **data(ask="run", value=job.job_id, key=job.job_id),
            )
        )
    columns = ("asked, UTC", "name", "pair", "cells", "noise p", "tested", "")
    head = html.Div(html.H2(["Runs", html.Small("the newest first")]), className="panel-head")
    if not rows:
        return html_text([head, html.P("What you run is kept here.", className="empty")])
    return html_text([head, table(columns, rows, "runs", columns[:3])])


def _beside(job: StoredJob, shown: SweepRun | None) -> Any:
    """What puts a run beside the one that is shown."""
    if job.state != "done" or shown is None or shown.told is None or shown.job.job_id == job.job_id:
        return None
    return html.Button("Compare", className="btn-small", type="button",
                       **data(ask="other", value=job.job_id))  # fmt: skip
