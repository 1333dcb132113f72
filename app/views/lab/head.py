"""What a run is worth, first of all in one sentence, then in figures."""

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from dash import html

from app.services.lab import SweepRun
from app.views.lab.links import form_query, live_link, own_query
from app.views.lab.words import day, known, mean_of, share_words, verdict
from app.views.markup import data, html_text
from app.views.text import NONE, coin, count, plain, time_text

HELP = "/help#what-verdicts-of-the-lab-mean"

Told = Mapping[str, Any]


def verdict_panel(run: SweepRun, told: Told, spec: Told) -> Any:
    """The verdict, and below it of which run it is."""
    said, basis, after, look = verdict(told, spec["notional"])
    best = told["best"]
    load = best and html.A(
        "Best in Live", href=live_link(spec, best["parameters"]), className="btn-small"
    )
    meaning = html.A("What does this mean?", href=HELP, className="btn-small")
    words = html.P([html.Span(basis), html.Span(after)])
    box = html.Div([html.Strong(said), words, load, meaning], className=f"verdict {look}".rstrip())
    return html_text([box, _of_run(run, told, spec)])


def _of_run(run: SweepRun, told: Told, spec: Told) -> html.Div:
    job_id = run.job.job_id
    times = told["bootstrap"]["curve"]["time"]
    since = f" {day(times[0])} – {day(times[-1])}" if times else ""
    costs = 2 * (spec["fee_bps"] + spec["slippage_bps"])
    pair = f"{coin(spec['symbol_a'])} / {coin(spec['symbol_b'])} {spec['timeframe']}"
    words = f", {count(spec['bars'], 'bar')}{since}, {costs:g} bp of costs a round trip"
    cells = math.prod(len(values) for values in told["axes"].values())
    asked = (
        f"{spec['name'] or f'run {job_id}'} of {time_text(run.job.asked_ms)}:"
        f" {count(cells, 'combination')} in {told['elapsed_s']:.1f} s"
    )
    # What is no report yet is first made one.
    report = {"report" if "honesty" in told else "report_of": job_id}
    return html.Div(
        [
            html.Span([html.B(pair), words]),
            html.Small(asked),
            html.A("Change and run again", href=f"/lab?{form_query(spec)}", className="btn-small",
                   title="Every parameter of this run as a link"),
            html.Button("Check honesty", type="button", className="btn-small",
                        title="Of your own parameters", **data(honesty=own_query(spec))),
            html.A("CSV ↓", href=f"/api/jobs/{job_id}/cells.csv", download="",
                   className="btn-small", title="Every combination with its figures"),
            html.Button("Report ↓", type="button", className="btn-small", **data(**report)),
        ],
        className="lab-run",
    )  # fmt: skip


def cards_panel(told: Told, spec: Told) -> Any:
    """Six figures with what to hold them against."""
    best, pbo, walked = told["best"], told["pbo"], told["walk_forward"]
    luck = told["bootstrap"]
    quote = f"of {spec['notional']:,.0f}"
    nets = [value for value in told["metrics"]["avg_pnl"] if value is not None]
    middle = median(nets) / spec["notional"] * 1e4 if nets else math.nan
    segments = walked["segments"] if walked else []
    trained = mean_of([one["is_pnl"] for one in segments])
    tested = mean_of([one["oos_pnl"] for one in segments])
    band = luck and luck["return"]
    amounts = [plain(share * spec["notional"], ",.0f") for share in band] if band else []
    figures = [
        ("reality check p", plain(best["reality_check_p"], ".3f") if best else NONE,
         "under 0.05 would be news"),
        ("chance of overfitting", share_words(pbo["value"]) if pbo else NONE,
         f"{pbo['splits']} splits; 50 % is pure luck" if pbo else ""),
        ("deflated Sharpe", known(best and best["dsr"], ".2f"),
         f"{told['trials_distinct']:,} distinct; very strict on grids"),
        ("trained → tested", f"{plain(trained, '+,.0f')} → {plain(tested, '+,.0f')}",
         f"a segment, {count(len(segments), 'segment')}"),
        ("median of all cells", f"{plain(middle, '+.1f')} bp", "net per trade, in sample"),
        ("yours, other luck 5–95 %", f"{amounts[0]} to {amounts[2]}" if amounts else NONE, quote),
    ]  # fmt: skip
    return html_text(
        [
            html.Article(
                [html.H2(name), html.Strong(value), html.Small(small)], className="card-desk"
            )
            for name, value, small in figures
        ]
    )
