"""The Lab as a user meets it: run a sweep, see it come, open a cell in Live."""

import csv
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import expect

from core.grid_spec import AXES
from core.job_spec import JobSpec, read_job_spec
from core.settings import Settings
from ingest.analysis import honesty
from ingest.analysis.job import WORK
from ingest.analysis.work import Work
from ingest.store import jobs
from ingest.store.reader import Reader

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]

LOOKS = ("backgroundColor", "boxSizing", "color", "fontFamily", "fontSize", "fontVariantNumeric")
LOOK_OF_ALL = """look => [...document.querySelectorAll(
    ".panel-desk:has(svg, .heat), .panel-desk:has(svg, .heat) :is(h2, p, svg, text, td)"
)].map((one) => getComputedStyle(one)[look])"""
"""One property of all that is drawn or said in frames that the report has."""


def do_what_waits(desk: Any) -> JobSpec:
    """Do the newest job that the page has asked for, as the analyst's child would."""
    reader = Reader(desk.database_url)
    job = reader.jobs(None, 1)[0]
    with desk.writer.transaction() as tx:
        jobs.claim(tx, "lab", desk.now_ms)
    spec = read_job_spec(job.body, Settings())
    told, words = WORK[spec.kind](Work(Settings(), reader, desk.writer, job.job_id, 1, spec))
    packed = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
    with desk.writer.transaction() as tx:
        jobs.finish(tx, job.job_id, 1, packed, words, desk.now_ms)
    reader.close()
    return spec


def test_a_sweep_is_run_from_the_form_and_what_came_of_it_is_on_the_page(
    start_desk: Callable[..., Any], open_screen: Callable[..., Any]
) -> None:
    desk = start_desk()
    screen = open_screen()
    page = screen.page
    page.goto(
        f"{desk.url}/lab?symbol_a=BTCUSDT&symbol_b=ETHUSDT&timeframe=1m&window=30&hedge_window=60"
    )
    page.fill("[data-lab-field=bars]", "600")
    page.fill("[data-lab-field=train_bars]", "200")
    page.fill("[data-lab-field=window_values]", "20, 30")
    page.fill("[data-lab-field=entry_z_values]", "1 to 40 by 1")
    expect(page.locator("#lab-count")).to_contain_text("✕ Entry z: must be up to 1,000 values")
    page.fill("[data-lab-field=entry_z_values]", "1, 1.5, 2")
    page.fill("[data-lab-field=hedge_values]", "ols, ratio")
    expect(page.locator("#lab-count")).to_contain_text("36 combinations × 600 bars")
    page.click("[data-lab-do=run]")
    expect(page.locator("#lab-verdict")).to_contain_text("Sweeping")
    spec = do_what_waits(desk)
    assert spec.values["hedge_window"] == 60, "what the link says and no field holds is lost"
    # Fifteen hours of minutes: hourly returns are too few, and that is said in place of a p.
    expect(page.locator("#lab-verdict strong")).to_have_text(
        "Can't say: too few returns to judge luck."
    )
    assert page.locator("#lab-map td a").count() == 6
    page.click("[data-ask=metric][data-value=trades]")
    expect(page.locator("#lab-map h2")).to_contain_text("Closed trades")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert screen.serious() == []
    page.click("#theme-toggle")
    assert screen.serious() == []
    page.select_option("[data-ask=across]", "hedge")
    expect(page.locator("#lab-map tfoot th").first).to_have_text("hedge")
    expect(page.locator("#lab-map td a")).to_have_count(4)
    page.select_option("[data-ask=across]", "entry_z")
    expect(page.locator("#lab-map td a")).to_have_count(6)
    page.locator("#lab-map td a").first.click()
    screen.wait_for_charts()
    expect(page.locator("#control-window")).to_have_value("20")
    expect(page.locator("#control-entry-z")).to_have_value("1")
    assert screen.complaints == []


def test_runs_are_named_compared_linked_and_saved_as_a_page_that_stands_alone(
    start_desk: Callable[..., Any],
    open_screen: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(honesty, "RUNS", 10)
    desk = start_desk()
    screen = open_screen()
    page = screen.page
    page.goto(f"{desk.url}/lab?symbol_a=BTCUSDT&symbol_b=ETHUSDT&timeframe=1m&window=20")
    for field, value in {
        "bars": "600", "train_bars": "200", "window_values": "20, 30", "entry_z_values": "1, 2",
        "hedge_values": "ols", "exit_z_values": "0",
    }.items():  # fmt: skip
        page.fill(f"[data-lab-field={field}]", value)
    for name in ("first try", "dear fills"):
        page.fill("[data-lab-field=name]", name)
        page.click("[data-lab-do=run]")
        expect(page.locator("#lab-verdict")).to_contain_text("Sweeping")
        do_what_waits(desk)
        expect(page.locator("#lab-runs tr.on")).to_contain_text(name)
        expect(page.locator("#lab-runs tr.on")).not_to_contain_text("Cancel")
    shown = page.evaluate("location.hash")
    page.click("#lab-runs button:has-text('Compare')")
    expect(page.locator("#lab-compare h2")).to_contain_text("dear fills beside first try")
    expect(page.locator("#lab-compare tbody tr")).to_have_count(10)
    page.reload()
    expect(page.locator("#lab-runs tr.on")).to_contain_text("dear fills")
    assert page.evaluate("location.hash") == shown

    job_id = int(shown.rpartition("-")[2])
    told = page.evaluate(f"fetch('/api/jobs/{job_id}/result').then((answer) => answer.json())")
    with page.expect_download() as saved:
        page.click("text=CSV ↓")
    with Path(saved.value.path()).open(newline="") as table:
        rows = list(csv.DictReader(table))
    cells = list(product(*(told["axes"][name] for name in AXES)))
    assert len(rows) == len(cells) == 4
    for place, (row, values) in enumerate(zip(rows, cells, strict=True)):
        at = dict(zip(AXES, values, strict=True))
        assert (float(row["window"]), float(row["entry_z"])) == (at["window"], at["entry_z"])
        assert int(row["hedge_window"]) == 5 * at["window"]
        assert row["stop_z"] == ""
        for name, figures in told["metrics"].items():
            assert (float(row[name]) if row[name] else None) == figures[place], name

    with page.expect_download() as saved:
        page.click("[data-report-of]")
        expect(page.locator("#lab-verdict")).to_contain_text("Sweeping")
        do_what_waits(desk)
    shown = page.evaluate("location.hash")
    file = tmp_path / "report.html"
    saved.value.save_as(file)
    verdict = page.inner_text("#lab-verdict strong")
    alone = page.context.new_page()
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert alone.inner_text("#lab-verdict strong") == verdict
    assert alone.locator("#lab-honest li").count() == page.locator("#lab-honest li").count() > 0
    assert "down: window" in alone.inner_text("#lab-map .axes")
    assert alone.locator("svg.lab-drawing").count() == page.locator("svg.lab-drawing").count() > 2
    assert alone.locator("button, input, select, script").count() == 0
    assert alone.locator("td:text-is('entry_z_values') + td").inner_text() == "1,2"
    back = alone.locator("header a").get_attribute("href")
    assert back == f"{desk.url}/lab{shown}"
    for look in LOOKS:
        assert alone.evaluate(LOOK_OF_ALL, look) == page.evaluate(LOOK_OF_ALL, look), look
    assert alone.inner_text("h1") == "BTCUSDT / ETHUSDT 1m: dear fills"
    for width in (390, 1440):
        alone.set_viewport_size({"width": width, "height": 844})
        assert alone.evaluate("document.documentElement.scrollWidth") == width
    alone.emulate_media(media="print")
    assert alone.evaluate("getComputedStyle(document.body).color") == "rgb(22, 28, 40)"
    again = alone.locator("text=Change and run again").get_attribute("href")
    page.goto(back)
    expect(page.locator("#lab-runs tr.on")).to_contain_text("dear fills")
    page.goto(again)
    expect(page.locator("[data-lab-field=entry_z_values]")).to_have_value("1.0, 2.0")
    expect(page.locator("[data-lab-field=name]")).to_have_value("dear fills")
    expect(page.locator("[data-lab-field=stop_z_values]")).to_have_value("none")
    assert screen.complaints == []
