"""Decisions that somebody judged, joined with their judgements and with what their answers cost."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from decision_parts import made
from postgres_parts import encoded, make_entry

from gateway.domain import Caller
from gateway.domain.feedback import Feedback
from gateway.stores.decisions import DecisionStore
from gateway.stores.feedback import FeedbackStore
from gateway.stores.judged_decisions import judged_decisions


@pytest.fixture
def route():
    return uuid4().hex


@pytest.fixture
def caller():
    return Caller(f"key_{uuid4().hex}", "k", uuid4().hex, "t", uuid4().hex)


@pytest.fixture
def answered(engine, ledger, caller, route):
    """Makes a request to the route with one attempt for each cost; the last one answered."""

    async def make(*costs_nusd, **fields):
        decision = made(route=route, team_id=caller.team_id, chosen="big", **fields)
        await DecisionStore(engine).write((decision,))
        for attempt, cost_nusd in enumerate(costs_nusd, 1):
            deployment = "big" if attempt == len(costs_nusd) else "mini"
            entry = make_entry(
                request_id=decision.request_id, team_id=caller.team_id, deployment=deployment, cost_nusd=cost_nusd
            )
            await ledger.write(encoded(entry))
        return decision.request_id

    return make


async def of(engine, route):
    return [one for one in (await judged_decisions(engine)).decisions if one.route == route]


async def test_a_judged_decision_has_the_mean_of_its_scores_and_what_the_chosen_one_cost(
    engine, caller, route, answered
):
    request_id = await answered(5, 70)
    store = FeedbackStore(engine)
    await store.give(caller, Feedback(request_id, 1.0, who="ann"))
    await store.give(replace(caller, key_id="key_other", member_id="member_1"), Feedback(request_id, 0.5))
    (found,) = await of(engine, route)
    assert (found.chosen, found.offered, found.score, found.cost_nusd) == ("big", ("mini", "big"), 0.75, 70)
    assert (found.router_version, found.features) == ("r7", bytes(range(256)))


async def test_what_does_not_say_whose_it_is_or_has_no_score_counts_for_nothing(engine, caller, route, answered):
    request_id = await answered(70)
    before = await judged_decisions(engine)
    store = FeedbackStore(engine)
    await store.give(caller, Feedback(request_id, 1.0))
    await store.give(caller, Feedback(request_id, label="good", who="ann"))
    assert await of(engine, route) == []
    after = await judged_decisions(engine)
    assert (after.judgements - before.judgements, after.used - before.used) == (2, 0)
    await store.give(caller, Feedback(request_id, 0.0, who="ann"))
    await store.give(caller, Feedback(request_id, 0.0, who="bob"))
    last = await judged_decisions(engine)
    assert (last.used - before.used, last.keys - before.keys, last.people - before.people) == (2, 1, 2)
    assert [one.score for one in await of(engine, route)] == [0.0]


async def test_decisions_without_features_and_requests_without_decisions_are_left_out(engine, caller, route, answered):
    request_id = await answered(70, features=b"")
    await FeedbackStore(engine).give(caller, Feedback(request_id, 1.0, who="ann"))
    assert await of(engine, route) == []
