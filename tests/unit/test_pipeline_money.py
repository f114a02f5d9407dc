"""Budgets and limits on the path, over fakes: what each attempt asks for, what refusals leave, and how places end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pipeline_parts import (
    BIG,
    CALLER,
    SMALL,
    STREAM,
    WHOLE,
    Backend,
    Quiet,
    Rules,
    deployment,
    path,
    read,
    request,
    walk,
)

from gateway.domain import (
    Basis,
    Budget,
    BudgetClaim,
    Claims,
    Deployment,
    Limit,
    LimitClaim,
    OnExhausted,
    Outcome,
    Period,
    Provider,
    Room,
    Scope,
    Window,
)
from gateway.errors import BudgetExceeded, BudgetsUnavailable, NoDeployment, RateLimited, UpstreamUnreachable
from policies.demand import OVERHEAD_TOKENS
from policies.pricing import free_tariff

FREE = Deployment(name="free", provider=Provider("p", "fake"), model="real-free", tariff=free_tariff())
MIDDLE = deployment("middle", 5, 20)
LIMITS = Claims(limits=(LimitClaim(Limit("limit_1", Scope("org_1"), requests_per_minute=5), None, "limit_1"),))


def budget(on_exhausted=OnExhausted.REFUSE, budget_id="budget_1"):
    made = Budget(budget_id, Scope("org_1"), 10**9, Window.MONTH, on_exhausted=on_exhausted)
    return BudgetClaim(made, None, budget_id, Period(0, None), 10**9)


def spent(on_exhausted=OnExhausted.REFUSE, budget_id="budget_1"):
    return BudgetExceeded("spent", details={"budget": {"id": budget_id}}, on_exhausted=on_exhausted)


def budgeted(backend, *deployments, on_exhausted=OnExhausted.REFUSE, limits=(), **settings):
    rules = Rules(Claims((budget(on_exhausted),), limits))
    return (*path(backend, *deployments, rules=rules, **settings), rules)


async def test_a_call_without_budgets_holds_nothing():
    pipeline, journal, _ = path(Backend(WHOLE))
    await pipeline.answer(*request(max_tokens=10))
    (entry,) = journal.settled.values()
    assert (journal.admissions[0].hold_nusd, entry.held_nusd) == (0, 0)


async def test_a_budgeted_call_holds_the_most_it_can_cost_and_says_so_on_its_entry():
    pipeline, journal, _, _ = budgeted(Backend(WHOLE))
    asked = request(max_tokens=10)
    await pipeline.answer(*asked)
    (entry,) = journal.settled.values()
    (admission,) = journal.admissions
    assert admission.hold_nusd == (asked[0].body_bytes + OVERHEAD_TOKENS) * 1000 + 10 * 4000 == entry.held_nusd
    assert 0 < entry.cost_nusd < entry.held_nusd


async def test_a_call_is_settled_in_the_windows_in_which_it_was_admitted():
    pipeline, journal, _, rules = budgeted(Backend(WHOLE))
    await pipeline.answer(*request())
    assert rules.asked_ms == [1_700_000_000_000] * 2
    assert list(journal.claims.values()) == [rules.every]


async def test_the_member_of_the_key_is_on_the_entry_whatever_user_the_client_sends():
    pipeline, journal, _ = path(Backend(WHOLE))
    asked, dialect, _ = request(user="somebody else")
    await pipeline.answer(asked, dialect, replace(CALLER, member_id="member_1"))
    (entry,) = journal.settled.values()
    assert (entry.member_id, entry.end_user) == ("member_1", "somebody else")


async def test_a_retry_and_a_fallback_hold_anew_after_the_failed_attempt_was_settled():
    backend = Backend(UpstreamUnreachable("down"), UpstreamUnreachable("down"), WHOLE)
    pipeline, journal, _, _ = budgeted(backend)
    await pipeline.answer(*request())
    assert [step for step, _ in journal.order] == ["open", "settle"] * 3
    small, again, big = (one.hold_nusd for one in journal.admissions)
    assert small == again < big


async def test_only_the_last_settlement_gives_the_parallel_place_back():
    pipeline, journal, tasks, _ = budgeted(Backend(UpstreamUnreachable("down"), WHOLE), limits=LIMITS.limits)
    await pipeline.answer(*request())
    await tasks.drain()
    (last,) = (entry.id for entry in journal.settled.values() if entry.status == Outcome.SUCCEEDED)
    assert (journal.lasts, journal.left) == ([last], [])


async def test_a_request_that_no_attempt_answers_gives_its_place_back():
    pipeline, journal, tasks, _ = budgeted(Backend(UpstreamUnreachable("down")), limits=LIMITS.limits)
    with pytest.raises(UpstreamUnreachable):
        await pipeline.answer(*request())
    await tasks.drain()
    assert (journal.lasts, journal.left) == ([], [("req_1", "org_1")])


async def test_a_client_that_leaves_at_any_moment_leaves_its_place_too():
    for turns in range(40):
        pipeline, journal, tasks, _ = budgeted(Backend(UpstreamUnreachable("down"), WHOLE), limits=LIMITS.limits)
        task = asyncio.create_task(walk(pipeline, *request()))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        await asyncio.wait([task])
        await tasks.drain()
        assert not journal.open_entries
        assert journal.left or journal.lasts or not journal.admissions, f"cancelled after {turns} turns"
        if was_done:
            return
    pytest.fail("the walk never ended")


async def test_the_charge_of_a_client_that_left_counts_in_its_limits_before_the_place_is_given_back():
    class Asked(Backend):
        async def open(self, call):
            await super().open(call)
            is_asked.set()
            await asyncio.Event().wait()

    is_asked = asyncio.Event()
    pipeline, journal, tasks, _ = budgeted(Asked(WHOLE), limits=LIMITS.limits)
    task = asyncio.create_task(walk(pipeline, *request()))
    await is_asked.wait()
    task.cancel()
    await asyncio.wait([task])
    await tasks.drain()
    assert (journal.lasts, journal.left) == (list(journal.settled), [])


async def test_whom_a_limit_refuses_has_consumed_nothing_and_nobody_else_is_asked():
    backend = Backend(WHOLE)
    pipeline, journal, tasks, _ = budgeted(backend, limits=LIMITS.limits)
    journal.refuses = {"small": RateLimited("too fast")}
    with pytest.raises(RateLimited):
        await pipeline.answer(*request())
    await tasks.drain()
    assert (backend.calls, journal.order, journal.left) == ([], [], [])


async def test_a_named_deployment_is_never_downgraded():
    backend = Backend(WHOLE)
    pipeline, journal, _, _ = budgeted(backend, on_exhausted=OnExhausted.DOWNGRADE)
    journal.refuses = {"big": spent(OnExhausted.DOWNGRADE)}
    with pytest.raises(BudgetExceeded):
        await pipeline.answer(*request("big"))
    assert backend.calls == []


async def test_a_spent_budget_lets_only_free_answers_of_a_route_through():
    backend = Backend(WHOLE)
    pipeline, journal, _, _ = budgeted(backend, BIG, SMALL, FREE)
    journal.refuses = {"big": spent()}
    answer = await pipeline.answer(*request())
    assert (answer.deployment, [one.hold_nusd for one in journal.admissions]) == ("free", [0])
    assert [call.deployment.name for call in backend.calls] == ["free"]


async def test_a_budget_that_downgrades_moves_on_to_cheaper_deployments_alone():
    backend = Backend(WHOLE)
    pipeline, journal, _, _ = budgeted(backend, MIDDLE, BIG, SMALL, on_exhausted=OnExhausted.DOWNGRADE)
    journal.refuses = {"middle": spent(OnExhausted.DOWNGRADE), "big": AssertionError("dearer than what did not fit")}
    assert (await pipeline.answer(*request())).deployment == "small"


async def test_another_budget_is_not_asked_to_pay_for_the_one_that_is_spent():
    pipeline, journal, _, _ = budgeted(Backend(WHOLE), BIG, SMALL)
    journal.refuses = {"big": spent(budget_id="budget_of_big")}
    assert (await pipeline.answer(*request())).deployment == "small"


async def test_the_first_refusal_is_told_when_nothing_else_serves():
    pipeline, journal, _, _ = budgeted(Backend(WHOLE), BIG, SMALL, on_exhausted=OnExhausted.DOWNGRADE)
    first = spent(OnExhausted.DOWNGRADE)
    journal.refuses = {"big": first, "small": spent(OnExhausted.DOWNGRADE)}
    with pytest.raises(BudgetExceeded) as caught:
        await pipeline.answer(*request())
    assert caught.value is first


async def test_free_answers_go_on_while_nobody_knows_what_is_left_of_a_budget():
    pipeline, journal, _, _ = budgeted(Backend(WHOLE), BIG, SMALL, FREE)
    journal.refuses = {"big": BudgetsUnavailable("away"), "small": AssertionError("not asked")}
    assert (await pipeline.answer(*request())).deployment == "free"


async def test_an_upstreams_failure_stands_when_the_budget_has_no_room_for_another_attempt():
    pipeline, journal, tasks, _ = budgeted(Backend(UpstreamUnreachable("down")), limits=LIMITS.limits)
    open_once = journal.open

    async def open_then_refuse(entry, admission):
        if journal.admissions:
            raise spent()
        return await open_once(entry, admission)

    journal.open = open_then_refuse
    with pytest.raises(UpstreamUnreachable):
        await pipeline.answer(*request())
    await tasks.drain()
    assert journal.left == [("req_1", "org_1")]


async def test_the_rungs_of_a_route_are_told_to_budgets_that_downgrade():
    for on_exhausted, expected in ((OnExhausted.DOWNGRADE, [50, 95, 100]), (OnExhausted.REFUSE, [100] * 3)):
        pcts = []
        for name in ("big", "middle", "small"):
            others = [one for one in (BIG, MIDDLE, SMALL) if one.name != name]
            first = next(one for one in (BIG, MIDDLE, SMALL) if one.name == name)
            pipeline, journal, _, _ = budgeted(Backend(WHOLE), first, *others, on_exhausted=on_exhausted)
            await pipeline.answer(*request())
            pcts.append(journal.admissions[0].ladder_pct)
        assert pcts == expected


async def test_a_named_deployment_stands_on_no_ladder():
    pipeline, journal, _, _ = budgeted(Backend(WHOLE), on_exhausted=OnExhausted.DOWNGRADE)
    await pipeline.answer(*request("big"))
    assert journal.admissions[0].ladder_pct == 100


async def test_an_attempt_that_its_providers_limits_refuse_gives_its_hold_back():
    class Full(Quiet):
        async def acquire(self, deployment, *_):
            return deployment.name != "small"

    backend = Backend(WHOLE)
    pipeline, journal, _, _ = budgeted(backend, admission=Full())
    answer = await pipeline.answer(*request())
    assert ([step for step, _ in journal.order], answer.deployment) == (["open", "void", "open", "settle"], "big")


async def test_what_limits_leave_is_told_with_the_answer_also_after_a_fallback():
    rules, room = Rules(LIMITS), Room(5, 4, 60_000)
    pipeline, journal, _ = path(Backend(UpstreamUnreachable("down"), WHOLE), rules=rules)
    journal.room = room
    assert (await pipeline.answer(*request())).room == room


async def test_the_price_at_admission_holds_when_it_changes_during_the_call():
    pipeline, journal, _, _ = budgeted(Backend(STREAM), SMALL)
    answer = await pipeline.answer(*request(stream=True))
    catalog = pipeline._services.catalog()
    catalog.deployments["small"] = deployment("small", 1000, 4000)
    await read(answer)
    (entry,) = journal.settled.values()
    assert entry.cost_nusd == 3 * 1000 + 2 * 4000


@pytest.mark.parametrize("has_budget", [True, False])
async def test_an_orphan_is_charged_at_its_hold_where_the_operator_wants_that(has_budget):
    rules = Rules(Claims((budget(),)) if has_budget else Claims())
    pipeline, journal, _ = path(Backend(STREAM), SMALL, rules=rules, are_orphans_charged_at_hold=True)
    asked = request(stream=True, max_tokens=10)
    await pipeline.answer(*asked)
    (intent,) = journal.open_entries.values()
    most = asked[0].body_bytes + OVERHEAD_TOKENS
    assert (intent.input_tokens, intent.output_tokens, intent.basis) == (most, 10, Basis.ORPHANED)
    assert intent.cost_nusd == most * 1000 + 10 * 4000
    assert intent.held_nusd == (intent.cost_nusd if has_budget else 0)


async def test_when_all_that_could_serve_are_out_no_budget_is_asked():
    class Full(Quiet):
        async def acquire(self, *_):
            return False

    pipeline, journal, tasks, _ = budgeted(Backend(WHOLE), SMALL, admission=Full(), limits=LIMITS.limits)
    with pytest.raises((NoDeployment, RateLimited)):
        await pipeline.answer(*request())
    await tasks.drain()
    assert (journal.open_entries, journal.left) == ({}, [("req_1", "org_1")])
