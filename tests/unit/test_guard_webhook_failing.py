"""The guard that is a webhook, against real servers that stumble, hang, die or refuse."""

from __future__ import annotations

import asyncio

import pytest
from asking_parts import FakeAsking
from webhook_parts import LONG_S, PASS, TEXTS, Answer, Clock, dies, dies_within_its_answer, guard, hangs, hook, says

from backends.guards.hooks import Hooks
from gateway.domain import Finding
from gateway.errors import GuardFailed
from policies.breaker import FAILURES_TO_OPEN, PAUSE_S_MIN

SHORT_S = 0.2


@pytest.mark.parametrize("failing", [dies, dies_within_its_answer, says(b"", 500), says(b"", 503), says(b"", 429)])
async def test_a_hook_that_stumbles_is_asked_again_with_the_same_message(hooks: Hooks, clock: Clock, failing: Answer):
    async with hook(failing, says({"verdict": "block"})) as got:
        found = await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert found.is_adverse
    assert len(got.bodies) == 2
    assert got.headers[0]["webhook-id"] == got.headers[1]["webhook-id"]
    assert len(clock.pauses) == 1


async def test_a_hook_is_asked_no_more_often_than_its_rule_says(hooks: Hooks):
    async with hook(says(b"", 503)) as got:
        with pytest.raises(GuardFailed, match="HTTP 503"):
            await guard(got.url, hooks, retries=2).look(TEXTS, FakeAsking())
        assert len(got.bodies) == 3

        with pytest.raises(GuardFailed):
            await guard(got.url, hooks, retries=0).look(TEXTS, FakeAsking())
        assert len(got.bodies) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_a_hook_that_does_not_want_the_message_is_not_asked_again(hooks: Hooks, status: int):
    async with hook(says(PASS, status)) as got:
        with pytest.raises(GuardFailed, match=f"HTTP {status}"):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert len(got.bodies) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hooks: Hooks, status: int):
    async with hook(says()) as elsewhere, hook(says(b"", status, location=elsewhere.url)) as got:
        with pytest.raises(GuardFailed, match=f"HTTP {status}"):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert elsewhere.bodies == []


async def test_a_pause_that_a_hook_asks_for_is_kept_to_if_the_deadline_leaves_it(hooks: Hooks, clock: Clock):
    async with hook(says(b"", 429, retry_after="3"), says()) as got:
        await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert clock.pauses == [3.0]


async def test_a_pause_beyond_the_deadline_ends_the_look_and_those_until_it_is_over(hooks: Hooks, clock: Clock):
    async with hook(says(b"", 429, retry_after="40"), says()) as got:
        looking = guard(got.url, hooks)
        for _ in range(2):
            with pytest.raises(GuardFailed):
                await looking.look(TEXTS, FakeAsking())
        assert (clock.pauses, len(got.bodies)) == ([], 1)

        clock.now_s += 40
        await looking.look(TEXTS, FakeAsking())


async def test_a_hook_that_hangs_is_given_up_before_its_rule_s_timeout(hooks: Hooks):
    async with hook(hangs) as got, asyncio.timeout(LONG_S):
        with pytest.raises(GuardFailed, match=r"no answer within 0\.19 s"):
            await guard(got.url, hooks, timeout_s=SHORT_S).look(TEXTS, FakeAsking())

    assert len(got.bodies) == 1


async def test_a_dead_hook_is_left_alone_for_some_seconds_then_tried_once(hooks: Hooks, clock: Clock):
    async with hook(hangs) as got, asyncio.timeout(LONG_S):
        looking = guard(got.url, hooks, timeout_s=SHORT_S)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(GuardFailed, match="no answer"):
                await looking.look(TEXTS, FakeAsking())
        for _ in range(20):
            with pytest.raises(GuardFailed, match="left alone"):
                await looking.look(TEXTS, FakeAsking())
        assert len(got.bodies) == FAILURES_TO_OPEN

        clock.now_s += PAUSE_S_MIN
        looks = await asyncio.gather(*(looking.look(TEXTS, FakeAsking()) for _ in range(10)), return_exceptions=True)

    assert len(got.bodies) == FAILURES_TO_OPEN + 1
    assert all(isinstance(one, GuardFailed) for one in looks)


async def test_a_hook_that_is_back_is_asked_as_before(hooks: Hooks, clock: Clock):
    async with hook(*[says(b"", 500)] * FAILURES_TO_OPEN, says()) as got:
        looking = guard(got.url, hooks, retries=0)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(GuardFailed, match="HTTP 500"):
                await looking.look(TEXTS, FakeAsking())
        clock.now_s += PAUSE_S_MIN

        for _ in range(3):
            await looking.look(TEXTS, FakeAsking())

    assert len(got.bodies) == FAILURES_TO_OPEN + 3


async def test_a_flapping_hook_answers_whenever_it_can(hooks: Hooks):
    async with hook(*[says(b"", 500), says()] * 20) as got:
        looking = guard(got.url, hooks, retries=0)
        said = [await asyncio.gather(looking.look(TEXTS, FakeAsking()), return_exceptions=True) for _ in range(40)]

    assert [isinstance(one[0], Finding) for one in said] == [False, True] * 20


async def test_texts_that_a_hook_chokes_on_do_not_keep_others_from_being_looked_at(hooks: Hooks):
    async with hook(*[says(b"nonsense")] * 20, *[says(PASS, 422)] * 20, says()) as got:
        looking = guard(got.url, hooks)
        for _ in range(40):
            with pytest.raises(GuardFailed):
                await looking.look(["made for it"], FakeAsking())

        assert not (await looking.look(TEXTS, FakeAsking())).is_adverse


async def test_a_client_that_leaves_says_nothing_of_the_hook(hooks: Hooks):
    async with hook(*[hangs] * (FAILURES_TO_OPEN + 1), says()) as got, asyncio.timeout(LONG_S):
        looking = guard(got.url, hooks)
        for _ in range(FAILURES_TO_OPEN + 1):
            look = asyncio.create_task(looking.look(TEXTS, FakeAsking()))
            await got.arrived.acquire()
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)

        assert not (await looking.look(TEXTS, FakeAsking())).is_adverse


async def test_a_hook_where_nobody_listens_is_no_verdict(hooks: Hooks, clock: Clock):
    async with hook(says()) as got:
        url = got.url
    with pytest.raises(GuardFailed, match="ClientConnectorError"):
        await guard(url, hooks).look(TEXTS, FakeAsking())

    assert len(clock.pauses) == 1


async def test_a_hook_that_was_restarted_is_asked_over_a_new_connection(hooks: Hooks):
    async with hook(says(), dies, says()) as got:
        looking = guard(got.url, hooks)
        for _ in range(2):
            assert not (await looking.look(TEXTS, FakeAsking())).is_adverse


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://127.0.0.1:1/look", "http://[::1/"])
async def test_an_address_that_cannot_be_is_no_verdict(hooks: Hooks, url: str):
    with pytest.raises(GuardFailed):
        await guard(url, hooks).look(TEXTS, FakeAsking())
