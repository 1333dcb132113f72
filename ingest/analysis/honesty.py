"""Honesty checks of a pair as a job: does it look ahead, beat chance, hang on an assumption."""

import math
import time
from dataclasses import asdict
from typing import Any

from core.honest_words import LABELS, NET, judge
from core.honesty import placebo, truncation_check
from core.pair import tie_of_legs
from core.pair_spec import PAIR_PARAMETERS, read_pair_spec
from core.row_plan import plan_rows
from core.stress import stress
from ingest.analysis.pair_bars import shared_bars
from ingest.analysis.work import Answer, Work

RUNS = 200


def check_pair(work: Work) -> Answer:
    """Check a pair as it is set; what is kept has the verdict in words and each number of it."""
    started = time.perf_counter()
    work.tell(0.0, "reads bars")
    own = {name: work.spec.values[name] for name in PAIR_PARAMETERS if name in work.spec.values}
    spec = read_pair_spec(own, work.settings)
    legs, first_ms, last_ms = shared_bars(work.reader, spec)
    plan = plan_rows(spec, first_ms, last_ms)
    work.tell(0.1, "cuts the future off")
    truncation = truncation_check(spec, plan, *legs)
    work.tell(0.4, "trades random walks")
    noise, why = placebo(spec, plan, *legs, runs=RUNS)
    work.tell(0.9, "changes costs, exits and fills")
    outcomes = stress(spec, plan, *legs)
    tie = tie_of_legs(spec, plan, *legs)
    verdict = judge(truncation, noise, why, outcomes, tie)
    told: dict[str, Any] = {
        "verdict": verdict.words,
        "checks": [asdict(one) | {"label": LABELS[one.name]} for one in verdict.checks],
        "cuts": truncation.cuts,
        "values_compared": truncation.values_compared,
        "differences": [asdict(one) for one in truncation.differences],
        "noise": None if noise is None else _finite(asdict(noise.figures[NET])),
        "outcomes": {name: _finite(asdict(one)) for name, one in outcomes.items()},
        "johansen": None if tie[1] is None else asdict(tie[1]),
        "warnings": [],
        "elapsed_s": time.perf_counter() - started,
    }
    return told, verdict.words


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in figures.items()
    }
