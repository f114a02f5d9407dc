"""Run the migrations on the connection that gateway.stores.migrate hands over, in its transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

connection: Connection = context.config.attributes["connection"]
# A migration waits for no lock longer than this: behind a waiting ALTER TABLE every query of the table queues too.
connection.execute(text("SET LOCAL lock_timeout = '5s'"))
connection.execute(text("SET LOCAL statement_timeout = 0"))
context.configure(connection=connection)
context.run_migrations()
