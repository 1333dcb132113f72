"""The simulated market: the same for everyone, whenever asked, and cointegrated as listed."""

import numpy as np
import pytest
from statsmodels.tsa.stattools import coint

from core.settings import DEFAULT_SYMBOLS
from core.types import FloatArray
from ingest.simulator.ledger import Ledger
from ingest.simulator.listing import HALF_LIVES_H, LISTINGS, listings
from ingest.simulator.market import BLOCK_BITS, BLOCK_MS, GRID_MS, Market
from ingest.simulator.noise import gaussians, hashes

NOW_MS = 1_788_000_000_000
BLOCK = NOW_MS >> BLOCK_BITS
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def closes() -> dict[str, FloatArray]:
    """A day of 1m log closes as a client gets them, rounding and bid-ask bounce included."""
    ledger = Ledger(7, 1.0, lambda: NOW_MS / 1_000)
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "AVAXUSDT", "NEARUSDT", "XRPUSDT", "ADAUSDT")
    return {
        symbol: np.log([bar.close for bar in ledger.bars(symbol, 60_000, NOW_MS - DAY_MS, NOW_MS)])
        for symbol in (*symbols, "TRXUSDT", "BNBUSDT", "DOGEUSDT")
    }


def test_noise_is_the_same_however_it_is_asked_for() -> None:
    whole = gaussians(5, -500, 4_000)
    for start, end in ((-500, -498), (201, 203), (203, 212), (3_999, 4_000)):
        assert np.array_equal(whole[start + 500 : end + 500], gaussians(5, start, end))
    assert int(hashes(0, np.array([1]))[0]) == 0xE220A8397B1DCDAF  # SplitMix64's own test value
    assert abs(float(whole.mean())) < 0.05
    assert float(whole.std()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "NEARUSDT"])
def test_prices_of_a_moment_do_not_depend_on_what_was_asked_before(symbol: str) -> None:
    long = Market(7).prices(symbol, BLOCK - 20, 21)
    for block in (0, 7, 20):
        short = Market(7).prices(symbol, BLOCK - 20 + block, 1)
        points = BLOCK_MS // GRID_MS
        assert np.array_equal(short, long[block * points : (block + 1) * points + 1])


def test_another_seed_is_another_market() -> None:
    one, other = (Market(seed).prices("BTCUSDT", BLOCK, 1) for seed in (7, 8))
    assert not np.any(one == other)


def test_the_default_symbols_are_listed_in_their_order() -> None:
    assert ",".join(LISTINGS) == DEFAULT_SYMBOLS


def test_prices_stay_realistic_for_years() -> None:
    market = Market(7)
    for symbol, listing in LISTINGS.items():
        levels = [market.prices(symbol, BLOCK + i * 6_000, 1)[0] for i in range(-15, 15)]
        assert listing.price / 3 < min(levels) < max(levels) < listing.price * 3
    daily = np.diff(np.log(market.prices("BTCUSDT", BLOCK - 4_120, 4_120)[:: 82 * 1_024]))
    assert 0.012 < daily.std() < 0.04


@pytest.mark.parametrize(
    ("follower", "leader"),
    [
        ("ETHUSDT", "BTCUSDT"),
        ("AVAXUSDT", "SOLUSDT"),
        ("ADAUSDT", "XRPUSDT"),
        ("AVAXUSDT", "NEARUSDT"),
    ],
)
def test_listed_pairs_are_cointegrated(
    closes: dict[str, FloatArray], follower: str, leader: str
) -> None:
    _, pvalue, _ = coint(closes[follower], closes[leader])
    assert pvalue < 0.01


def test_the_hedge_ratio_is_the_listed_one_and_not_one(closes: dict[str, FloatArray]) -> None:
    slope = np.polyfit(closes["BTCUSDT"], closes["ETHUSDT"], 1)[0]
    assert slope == pytest.approx(LISTINGS["ETHUSDT"].hedge_ratio, abs=0.1)


@pytest.mark.parametrize(
    ("one", "other"), [("BTCUSDT", "TRXUSDT"), ("BNBUSDT", "XRPUSDT"), ("SOLUSDT", "DOGEUSDT")]
)
def test_unrelated_symbols_are_not_cointegrated(
    closes: dict[str, FloatArray], one: str, other: str
) -> None:
    _, pvalue, _ = coint(closes[one], closes[other])
    assert pvalue > 0.1


def test_the_spread_crosses_two_deviations_several_times_a_day(
    closes: dict[str, FloatArray],
) -> None:
    spread = closes["ETHUSDT"] - LISTINGS["ETHUSDT"].hedge_ratio * closes["BTCUSDT"]
    windows = np.lib.stride_tricks.sliding_window_view(spread, 120)[:-1]
    zscore = (spread[120:] - windows.mean(axis=1)) / windows.std(axis=1, ddof=1)
    outside = np.abs(zscore) >= 2
    entries = int(np.sum(outside[1:] & ~outside[:-1]))
    assert 5 <= entries <= 200
    lagged = np.polyfit(spread[:-1], np.diff(spread), 1)[0]
    assert 8 < -np.log(2) / np.log1p(lagged) < 60


def test_a_larger_market_leaves_the_prices_of_the_smaller_one_as_they_are() -> None:
    wide = listings(400)
    assert len(wide) == 400
    assert dict(list(wide.items())[:20]) == LISTINGS
    assert listings(60) == dict(list(wide.items())[:60])
    for symbol in ("BTCUSDT", "SUIUSDT"):
        assert np.array_equal(
            Market(7, wide).prices(symbol, BLOCK, 1), Market(7).prices(symbol, BLOCK, 1)
        )
    far = Market(7, wide).prices("C333USDT", BLOCK, 1)
    assert np.array_equal(far, Market(7, listings(333)).prices("C333USDT", BLOCK, 1))


def test_a_true_pair_of_the_larger_market_has_the_half_life_that_is_listed() -> None:
    market = Market(7, listings(60))
    followers = [one for one in list(market.listings.values())[20:] if one.residual is not None]
    assert {one.residual.quick_half_life_min // 60 for one in followers if one.residual} == {
        *HALF_LIVES_H
    }
    for number in (30, 35):
        listed = market.listings[f"C{number:03}USDT"]
        assert listed.residual is not None
        assert listed.leader == f"C{number - 1:03}USDT"
        follower, leader = (
            np.log(market.prices(symbol, BLOCK - 8_000, 8_000, BLOCK_BITS))
            for symbol in (listed.symbol, listed.leader)
        )
        spread = follower - listed.hedge_ratio * leader
        slope = np.polyfit(spread[:-1], spread[1:], 1)[0]
        half_life_min = -np.log(2) / np.log(slope) * 2**BLOCK_BITS / 60_000
        assert half_life_min == pytest.approx(listed.residual.quick_half_life_min, rel=0.15)


def test_the_larger_market_is_mostly_thin_and_partly_all_but_dead() -> None:
    ledger = Ledger(7, 1.0, lambda: NOW_MS / 1_000, listings(60))
    rows = {
        symbol: ledger.rows(symbol, 3_600_000, NOW_MS - DAY_MS, NOW_MS)
        for symbol in ("C021USDT", "C059USDT", "C060USDT")
    }
    counts = {symbol: int(found.trade_count.sum()) for symbol, found in rows.items()}
    assert counts["C021USDT"] > 4 * counts["C059USDT"] > 100 * counts["C060USDT"] > 0
    dead = rows["C060USDT"]
    assert int(dead.high.max() - dead.low.min()) <= 7  # bid, ask and three levels beyond
