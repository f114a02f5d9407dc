"""Proof 3: stores die, hang, are cut off or lose everything under load, and no charge is lost or made twice.

Two gateways refuse calls under a budget while Redis is away (the default), the third lets them through. Each reaches
the stores over relays of its own. Calls without a budget, and streams that run, must not notice any of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
import pytest
from house import House
from proofs import IS_WHOLE
from relay import Relay
from replica_client import ask, clients
from replicas import Replicas

from gateway.stores.embedded import POSTGRES, VALKEY, layout

pytestmark = pytest.mark.proof

ROUNDS = 3 if IS_WHOLE else 1
CUT_S_MIN = 10.0 if IS_WHOLE else 0.0  # the short form goes on as soon as it has seen all that it waits for
SEEN_S_MAX = 60.0
PROVISIONAL_S = 6.0  # after a change of a budget; then its balance is rebuilt once, for which Postgres is needed
CLIENTS_EACH = 3
REFUSING, ALLOWING = (0, 1), (2,)
ALL = REFUSING + ALLOWING
STREAM_WORDS, STREAM_CHUNK_MS = (300, 60) if IS_WHOLE else (60, 50)
TEXT = "One word after another, eight of them here."
COST_NUSD = 9 * 1000 + 8 * 2000
TIGHT_NUSD = 150 * COST_NUSD


class Call(NamedTuple):
    """One question and what came of it. ``code``: of the error, empty for an answer."""

    began_s: float
    ended_s: float
    gateway: int
    kind: str
    status: int
    code: str
    is_whole: bool

    @property
    def is_served(self) -> bool:
        return self.status == 200 and self.is_whole


@dataclass
class Network:
    """Three gateways, and what lies between each of them and the stores."""

    replicas: Replicas
    relays: Mapping[str, Sequence[Relay]]

    def cut(self, stores: Sequence[str], gateways: Sequence[int] = ALL) -> None:
        for relay in self._between(stores, gateways):
            relay.cut()

    def heal(self, stores: Sequence[str], gateways: Sequence[int] = ALL) -> None:
        for relay in self._between(stores, gateways):
            relay.heal()

    def deliver(self, stores: Sequence[str], gateways: Sequence[int] = ALL) -> None:
        """What was under way when it was cut arrives, after all else."""
        for relay in self._between(stores, gateways):
            relay.deliver()

    def _between(self, stores: Sequence[str], gateways: Sequence[int]) -> list[Relay]:
        return [self.relays[store][gateway] for store in stores for gateway in gateways]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("outages")
    places = layout(folder / "stores")
    with ExitStack() as stack:
        targets = {VALKEY: places.valkey_socket, POSTGRES: places.run / ".s.PGSQL.5432"}
        relays = {name: [stack.enter_context(Relay(target)) for _ in ALL] for name, target in targets.items()}
        ways = [
            {
                "OBOL_REDIS_URL": f"redis://127.0.0.1:{relays[VALKEY][number].port}",
                "OBOL_DATABASE_URL": f"postgresql://obol@127.0.0.1:{relays[POSTGRES][number].port}/obol",
                "OBOL_BUDGETS_WITHOUT_REDIS": "allow" if number in ALLOWING else "refuse",
            }
            for number in ALL
        ]
        yield Network(stack.enter_context(Replicas(folder, settings_of=ways)), relays)


@dataclass
class Load:
    """Clients of every gateway: ``unbudgeted``, ``budgeted`` with much room, ``tight`` with a budget that ends."""

    house: House
    session: aiohttp.ClientSession
    group: asyncio.TaskGroup
    keys: Mapping[str, Mapping[str, Any]]
    calls: list[Call] = field(default_factory=list)
    words: dict[int, int] = field(default_factory=dict)  # of each stream, how many events have come
    ended: set[int] = field(default_factory=set)  # streams that came to a good end
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    began_s: float = field(default_factory=time.monotonic)  # when the budgets stood

    async def ask_until_stopped(self, gateway: int, kind: str) -> None:
        for number in itertools.count():
            if self.stop.is_set():
                return
            await self._ask(gateway, kind, is_stream=number % 2 == 0)
            await asyncio.sleep(0.02)

    async def _ask(self, gateway: int, kind: str, *, is_stream: bool) -> None:
        body = self._question(is_stream=is_stream, text=TEXT, delay_ms=20)
        began_s = time.monotonic()
        answer = await ask(self.session, self.house.replicas.gateways[gateway].url, self.keys[kind], body)
        code = "" if answer.status == 200 else str(answer.error["code"])
        self.calls.append(Call(began_s, time.monotonic(), gateway, kind, answer.status, code, answer.is_whole))

    async def start_streams(self) -> range:
        """Two long answers without a budget of each gateway; returns their numbers when all have begun."""
        numbers = range(len(self.words), len(self.words) + 2 * len(ALL))
        for number in numbers:
            self.words[number] = 0
            self.group.create_task(self._stream(number))
        await self.see("all streams run", lambda: all(self.words[number] for number in numbers))
        return numbers

    async def _stream(self, number: int) -> None:
        gateway = self.house.replicas.gateways[number % len(ALL)]
        headers = {"authorization": f"Bearer {self.keys['unbudgeted']['key']}", "content-type": "application/json"}
        body = self._question(is_stream=True, text="word " * STREAM_WORDS, chunk_ms=STREAM_CHUNK_MS)
        url = f"{gateway.url}/v1/chat/completions"
        async with self.session.post(url, data=json.dumps(body), headers=headers) as answer:
            assert answer.status == 200
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    self.words[number] += 1
                elif line.startswith(b"data: [DONE]"):
                    self.ended.add(number)

    def _question(self, *, is_stream: bool, **script: object) -> dict[str, Any]:
        return {
            "model": "any/x",
            "user": self.house.user(),
            "messages": [{"role": "user", "content": "a question"}],
            "max_tokens": 2 * STREAM_WORDS,
            "stream": is_stream,
            "script": script,
        }

    # What the tests wait for.

    async def see(self, what: str, is_met: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + SEEN_S_MAX
        while not is_met():
            assert time.monotonic() < deadline_s, f"not within {SEEN_S_MAX} s: {what}; of late {self.calls[-12:]}"
            await asyncio.sleep(0.01)

    async def served(self, kind: str, gateways: Sequence[int] = ALL, *, count: int = 3) -> None:
        """So many calls that begin from now on are served at each of the gateways."""
        await self._come(f"{kind} calls are served", count, gateways, lambda one: one.kind == kind and one.is_served)

    async def balances_known(self) -> None:
        """Every balance is known for good: Postgres is not needed for it until something makes it doubtful."""
        is_provisional_until_s = self.began_s + PROVISIONAL_S
        await self.see("balances are for good", lambda: time.monotonic() >= is_provisional_until_s)
        await self.told_of_budgets()

    async def told_of_budgets(self, *, count: int = 1) -> None:
        """Balances can be told again: calls are served by them, or refused because one of them is spent."""
        await self.served("budgeted", count=count)
        await self._come(
            "tight calls are judged",
            count,
            REFUSING,
            lambda one: one.kind == "tight" and (one.is_served or _is_spent(one)),
        )

    async def refused(self, gateways: Sequence[int], *, count: int = 3) -> None:
        """So many calls that begin from now on are refused at each of the gateways, because no balance can be told."""
        await self._come("calls under a budget are refused", count, gateways, _is_unavailable)

    async def go_on(self, streams: Sequence[int]) -> None:
        """Each of these streams moves on, or has ended."""
        before = {one: self.words[one] for one in streams}

        def have_moved() -> bool:
            return all(one in self.ended or self.words[one] >= words + 10 for one, words in before.items())

        await self.see("streams go on", have_moved)

    async def _come(self, what: str, count: int, gateways: Sequence[int], is_such: Callable[[Call], bool]) -> None:
        from_s = time.monotonic()

        def have_come() -> bool:
            found = Counter(one.gateway for one in self.calls if one.began_s >= from_s and is_such(one))
            return all(found[gateway] >= count for gateway in gateways)

        await self.see(f"{what} at {gateways}", have_come)


def _is_unavailable(call: Call) -> bool:
    return (call.status, call.code) == (503, "budgets_unavailable")


def _is_spent(call: Call) -> bool:
    return (call.status, call.code) == (429, "insufficient_quota")


@asynccontextmanager
async def under_load(replicas: Replicas) -> AsyncIterator[Load]:
    """Clients at work until the block ends; then all is brought to its end."""
    house = House(replicas)
    plain, paid, spent = house.team(), house.team(), house.team()
    keys = {
        "unbudgeted": house.key(plain),
        "budgeted": house.key(paid, member=house.member(paid)),
        "tight": house.key(spent),
    }
    house.budget({"team": paid}, 10**12)
    house.budget({"team": paid, "each": "member"}, 10**12, window="hour", starts="rolling")
    house.budget({"team": spent}, TIGHT_NUSD)
    house.limit({}, parallel_requests=1000, requests_per_minute=10**6)
    async with clients() as session, asyncio.TaskGroup() as group:
        load = Load(house, session, group, keys)
        for gateway, _ in itertools.product(ALL, range(CLIENTS_EACH)):
            group.create_task(load.ask_until_stopped(gateway, "unbudgeted"))
            group.create_task(load.ask_until_stopped(gateway, "budgeted"))
        for gateway in REFUSING:
            group.create_task(load.ask_until_stopped(gateway, "tight"))
        try:
            await load.served("budgeted", count=1)
            yield load
        finally:
            load.stop.set()
    assert load.ended == load.words.keys(), "a stream was cut"


class Kind(NamedTuple):
    """A way in which stores go away. ``away``: the gateways that cannot tell what is left of budgets meanwhile."""

    stores: Sequence[str]
    begin: Callable[[Network], object]
    end: Callable[[Network], object]
    away: Sequence[int] = ()
    deliver: Callable[[Network], object] = lambda _: None  # what came late, when all else is as before


def killed(store: str, *, is_wiped: bool = False, away: Sequence[int] = ()) -> Kind:
    """SIGKILL and a new start, with its data or without."""
    return Kind(
        (store,),
        lambda network: network.replicas.stores.kill(store, wipe=is_wiped),
        lambda network: network.replicas.stores.restart(store),
        away,
    )


def hung(*stores: str, of: Sequence[int] = ALL) -> Kind:
    """No byte reaches these gateways or leaves them."""

    def heal(network: Network) -> None:
        network.heal(stores, of)
        network.deliver([store for store in stores if store == POSTGRES], of)

    return Kind(
        stores,
        lambda network: network.cut(stores, of),
        heal,
        of if VALKEY in stores else (),
        lambda network: network.deliver(stores, of),
    )


KINDS = {
    "valkey killed": killed(VALKEY, away=ALL),
    "valkey wiped": killed(VALKEY, is_wiped=True, away=ALL),
    "postgres killed": killed(POSTGRES),
    "valkey hung": hung(VALKEY),
    "postgres hung": hung(POSTGRES),
    "both hung": hung(VALKEY, POSTGRES),
    "a refusing gateway cut off": hung(VALKEY, of=REFUSING[:1]),
    "an allowing gateway cut off": hung(VALKEY, POSTGRES, of=ALLOWING),
}
IN_SHORT = ("a refusing gateway cut off", "valkey wiped", "postgres killed", "both hung")
COURSES = [(kind,) * ROUNDS for kind in KINDS] if IS_WHOLE else [IN_SHORT]


class Outage(NamedTuple):
    """When it began, when it was over, and from when on nothing showed it any more."""

    away: Sequence[int]
    began_s: float
    over_s: float
    recovered_s: float

    def excuses(self, call: Call) -> bool:
        is_meanwhile = self.began_s <= call.ended_s and call.began_s <= self.recovered_s
        return is_meanwhile and call.gateway in self.away and call.gateway in REFUSING


async def through(network: Network, load: Load, kind: Kind) -> Outage:
    """An outage from its begin until it is forgotten."""
    streams = await load.start_streams()
    if POSTGRES in kind.stores:
        await load.balances_known()
    began_s = time.monotonic()
    kind.begin(network)
    await load.refused([one for one in kind.away if one in REFUSING])
    await asyncio.gather(
        load.served("unbudgeted"),
        load.served("budgeted", [one for one in ALL if one in ALLOWING or one not in kind.away]),
        load.go_on(streams),
        asyncio.sleep(began_s + CUT_S_MIN - time.monotonic()),  # how long it lasts is what is to be shown
    )
    kind.end(network)
    over_s = time.monotonic()
    await load.told_of_budgets()
    recovered_s = time.monotonic()
    kind.deliver(network)
    await load.told_of_budgets(count=3)
    return Outage(kind.away, began_s, over_s, recovered_s)


def assert_nobody_noticed(load: Load, outages: Sequence[Outage]) -> None:
    """But for calls under a budget, at gateways that refuse them while they cannot tell what is left of it."""
    for call in load.calls:
        is_spent = call.kind == "tight" and _is_spent(call)
        is_refused = call.kind != "unbudgeted" and _is_unavailable(call)
        is_excused = is_refused and any(outage.excuses(call) for outage in outages)
        assert call.is_served or is_spent or is_excused, call


def told(load: Load, outages: Sequence[Outage]) -> str:
    """Figures for the docs."""
    refused = Counter(call.code for call in load.calls if call.code)
    slowest_s = max(call.ended_s - call.began_s for call in load.calls if call.kind == "unbudgeted")
    lasted = ", ".join(f"{one.over_s - one.began_s:.1f}" for one in outages)
    back = ", ".join(f"{one.recovered_s - one.over_s:.1f}" for one in outages)
    return (
        f"{len(load.calls)} requests, refused {dict(refused)}; away {lasted} s, budgets back after {back} s,"
        f" slowest call without a budget {slowest_s:.1f} s"
    )


@pytest.mark.parametrize("course", COURSES, ids="; ".join)
async def test_no_charge_is_lost_or_made_twice_and_only_budgets_are_refused_while_stores_are_away(
    network: Network, course: Sequence[str]
) -> None:
    async with under_load(network.replicas) as load:
        outages = [await through(network, load, KINDS[kind]) for kind in course]
    print(f"{course}: {told(load, outages)}")  # noqa: T201
    assert_nobody_noticed(load, outages)
    counted = load.house.books_are_right()
    print(counted)  # noqa: T201
    assert counted.uncalled == 0, "what was refused is on no entry"
    tight = sum(one["cost_nusd"] for one in load.house.entries() if one["key_id"] == load.keys["tight"]["id"])
    assert tight <= TIGHT_NUSD
