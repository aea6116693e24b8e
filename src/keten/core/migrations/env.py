"""Runs revisions on the connection, and in the transaction, that `keten.core.upgrade` brings."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
