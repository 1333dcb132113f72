"""The cache, the service between store and page, and the words of serialisation."""

import csv
import io
import math
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.api.downloads import trades_csv
from app.api.pair import pair_json
from app.api.values import finite, iso
from app.requests.pair import PairParameters, PairRequest, pair_request
from app.services import Desk, open_desk
from app.services.cache import ResultCache
from app.services.pair_states import forming_closes
from app.services.refusals import SymbolNotIngested
from app.views.shell.notices import notices
from core.errors import ParameterErrors
from core.pair_spec import PairSpec, read_pair_spec
from core.settings import Settings
from core.stationarity import engle_granger
from ingest.store import market, process
from ingest.store.reader import Reader
from ingest.store.transaction import Writer
from tests.app.conftest import NOW_MS
from tests.support.waiting import HANG_S


def spec_of(services: Desk, **given: object) -> PairSpec:
    wanted = {"window": 30, "hedge_window": 100, "bars": 200, **given}
    return read_pair_spec(wanted, services.settings)


def request_of(given: object, settings: Settings) -> PairRequest:
    return pair_request(PairParameters().load(given), settings)


def test_everyone_who_asks_at_once_waits_for_one_computation() -> None:
    cache = ResultCache()
    started, release = threading.Event(), threading.Event()
    computed: list[int] = []

    def compute() -> str:
        computed.append(1)
        started.set()
        assert release.wait(HANG_S)
        return "value"

    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(cache.get_or_compute("pair", compute)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert started.wait(HANG_S)
    # Another key isn't held up by the one at work.
    assert cache.get_or_compute("other", lambda: "at once") == "at once"
    release.set()
    for thread in threads:
        thread.join(HANG_S)
    assert answers == ["value"] * 8
    assert len(computed) == 1


def test_failed_computation_is_tried_again_by_the_next() -> None:
    cache = ResultCache()

    def fail() -> str:
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        cache.get_or_compute("pair", fail)
    assert cache.get_or_compute("pair", lambda: "value") == "value"
    assert not cache._computing


def test_pair_is_computed_once_until_something_changes(
    services: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(services, entry_z=1.75)
    first = services.pairs.view(spec)
    monkeypatch.setattr(services.pairs, "_analyse", None)
    again = services.pairs.view(spec)
    assert first.result is not None
    assert again.result is not None
    np.testing.assert_array_equal(again.result.chosen.zscore, first.result.chosen.zscore)


def test_cached_result_is_the_computed_one(services: Desk) -> None:
    result = services.pairs.view(spec_of(services)).result
    assert result is not None
    copied = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(copied.hedge_ratios["kalman"], result.hedge_ratios["kalman"])
    assert copied.spec == result.spec
    assert repr(copied.backtest.round_trips) == repr(result.backtest.round_trips)


def test_symbols_that_are_not_ingested_are_all_named(services: Desk) -> None:
    with pytest.raises(SymbolNotIngested) as caught:
        services.pairs.view(spec_of(services, symbol_a="XUSDT", symbol_b="YUSDT"))
    assert caught.value.fields == {"symbol_a": "XUSDT", "symbol_b": "YUSDT"}


def test_provisional_z_follows_the_last_prices(services: Desk) -> None:
    view = services.pairs.view(spec_of(services))
    assert view.result is not None
    assert view.forming_closes is not None
    row = view.result.next_row
    close_a, close_b = view.forming_closes
    spread = math.log(close_a) - row.intercept - row.hedge_ratio * math.log(close_b)
    assert view.zscore_provisional == pytest.approx((spread - row.spread_mean) / row.spread_std)


def test_no_provisional_z_without_a_forming_bar(services: Desk) -> None:
    # 5m bars were never stored, 1m bars of SOLUSDT long ago: nothing of it is forming.
    view = services.pairs.view(spec_of(services, symbol_b="SOLUSDT"))
    assert view.result is None
    assert math.isnan(view.zscore_provisional)
    assert view.forming_closes is None


@pytest.mark.parametrize(("timeframe", "late_ms"), [("1s", 1_000), ("1m", 15_000)])
def test_prices_of_a_later_bar_are_not_taken_for_the_forming_one(
    services: Desk, timeframe: str, late_ms: int
) -> None:
    spec = spec_of(services)
    result = services.pairs.view(spec).result
    assert result is not None
    result = replace(result, spec=replace(spec, timeframe=timeframe))  # type: ignore[arg-type]
    ends_ms = result.as_of_ms + result.spec.timeframe_ms
    for after_ms, forming in ((late_ms, True), (late_ms + 1, False)):
        leg = replace(
            services.market.symbols()[0], last_price=1.0, last_event_time_ms=ends_ms + after_ms
        )
        assert (forming_closes((leg, leg), result)[0] is not None) is forming


def test_trades_without_an_exit_z_are_counted_in_one_line(services: Desk) -> None:
    view = services.pairs.view(spec_of(services, entry_z=0.5, exit_z=0.1))
    assert view.result is not None
    whole = view.result.backtest.round_trips[:5]
    assert all(math.isfinite(trip.exit_z) for trip in whole)
    for left, words in (
        (0, []),
        (2, ["backtest.trades.exit_z: null in 2 of 5 trades, left without a z or still open"]),
    ):
        cut = (*(trip._replace(exit_z=math.nan) for trip in whole[:left]), *whole[left:])
        backtest = replace(view.result.backtest, round_trips=cut)
        body = pair_json(replace(view, result=replace(view.result, backtest=backtest)), 0)
        assert [line for line in body["warnings"] if line.startswith("backtest.trades.")] == words


def test_cointegration_is_null_with_its_reason_and_never_a_dict_of_nulls(
    services: Desk,
) -> None:
    view = services.pairs.view(spec_of(services))
    assert view.result is not None
    rows = len(view.result.rows)
    noise = np.random.default_rng(0).normal(0, 1e-3, rows).cumsum()
    saw = np.where(np.arange(rows) % 2, 1e-3, -1e-3)
    # Legs at rest, on a line, too few; a residual whose changes foretell each other in full.
    for y, x in ((noise, 0 * noise), (noise, noise), (noise[:40], saw[:40]), (saw, noise * 0 + saw),
                 (np.arange(rows) % 3 * 1e-3, saw)):  # fmt: skip
        cointegration, reason = engle_granger(y, x)
        reasons = {} if reason is None else {"cointegration": reason}
        result = replace(view.result, cointegration=cointegration, reasons=reasons)
        body = pair_json(replace(view, result=result), 0)
        if body["cointegration"] is None:
            assert f"cointegration: {reason}" in body["warnings"]
        else:
            assert None not in body["cointegration"].values()


def test_rows_without_a_number_are_blamed_on_all_that_may_be_behind_them(
    services: Desk,
) -> None:
    view = services.pairs.view(spec_of(services))
    assert view.result is not None
    still = replace(view.result.chosen, zscore=np.full(len(view.result.rows), math.nan))
    body = pair_json(replace(view, result=replace(view.result, chosen=still)), 7)
    (line,) = [line for line in body["warnings"] if line.startswith("series.zscore: ")]
    assert "7 of 7" in line
    assert "does not move" in line


def test_make_run_compiles_the_kernels_before_the_desk_starts(tmp_path: Path) -> None:
    """Else a web worker does, which keeps the compiler's 70 MB as long as it lives."""
    root = Path(__file__).resolve().parents[2]
    (words,) = re.findall(r'\$\(PY\) -c "(import wsgi;[^"]+)"', (root / "Makefile").read_text())
    environ = os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path / 'market.db'}"}
    subprocess.run([sys.executable, "-c", words], cwd=root, env=environ, check=True)
    # And with it once, before the fork: two web processes that load them take 60 MB more.
    found = (
        "import wsgi, core.regression as r, core.spread as s, core.unit_root as u;"
        " assert all(k.signatures for k in (r._rolling, s.lag_deviations, u.adf_kernel));"
        " assert not any(k.stats.cache_misses for k in (r._rolling, s.lag_deviations))"
    )
    subprocess.run([sys.executable, "-c", found], cwd=root, env=environ, check=True)


def test_times_are_written_in_utc_to_the_millisecond() -> None:
    assert iso(0) == "1970-01-01T00:00:00Z"
    assert iso(1_795_401_000_001) == "2026-11-23T02:30:00.001Z"
    assert iso(None) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_json_cannot_say_is_null(value: float) -> None:
    assert finite(value) is None


def test_infinite_metric_is_null_with_its_reason(services: Desk) -> None:
    view = services.pairs.view(spec_of(services))
    assert view.result is not None
    metrics = replace(view.result.backtest.metrics, profit_factor=math.inf)
    backtest = replace(view.result.backtest, metrics=metrics)
    reasons = {"backtest.profit_factor": "no losing trade"}
    result = replace(view.result, backtest=backtest, reasons=reasons)
    body = pair_json(replace(view, result=result), 0)
    assert body["backtest"]["profit_factor"] is None
    assert "backtest.profit_factor: no losing trade" in body["warnings"]


@pytest.mark.parametrize("word", ["=1+1", "+1", "-x", "@cmd", "\tx", "\rx"])
def test_csv_text_is_no_formula_and_numbers_stay_numbers(services: Desk, word: str) -> None:
    view = services.pairs.view(spec_of(services, entry_z=0.5, exit_z=0.1))
    assert view.result is not None
    trip = view.result.backtest.round_trips[0]
    odd = trip._replace(exit_reason=word, pnl=-1.5)
    backtest = replace(view.result.backtest, round_trips=(odd,))
    text = trades_csv(replace(view, result=replace(view.result, backtest=backtest)))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["exit_reason"] == f"'{word}"
    assert row["pnl"] == "-1.5"


def test_callback_values_are_checked_like_query_strings(settings: Settings) -> None:
    request = request_of(
        {"window": 60, "entry_z": 2, "exit_z": None, "stop_z": None, "notional": 5e3}, settings
    )
    assert request.spec.hedge_window == 300
    assert request.spec.exit_z == 0.5
    assert request.spec.stop_z is None
    assert request.spec.fee_bps == 7.5
    for bad in (
        {"window": True},
        {"window": None},
        {"window": 60.5},
        {"window": [60]},
        {"entry_z": math.nan},
        {"entry_z": math.inf},
        {"entry_z": 10**400},
        {"entry_z": {}},
        {"hedge": ["ols"]},
        {"hedge": None},
        {"symbol_a": 5},
        {"symbol_a": "\ud800"},
        {"\ud800": 1},
        {"points": -1},
    ):
        with pytest.raises(ParameterErrors) as caught:
            request_of(bad, settings)
        assert len(caught.value.errors) == 1
    with pytest.raises(ParameterErrors):
        request_of("window", settings)


def test_defaults_follow_from_what_is_given(settings: Settings) -> None:
    request = request_of({"entry_z": "1", "window": "2000"}, settings)
    assert request.spec.exit_z == 0.25
    assert request.spec.hedge_window == 10_000
    assert request.points == 500
    assert request.spec.bars == 4_320
    assert request.spec.slippage_bps == 1.5


@pytest.fixture
def clocked(
    database_url: str, own_writer: Writer, settings: Settings
) -> Iterator[tuple[Desk, dict[str, float]]]:
    """A desk over the test's own database, and the clock of its machine."""
    clock = {"now": NOW_MS / 1_000}
    reader = Reader(database_url)
    yield open_desk(settings, reader, lambda: clock["now"]), clock
    reader.close()


@pytest.mark.parametrize("host_ahead_ms", [40_000, -300_000, 3_600_000])
def test_the_exchanges_clock_judges_freshness_however_wrong_this_machines_is(
    clocked: tuple[Desk, dict[str, float]], own_writer: Writer, host_ahead_ms: int
) -> None:
    """40 s ahead showed a red STALE beside a live feed; 300 s behind a dead one was fresh."""
    desk, clock = clocked
    exchange_ms = int(clock["now"] * 1_000)
    for passed_ms, is_fresh in ((0, True), (400_000, False)):
        host_ms = exchange_ms + passed_ms + host_ahead_ms
        clock["now"] = host_ms / 1_000
        feed = {"state": "live", "last_frame_ms": exchange_ms - 250}
        payload = {"feed": feed, "clock_offset_ms": host_ahead_ms}
        with own_writer.transaction() as tx:
            process.save_status(
                tx,
                "worker",
                1,
                "running",
                host_ms - 800,
                payload | {"clock_offset_ms": host_ahead_ms},
            )
        view = desk.pairs.view(spec_of(desk))
        assert view.stale is not is_fresh
        assert math.isfinite(view.zscore_provisional) is is_fresh
        assert view.now_ms == exchange_ms + passed_ms
        status = desk.status.view()
        assert status.feed_age_ms == passed_ms + 250
        # A heartbeat is of this machine's own clock.
        assert status.worker.heartbeat_age_ms == 800
        words = " ".join(line.words for line in notices(status, None))
        assert f"{abs(host_ahead_ms) / 1_000:,.1f} s" in words


def test_a_leg_that_the_exchange_lists_as_halted_is_named_and_enters_nothing(
    clocked: tuple[Desk, dict[str, float]], own_writer: Writer
) -> None:
    desk, clock = clocked
    with own_writer.transaction() as tx:
        market.set_status(tx, ["ETHUSDT"], "BREAK")
        payload = {"unjudged_symbols": ["DOGEUSDT"]}
        process.save_status(tx, "worker", 1, "running", int(clock["now"] * 1_000), payload)
    clock["now"] += 0.3
    view = desk.pairs.view(spec_of(desk))
    assert view.closed is not None
    assert view.closed.key.listing.suspended
    status = desk.status.view()
    assert {row.symbol: row.status for row in status.symbols}["ETHUSDT"] == "BREAK"
    assert {row.symbol: row.status for row in desk.market.symbols()}["ETHUSDT"] == "BREAK"
    words = " ".join(line.words for line in notices(status, view))
    assert "ETHUSDT is not traded now: its status is BREAK." in words
    assert "BTCUSDT is not" not in words
    assert "DOGEUSDT: trades of ids that can't be" in words
