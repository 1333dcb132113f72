"""What tests of the exchange's protocol share: a scripted stream."""

from typing import Any

import pytest

from tests.support.fake_stream import FakeExchange


@pytest.fixture
def exchange(virtual_time: Any) -> FakeExchange:
    return FakeExchange(virtual_time)
