"""Budgets and limits in Postgres: kept, changed, listed, and whom they are about."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from rule_parts import ACTOR, NOW_MS, monthly
from sqlalchemy import text

from gateway.domain import NANO, Dimension, OnExhausted, Scope, Window
from gateway.errors import BadRequest, Conflict, NotFound
from gateway.stores.scopes import owned_scope


async def audit_of(engine, rule_id):
    query = text("SELECT action, before, after, team_id, actor FROM audit_log WHERE object_id = :id ORDER BY id")
    async with engine.connect() as connection:
        return (await connection.execute(query, {"id": rule_id})).all()


async def test_a_budget_is_kept_as_it_was_made(budgets, scope):
    made = await monthly(
        budgets,
        scope,
        window=Window.WEEK,
        time_zone="Asia/Kolkata",
        is_rolling=True,
        soft_limit_pct=(10, 90),
        on_exhausted=OnExhausted.DOWNGRADE,
        limit_nusd=9_000_000_000_000_000,
    )

    assert await budgets.get(made.id) == made
    assert made.rule.scope == scope
    assert (made.rule.window, made.rule.time_zone, made.rule.is_rolling) == (Window.WEEK, "Asia/Kolkata", True)
    assert made.rule.limit_nusd == 9_000_000_000_000_000
    assert made.rule.soft_limit_pct == (10, 90)
    assert made.rule.on_exhausted is OnExhausted.DOWNGRADE


async def test_a_budget_knows_whom_it_is_about_and_whom_to_ask(budgets, limits, keys, scope, team, member):
    key = (await keys.create_key(ACTOR, team.id, "ci", member_id=member.id)).key
    scopes = {"key_id": key.id}, {"member_id": member.id}, {"team_id": team.id, "each": Dimension.MEMBER}

    made = [(await monthly(budgets, Scope(scope.organization_id, **named))).rule for named in scopes]
    of_all = (await limits.create(ACTOR, Scope(scope.organization_id), {"requests_per_minute": 1})).rule

    assert [(budget.subject, budget.contact) for budget in made] == [
        ("Key ci of team search", "ann@example.com"),
        ("Member ann", "ann@example.com"),
        ("Team search - each member", "owner@example.com"),
    ]
    assert of_all.subject.startswith("Organization ")
    assert of_all.contact == "office@example.com"


async def test_every_change_is_in_the_audit_log_as_the_api_shows_it(budgets, engine, scope, team):
    made = await monthly(budgets, scope)
    await budgets.update(ACTOR, made.id, {"limit_nusd": 20 * NANO})
    await budgets.raise_until(ACTOR, made.id, 30 * NANO, NOW_MS)
    await budgets.end_raise(ACTOR, made.id)
    await budgets.reset(ACTOR, made.id, NOW_MS)
    await budgets.delete(ACTOR, made.id)

    rows = await audit_of(engine, made.id)

    assert [row.action for row in rows] == ["create", "update", "raise", "end_raise", "reset", "delete"]
    assert {row.team_id for row in rows} == {team.id}
    assert {row.actor for row in rows} == {"operator (admin)"}
    assert (rows[0].before, rows[0].after["limit_usd"]) == (None, "10.00")
    assert (rows[1].before["limit_usd"], rows[1].after["limit_usd"]) == ("10.00", "20.00")
    assert rows[2].after["raised"] == {"limit_usd": "30.00", "until": "2027-01-15T08:00:00Z"}
    assert rows[4].after["reset_at"] == "2027-01-15T08:00:00Z"
    assert rows[5].after is None


async def test_a_refused_change_leaves_no_trace(budgets, engine, scope):
    await monthly(budgets, scope)

    with pytest.raises(Conflict):
        await monthly(budgets, scope)

    query = text("SELECT count(*) FROM audit_log WHERE object_kind = 'budget' AND organization_id = :id")
    async with engine.connect() as connection:
        assert (await connection.execute(query, {"id": scope.organization_id})).scalar_one() == 1


@pytest.mark.parametrize(
    "other",
    [{"window": Window.DAY}, {"time_zone": "Asia/Tokyo"}, {"is_rolling": True}, {"on_exhausted": OnExhausted.NOTIFY}],
)
async def test_a_scope_has_one_budget_of_a_kind(budgets, scope, other):
    first = await monthly(budgets, scope)
    second = await monthly(budgets, scope, **other)

    with pytest.raises(Conflict):
        await budgets.update(
            ACTOR, second.id, {"window": "month", "time_zone": "UTC", "is_rolling": False, "on_exhausted": "refuse"}
        )

    assert await budgets.get(second.id) == second
    await budgets.delete(ACTOR, first.id)
    assert (await monthly(budgets, scope)).id != first.id


async def test_of_budgets_made_at_once_for_one_scope_one_stands(budgets, scope):
    made = await asyncio.gather(*(monthly(budgets, scope) for _ in range(5)), return_exceptions=True)

    assert sum(not isinstance(one, Exception) for one in made) == 1
    assert sum(isinstance(one, Conflict) for one in made) == 4


async def test_a_deleted_budget_is_found_no_more(budgets, scope):
    made = await monthly(budgets, scope)
    await budgets.delete(ACTOR, made.id)

    for work in (
        budgets.get(made.id),
        budgets.delete(ACTOR, made.id),
        budgets.update(ACTOR, made.id, {"limit_nusd": 1}),
        budgets.reset(ACTOR, made.id, 1),
    ):
        with pytest.raises(NotFound):
            await work
    assert (await budgets.page(organization=scope.organization_id))[0] == ()


async def test_budgets_are_listed_newest_first_by_whom_they_are_about(budgets, scope, team, member):
    of_team = await monthly(budgets, scope)
    of_member = await monthly(budgets, Scope(scope.organization_id, member_id=member.id))
    of_all = await monthly(budgets, Scope(scope.organization_id))

    async def ids(**filters):
        found, cursor = await budgets.page(limit=2, **filters)
        rest = () if cursor is None else (await budgets.page(limit=2, cursor=cursor, **filters))[0]
        return [one.id for one in (*found, *rest)]

    assert await ids(organization=scope.organization_id) == [of_all.id, of_member.id, of_team.id]
    assert await ids(team=team.id) == [of_member.id, of_team.id]
    assert await ids(member=member.id) == [of_member.id]
    assert await ids(within=(scope.organization_id, team.id)) == [of_member.id, of_team.id]
    assert await ids(within=("org_other", None), organization=scope.organization_id) == []


async def test_a_limit_states_at_least_one_rate(limits, scope):
    made = await limits.create(ACTOR, scope, {"requests_per_minute": 5})

    with pytest.raises(Conflict):
        await limits.update(ACTOR, made.id, {"requests_per_minute": None})
    changed = await limits.update(ACTOR, made.id, {"requests_per_minute": None, "parallel_requests": 0})
    assert (changed.rule.requests_per_minute, changed.rule.parallel_requests) == (None, 0)
    with pytest.raises(Conflict):
        await limits.create(ACTOR, scope, {"tokens_per_day": 5})


async def test_a_scope_lies_in_the_organization_of_what_it_names(engine, tenants, keys, team, member):
    await tenants.ensure_default_team(ACTOR)
    key = (await keys.create_key(ACTOR, team.id, "ci", member_id=member.id)).key

    for named in ({Dimension.TEAM: team.id}, {Dimension.MEMBER: member.id}, {Dimension.KEY: key.id}):
        owned = await owned_scope(engine, named, None)
        assert (owned.scope.organization_id, owned.team_id) == (team.organization_id, team.id)
    default = await owned_scope(engine, {Dimension.MODEL: "gpt"}, Dimension.KEY)
    assert default.scope == Scope("org_default", model="gpt", each=Dimension.KEY)
    assert default.team_id is None


async def test_parts_of_a_scope_that_contradict_each_other_are_refused(engine, tenants, keys, team, member):
    other = await tenants.create_team(ACTOR, uuid4().hex)
    unbound = (await keys.create_key(ACTOR, team.id, "unbound")).key

    for named, param in (
        ({Dimension.ORGANIZATION: "org_default", Dimension.TEAM: team.id}, "scope.organization"),
        ({Dimension.TEAM: other.id, Dimension.MEMBER: member.id}, "scope.team"),
        ({Dimension.MEMBER: member.id, Dimension.KEY: unbound.id}, "scope.member"),
    ):
        with pytest.raises(Conflict) as caught:
            await owned_scope(engine, named, None)
        assert caught.value.param == param


@pytest.mark.parametrize(
    ("named", "each"),
    [
        ({}, Dimension.MODEL),
        ({}, Dimension.ORGANIZATION),
        ({Dimension.TEAM: "x"}, Dimension.TEAM),
        ({Dimension.KEY: "x"}, Dimension.MEMBER),
        ({Dimension.END_USER: "x"}, Dimension.END_USER),
    ],
)
async def test_only_what_there_are_several_of_is_counted_apart(engine, named, each):
    with pytest.raises(BadRequest) as caught:
        await owned_scope(engine, named, each)

    assert caught.value.param == "scope.each"


async def test_what_is_not_there_has_no_scope(engine, tenants, keys, team, member):
    key = (await keys.create_key(ACTOR, team.id, "ci")).key
    await keys.revoke_key(ACTOR, key.id)
    await tenants.delete_member(ACTOR, member.id)

    for dimension, value in (
        (Dimension.ORGANIZATION, "org_none"),
        (Dimension.TEAM, "team_none"),
        (Dimension.MEMBER, member.id),
        (Dimension.KEY, key.id),
    ):
        with pytest.raises(NotFound) as caught:
            await owned_scope(engine, {dimension: value}, None)
        assert caught.value.param == f"scope.{dimension}"


async def test_a_budget_that_stands_in_for_a_default_dates_the_default_anew(budgets, engine, scope, member):
    default = await monthly(budgets, Scope(scope.organization_id, team_id=scope.team_id, each=Dimension.MEMBER))
    other = await monthly(budgets, Scope(scope.organization_id, each=Dimension.KEY))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE budgets SET updated_at = now() - interval '1 day'"))
    yesterday = datetime.now(UTC) - timedelta(hours=23)

    async def is_dated_anew(budget):
        return (await budgets.get(budget.id)).updated_at > yesterday

    named = await monthly(budgets, Scope(scope.organization_id, member_id=member.id))
    assert await is_dated_anew(default)
    assert not await is_dated_anew(other)

    async with engine.begin() as connection:
        await connection.execute(text("UPDATE budgets SET updated_at = now() - interval '1 day'"))
    await budgets.delete(ACTOR, named.id)
    assert await is_dated_anew(default)
