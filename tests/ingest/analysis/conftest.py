"""The small market of hours in a database of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hours import Hours


@pytest.fixture(params=["sqlite", "postgresql"])
def hours(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hours]:
    url = f"sqlite:///{tmp_path}/market.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = Hours(url)
    yield made
    made.shut()
