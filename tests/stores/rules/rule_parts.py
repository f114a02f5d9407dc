"""What tests of budgets and limits in Postgres share: who makes them, and when."""

from __future__ import annotations

from datetime import UTC, datetime

from postgres_parts import make_entry

from gateway.domain import NANO, Actor, Role, Window

ACTOR = Actor("admin", "operator", Role.OWNER)
NOW_MS = int(datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp() * 1000)


def entry(organization_id, **fields):
    return make_entry(organization_id=organization_id, **fields)


async def monthly(budgets, scope, **fields):
    return await budgets.create(ACTOR, scope, **({"limit_nusd": 10 * NANO, "window": Window.MONTH} | fields))
