"""Alembic's entry: runs the scripts on the connection that `engine.migrate` hands over."""

from alembic import context

from ingest.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
