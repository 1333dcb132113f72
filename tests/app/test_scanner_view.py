"""The Scanner view without a browser: what it says above, in and beside its table."""

import re
from typing import Any

import pytest

from app import create_app
from app.services import Desk
from app.views.scanner import grid, ids
from app.views.scanner.asked import read_asked
from app.views.scanner.grid import block
from app.views.scanner.parts import parts
from core.errors import StoreError
from core.job_spec import read_job_spec
from core.settings import Settings
from ingest.store import jobs
from tests.app.test_scan_api import QUERY, Scanned
from tests.app.test_scan_api import scanned as scanned  # one market for both files
from tests.app.test_scan_api import untested as untested
from tests.support.hours import END_MS

THIN = {"volume": 0}


def said(desk: Desk, **asked: Any) -> dict[str, str]:
    """Every part as text, blanks as one."""
    made = parts(desk, read_asked({**THIN, **asked}))
    return {
        name: " ".join(re.sub(r"<[^>]+>", " ", str(part)).split()) for name, part in made.items()
    }


def test_the_verdict_says_what_passes_and_what_chance_finds(scanned: Scanned) -> None:
    body = scanned.get(f"/analytics/scan?{QUERY}")
    words = said(scanned.desk)
    low, high = body["null_range_p05"]
    assert words[ids.VERDICT].startswith(f"{body['found_q05']} of 28 pairs pass q &lt; 0.05.")
    assert f"counts swing between {low} and {high}." in words[ids.VERDICT]
    assert "half-lives up to 14 bars at q &lt; 0.05, up to 45 at a single p" in words[ids.VERDICT]
    assert "Universe: 8 of 8 symbols have 1,440 bars of 1h · 0 pairs refused" in words[ids.UNIVERSE]
    assert "56 regressions in" in words[ids.UNIVERSE]


def text(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def test_the_grid_s_blocks_are_the_rows_that_the_api_gives(
    scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "BLOCK_ROWS", 20)
    for sort, order in (("p_quarters_median", "asc"), ("zscore", "desc"), ("qvalue", "asc")):
        asked = {**THIN, "sort": sort if order == "asc" else f"-{sort}"}
        for offset in (0, 20):
            made = block(scanned.desk, {**asked, "offset": offset})
            rows = scanned.get(
                f"/analytics/scan?{QUERY}&sort={sort}&order={order}&limit=20&offset={offset}"
            )["rows"]
            assert made["rowCount"] == 28
            assert len(rows) == (20 if offset == 0 else 8)
            assert [row["id"] for row in made["rowData"]] == [
                f"{row['symbol_a']}/{row['symbol_b']}" for row in rows
            ]
            for cells, row in zip(made["rowData"], rows, strict=True):
                assert text(cells["zscore"]) == f"{row['zscore']:+.2f}".replace("-", "−")
                assert text(cells["p_quarters_median"]) == f"{row['p_quarters_median']:.3f}"
                assert cells["qvalue"] == f"{row['qvalue']:.2f}"
                assert ("hub" in cells["flags"]) == ("hub" in row["flags"])


def test_every_column_can_be_filled_and_is_ordered_as_the_api_orders(scanned: Scanned) -> None:
    (row, *_) = block(scanned.desk, THIN)["rowData"]
    columns = {one["field"]: one for one in grid.pairs_grid().columnDefs}
    assert row.keys() == {"id", "link", *columns}
    ordered = [name for name, one in columns.items() if one["sortable"]]
    assert {"p_quarters_median", "qvalue", "zscore", "half_life_bars"} <= set(ordered)
    assert "correlation" not in ordered, "what ranks by correlation earns less than nothing"
    for name in ordered:
        # Pressed first, a column comes in the order in which the API gives it by itself.
        first, second = columns[name]["sortingOrder"]
        rows = scanned.get(f"/analytics/scan?{QUERY}&sort={name}")["rows"]
        asked = {**THIN, "sort": f"{'-' if first == 'desc' else ''}{name}"}
        ids_shown = [one["id"] for one in block(scanned.desk, asked)["rowData"]]
        assert ids_shown == [f"{one['symbol_a']}/{one['symbol_b']}" for one in rows], name
        assert {first, second} == {"asc", "desc"}


def test_blocks_tell_of_which_scan_and_bar_they_are_as_the_head_does(scanned: Scanned) -> None:
    (head,) = re.findall(
        r'data-made="([^"]+)"', str(parts(scanned.desk, read_asked(THIN))[ids.PAIRS])
    )
    assert block(scanned.desk, THIN)["made"] == head
    scan_id, bar_ms = map(int, head.split("/"))
    assert (scan_id, bar_ms) == (scanned.desk.scans.newest("1h", 1_440).scan_id, END_MS)
    without = {"timeframe": "15m"}
    assert block(scanned.desk, without) == {"rowData": [], "rowCount": 0, "made": "0/0"}


def test_a_block_that_can_t_be_read_is_left_out_and_not_told_as_empty(
    scanned: Scanned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*asked: Any) -> None:
        raise StoreError("disk full")

    body = {
        "output": f"{ids.BLOCK}.data",
        "outputs": {"id": ids.BLOCK, "property": "data"},
        "inputs": [{"id": ids.BLOCK_REQUEST, "property": "data", "value": {**THIN, "offset": 0}}],
        "changedPropIds": [f"{ids.BLOCK_REQUEST}.data"],
    }
    told = scanned.client.post("/_dash-update-component", json=body).json
    assert told["response"][ids.BLOCK]["data"]["rowCount"] == 28
    monkeypatch.setattr(scanned.desk.scans, "table", fail)
    told = scanned.client.post("/_dash-update-component", json=body)
    assert (told.status_code, ids.BLOCK in told.text) == (200, False)


def test_a_pair_opens_in_live_over_the_scan_s_own_rows(scanned: Scanned) -> None:
    row = scanned.get(f"/analytics/scan?{QUERY}")["rows"][0]
    a, b = row["symbol_a"], row["symbol_b"]
    cells = block(scanned.desk, THIN)["rowData"][0]
    own = cells["link"]
    assert own.startswith(f"/?symbol_a={a}&symbol_b={b}&")
    assert own.endswith(f"since={END_MS - 1_440 * 3_600_000}")
    foot = str(parts(scanned.desk, read_asked({**THIN, "row": f"{a}/{b}"}))[ids.CHOSEN])
    for place in (cells["pair"], foot):
        assert own.replace("&", "&amp;") in place, "in its row, and below where it was chosen"
    chosen = said(scanned.desk, row=f"{a}/{b}")[ids.CHOSEN]
    assert "Watch Trade on paper p both over 1 scan" in chosen
    assert said(scanned.desk, row="NO/SUCH")[ids.CHOSEN].startswith("↑ ↓ or a click choose")


def test_what_can_t_be_used_is_told_and_the_rest_holds(scanned: Scanned) -> None:
    words = said(scanned.desk, max_q="two", find="hcoin")
    assert "max_q: must be a number from 0 to 1" in words[ids.CONTROLS]
    assert "7 pairs of 28" in words[ids.PAIRS]
    assert read_asked("nonsense") == read_asked({})
    assert "min_quote_volume" in read_asked({"volume": "x"}).refused


def test_thin_pairs_are_left_out_unless_asked_for_and_that_is_said(scanned: Scanned) -> None:
    assert "No pair is like that." in said(scanned.desk, find="nobody")[ids.NOTHING]
    hidden = said(scanned.desk, volume=100)[ids.NOTHING]
    assert "Every pair has a leg that trades under 100 M a day. Show thin pairs, too" in hidden


def test_the_map_shows_every_pair_once_on_each_side(scanned: Scanned) -> None:
    drawn = str(parts(scanned.desk, read_asked(THIN))[ids.MAP])
    assert len(re.findall(r"M\d+ \d+h31v31h-31z", drawn)) == 2 * 28
    assert "Median p and correlation of" in drawn


def test_without_a_scan_every_part_says_so(scanned: Scanned) -> None:
    words = said(scanned.desk, timeframe="15m")
    assert words[ids.UNIVERSE] == "Universe: No scan of 1,440 bars of 15m yet."
    assert words[ids.VERDICT].startswith("Nothing is scanned yet.")
    assert words[ids.NOTHING].endswith("Scan now asks for one.")
    assert "no two symbols have bars of one time" in words[ids.RADAR]
    assert words[ids.FOUND] == "Found over scans None yet."


def test_before_a_first_scan_the_view_says_how_far_the_history_is(scanned: Scanned) -> None:
    for done, words in ((3, "is being fetched, 3 of 10 requests"), (10, "Scan now asks for one")):
        scanned.hours.tell_history(done, 10)
        app = create_app(Settings(), scanned.reader, lambda: scanned.now_s)
        assert words in said(app.server.extensions["pairdesk"], timeframe="15m")[ids.VERDICT]


def test_a_scan_that_could_test_nothing_says_so_and_why(untested: Scanned) -> None:
    words = said(untested.desk)
    assert words[ids.VERDICT] == (
        "No pair could be tested. 3 pairs refused, for the most part: too few rows."
        " The history was still being fetched: a scan follows it."
    )
    assert words[ids.NOTHING].endswith("No pair could be tested.")
    assert "No pair to map." in words[ids.MAP]


def test_radar_cards_are_the_api_s_farthest_pairs(scanned: Scanned) -> None:
    body = scanned.get("/analytics/radar?timeframe=1h&limit=5")
    words = said(scanned.desk)[ids.RADAR]
    assert f"β &gt; 0: {body['far_out']} of 28 pairs" in words
    assert "β &gt; 0: 0 of 28 pairs" in said(scanned.desk, max_q=0)[ids.RADAR]
    for row in body["rows"]:
        name = f"{row['symbol_a'].removesuffix('USDT')} / {row['symbol_b'].removesuffix('USDT')}"
        z = f"{row['zscore']:+.2f}".replace("-", "−")
        assert re.search(f"{name} {'▼' if row['zscore'] > 0 else '▲'} {re.escape(z)} ", words), name
        assert f"over {row['break_even_z']:.2f}" in words


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_shows_how_far_it_is_and_can_be_cancelled(scanned: Scanned, state: str) -> None:
    spec = read_job_spec({"kind": "scan", "timeframe": "5m", "bars": 777}, Settings())
    with scanned.hours.writer.transaction() as tx:
        job_id = jobs.ask(tx, spec, "me", END_MS)
        assert job_id is not None
        if state == "running":
            tx.run("UPDATE jobs SET state = 'running', tries = 1, progress = 0.25 WHERE id = ?",
                   job_id)  # fmt: skip
    try:
        made = parts(scanned.desk, read_asked(THIN))[ids.JOBS]
        (button,) = re.findall(rf'<button[^>]*data-id="{job_id}"[^>]*>', str(made))
        assert 'data-scan="cancel"' in button
        assert "Scan of 777 bars of 5m" in said(scanned.desk)[ids.JOBS]
        if state == "running":
            assert 'value="0.250"' in str(made)
    finally:
        with scanned.hours.writer.transaction() as tx:
            jobs.cancel(tx, job_id, END_MS)
    assert "cancelled" in said(scanned.desk)[ids.JOBS]
