"""Proof 1: whatever many replicas are asked at once, a budget admits what fits, all that fits, and nothing more."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from house import House, nusd
from proofs import IS_WHOLE
from replica_client import Answer, ask, clients
from replicas import FALLING_BACK, INPUT_NUSD, OUTPUT_NUSD, Replicas

from policies.demand import OVERHEAD_TOKENS

pytestmark = pytest.mark.proof

REQUESTS_EACH = 400
ROOM = 100
# Every request is as long as every other and is billed exactly what was held, so that a budget has room for a number.
BODY_BYTES, OUTPUT_TOKENS = 600, 50
HOLD_NUSD = (BODY_BYTES + OVERHEAD_TOKENS) * INPUT_NUSD + OUTPUT_TOKENS * OUTPUT_NUSD


def question(
    house: House, model: str, chance: random.Random, input_tokens: int, output_tokens: int, delay_ms: int = 100
) -> dict[str, Any]:
    """A request of BODY_BYTES, at random a stream, that the upstream bills so; its hold is HOLD_NUSD."""
    usage = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}
    body = {
        "model": model,
        "user": house.user(),
        "stream": chance.random() < 0.5,
        "max_tokens": OUTPUT_TOKENS,
        "script": {"usage": usage, "delay_ms": chance.randrange(delay_ms), "text": "two words"},
        "messages": [{"role": "user", "content": ""}],
    }
    body["messages"] = [{"role": "user", "content": "x" * (BODY_BYTES - len(json.dumps(body)))}]
    assert len(json.dumps(body)) == BODY_BYTES
    return body


def dearest(house: House, model: str, chance: random.Random, delay_ms: int = 100) -> dict[str, Any]:
    """A question that costs all that is held for it."""
    return question(house, model, chance, BODY_BYTES + OVERHEAD_TOKENS, OUTPUT_TOKENS, delay_ms)


def assert_had_no_room(refused: Answer) -> None:
    """The refusal's own figures are those of the moment in which the hold was refused."""
    error = refused.error
    assert (refused.status, error["code"]) == (429, "insufficient_quota"), error
    told = {name: nusd(error["budget"][f"{name}_usd"]) for name in ("limit", "spent", "held", "hold")}
    assert told["hold"] == HOLD_NUSD
    assert told["spent"] + told["held"] <= told["limit"]
    assert told["limit"] - told["spent"] - told["held"] < told["hold"], "there was room for it"


async def ask_all(replicas: Replicas, asked: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> list[Answer]:
    """All of them at once, (key, body) by turns over the replicas."""
    urls = itertools.cycle([gateway.url for gateway in replicas.gateways])
    async with clients() as session:
        return await asyncio.gather(
            *(ask(session, url, key, body) for url, (key, body) in zip(urls, asked, strict=False))
        )


@pytest.mark.parametrize("of", ["organization", "team", "member", "each member", "key"] if IS_WHOLE else ["team"])
async def test_exactly_as_many_are_admitted_as_fit(replicas: Replicas, of: str) -> None:
    chance = random.Random(of)  # noqa: S311 - no secret
    house = House(replicas)
    team = house.team()
    member = house.member(team)
    key = house.key(team, member=member)
    scopes = {
        "organization": {},
        "team": {"team": team},
        "member": {"member": member},
        "each member": {"team": team, "each": "member"},
        "key": {"key": key["id"]},
    }
    house.budget(scopes[of], ROOM * HOLD_NUSD)
    asked = [(key, dearest(house, "one", chance)) for _ in range(REQUESTS_EACH * len(replicas.gateways))]

    answers = await ask_all(replicas, asked)

    admitted = [answer for answer in answers if answer.status == 200]
    assert len(admitted) == ROOM
    assert all(answer.is_whole for answer in admitted)
    for answer in answers:
        if answer.status != 200:
            assert_had_no_room(answer)
    counted = house.books_are_right()
    print(f"{of}: of {len(answers)} requests at once {counted}")  # noqa: T201 - for the docs
    assert (counted.calls, counted.entries, counted.spent_nusd) == (ROOM, ROOM, ROOM * HOLD_NUSD)


async def test_no_budget_of_several_is_overspent_or_refuses_what_fits_while_calls_fail_and_are_tried_again(
    replicas: Replicas,
) -> None:
    chance = random.Random(0)  # noqa: S311 - no secret
    house = House(replicas)
    team = house.team()
    members = [house.member(team) for _ in range(3)]
    keys = [house.key(team, member=member) for member in members for _ in range(2)]
    house.budget({"team": team}, ROOM * HOLD_NUSD)
    house.budget({"team": team, "each": "member"}, 40 * HOLD_NUSD)
    house.budget({"key": keys[0]["id"]}, 15 * HOLD_NUSD)
    house.budget({"route": "one"}, 60 * HOLD_NUSD)
    house.budget({}, 150 * HOLD_NUSD)
    requests = REQUESTS_EACH * len(replicas.gateways) if IS_WHOLE else 200
    asked = []
    for _ in range(requests):
        route = chance.choice(["one", *(f"falls-back-{chance.randrange(FALLING_BACK)}" for _ in range(2))])
        used = chance.randrange(BODY_BYTES + OVERHEAD_TOKENS), chance.randrange(1, OUTPUT_TOKENS)
        asked.append((chance.choice(keys), question(house, route, chance, *used)))

    async with watched(house, keys):
        answers = await ask_all(replicas, asked)

    served = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    failed = [answer for answer in answers if answer.status >= 500]  # their fallback found no room any more
    assert len(served) + len(refused) + len(failed) == requests
    assert all(answer.is_whole for answer in served)
    assert all(answer.error["code"] not in {"internal_error", "budgets_unavailable"} for answer in failed)
    for answer in refused:
        assert_had_no_room(answer)
    counted = house.books_are_right()
    print(f"{len(served)} served, {len(refused)} refused, {len(failed)} failed: {counted}")  # noqa: T201 - for the docs
    assert counted.entries > len(served) + len(failed), "some were tried again"

    # What is left is less than a hold: whoever still fits is let in, one by one, until nobody does.
    async with clients() as session:
        for key in keys:
            while (
                answer := await ask(session, replicas.gateways[0].url, key, dearest(house, "any/x", chance))
            ).status == 200:
                pass
            assert_had_no_room(answer)
    spent = house.books_are_right().spent_nusd
    assert (ROOM - 1) * HOLD_NUSD < spent <= ROOM * HOLD_NUSD


async def test_balances_that_are_rebuilt_under_load_admit_all_that_fits_and_nothing_more(replicas: Replicas) -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    house = House(replicas)
    key = house.key(house.team())
    requests, spread_s = (1200, 20.0) if IS_WHOLE else (240, 1.0)
    room = requests * 3 // 4
    house.budget({"key": key["id"]}, room * HOLD_NUSD)
    urls = itertools.cycle([gateway.url for gateway in replicas.gateways])

    async def ask_after(session: aiohttp.ClientSession, wait_s: float) -> Answer:
        await asyncio.sleep(wait_s)
        return await ask(session, next(urls), key, dearest(house, "one", chance, delay_ms=1000))

    rebuilds = 0
    async with clients() as session:
        asked = [asyncio.create_task(ask_after(session, chance.uniform(0, spread_s))) for _ in range(requests)]
        while not all(one.done() for one in asked):
            said = await asyncio.to_thread(house.obol, "ledger", "rebuild")
            assert "no differences" in said
            rebuilds += 1
        answers = [one.result() for one in asked]

    for answer in answers:
        if answer.status != 200:
            assert_had_no_room(answer)
    counted = house.books_are_right()
    print(f"{rebuilds} rebuilds: of {requests} requests {counted}")  # noqa: T201 - for the docs
    assert sum(answer.status == 200 for answer in answers) == room
    assert (counted.calls, counted.spent_nusd) == (room, room * HOLD_NUSD)


@asynccontextmanager
async def watched(house: House, keys: Sequence[Mapping[str, Any]]) -> AsyncIterator[None]:
    """Meanwhile no balance that a replica tells may pass its limit."""
    ended = asyncio.Event()

    async def watch(session: aiohttp.ClientSession) -> int:
        looks = 0
        while not ended.is_set():
            for gateway, key in itertools.product(house.replicas.gateways, keys):
                headers = {"authorization": f"Bearer {key['key']}"}
                async with session.get(f"{gateway.url}/v1/me", headers=headers) as answer:
                    for one in (await answer.json())["budgets"]:
                        assert nusd(one["spent_usd"]) + nusd(one["held_usd"]) <= nusd(one["limit_usd"])
                        looks += 1
        return looks

    async with clients() as session:
        watching = asyncio.create_task(watch(session))
        try:
            yield
        finally:
            ended.set()
        assert await watching > 0
