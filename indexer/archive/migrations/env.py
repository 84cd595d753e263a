"""Runs migrations on the connection handed over by the catalogue."""

from __future__ import annotations

from alembic import context

from wordspot.indexer.archive.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
