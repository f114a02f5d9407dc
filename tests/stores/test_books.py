"""Budgets over a real Valkey and a real Postgres: nothing is admitted that does not fit, balances are what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from books_parts import Replica, budget, charged, intent, new_organization, replicas

from gateway.domain import OnExhausted, Window
from gateway.errors import BudgetExceeded, BudgetsUnavailable
from gateway.stores.instances import doubt
from gateway.stores.redis_link import Script
from gateway.stores.redis_wire import Arg
from policies.rule_book import RuleBook

DOLLAR = 1_000_000_000


@pytest.fixture
def organization():
    return new_organization()


async def test_a_hold_that_does_not_fit_is_refused_and_leaves_nothing(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, 10 * DOLLAR)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        first = intent(organization, 6 * DOLLAR)
        await one.open(first)

        with pytest.raises(BudgetExceeded) as refused:
            await one.open(intent(organization, 5 * DOLLAR))

        assert refused.value.details["budget"]["held_usd"] == "6.00"
        assert await one.standing(first) == [(0, 6 * DOLLAR)]
        assert one.journal.in_flight == 1


async def test_a_settlement_frees_the_hold_and_adds_the_charge(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, 10 * DOLLAR), budget(organization, 9 * DOLLAR, Window.DAY)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        call = intent(organization, 8 * DOLLAR)
        await one.open(call)

        await one.settle(call, 3)

        assert await one.standing(call) == [(3, 0), (3, 0)]


async def test_a_settlement_that_is_repeated_counts_once(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, 10 * DOLLAR)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        call = intent(organization, DOLLAR)
        await one.open(call)
        await one.settle(call, 3)

        await one.settle(call, 3)
        await one.ship()
        await one.settle(call, 3)
        await one.ship()

        assert await one.standing(call) == [(3, 0)]


async def test_of_many_at_once_on_many_replicas_exactly_as_many_are_admitted_as_fit(
    redis_url, engine, tmp_path, organization
):
    book = RuleBook([budget(organization, 100 * DOLLAR)])
    async with replicas(redis_url, engine, tmp_path, book, count=3) as several:
        calls = [intent(organization, DOLLAR) for _ in range(600)]

        outcomes = await asyncio.gather(
            *(several[number % 3].open(call) for number, call in enumerate(calls)), return_exceptions=True
        )

        refused = [outcome for outcome in outcomes if isinstance(outcome, BudgetExceeded)]
        assert len(refused) == 500
        assert len(outcomes) - len(refused) == 100
        assert await several[0].standing(calls[0]) == [(0, 100 * DOLLAR)]


async def test_a_budget_made_in_the_middle_counts_what_was_spent_before(redis_url, engine, tmp_path, organization):
    async with replicas(redis_url, engine, tmp_path, RuleBook()) as (one,):
        shipped, journaled = intent(organization), intent(organization)
        await one.open(shipped)
        await one.settle(shipped, 40)
        await one.ship()
        await one.open(journaled)
        await one.settle(journaled, 2)

        one.book = RuleBook([budget(organization, DOLLAR), budget(organization, DOLLAR, Window.HOUR, is_rolling=True)])

        assert await one.standing(shipped) == [(42, 0), (42, 0)]


async def test_what_an_upstream_bills_beyond_the_hold_is_spent_all_the_same(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, DOLLAR)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        call = intent(organization, DOLLAR)
        await one.open(call)

        await one.settle(call, 3 * DOLLAR)

        assert await one.standing(call) == [(3 * DOLLAR, 0)]
        with pytest.raises(BudgetExceeded):
            await one.open(intent(organization, 1))


async def test_free_calls_go_on_when_the_budget_is_spent(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, 1)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        call = intent(organization, 1)
        await one.open(call)
        await one.settle(call, 1)

        await one.open(intent(organization, 0))

        assert one.journal.in_flight == 1


async def test_a_budget_that_only_notifies_refuses_nothing(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, 1, on_exhausted=OnExhausted.NOTIFY)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        call = intent(organization, 5)
        await one.open(call)

        assert await one.standing(call) == [(0, 5)]


async def test_a_candidate_above_its_rung_of_a_downgrading_budget_is_refused(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, 100, on_exhausted=OnExhausted.DOWNGRADE)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        spent = intent(organization, 50)
        await one.open(spent)
        await one.settle(spent, 50)

        with pytest.raises(BudgetExceeded):
            await one.open(intent(organization, 10), ladder_pct=50)

        await one.open(intent(organization, 10), ladder_pct=95)


async def test_amounts_near_the_largest_window_are_exact(redis_url, engine, tmp_path, organization):
    most = 9_000_000 * DOLLAR
    book = RuleBook([budget(organization, most)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        call = intent(organization, most - 1)
        await one.open(call)
        await one.settle(call, most - 1)

        with pytest.raises(BudgetExceeded):
            await one.open(intent(organization, 2))
        last = intent(organization, 1)
        await one.open(last)

        assert await one.standing(last) == [(most - 1, 1)]


async def test_a_charge_falls_into_the_window_that_it_was_admitted_in(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, DOLLAR, Window.HOUR)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        before = intent(organization, 10, at_s=1_700_000_000)
        await one.open(before)
        now = intent(organization, 10)
        await one.open(now)

        await one.settle(before, 7)

        assert await one.standing(before) == [(7, 0)]
        assert await one.standing(now) == [(0, 10)]


async def test_a_rolling_budget_forgets_what_is_older_than_its_window(redis_url, engine, tmp_path, organization):
    book = RuleBook([budget(organization, 100, Window.HOUR, is_rolling=True)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        now_s = one.journal.clock.unix_s()
        old = charged(intent(organization, at_s=now_s - 2 * 3600), 70)
        recent = charged(intent(organization, at_s=now_s - 1800), 30)
        for charge in (old, recent):
            await one.journal.settle(charge, one.claims(charge))
        await one.ship()

        assert await one.standing(recent) == [(30, 0)]


async def test_crossings_leave_one_alert_each(redis_url, engine, tmp_path, organization):
    told = []
    book = RuleBook([budget(organization, 100)])
    async with replicas(redis_url, engine, tmp_path, book, on_alert=told.append) as (one,):
        for cost_nusd in (49, 2, 40, 20):
            call = intent(organization, 1)
            await one.open(call)
            await one.settle(call, cost_nusd)
            if cost_nusd == 40:
                with pytest.raises(BudgetExceeded):
                    await one.open(intent(organization, 60))

        names = await one.link.command("HKEYS", f"obol:{{{organization}}}:alerts")
        assert sorted(name.decode().split(":")[2] for name in names) == ["50", "80", "95", "exhausted"]
        assert told == [organization] * 3


class DoubtedAfterRebuilds:
    """A link over which the books become doubtful as soon as balances are rebuilt, so many times.

    A gateway that was taken for dead and goes on does that with each call that it settles.
    """

    def __init__(self, replica: Replica, organization: str, times: int) -> None:
        self._link = replica.link
        self._organization = organization
        self.times = times
        replica.balances._link = self

    async def script(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> object:
        reply = await self._link.script(script, keys, args)
        if script.name == "rebuild_install" and self.times:
            self.times -= 1
            await doubt(self._link, self._organization)
        return reply

    async def command(self, *args: Arg) -> object:
        return await self._link.command(*args)


async def test_books_that_are_doubted_again_and_again_refuse_no_call_that_fits(
    redis_url, engine, tmp_path, organization
):
    book = RuleBook([budget(organization, 10 * DOLLAR), budget(organization, 9 * DOLLAR, Window.DAY)])
    async with replicas(redis_url, engine, tmp_path, book) as (one,):
        doubted = DoubtedAfterRebuilds(one, organization, 20)
        calls = [intent(organization, DOLLAR) for _ in range(5)]

        await asyncio.gather(*(one.open(call) for call in calls))

        assert doubted.times == 0
        assert await one.standing(calls[0]) == [(0, 5 * DOLLAR), (0, 5 * DOLLAR)]


async def test_while_books_are_doubted_without_end_no_budgeted_call_is_admitted(
    redis_url, engine, tmp_path, organization
):
    async with replicas(redis_url, engine, tmp_path, RuleBook([budget(organization, 10 * DOLLAR)])) as (one,):
        DoubtedAfterRebuilds(one, organization, 10**6)

        with pytest.raises(BudgetsUnavailable):
            await one.open(intent(organization, DOLLAR))

        assert one.journal.in_flight == 0
