"""What a process knows of a route's wrong answers, also in the moment in which it shares that with the others."""

from __future__ import annotations

import asyncio

from gateway.answers.error_budget import ErrorBudgets
from policies.semantic.budget import CLOSED, EDGES, Counts

WRONG = {"requests": 900, "0:requests": 900, "0:none:foretold": 10_000, "0:none:wrong": 90} | {
    f"0:{what}:{at}": 45 for at in range(len(EDGES)) for what in ("would", "looked", "wrong")
}


class Slow:
    """Counts in a store that answers when it is let."""

    def __init__(self):
        self.may_answer, self.of, self.is_away = asyncio.Event(), {}, False

    async def add(self, name, more, _gone=()):
        await self.may_answer.wait()
        if self.is_away:
            return None
        found = self.of.setdefault(name, {})
        for field, count in more.items():
            found[field] = found.get(field, 0) + count
        return dict(found)


async def test_while_counts_are_shared_a_route_that_was_found_wrong_goes_on_giving_nothing():
    shared = Slow()
    budgets = ErrorBudgets(shared)
    budgets.add("route", "route\nteam", Counts(WRONG, {}))
    for is_away in (False, True):
        shared.is_away = is_away
        shared.may_answer.clear()
        sharing = asyncio.create_task(budgets.share())
        await asyncio.sleep(0)
        assert budgets.plan("route", 0.01).limit == CLOSED
        budgets.add("route", "route\nteam", Counts({"requests": 1, "0:requests": 1}, {}))
        shared.may_answer.set()
        await sharing
        assert budgets.plan("route", 0.01).limit == CLOSED
    assert budgets.counts("route")["requests"] == 902
    shared.is_away = False
    await budgets.share()
    assert shared.of["route"]["requests"] == 902


async def test_what_all_have_counted_decides_as_soon_as_it_is_known():
    shared = Slow()
    shared.may_answer.set()
    budgets = ErrorBudgets(shared)
    assert budgets.plan("route", 0.01).limit > CLOSED
    shared.of["route"] = dict(WRONG)
    await budgets.share()
    assert budgets.plan("route", 0.01).limit == CLOSED
