"""The Lab view without a browser: what is tried, what came of it, in what words."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import orjson
import pytest
from markupsafe import escape

from app.services import Desk, open_desk
from app.views.lab import ids
from app.views.lab.asked import Asked, read_asked
from app.views.lab.heat import axes_shown, medians
from app.views.lab.parts import parts
from app.views.lab.words import verdict
from app.views.text import plain
from core.grid_spec import AXES
from core.job_spec import read_job_spec
from core.settings import Settings
from core.sweep import grid_of
from ingest.analysis import honesty
from ingest.analysis.job import WORK
from ingest.analysis.work import Work
from ingest.store import jobs
from ingest.store.desk_book import DeskBook
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import NOW_MS

ASKED = {
    "kind": "sweep", "symbol_a": "BTCUSDT", "symbol_b": "ETHUSDT", "timeframe": "1m",
    "bars": 1_900, "window": 30, "hedge_window": 60, "entry_z": 1.5, "train_bars": 600,
    "window_values": "20, 30", "entry_z_values": "1, 1.5, 2", "exit_z_values": "0, 0.5",
}  # fmt: skip


@pytest.fixture
def lab(database_url: str, own_writer: Writer) -> Iterator[Desk]:
    reader, book = Reader(database_url), DeskBook(database_url)
    yield open_desk(Settings(), reader, lambda: NOW_MS / 1_000, book=book)
    book.close()
    reader.close()


def run(lab: Desk, writer: Writer, **changes: object) -> int:
    """Sweep as the analyst's child process would."""
    job_id = lab.jobs.ask(ASKED | changes, "me").job_id
    with writer.transaction() as tx:
        jobs.claim(tx, "lab", NOW_MS)
    spec = read_job_spec(ASKED | changes, Settings())
    told, words = WORK[spec.kind](Work(Settings(), lab.jobs._reader, writer, job_id, 1, spec))
    packed = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
    with writer.transaction() as tx:
        jobs.finish(tx, job_id, 1, packed, words, NOW_MS)
    return job_id


def test_the_view_says_what_the_sweep_found_and_a_cell_opens_it_in_live(
    lab: Desk, own_writer: Writer
) -> None:
    job_id = run(lab, own_writer)
    told = lab.lab.run(job_id).told
    assert told is not None
    content = {name: str(html) for name, html in parts(lab, Asked()).items()}
    p = told["best"]["reality_check_p"]
    share = "under 1 %" if p < 0.01 else f"{100 * p:.0f} %"
    assert f"{share} of pure noise does as well." in content[ids.VERDICT]
    assert f"Best of {told['trials']:,}" in content[ids.VERDICT]
    assert f"{p:.3f}" in content[ids.CARDS]
    links = re.findall(r'<td class="[^"]*"><a href="([^"]+)"', content[ids.MAP])
    assert len(links) == 6
    asked = [parse_qs(urlsplit(link.replace("&amp;", "&")).query) for link in links]
    assert {(one["window"][0], one["entry_z"][0]) for one in asked} == {
        (window, entry) for window in ("20", "30") for entry in ("1.0", "1.5", "2.0")
    }
    (framed,) = re.findall(r'class="[^"]*yours[^"]*"><a href="([^"]+)"', content[ids.MAP])
    assert "window=30&amp;entry_z=1.5" in framed
    for one in told["walk_forward"]["segments"]:
        assert f" · {one['oos_trades']}" in content[ids.WALK]
    calendar = told["walk_forward"]["calendar"]
    assert len(calendar["periods"]) > 1
    left = plain(calendar["without_best"], "+,.0f")
    assert f"earned; without the best {calendar['every']} {left}." in content[ids.WALK]
    assert f'data-value="{job_id}"' in content[ids.RUNS]


def test_two_runs_stand_beside_each_other_and_what_differs_is_bold(
    lab: Desk, own_writer: Writer
) -> None:
    first = run(lab, own_writer, name="narrow")
    second = run(lab, own_writer, name="wide", entry_z_values="1, 2", fee_bps=20)
    content = {
        name: str(html)
        for name, html in parts(lab, read_asked({"run": second, "other": first})).items()
    }
    rows = {
        label: list(zip(looks, words, strict=True))
        for label, looks, words in (
            (
                row[0],
                re.findall(r'<td class="([^"]*)">', row[1])[1:],
                re.findall(r"<td[^>]*>([^<]*)</td>", row[1])[1:],
            )
            for row in re.findall(r'<tr data-key="([^"]+)">(.*?)</tr>', content[ids.COMPARE])
        )
    }
    assert rows["cells"] == [("left strong", "8"), ("left strong", "12")]
    assert rows["costs a fill"] == [("left strong", "20 + 2 bp"), ("left strong", "10 + 2 bp")]
    assert [look for look, _ in rows["pair"]] == ["left", "left"]
    told = lab.lab.run(first).told
    assert told is not None
    assert rows["noise does as well"][1][1] == f"{told['best']['reality_check_p']:.3f}"
    assert "wide" in content[ids.RUNS]
    # Attributes come in no order.
    (button,) = re.findall(r"<button ([^>]*)>Compare</button>", content[ids.RUNS])
    assert {'data-ask="other"', f'data-value="{first}"'} <= set(button.split())
    alone = parts(lab, read_asked({"run": second, "other": 999}))
    assert str(alone[ids.COMPARE]) == ""


def test_the_map_shows_medians_of_what_is_hidden(lab: Desk, own_writer: Writer) -> None:
    told = lab.lab.run(run(lab, own_writer)).told
    assert told is not None
    assert axes_shown(told["axes"]) == ("window", "entry_z")
    shape = [len(told["axes"][name]) for name in AXES]
    flat = told["metrics"]["avg_pnl"]
    table = medians(told, "net", 10_000.0, axes_shown(told["axes"]))
    for window in range(2):
        for entry in range(3):
            found = []
            for exit_z in range(2):
                place = dict.fromkeys(AXES, 0) | {
                    "window": window, "entry_z": entry, "exit_z": exit_z,
                }  # fmt: skip
                cell = int(np.ravel_multi_index([place[name] for name in AXES], shape))
                if flat[cell] is not None:
                    found.append(flat[cell])
            expected = float(np.median(found)) if found else np.nan
            assert table[window, entry] == pytest.approx(expected, nan_ok=True)


def test_the_map_lies_as_asked_and_says_which_axis_is_which(lab: Desk, own_writer: Writer) -> None:
    told = lab.lab.run(run(lab, own_writer)).told
    assert told is not None
    shape = [len(told["axes"][name]) for name in AXES]
    flat = np.array([np.nan if value is None else value for value in told["metrics"]["avg_pnl"]])
    for raw, shown in (
        ({"across": "window"}, ("entry_z", "window")),
        ({"down": "exit_z"}, ("exit_z", "entry_z")),
        ({"down": "exit_z", "across": "window"}, ("exit_z", "window")),
        ({"down": "entry_z", "across": "entry_z"}, ("entry_z", "window")),
        ({"down": "magic", "across": 3}, ("window", "entry_z")),
    ):
        asked = read_asked(raw)
        assert axes_shown(told["axes"], asked) == shown
        content = str(parts(lab, asked)[ids.MAP])
        picked = re.findall(r'<select[^>]*data-ask="([^"]+)".*?</select>', content)
        assert picked == ["down", "across"]
        assert re.findall(r'<option value="([^"]+)" selected>', content) == list(shown)
        links = re.findall(r'<td class="[^"]*"><a href="([^"]+)"', content)
        first = parse_qs(urlsplit(links[0].replace("&amp;", "&")).query)
        assert [float(first[name][0]) for name in shown] == [
            told["axes"][name][0] for name in shown
        ]
        order = [AXES.index(name) for name in shown]
        among = np.moveaxis(flat.reshape(shape), order, (0, 1))[0, 0]
        table = medians(told, "net", 10_000.0, shown)
        assert table[0, 0] == pytest.approx(np.nanmedian(among))


def test_a_run_s_link_asks_for_the_same_run_again(lab: Desk, own_writer: Writer) -> None:
    asked = {"hedge_values": "ols, ratio", "stop_z_values": "3, none", "name": "wide & odd ?"}
    for changes in (asked, {"hedge_window_values": "60, 90"}, {"entry_z_values": None}):
        job_id = run(lab, own_writer, **changes)
        content = str(parts(lab, read_asked({"run": job_id}))[ids.VERDICT])
        (link,) = re.findall(r'href="/lab\?([^"]+)"', content)
        fields = {name: one[0] for name, one in parse_qs(link.replace("&amp;", "&")).items()}
        again = read_job_spec({"kind": "sweep", **fields}, Settings())
        first = read_job_spec(ASKED | changes, Settings())
        assert grid_of(again.values, Settings()) == grid_of(first.values, Settings())
        for name in ("bars", "train_bars", "name", "fee_bps"):
            assert again.values[name] == first.values[name]


def test_the_median_of_all_cells_lies_between_the_middle_two(lab: Desk, own_writer: Writer) -> None:
    told = lab.lab.run(run(lab, own_writer)).told
    assert told is not None
    nets = [value for value in told["metrics"]["avg_pnl"] if value is not None]
    assert len(nets) % 2 == 0
    words = f"{plain(np.median(nets), '+.1f')} bp"
    assert words in str(parts(lab, Asked())[ids.CARDS])


def test_a_report_shows_the_honesty_check_and_a_sweep_asks_for_one(
    lab: Desk, own_writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honesty, "RUNS", 10)
    job_id = run(lab, own_writer)
    content = {name: str(html) for name, html in parts(lab, Asked()).items()}
    assert f'data-report-of="{job_id}"' in content[ids.VERDICT]
    assert content[ids.HONEST] == ""
    job_id = run(lab, own_writer, kind="report")
    content = {name: str(html) for name, html in parts(lab, Asked()).items()}
    assert f'data-report="{job_id}"' in content[ids.VERDICT]
    told = lab.lab.run(job_id).told
    assert told is not None
    assert len(told["honesty"]["checks"]) in (1, 6)
    for said in (told["honesty"]["verdict"], *(one["words"] for one in told["honesty"]["checks"])):
        assert str(escape(said)) in content[ids.HONEST]


def test_the_form_says_what_it_would_take_or_what_is_wrong(lab: Desk) -> None:
    def told(**form: str) -> dict[str, Any]:
        return parts(lab, read_asked({"form": {"symbol_a": "BTCUSDT", **form}}))

    def said(**form: str) -> str:
        return str(told(**form)[ids.COUNT])

    words = said(window_values="20 to 200 by 10", entry_z_values="1 to 4 by 0.25", bars="2000")
    assert "247 combinations × 2,000 bars" in words
    held = told(window_values="20 to 200 by 10", entry_z_values="1, 2, 3")["texts"]
    assert held["lab-held-window_values"] == " · 19", "a long list is cut in its field"
    assert held["lab-held-entry_z_values"] == " · 3"
    assert held["lab-held-stop_z_values"] == " · 1"
    wrong = told(entry_z_values="1 to 40 by 1, ?")["texts"]
    assert set(wrong.values()) == {""}, "of a list that can't be used no number is said"
    assert "✕ Entry z: must be up to 1,000 values" in said(entry_z_values="1 to 40 by 1")
    assert "combinations are asked for" in said(
        entry_z_values="1 to 9 by 0.01", window_values="10 to 1000 by 1"
    )


def test_before_the_first_run_the_view_says_what_a_sweep_is(lab: Desk) -> None:
    content = parts(lab, Asked())
    assert "No sweep yet." in str(content[ids.VERDICT])
    assert "What you run is kept here." in str(content[ids.RUNS])
    lab.jobs.ask(ASKED, "me")
    content = parts(lab, Asked())
    assert "Sweeping: 0 %." in str(content[ids.VERDICT])
    assert 'data-lab-do="cancel"' in str(content[ids.RUNS])


def test_what_a_run_tells_is_made_once_for_everybody_who_asks_the_same(
    lab: Desk, own_writer: Writer
) -> None:
    run(lab, own_writer)
    first, again = (parts(lab, read_asked(raw)) for raw in ({}, {"form": {"bars": "500"}}))
    assert again[ids.MAP] is first[ids.MAP]
    assert again[ids.COUNT] != first[ids.COUNT]
    other = parts(lab, read_asked({"metric": "trades"}))
    assert "Closed trades" in str(other[ids.MAP])


def test_a_run_that_is_kept_no_more_is_said_to_be_gone(lab: Desk, own_writer: Writer) -> None:
    run(lab, own_writer)
    content = parts(lab, read_asked({"run": 999}))
    assert "There is no such run." in str(content[ids.VERDICT])
    assert str(content[ids.MAP]) == ""
    assert "BTC / ETH 1m" in str(content[ids.RUNS])


@pytest.mark.parametrize("raw", [None, [], {"run": -1}, {"run": "x"}, {"form": {"window": 3}},
                                 {"metric": "luck"}])  # fmt: skip
def test_what_a_client_sends_besides_is_not_asked_for(raw: object) -> None:
    assert read_asked(raw) == Asked()


@pytest.mark.parametrize(
    ("p", "net", "said", "look"),
    [(0.004, 50.0, "Better than luck: under 1 %", "go"), (0.02, -1.0, "Better than luck: 2 %", ""),
     (0.24, 80.0, "Not proven: 24 %", "")],
)  # fmt: skip
def test_only_what_stood_both_checks_is_in_the_hue_of_a_deed(
    p: float, net: float, said: str, look: str
) -> None:
    chosen = {"hedge": "ols", "window": 20, "entry_z": 2.0, "exit_z": -0.5, "stop_z": None,
              "exit_rule": "moving", "max_hold_bars": None}  # fmt: skip
    told = {
        "best": {"index": 0, "reality_check_p": p, "parameters": chosen},
        "pbo": {"value": 0.42}, "walk_forward": {"net": net, "trades": 8}, "trials": 1950,
        "metrics": {"avg_pnl": [16.5], "total_trades": [28.0]}, "warnings": [],
    }  # fmt: skip
    sentence, basis, after, hue = verdict(told, 10_000.0)
    assert sentence == f"{said} of pure noise does as well."
    assert basis == "Best of 1,950: OLS · 20 · 2 / −0.5: +16.5 bp a trade, 28 trades, in sample."
    assert "in 42 % of splits." in after
    assert hue == look
