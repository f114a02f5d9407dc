"""Proof 2: gateways that are killed under load charge every call once and give back everything that they held."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from house import House, nusd
from proofs import IS_WHOLE
from replica_client import Answer, ask, clients
from replicas import FALLING_BACK, INPUT_NUSD, OUTPUT_NUSD, Replicas
from running_gateway import Gateway, until
from scripted.server import user_of

from gateway.serving.supervisor import ADDRESS_FILE

pytestmark = pytest.mark.proof

KILLS = 20 if IS_WHOLE else 2
CLIENTS = 30
ANSWERS_S_MAX = 60.0
FREED_WITHIN_S = 30.0  # 15 by docs/money.md, and as much for a machine that is busy
TEXT, WORDS, INPUT_TOKENS = "One word after another, eight of them here.", 8, 9  # as the scripted upstream reports them
COST_NUSD = INPUT_TOKENS * INPUT_NUSD + WORDS * OUTPUT_NUSD


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Instants and orders by chance; the seed is shown when the test fails, OBOL_TEST_SEED repeats it."""
    seed = os.environ.get("OBOL_TEST_SEED") or str(random.getrandbits(32))
    print(f"{request.node.name}: OBOL_TEST_SEED={seed}")  # noqa: T201 - pytest shows it beside a failure
    return random.Random(seed)  # noqa: S311 - no secret


def question(user: str, chance: random.Random) -> dict[str, Any]:
    """Answered at once, by a retry, by a fallback; whole or as a stream; soon or late."""
    return {
        "model": chance.choice(["one", "any/x", f"falls-back-{chance.randrange(FALLING_BACK)}", "falls-back-twice"]),
        "user": user,
        "messages": [{"role": "user", "content": "a question"}],
        "max_tokens": 50,
        "stream": chance.random() < 0.6,
        "script": {"text": TEXT, "delay_ms": chance.uniform(0, 250), "chunk_ms": chance.uniform(0, 40)},
    }


class Asked:
    """What was asked under load and what came of it, by the ``user`` of each request."""

    def __init__(self, tight: str) -> None:
        """``tight``: the id of the key whose budget is soon spent."""
        self._tight = tight
        self.under_way: dict[str, Gateway] = {}
        self.answered: set[str] = set()  # the client holds a whole answer
        self.cut: set[str] = set()  # nobody was there, or the answer broke off
        self.refused: Counter[str] = Counter()  # by code
        self.strange: list[Answer] = []
        self.doomed: set[str] = set()  # whose gateway was killed meanwhile

    def note(self, user: str, key: Mapping[str, Any], answer: Answer | None) -> None:
        del self.under_way[user]
        if answer is None or (answer.status == 200 and not answer.is_whole):
            self.cut.add(user)
        elif answer.status == 200:
            self.answered.add(user)
        elif answer.status == 429:
            self.refused[answer.error["code"]] += 1
        elif key["id"] == self._tight and answer.error["code"].startswith("upstream_"):
            self.refused["no room for the next attempt"] += 1
        else:
            self.strange.append(answer)


async def ask_until(stop: asyncio.Event, house: House, asked: Asked, chance: random.Random) -> None:
    """Questions of all kinds, each of any gateway."""
    async with clients() as session:
        while not stop.is_set():
            gateway, key = chance.choice(house.replicas.gateways), chance.choice(house.keys)
            body = question(house.user(), chance)
            asked.under_way[body["user"]] = gateway
            answer = None
            with contextlib.suppress(aiohttp.ClientError):
                answer = await ask(session, gateway.url, key, body)
            asked.note(body["user"], key, answer)
            if answer is None or answer.status != 200:
                await asyncio.sleep(0.05)  # nobody is there, or there is no room: not at once again


@asynccontextmanager
async def under_load(house: House, tight: str, chance: random.Random) -> AsyncIterator[Asked]:
    """Clients at work until the block ends; then every request is brought to its end."""
    asked, stop = Asked(tight), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(ask_until(stop, house, asked, chance))
        try:
            yield asked
        finally:
            stop.set()


async def met(asked: Asked, answers: int) -> None:
    """Wait until so many more have come."""
    goal, deadline = len(asked.answered) + answers, time.monotonic() + ANSWERS_S_MAX
    while len(asked.answered) < goal:
        assert time.monotonic() < deadline, "no answers any more"
        await asyncio.sleep(0.005)


def kill(gateway: Gateway, asked: Asked, chance: random.Random, *, whole: bool) -> None:
    """SIGKILL of all its processes, whom we start again, or of its worker, whom its supervisor does.

    While it starts, a gateway ends with its worker: then it is all of them in any case.
    """
    asked.doomed |= {user for user, its in asked.under_way.items() if its is gateway}
    address = gateway.data_dir / ADDRESS_FILE  # there while it is ready
    workers = gateway.pids_of("gateway.serving.worker") if address.exists() else []
    if whole or not workers:
        gateway.kill_all(chance)
        address.unlink(missing_ok=True)
        gateway.spawn()
    else:
        os.kill(chance.choice(workers), signal.SIGKILL)


def household(replicas: Replicas) -> tuple[House, str]:
    """Keys under budgets of their organization, team, member and own, and under limits of parallel requests.

    The budget of one, whose id is the second, is soon spent.
    """
    house = House(replicas)
    teams = [house.team(), house.team()]
    members = [house.member(team) for team in teams]
    for team, member in zip(teams, members, strict=True):
        house.key(team)
        house.key(team, member=member)
    tight = house.key(teams[0])
    house.budget({}, 10**12, window="total")
    house.budget({}, 10**12, window="day", starts="rolling")
    house.budget({"team": teams[0], "each": "member"}, 10**12, window="week", starts="Asia/Kathmandu")
    for team, member in zip(teams, members, strict=True):
        house.budget({"team": team}, 10**12)
        house.budget({"member": member}, 10**12, window="hour")
    house.budget({"key": tight["id"]}, 40 * COST_NUSD)
    # Whoever dies keeps its places until it is swept.
    house.limit({}, parallel_requests=4 * CLIENTS, requests_per_minute=10**6, tokens_per_minute=10**9)
    house.limit({"team": teams[1], "each": "key"}, parallel_requests=CLIENTS // 3, tokens_per_day=10**9)
    return house, tight["id"]


def is_free(house: House) -> bool:
    """No call is open, nothing is held, no place is taken; charges may be on their way to the ledger."""
    stored = house.replicas.stores.redis
    kinds = ("open:*", "holds:*", "places:*", "parallel")
    return not any(True for kind in kinds for _ in stored.scan_iter(f"obol:{{{house.id}}}:{kind}", count=1000))


async def test_gateways_killed_under_load_charge_every_call_once_and_give_everything_back(
    replicas: Replicas, chance: random.Random
) -> None:
    house, tight = household(replicas)
    async with under_load(house, tight, chance) as asked:
        for number in range(KILLS):
            await met(asked, 15)
            await asyncio.sleep(chance.uniform(0, 0.3))
            kill(chance.choice(replicas.gateways), asked, chance, whole=number % 2 == 0)
        killed_s = time.monotonic()
        await met(asked, 15)
    for gateway in replicas.gateways:
        await asyncio.to_thread(gateway.wait_until_ready)
    until(lambda: is_free(house), "nothing is open, held or taken", FREED_WITHIN_S)
    freed_s = time.monotonic() - killed_s

    counted = house.books_are_right()
    told = f"{KILLS} kills with {len(asked.doomed)} requests in flight, all freed {freed_s:.1f} s after the last"
    print(f"{told}; {counted}; answered {len(asked.answered)}, refused {dict(asked.refused)}")  # noqa: T201
    assert asked.strange == []
    called = {user_of(call["body"]) for call in house.calls()}
    assert called & asked.cut <= asked.doomed, "a gateway that lived broke an answer off"
    entries = house.entries()
    orphaned = [one["end_user"] for one in entries if one["basis"] == "orphaned"]
    assert set(orphaned) <= asked.doomed
    assert len(set(orphaned)) == len(orphaned), "one request has one call open at a time"
    ends = {one["end_user"]: one for one in entries if one["status"] == "succeeded"}
    for user in asked.answered:  # nobody holds an answer whose charge was lost
        assert (ends[user]["basis"], ends[user]["cost_nusd"]) == ("reported", COST_NUSD)
    for key in house.keys:
        assert all(nusd(one["spent_usd"]) <= nusd(one["limit_usd"]) for one in house.me(key)["budgets"])
    async with clients() as session:
        for gateway in replicas.gateways:
            assert (await ask(session, gateway.url, house.keys[0], question(house.user(), chance))).status == 200
