"""Numbers and spans are said in the same few digits wherever they are read."""

import pytest

from core.words import duration_text, short, with_minus

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("span_ms", "words"),
    [
        (0, "0 s"),
        (1_500, "1.5 s"),
        (99 * SECOND, "99 s"),
        (100 * SECOND, "1.7 min"),
        (90 * MINUTE, "90 min"),
        (100 * MINUTE, "1.7 h"),
        (47 * HOUR, "47 h"),
        (48 * HOUR, "2 d"),
        (1_487_465.4 * MINUTE, "1,033 d"),
        (1_033 * DAY, "1,033 d"),
    ],
)
def test_an_age_is_said_in_the_unit_that_a_reader_would_choose(span_ms: float, words: str) -> None:
    assert duration_text(span_ms) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (2.0, "2"), (9.94, "9.9"), (9.96, "10"), (12_345.6, "12,346")]
)
def test_ten_and_more_are_said_without_decimals(value: float, words: str) -> None:
    assert short(value) == words


def test_every_number_of_a_range_gets_its_minus() -> None:
    assert with_minus(f"{-1.5:+.1f} to {-0.25:+.2f}") == "−1.5 to −0.25"
