"""What tests of live ingestion share: a pipeline over a store of its own."""

import pytest

from ingest.live.pipeline import Pipeline
from ingest.store.transaction import Writer
from tests.support.plain_ledger import start


@pytest.fixture
def pipeline(writer: Writer) -> Pipeline:
    return start(writer)
