"""Run every comparison and print one table; the ratios are what counts, not the times."""

import sys

from benchmarks.analysis import COMPARISONS
from benchmarks.ingestion import measure_ingestion
from benchmarks.page import measure_page
from benchmarks.request import measure_freshness, measure_requests
from benchmarks.scanning import measure_scanning
from benchmarks.timing import Comparison, measure
from benchmarks.watching import measure_watching


def line(comparison: Comparison) -> str:
    """One row of the table; a library that isn't installed is said to be missing."""
    try:
        theirs = comparison.theirs()
    except ImportError as error:
        return f"| {comparison.job} | {comparison.beside} | – | – | {error.name} missing |"
    ours = measure(comparison.ours)
    other = measure(theirs) * comparison.theirs_share
    unit = 1e9 / comparison.units
    ratio = other / ours
    return (
        f"| {comparison.job} | {comparison.beside} | {ours * unit:,.0f} ns | {other * unit:,.0f} ns"
        f" | {ratio:,.{1 if ratio < 10 else 0}f}× |"
    )


def main() -> int:
    print("| job | beside | ours, a bar or job | theirs | ratio |")
    print("|---|---|---|---|---|")
    for comparison in COMPARISONS:
        print(line(comparison), flush=True)
    print("\n| request | time |\n|---|---|")
    for name, milliseconds in (*measure_requests(), *measure_freshness()):
        print(f"| {name} | {milliseconds:.2f} ms |", flush=True)
    print("\n| every pair | figure |\n|---|---|")
    for job, figure in measure_scanning():
        print(f"| {job} | {figure} |", flush=True)
    print("\n| ingestion | figure |\n|---|---|")
    for job, figure in measure_ingestion():
        print(f"| {job} | {figure} |", flush=True)
    print("\n| watching | figure |\n|---|---|")
    for job, figure in measure_watching():
        print(f"| {job} | {figure} |", flush=True)
    print("\n| page | figure |\n|---|---|")
    for job, figure in measure_page():
        print(f"| {job} | {figure} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
