"""All that a report says of a pair: a sweep and what its best is worth, and the honesty check."""

from dataclasses import replace

from ingest.analysis.honesty import check_pair
from ingest.analysis.lab import sweep_pair
from ingest.analysis.work import Answer, Work

SWEEPING = 0.6
"""Share of the work."""


def report_pair(work: Work) -> Answer:
    """Sweep, and check the pair's own parameters; the check is kept beside the sweep's answer."""
    told, words = sweep_pair(replace(work, share=SWEEPING))
    checked, verdict = check_pair(replace(work, begin=SWEEPING, share=1.0 - SWEEPING))
    told["honesty"] = {name: checked[name] for name in ("verdict", "checks")}
    told["elapsed_s"] += checked["elapsed_s"]
    return told, f"{words}. {verdict}"
