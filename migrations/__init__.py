"""Alembic migrations: one idea each, forward only in production, run by `obol migrate` and at start."""
