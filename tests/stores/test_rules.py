"""Budgets and limits in Postgres, and how they reach the processes that apply them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from announcement_parts import following, is_heard
from journal_parts import until
from own_valkey import own_valkey
from postgres_parts import make_entry
from sqlalchemy import text

from gateway.domain import NANO, NO_CLAIMS, Actor, Dimension, OnExhausted, Role, Scope, Window
from gateway.errors import BadRequest, BudgetsUnavailable, Conflict, NotFound, StoreUnavailable
from gateway.stores import database
from gateway.stores.announcements import subscription_client
from gateway.stores.budgets import BudgetStore
from gateway.stores.limits import LimitStore
from gateway.stores.rule_cache import RuleCache
from gateway.stores.rule_source import RuleSource
from gateway.stores.rules import CHANNEL, redis_announcer
from gateway.stores.scopes import owned_scope

ACTOR = Actor("admin", "operator", Role.OWNER)
NOW_MS = int(datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def budgets(engine):
    return BudgetStore(engine)


@pytest.fixture
def limits(engine):
    return LimitStore(engine)


@pytest.fixture
async def organization(tenants):
    return await tenants.create_organization(ACTOR, uuid4().hex, contact="office@example.com")


@pytest.fixture
async def team(tenants, organization):
    return await tenants.create_team(ACTOR, "search", organization.id, contact="owner@example.com")


@pytest.fixture
async def member(tenants, team):
    return await tenants.create_member(ACTOR, team.id, "ann", email="ann@example.com")


@pytest.fixture
def scope(organization, team):
    return Scope(organization.id, team_id=team.id)


@pytest.fixture
async def cache(engine):
    made = RuleCache(RuleSource(engine))
    await made.refresh()
    return made


def entry(organization_id, **fields):
    return make_entry(organization_id=organization_id, **fields)


async def monthly(budgets, scope, **fields):
    return await budgets.create(ACTOR, scope, **({"limit_nusd": 10 * NANO, "window": Window.MONTH} | fields))


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


async def test_until_the_rules_were_read_nobody_says_that_there_are_none(engine):
    cache = RuleCache(RuleSource(engine))

    with pytest.raises(BudgetsUnavailable):
        cache.claims(entry("org_default"), NOW_MS)


async def test_a_cache_follows_what_is_made_changed_and_deleted(cache, budgets, limits, scope, team):
    call = entry(scope.organization_id, team_id=team.id)
    assert cache.claims(call, NOW_MS) is NO_CLAIMS

    budget = await monthly(budgets, scope)
    limit = await limits.create(ACTOR, scope, {"requests_per_minute": 5})
    await cache.refresh()
    claims = cache.claims(call, NOW_MS)
    assert [claim.budget for claim in claims.budgets] == [budget.rule]
    assert [claim.limit for claim in claims.limits] == [limit.rule]

    await budgets.update(ACTOR, budget.id, {"limit_nusd": 7})
    await limits.delete(ACTOR, limit.id)
    await cache.refresh()
    claims = cache.claims(call, NOW_MS)
    assert [claim.limit_nusd for claim in claims.budgets] == [7]
    assert claims.limits == ()

    await budgets.delete(ACTOR, budget.id)
    await cache.refresh()
    assert cache.claims(call, NOW_MS) is NO_CLAIMS


async def test_a_refresh_that_finds_nothing_new_keeps_what_was_found(cache, budgets, scope, team):
    await monthly(budgets, scope)
    await cache.refresh()
    claims = cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS)

    await cache.refresh()

    assert cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS) is claims


async def test_a_cache_that_starts_later_reads_all_live_rules(engine, budgets, scope, team):
    kept, lost = await monthly(budgets, scope), await monthly(budgets, scope, window=Window.DAY)
    await budgets.delete(ACTOR, lost.id)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE budgets SET updated_at = now() - interval '1 year'"))

    cache = RuleCache(RuleSource(engine))
    await cache.refresh()

    claims = cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS)
    assert [claim.budget.id for claim in claims.budgets] == [kept.id]


async def test_new_names_reach_refusals(engine, budgets, tenants, scope, team):
    now_s = 0.0
    cache = RuleCache(RuleSource(engine), lambda: now_s)
    await monthly(budgets, scope)
    await cache.refresh()

    await tenants.update_team(ACTOR, team.id, {"name": "find", "contact": "new@example.com"})
    now_s = 60.0
    await cache.refresh()

    (claim,) = cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS).budgets
    assert (claim.budget.subject, claim.budget.contact) == ("Team find", "new@example.com")


async def test_while_postgres_is_away_the_last_rules_stay(engine, budgets, scope, team, tmp_path):
    class Source:
        def __init__(self):
            self.real = RuleSource(engine)

        async def changes(self, since):
            return await self.real.changes(since)

    await monthly(budgets, scope)
    source = Source()
    cache = RuleCache(source)
    await cache.refresh()
    away = database.connect(f"postgresql://nobody@/none?host={tmp_path}")
    source.real = RuleSource(away)

    with pytest.raises(StoreUnavailable):
        await cache.refresh()
    await away.dispose()

    assert len(cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS).budgets) == 1


async def test_an_announcement_is_read_at_once_and_several_in_a_row_too(cache, budgets, scope, team):
    await monthly(budgets, scope)
    cache.heard(b"changed")
    await monthly(budgets, scope, window=Window.DAY)
    cache.heard(b"changed")

    await until(lambda: _has_budgets(cache, scope, team, 2))


async def _has_budgets(cache, scope, team, count):
    return len(cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS).budgets) == count


async def test_a_change_reaches_every_process(engine, scope, team):
    with own_valkey() as server:
        replicas = [RuleCache(RuleSource(engine)), RuleCache(RuleSource(engine))]
        async with following(server.url, replicas[0]) as redis, following(server.url, replicas[1]):
            await until(lambda: is_heard(redis, CHANNEL, 2))

            await monthly(BudgetStore(engine, redis_announcer(redis)), scope)

            for replica in replicas:
                await until(lambda replica=replica: _has_budgets(replica, scope, team, 1))


async def test_a_change_is_made_also_where_redis_is_away(engine, scope, caplog):
    redis = subscription_client("redis://127.0.0.1:9")

    made = await monthly(BudgetStore(engine, redis_announcer(redis)), scope)

    assert made.id
    assert "not announced" in caplog.text
    await redis.aclose()


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


async def test_a_time_zone_that_this_machine_does_not_know_counts_by_utc(engine, cache, budgets, scope, team):
    made = await monthly(budgets, scope)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE budgets SET time_zone = 'Mars/Base' WHERE id = :id"), {"id": made.id})

    await cache.refresh()

    (claim,) = cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS).budgets
    assert claim.budget.time_zone == "UTC"
    await budgets.delete(ACTOR, made.id)
