"""The Lab as a user meets it: run a sweep, see it come, open a cell in Live."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from playwright.sync_api import expect

from core.job_spec import read_job_spec
from core.settings import Settings
from ingest.analysis.lab import sweep_pair
from ingest.analysis.work import Work
from ingest.store import jobs
from ingest.store.reader import Reader

pytestmark = [
    pytest.mark.browser,
    # flask-compress leaves closing a streamed asset to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


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
    reader = Reader(desk.database_url)
    (job,) = reader.jobs("sweep", 5)
    with desk.writer.transaction() as tx:
        jobs.claim(tx, "lab", desk.now_ms)
    spec = read_job_spec(job.body, Settings())
    assert spec.values["hedge_window"] == 60, "what the link says and no field holds is lost"
    told, words = sweep_pair(Work(Settings(), reader, desk.writer, job.job_id, 1, spec))
    packed = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
    with desk.writer.transaction() as tx:
        jobs.finish(tx, job.job_id, 1, packed, words, desk.now_ms)
    reader.close()
    # Fifteen hours of minutes: hourly returns are too few, and that is said in place of a p.
    expect(page.locator("#lab-verdict strong")).to_have_text(
        "Can't say: too few returns to judge luck."
    )
    assert page.locator("#lab-map td a").count() == 6
    page.click("[data-ask=metric][data-value=trades]")
    expect(page.locator("#lab-map h2")).to_contain_text("Closed trades")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert screen.serious("#lab-main") == []
    page.click("#theme-toggle")
    assert screen.serious("#lab-main") == []
    page.locator("#lab-map td a").first.click()
    screen.wait_for_charts()
    expect(page.locator("#control-window")).to_have_value("20")
    expect(page.locator("#control-entry-z")).to_have_value("1")
    assert screen.complaints == []
