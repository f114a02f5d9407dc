"""Answers to similar questions over replicas that are killed, purged and emptied: nobody is given another's."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import redis
from house import House
from own_valkey import OwnValkey
from proofs import IS_WHOLE
from replica_client import Answer, ask, clients, text_of
from replicas import Replicas
from running_gateway import Gateway, until
from similar_parts import WORDINGS, Asking, answered_once, body_of, is_similar, like, similar_replicas

pytestmark = pytest.mark.proof

QUESTIONS = 6000 if IS_WHOLE else 400
SAME = 400  # of the same question, so that each of 84 spaces is asked a few times
ASKED_AT_ONCE = 16
EMBEDDED_AT_ONCE = 6  # of more an embedder takes no more than wait for it in time
KILLS = 10 if IS_WHOLE else 1
PURGES = 30 if IS_WHOLE else 3
# Rounds of some 40 requests: before answers turn out wrong, without a wrong one until that is believed.
WARM, QUIET = (30, 5) if IS_WHOLE else (2, 2)
WRONG_MAX = 400
LONG_S = 3600 if IS_WHOLE else 240
UNDER_WAY_MS = 30  # so that there are always some to be purged
TAIL = " word" * 12 + " END"


@pytest.fixture(scope="module")
def similar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Replicas, OwnValkey]]:
    with similar_replicas(tmp_path_factory.mktemp("similar")) as running:
        yield running


@pytest.fixture
def replicas(similar: tuple[Replicas, OwnValkey]) -> Replicas:
    return similar[0]


@pytest.fixture
def valkey(similar: tuple[Replicas, OwnValkey]) -> OwnValkey:
    return similar[1]


@asynccontextmanager
async def asking(replicas: Replicas, route: str = "of-team") -> Any:
    house = House(replicas)
    team = house.team()
    async with clients() as session:
        yield Asking(session, house, house.key(team, member=house.member(team)), route)


# Whose answers they are.


class Crowd:
    """Keys of teams of organizations that ask the same questions at once, under several system prompts and seeds."""

    def __init__(self, replicas: Replicas) -> None:
        self.houses = [House(replicas) for _ in range(2)]
        self._keys: list[tuple[House, str, Mapping[str, Any]]] = []
        for house in self.houses:
            for team in (house.team(), house.team()):
                self._keys += [(house, team, house.key(team)) for _ in range(2)]
        self._urls = [gateway.url for gateway in replicas.gateways]
        self._chance = random.Random(5)  # noqa: S311 - it makes up requests
        self.told: Counter[str] = Counter()

    async def visit(self, session: aiohttp.ClientSession, number: int) -> None:
        """Ask one question of that number; whatever answer comes is the asker's own."""
        chance = self._chance
        house, team, key = chance.choice(self._keys)
        route, owner = chance.choice([("of-team", team), ("of-key", key["id"]), ("of-organization", house.id)])
        system, seed = chance.choice([None, "Be kind.", "Be short."]), chance.choice([None, 5])
        text = f"{owner}, {system}, {seed}, {number}:{TAIL}"
        question, is_stream = like(chance.choice(WORDINGS), number), chance.random() < 0.5
        body = body_of(question, text, route=route, is_stream=is_stream, breaks=chance.random() < 0.3, delay_ms=5)
        body["seed"] = seed
        if system is not None:
            body["messages"].insert(0, {"role": "system", "content": system})
        asked = asyncio.create_task(ask(session, chance.choice(self._urls), key, body))
        if chance.random() < 0.05:
            await asyncio.wait([asked], timeout=chance.uniform(0, 0.03))
            asked.cancel()
        (answer,) = await asyncio.gather(asked, return_exceptions=True)
        if not isinstance(answer, Answer):
            self.told["nothing"] += 1
            return
        given = text_of(answer)
        assert given in (None, text)
        if is_similar(answer):
            assert given == text
        self.told["similar" if is_similar(answer) else "broken" if given is None else "new"] += 1


@pytest.mark.timeout(LONG_S)
async def test_nobody_is_given_what_was_made_for_another_tenant_or_request_or_broke(replicas: Replicas) -> None:
    crowds = [Crowd(replicas) for _ in range(QUESTIONS // SAME)]
    places = asyncio.Semaphore(ASKED_AT_ONCE)

    async def one(crowd: Crowd) -> None:
        async with places:
            await crowd.visit(session, 1)

    async with clients() as session:
        for crowd in crowds:
            await asyncio.gather(*(one(crowd) for _ in range(SAME)))
    told = sum((crowd.told for crowd in crowds), Counter[str]())
    print(told)  # noqa: T201
    assert told["similar"] > QUESTIONS * 0.05
    assert told["broken"] > QUESTIONS * 0.05
    for house in [house for crowd in crowds for house in crowd.houses]:
        until(house.is_at_rest, "all is on the ledger", 80.0)
        looked = Counter(one["request_id"] for one in house.entries() if one["purpose"] == "embedding")
        assert set(looked.values()) == {1}


# What is killed.


@asynccontextmanager
async def under_load(asking: Asking, told: Counter[str]) -> Any:
    """Askers at work until the block ends; each request ends in an answer of its own or in an error."""
    stop, numbers = asyncio.Event(), random.Random(3)  # noqa: S311 - it makes up requests

    async def work() -> None:
        while not stop.is_set():
            number = numbers.randrange(20)
            text = f"about {number}{TAIL}"
            try:
                answer = await asking.ask(number, text, wording=numbers.choice(WORDINGS))
            except aiohttp.ClientError:
                told["cut"] += 1
                await asyncio.sleep(0.05)
                continue
            assert (answer.status, text_of(answer)) == (200, text), answer
            told["similar" if is_similar(answer) else "new"] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(ASKED_AT_ONCE):
            group.create_task(work())
        try:
            yield
        finally:
            stop.set()


async def more(told: Counter[str], count: int) -> None:
    """Wait until so many more were answered."""
    until_then = told.total() - told["cut"] + count
    while told.total() - told["cut"] < until_then:  # noqa: ASYNC110 - what is counted in many places
        await asyncio.sleep(0.02)


@pytest.mark.timeout(LONG_S)
async def test_whoever_is_killed_every_request_is_answered_once_and_similar_answers_come_back(
    replicas: Replicas, valkey: OwnValkey
) -> None:
    chance = random.Random(11)  # noqa: S311 - it picks whom to kill
    told: Counter[str] = Counter()
    async with asking(replicas) as asked:
        await asked.until_found(1, f"about 1{TAIL}")
        async with under_load(asked, told):
            for _ in range(KILLS):
                await more(told, 50)
                for gateway in replicas.gateways:
                    for pid in gateway.pids_of("gateway.serving.embedder"):
                        os.kill(pid, signal.SIGKILL)
                await more(told, 50)
                os.kill(chance.choice(replicas.gateways[0].pids_of("gateway.serving.worker")), signal.SIGKILL)
                await more(told, 50)
                valkey.kill()
                await more(told, 50)
                valkey.start()
        print(told)  # noqa: T201
        assert told["cut"] <= 2 * ASKED_AT_ONCE * KILLS  # those of the worker, and who came before it was known
        await asked.until_found(2, f"about 2{TAIL}")
        until(asked.house.is_at_rest, "all is on the ledger", 80.0)
        answered_once(asked.house.entries())


async def test_where_all_answers_are_lost_nothing_old_is_given_and_new_ones_are_found(
    replicas: Replicas, valkey: OwnValkey
) -> None:
    async with asking(replicas) as asked:
        await asked.until_found(7, f"old{TAIL}")
        with redis.Redis.from_url(valkey.url) as store:
            store.flushall()
            answers = [await asked.ask(7, f"new{TAIL}") for _ in range(4)]
            assert {text_of(one) for one in answers} == {f"new{TAIL}"}
            await asked.until_found(7, f"new{TAIL}")


async def test_questions_whose_answers_alone_are_lost_are_forgotten(replicas: Replicas, valkey: OwnValkey) -> None:
    async with asking(replicas) as asked:
        await asked.until_found(7, f"old{TAIL}")
        with redis.Redis.from_url(valkey.url) as store:
            base = f"obol:{{answers:{asked.house.id}}}:"
            before = set(store.hkeys(f"{base}similar"))
            hashes = store.scan_iter(f"{base}*", _type="hash")
            store.delete(*[key for key in hashes if store.hexists(key, "answer")])
            answer = await asked.ask(7, f"new{TAIL}")
            assert text_of(answer) == f"new{TAIL}"
            until(lambda: before - set(store.hkeys(f"{base}similar")), "what was found without its answer is forgotten")


# What is purged.


@pytest.mark.timeout(LONG_S)
@pytest.mark.parametrize("whose", ["team", "key", "member"])
@pytest.mark.parametrize("status", ["hit-exact", "hit-semantic"])
async def test_what_was_asked_before_a_purge_is_never_given_after_it(
    replicas: Replicas, status: str, whose: str
) -> None:
    """What had reached the upstream when the purge began was asked before it, though it may be answered after it.

    Of what was on its way to a gateway then, nobody outside knows whether it came before the purge.
    """
    async with asking(replicas, "purged") as asked:
        purged_s, told = 0.0, Counter[str]()
        stop, is_same = asyncio.Event(), status == "hit-exact"
        writer = {whose: asked.key["id" if whose == "key" else whose]}

        async def work() -> None:
            while not stop.is_set():
                since_s, wording = purged_s, WORDINGS[0 if is_same else told.total() % len(WORDINGS)]
                answer = await asked.ask(1, f"always{TAIL}", wording=wording, is_same=is_same, delay_ms=UNDER_WAY_MS)
                assert json.loads(answer.body)["asked_s"] > since_s
                told[answer.headers["x-obol-cache"]] += 1

        async def purge(gateway: Gateway) -> None:
            nonlocal purged_s
            began_s = time.monotonic()
            answer = await asyncio.to_thread(gateway.admin, "POST", "purge", json=writer)
            assert answer.is_success, answer.text
            purged_s = began_s

        async with asyncio.TaskGroup() as group:
            for _ in range(EMBEDDED_AT_ONCE):
                group.create_task(work())
            for number in range(PURGES):
                await more(told, number % 2 * 30)  # half of them while the first answer is on its way
                await purge(replicas.gateways[number % 2])
            await more(told, 60)
            stop.set()
        print(told)  # noqa: T201
        assert told[status] > 10


# Whose answers turn out wrong.


@pytest.mark.timeout(LONG_S)
async def test_a_route_whose_answers_turn_out_wrong_gives_none_until_they_are_right_again(
    replicas: Replicas, valkey: OwnValkey
) -> None:
    async with asking(replicas, "changing") as asked:
        numbers, store = itertools.count(1), redis.Redis.from_url(valkey.url)
        kept_questions = f"obol:{{answers:{asked.house.id}}}:similar"

        async def given(kept: str, now: str) -> tuple[int, int]:
            """New accounts are asked for once, and then in other words, when a model says something else.

            How many are given the answer that was kept, and how many asked.
            """
            some, before = [next(numbers) for _ in range(EMBEDDED_AT_ONCE)], store.hlen(kept_questions)
            await asyncio.gather(*(asked.ask(number, kept) for number in some))
            until(lambda: store.hlen(kept_questions) >= before + len(some), "they are kept")
            told: list[Answer] = []
            for wording in WORDINGS[1:]:
                told += await asyncio.gather(*(asked.ask(number, now, wording=wording) for number in some))
            assert {text_of(one) for one in told if is_similar(one)} <= {kept, now}
            return sum(is_similar(one) and text_of(one) == kept for one in told), len(told)

        right, other = f"as before{TAIL}", f"by no means, never, nowhere{TAIL}"
        for _ in range(WARM):
            await given(right, right)
        wrong, asked_then, quiet = 0, 0, 0
        while quiet < QUIET:  # rounds without a wrong one
            more_wrong, count = await given(right, other)
            wrong, asked_then, quiet = wrong + more_wrong, asked_then + count, 0 if more_wrong else quiet + 1
        asked_since = 0
        while IS_WHOLE:
            found, count = await given(other, other)
            asked_since += count
            if found:
                break
        print(f"{wrong} wrong ones of {asked_then}; given again after {asked_since}")  # noqa: T201
        store.close()
        assert 0 < wrong <= WRONG_MAX


# What is asked badly.

NOBODY_IS_LIKE = [
    "word " * 205_000,
    "a\0b\0",
    "كيف أفعّل تسجيل الدخول؟ \u202eabc\u202c",
    "🔐" * 60,
    "👩‍👩‍👧‍👦 \u0301\u0301\u0301 \ufeff",
    "?!... --- ;;; ''' \"\"\"",
    "how " * 180,
    "please tell me " * 90,
    "1" * 1400,
    " \n\t",
    "",
    " ".join(f"q{'abcdefghij'[at % 10] * 9}{'klmnopqrst'[at // 2 % 10] * 9}z" for at in range(12)),
]


@pytest.mark.parametrize("text", NOBODY_IS_LIKE, ids=range(len(NOBODY_IS_LIKE)))
async def test_whatever_is_asked_is_answered_and_nothing_else_is_given(replicas: Replicas, text: str) -> None:
    async with asking(replicas) as asked:
        for number in range(3):
            body = body_of(text + " " * number, f"answer {number}{TAIL}")
            answer = await ask(asked.session, replicas.gateways[number % 2].url, asked.key, body)
            assert answer.status == 200, answer
            assert text_of(answer) == f"answer {number}{TAIL}" or is_similar(answer)
        until(asked.house.is_at_rest, "all is on the ledger", 80.0)
        answered_once(asked.house.entries())


async def test_half_a_surrogate_pair_is_refused(replicas: Replicas) -> None:
    async with asking(replicas) as asked:
        answer = await ask(asked.session, replicas.gateways[0].url, asked.key, body_of("\ud83d", "x"))
        assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


async def test_thousands_of_the_same_words_in_one_space_are_one_to_who_asks(
    replicas: Replicas, valkey: OwnValkey
) -> None:
    async with asking(replicas) as asked:
        await asked.until_found(7, f"found{TAIL}")
        with redis.Redis.from_url(valkey.url) as store:
            base = f"obol:{{answers:{asked.house.id}}}:"
            name, value = next(iter(store.hgetall(f"{base}similar").items()))
            copies = {name[:-8] + f"{number:08x}".encode(): value for number in range(5000)}
            store.hset(f"{base}similar", mapping=copies)
            store.hdel(f"{base}similar:state", "run")  # who follows reads all of it anew
            answers = [await asked.ask(7, f"found{TAIL}") for _ in range(20)]
            assert {text_of(one) for one in answers} == {f"found{TAIL}"}
            await asked.until_found(7, f"found{TAIL}")
