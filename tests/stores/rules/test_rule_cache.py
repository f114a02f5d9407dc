"""How budgets and limits reach the processes that apply them."""

from __future__ import annotations

import pytest
from announcement_parts import following, is_heard
from journal_parts import until
from own_valkey import own_valkey
from rule_parts import ACTOR, NOW_MS, entry, monthly
from sqlalchemy import text

from gateway.domain import NO_CLAIMS, Window
from gateway.errors import BudgetsUnavailable, StoreUnavailable
from gateway.stores import database
from gateway.stores.announcements import subscription_client
from gateway.stores.budgets import BudgetStore
from gateway.stores.rule_cache import RuleCache
from gateway.stores.rule_source import RuleSource
from gateway.stores.rules import CHANNEL, redis_announcer


@pytest.fixture
async def cache(engine):
    made = RuleCache(RuleSource(engine))
    await made.refresh()
    return made


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


async def test_a_time_zone_that_this_machine_does_not_know_counts_by_utc(engine, cache, budgets, scope, team):
    made = await monthly(budgets, scope)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE budgets SET time_zone = 'Mars/Base' WHERE id = :id"), {"id": made.id})

    await cache.refresh()

    (claim,) = cache.claims(entry(scope.organization_id, team_id=team.id), NOW_MS).budgets
    assert claim.budget.time_zone == "UTC"
    await budgets.delete(ACTOR, made.id)
