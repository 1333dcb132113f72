"""What is kept of computed things, and how much of it."""

import numpy as np
import pytest

from app.services import Desk
from app.services.cache import BoundedCache
from core.pair_spec import read_pair_spec


def test_a_cache_keeps_to_its_bytes_however_many_results_come() -> None:
    cache = BoundedCache(1_000_000)
    for number in range(5_000):
        cache.set(str(number), {"rows": np.zeros(10_000)})
        assert cache.size_bytes <= 1_000_000
    kept = [number for number in range(5_000) if cache.has(str(number))]
    assert kept == list(range(5_000 - len(kept), 5_000))
    assert len(kept) == 12


def test_what_is_asked_for_stays_and_what_nobody_asked_for_goes() -> None:
    cache = BoundedCache(200_000)
    for name in ("first", "second", "third"):
        cache.set(name, np.zeros(10_000))
        assert cache.get("first") is not None
    assert [cache.has(name) for name in ("first", "second", "third")] == [True, False, True]


def test_what_is_replaced_or_deleted_gives_its_bytes_back() -> None:
    cache = BoundedCache(1_000_000)
    for rows in (10_000, 20_000, 10):
        cache.set("pair", np.zeros(rows))
    assert cache.size_bytes < 1_000
    assert cache.delete("pair")
    assert not cache.delete("pair")
    assert (cache.size_bytes, cache.get("pair")) == (0, None)


def test_one_result_larger_than_the_whole_is_kept_alone() -> None:
    cache = BoundedCache(1_000)
    cache.set("small", b"x")
    cache.set("large", np.zeros(10_000))
    assert (cache.has("small"), cache.has("large")) == (False, True)


def test_nobody_can_change_a_result_that_others_read(services: Desk) -> None:
    result = services.pairs.view(read_pair_spec({"bars": 200}, services.settings)).result
    assert result is not None
    for values in (result.rows.close_a, result.chosen.zscore, result.backtest.equity):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0


def test_a_kept_result_does_not_hold_the_history_before_it(services: Desk) -> None:
    given = {"bars": 200, "window": 30, "hedge_window": 150}
    result = services.pairs.view(read_pair_spec(given, services.settings)).result
    assert result is not None
    assert result.history_start_ms < result.start_ms
    for values in (result.rows.close_a, result.chosen.zscore, result.chosen.spread):
        base = values if values.base is None else values.base
        held = base.nbytes if isinstance(base, np.ndarray) else len(base)
        assert held < 1.5 * values.nbytes
