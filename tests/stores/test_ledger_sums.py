"""What the ledger says was spent on a scope: exactly, and where balances are rebuilt often, from an index."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from postgres_parts import encoded, make_entry
from sqlalchemy import text

from gateway.domain import Budget, BudgetClaim, Dimension, Scope, Window
from gateway.stores.ledger_sums import LedgerSums, _conditions
from policies.windows import period_of


def claim_on(scope, value=None):
    budget = Budget(id="b", scope=scope, limit_nusd=1, window=Window.MONTH)
    return BudgetClaim(budget, value, "b", period_of(budget, int(time.time() * 1000)), 1)


FROM_AN_INDEX_ALONE = [
    (Scope("org"), None),
    (Scope("org", team_id="t"), None),
    (Scope("org", each=Dimension.TEAM), "t"),
    (Scope("org", team_id="t", member_id="m"), None),
    (Scope("org", team_id="t", each=Dimension.MEMBER), "m"),
    (Scope("org", team_id="t", key_id="k"), None),
    (Scope("org", each=Dimension.KEY), "k"),
]


async def plan_of(engine, claim):
    conditions, parameters = _conditions(claim)
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        await connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        query = f"EXPLAIN SELECT sum(cost_nusd) FROM ledger_entries WHERE {conditions}"  # noqa: S608 - our own words
        return "\n".join((await connection.execute(text(query), parameters)).scalars())


@pytest.mark.parametrize(("scope", "value"), FROM_AN_INDEX_ALONE)
async def test_what_an_owner_spent_is_in_an_index(engine, scope, value):
    plan = await plan_of(engine, claim_on(scope, value))

    assert "Index Only Scan" in plan
    assert "Index Scan" not in plan
    assert "Seq Scan" not in plan


async def test_what_an_end_user_spent_is_found_by_its_name(engine):
    plan = await plan_of(engine, claim_on(Scope("org", each=Dimension.END_USER), "ann"))

    assert "substr(end_user, 1, 200) = 'ann'" in plan


async def test_end_users_whose_long_names_begin_alike_are_told_apart(engine, ledger):
    organization, name = uuid4().hex, "é" * 3000
    await ledger.write(
        encoded(
            make_entry(organization_id=organization, end_user=f"{name}1", cost_nusd=3),
            make_entry(organization_id=organization, end_user=f"{name}2", cost_nusd=5),
        )
    )

    async with LedgerSums(engine).snapshot() as snapshot:
        spent = await snapshot.spent(claim_on(Scope(organization, each=Dimension.END_USER), f"{name}2"))

    assert spent == {0: 5}
