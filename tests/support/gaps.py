"""What the store says is missing, as tests ask for it."""

from typing import NamedTuple

from ingest.store.reader import Reader


class Missing(NamedTuple):
    """How much of a symbol's live feed is missing."""

    missing: int
    open_gaps: int
    unfillable_gaps: int


def missing_ids(reader: Reader) -> dict[str, Missing]:
    """Ids still missing and the gaps they are in, of every symbol that misses any."""
    return {
        symbol: Missing(gaps.open_ids + gaps.lost_ids, gaps.open_gaps, gaps.lost_gaps)
        for symbol, gaps in reader.gap_counts().items()
        if gaps.open_gaps or gaps.lost_gaps
    }
