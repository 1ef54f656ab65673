"""Runs on the connection that database.migrate opened: migrations know no URL of their own."""

from __future__ import annotations

from alembic import context

import agentforge_gateway.access.tables  # noqa: F401 - it adds tables to `metadata`
from agentforge_gateway.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
