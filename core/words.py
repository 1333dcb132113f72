"""Numbers and spans in words, as the page, the API and a message say them; pure."""

from datetime import UTC, datetime

_UNITS = ((1_000, "s", 100), (60_000, "min", 100), (3_600_000, "h", 48))


def with_minus(words: str) -> str:
    """Formatted numbers with the minus sign (−) for the hyphen that Python writes."""
    return words.replace("-", "−")


def short(value: float) -> str:
    """Few digits: one decimal below ten."""
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:,.0f}"


def duration_text(span_ms: float) -> str:
    """A span in one unit that suits it: 45 s, 31 min, 5.2 h, 3 d."""
    for unit_ms, unit, limit in _UNITS:
        if span_ms < unit_ms * limit:
            return f"{short(span_ms / unit_ms)} {unit}"
    return f"{short(span_ms / 86_400_000)} d"


def moment_text(time_ms: int) -> str:
    """A moment in full: 2024-09-06 03:00:00 UTC."""
    return f"{datetime.fromtimestamp(time_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
