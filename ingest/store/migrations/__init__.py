"""Alembic scripts of the store; `ingest.store.engine.migrate` runs them."""

HEAD = "0007"
"""Newest revision, kept here so that a start at head needn't load alembic; a test compares it."""
