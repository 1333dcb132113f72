"""What the numbers of a pair are worth: what noise gives, and what other entries gave."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.services.pairs import PairService
from core.expectancy import Expectancy
from core.honesty import Placebo, placebo
from core.pair import expectancy_by_entry
from core.pair_spec import PairSpec
from core.row_plan import RowPlan
from core.types import Leg

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Worth(Generic[Value]):
    """What the numbers of a pair are worth; None with the reason where that can't be told."""

    value: Value | None
    reason: str


class WorthService:
    """Asks more of a pair's bars than its result holds, once until they change."""

    def __init__(self, pairs: PairService) -> None:
        self._pairs = pairs

    def expectancy(self, spec: PairSpec) -> Worth[Expectancy]:
        """What trades earned by the z they were entered at; raises as `PairService.view` does."""

        def compute(plan: RowPlan, leg_a: Leg, leg_b: Leg) -> Worth[Expectancy]:
            return Worth(expectancy_by_entry(spec, plan, leg_a, leg_b), "")

        return self._told(spec, "expectancy", compute)

    def placebo(self, spec: PairSpec, runs: int) -> Worth[Placebo]:
        """What the same rules make of random walks; raises as `PairService.view` does.

        The walks hang on what is asked for alone, so that figures move with the bars only.
        """
        name = f"placebo {runs}"
        seed = zlib.crc32(f"{name} {spec!r}".encode())

        def compute(plan: RowPlan, leg_a: Leg, leg_b: Leg) -> Worth[Placebo]:
            return Worth(*placebo(spec, plan, leg_a, leg_b, runs, seed))

        return self._told(spec, name, compute)

    def _told(
        self,
        spec: PairSpec,
        name: str,
        compute: Callable[[RowPlan, Leg, Leg], Worth[Value]],
    ) -> Worth[Value]:
        key = self._pairs.key(spec)
        if key is None:
            return Worth(None, "no bars that the legs have in common are stored yet")
        if key.listing.no_common_money:
            return Worth(None, key.listing.no_common_money)
        return self._pairs.from_bars(key, name, lambda a, b: compute(key.plan, a, b))
