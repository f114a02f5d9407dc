"""Proof of the exact cache: equal requests make one call, and nobody is served what is another's or is not whole."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from house import House
from numbered_upstream import END, WORDS
from proofs import IS_WHOLE
from replica_client import Answer, ask, clients, text_of
from replicas import INPUT_NUSD, OUTPUT_NUSD, Replicas
from running_gateway import until

pytestmark = pytest.mark.proof

PROCESSES = 4
AT_ONCE = 1000 if IS_WHOLE else 120
STREAMS = 100_000 if IS_WHOLE else 1200
PARALLEL = 48
CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-upstream}
# What breaks is asked by no other test: it leaves circuits open, for a minute at most.
deployments:
  - {name: good, provider: up, model: good, price: {input: 1, output: 2}}
  - {name: breaking, provider: up, model: breaking, price: {input: 1, output: 2}}
  - {name: next, provider: up, model: next, price: {input: 1, output: 2}}
routes:
  cached: {deployments: [good], cache: {exact: {}}}
  breaks: {deployments: [breaking], cache: {exact: {}}}
  falls-back: {deployments: [breaking, next], cache: {exact: {}}}
"""
WHOLE_TEXT = re.compile(rf"(\d+)( word){{{WORDS}}} {END}")
CALL_NUSD = 9 * INPUT_NUSD + (WORDS + 2) * OUTPUT_NUSD


@pytest.fixture(scope="module")
def caching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    upstream = Path(__file__).with_name("numbered_upstream.py")
    with Replicas(tmp_path_factory.mktemp("caching"), CATALOG, count=PROCESSES, upstream=upstream) as running:
        yield running


def question(prompt: str, *, is_stream: bool, model: str = "cached", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": model, "messages": messages, "temperature": 0, "stream": is_stream, **fields}


def response(prompt: str, *, is_stream: bool, model: str) -> dict[str, Any]:
    return {"model": model, "input": prompt, "temperature": 0, "stream": is_stream}


def text_of_response(answer: Answer) -> str | None:
    """As ``text_of``, of the Responses API. What a stream tells by and by is what it says at its end."""
    if answer.status != 200 or not answer.is_whole:
        return None
    deltas = None
    if answer.headers["content-type"] == "application/json":
        told = json.loads(answer.body)
    else:
        events = [json.loads(one.partition("\ndata: ")[2]) for one in answer.body.decode().split("\n\n") if one]
        deltas = "".join(one["delta"] for one in events if one["type"] == "response.output_text.delta")
        told = events[-1]["response"]
    if told["status"] != "completed" or [item["type"] for item in told["output"]] != ["message"]:
        return None
    text: str = told["output"][0]["content"][0]["text"]
    assert deltas in (None, text)
    return text


def number_in(text: str) -> int:
    found = WHOLE_TEXT.fullmatch(text)
    assert found, text
    return int(found[1])


def number_of(answer: Answer) -> int:
    """The number of the call whose answer this is."""
    text = text_of(answer)
    assert text is not None, f"{answer.status} {dict(answer.headers)} whole: {answer.is_whole}\n{answer.body!r}"
    return number_in(text)


def calls_with(replicas: Replicas, prompt: str) -> int:
    return sum(prompt in json.dumps(call["body"]) for call in replicas.upstream.calls())


async def at_once(key: Mapping[str, Any], body: Mapping[str, Any], urls: list[str]) -> list[Answer]:
    turns = itertools.cycle(urls)
    async with clients() as session:
        return await asyncio.gather(
            *(ask(session, next(turns), key, {**body, "stream": number % 2 == 0}) for number in range(AT_ONCE))
        )


async def test_equal_requests_at_once_on_all_replicas_make_one_call(caching: Replicas) -> None:
    house = House(caching)
    key = house.key(house.team())
    prompt = uuid4().hex
    body = question(prompt, is_stream=False, script={"delay_ms": 500, "chunk_ms": 20})

    answers = await at_once(key, body, [gateway.url for gateway in caching.gateways])

    assert calls_with(caching, prompt) == 1
    assert len({number_of(answer) for answer in answers}) == 1
    statuses = [answer.headers["x-obol-cache"] for answer in answers]
    assert (statuses.count("miss"), statuses.count("hit-exact")) == (1, AT_ONCE - 1)
    until(house.is_at_rest, "all is on the ledger")
    entries = house.entries()
    assert len(entries) == AT_ONCE
    assert sum(one["cost_nusd"] for one in entries) == CALL_NUSD
    assert sum(one["baseline_nusd"] for one in entries) == CALL_NUSD * AT_ONCE
    assert sum(one["source"] == "cache_exact" for one in entries) == AT_ONCE - 1


async def test_when_the_leader_is_killed_after_calling_exactly_one_of_the_others_calls(caching: Replicas) -> None:
    house = House(caching)
    key = house.key(house.team())
    prompt = uuid4().hex
    # The leader must not have answered by the time that so many others have asked.
    body = question(prompt, is_stream=True, script={"delay_ms": 15_000 if IS_WHOLE else 2500})
    leader, *others = caching.gateways
    async with clients() as session:
        led = asyncio.create_task(ask(session, leader.url, key, body))
        await asyncio.to_thread(until, lambda: calls_with(caching, prompt), "the leader has called")
        following = asyncio.create_task(at_once(key, body, [gateway.url for gateway in others]))
        await asyncio.sleep(0.5)  # they wait by now, or come later: either is right
        await asyncio.to_thread(leader.kill_all, random.Random(1))  # noqa: S311 - it shuffles pids
        answers = await following
        with pytest.raises(aiohttp.ClientError):
            await led
    leader.start()
    assert calls_with(caching, prompt) == 2
    assert len({number_of(answer) for answer in answers}) == 1
    until(house.is_at_rest, "all is on the ledger", 80.0)
    entries = house.entries()
    assert sum(one["source"] == "cache_exact" for one in entries) == AT_ONCE - 1
    assert [one["status"] for one in entries if one["source"] == "upstream"].count("orphaned") == 1
    assert len(entries) == AT_ONCE + 1


@pytest.mark.timeout(3600 if IS_WHOLE else 120)
async def test_of_streams_that_break_nobody_is_served_a_part_or_what_another_team_was_answered(
    caching: Replicas,
) -> None:
    house = House(caching)
    keys = [house.key(house.team()) for _ in range(3)]
    chance = random.Random(7)  # noqa: S311 - it makes up requests
    urls = [gateway.url for gateway in caching.gateways]
    told: dict[int, int] = {}  # the number of each call: whose team it answered
    hits = whole = left = 0
    places = asyncio.Semaphore(PARALLEL)

    async def visit(session: aiohttp.ClientSession, prompt: str) -> None:
        nonlocal hits, whole, left
        which = chance.randrange(len(keys))
        model = chance.choice(["breaks", "falls-back"])
        endpoint, body_of, read = chance.choice(
            [("chat/completions", question, text_of), ("responses", response, text_of_response)]
        )
        body = body_of(prompt, is_stream=chance.random() < 0.7, model=model)  # the same for all teams
        async with places:
            asking = asyncio.create_task(ask(session, chance.choice(urls), keys[which], body, endpoint))
            if chance.random() < 0.1:
                left += 1
                await asyncio.wait([asking], timeout=chance.uniform(0, 0.02))
                asking.cancel()
            (answer,) = await asyncio.gather(asking, return_exceptions=True)
        if not isinstance(answer, Answer):
            return
        is_hit = answer.headers.get("x-obol-cache") == "hit-exact"
        text = read(answer)
        if is_hit:
            hits += 1
            assert text is not None, answer
        if text is not None:
            whole += 1
            assert told.setdefault(number_in(text), which) == which

    async with clients() as session:
        for _ in range(0, STREAMS, 600):
            prompts = [uuid4().hex for _ in range(60)]
            await asyncio.gather(*(visit(session, prompt) for prompt in prompts * 10))
    print(f"{STREAMS} asked: {whole} whole, of which {hits} kept ones, {left} clients left")  # noqa: T201
    assert hits > STREAMS * 0.1
    assert whole < STREAMS - left
    until(house.is_at_rest, "all is on the ledger", 80.0)
