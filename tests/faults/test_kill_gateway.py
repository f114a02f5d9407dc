"""Whatever is killed at whatever instant: every upstream call has exactly one entry, and none is invented."""

from __future__ import annotations

import asyncio
import functools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import redis
from load import WORDS, Load, met, under_load
from running_gateway import Gateway, UpstreamProcess, until
from scripted.server import user_of

WORKERS = 2
ORPHANED_WITHIN_S = 15.0
ROUNDS = 2
CATALOG = """
providers:
  up: {{kind: openai_compatible, base_url: "{upstream}", api_key: sk-upstream}}
deployments:
  - {{name: mini, provider: up, model: mini, price: {{input: 1, output: 2}}}}
"""


@pytest.fixture(scope="module")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers with embedded stores of their own."""
    catalog = CATALOG.format(upstream=upstream.base_url)
    with Gateway.running(tmp_path_factory.mktemp("kill"), catalog, OBOL_WORKERS=str(WORKERS)) as running:
        yield running


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Instants and orders by chance; the seed is shown when the test fails, OBOL_TEST_SEED repeats it."""
    seed = os.environ.get("OBOL_TEST_SEED") or str(random.getrandbits(32))
    print(f"{request.node.name}: OBOL_TEST_SEED={seed}")  # noqa: T201 - pytest shows it beside a failure
    return random.Random(seed)  # noqa: S311 - no secret


async def instant(load: Load, chance: random.Random) -> None:
    """Some instant under full load."""
    await met(load, 10)
    await asyncio.sleep(chance.uniform(0, 0.25))


def assert_books_are_right(gateway: Gateway, upstream: UpstreamProcess, load: Load, in_flight: set[str]) -> None:
    """Wait until every upstream call has its entry, then hold ledger, upstream and clients against each other.

    ``in_flight``: whose calls were under way when something was killed.
    """
    until(lambda: gateway.admin("GET", "ledger").is_success, "the ledger can be read", 60)  # Postgres may recover still
    called = Counter(user_of(call["body"]) for call in upstream.calls(load.prefix))
    ready_s = time.monotonic()

    def entries() -> list[dict[str, object]]:
        return [one for one in gateway.ledger() if str(one["end_user"]).startswith(f"{load.prefix}-")]

    until(
        lambda: {str(one["end_user"]) for one in entries()} >= called.keys() | load.answered,
        "every upstream call has an entry",
        ORPHANED_WITHIN_S,
    )
    print(f"{load.prefix}: {len(called)} calls, the last entry after {time.monotonic() - ready_s:.1f} s")  # noqa: T201
    found = entries()
    by_user = Counter(str(one["end_user"]) for one in found)
    assert len({one["id"] for one in found}) == len(found)
    assert set(called.values()) == {1}
    assert set(by_user.values()) == {1}, "a call has two entries"
    invented = [one for one in found if one["end_user"] not in called]
    assert {one["basis"] for one in invented} <= {"orphaned"}
    orphaned = {str(one["end_user"]) for one in found if one["basis"] == "orphaned"}
    assert orphaned <= in_flight
    for one in found:
        if one["end_user"] in load.answered:  # nobody holds an answer whose charge was lost
            assert (one["basis"], one["status"], one["output_tokens"]) == ("reported", "succeeded", WORDS)
            assert one["cost_nusd"] == 9 * 1000 + WORDS * 2000


async def test_a_killed_worker_loses_no_charge(
    gateway: Gateway, upstream: UpstreamProcess, chance: random.Random
) -> None:
    in_flight: set[str] = set()
    async with under_load(gateway.base_url, gateway.first_key, f"worker{chance.random()}", chance) as load:
        for _ in range(ROUNDS):
            await instant(load, chance)
            in_flight |= load.in_flight
            os.kill(chance.choice(gateway.pids_of("gateway.")), signal.SIGKILL)
        await met(load, 10)
    assert_books_are_right(gateway, upstream, load, in_flight)


async def test_a_gateway_killed_with_all_its_processes_loses_no_charge(
    gateway: Gateway, upstream: UpstreamProcess, chance: random.Random
) -> None:
    in_flight: set[str] = set()
    async with under_load(gateway.base_url, gateway.first_key, f"all{chance.random()}", chance) as load:
        for _ in range(ROUNDS):
            await instant(load, chance)
            in_flight |= load.in_flight
            gateway.kill_all(chance)
            gateway.spawn()
            await asyncio.to_thread(gateway.wait_until_ready)
        await met(load, 10)
    assert_books_are_right(gateway, upstream, load, in_flight)


async def test_a_gateway_killed_while_valkey_is_away_loses_no_charge(
    gateway: Gateway, upstream: UpstreamProcess, chance: random.Random
) -> None:
    in_flight: set[str] = set()
    async with under_load(gateway.base_url, gateway.first_key, f"both{chance.random()}", chance) as load:
        await instant(load, chance)
        (valkey,) = gateway.pids_of("valkey")
        os.kill(valkey, signal.SIGKILL)
        await met(load, chance.randrange(12))  # journaled in the local files of the workers, if Valkey is not back yet
        in_flight |= load.in_flight
        gateway.kill_all(chance)
        gateway.spawn()
        await asyncio.to_thread(gateway.wait_until_ready)
        await met(load, 10)
    assert_books_are_right(gateway, upstream, load, in_flight)


def subscriptions(gateway: Gateway) -> set[str]:
    """Of the workers that have taken their first look at keys and rules, and hear of changes: a connection each."""
    with redis.Redis.from_url(gateway.store_urls["OBOL_REDIS_URL"]) as client:
        return {one["id"] for one in client.client_list(_type="pubsub") if int(one["sub"])}


async def restart_workers(gateway: Gateway) -> None:
    """Kill them all; returns when others serve, none of which has been asked anything."""
    killed, before = gateway.pids_of("gateway."), subscriptions(gateway)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)

    def are_there() -> bool:
        # Valkey may count those of the killed for a moment longer.
        return len(subscriptions(gateway) - before) == WORKERS

    await asyncio.to_thread(until, are_there, "other workers serve", 60)


async def test_workers_that_were_just_restarted_serve_known_keys_while_postgres_is_away(
    gateway: Gateway, upstream: UpstreamProcess, chance: random.Random
) -> None:
    await restart_workers(gateway)
    with gateway.paused("postgres"):
        async with under_load(gateway.base_url, gateway.first_key, f"new{chance.random()}", chance) as load:
            await met(load, 40)
    assert load.failed == {}
    assert_books_are_right(gateway, upstream, load, set())


def is_back(gateway: Gateway, store: str, killed: int) -> bool:
    return gateway.pids_of(store) not in ([], [killed])


@pytest.mark.parametrize("store", ["valkey", "postgres"])
async def test_serving_goes_on_and_nothing_is_lost_when_a_store_is_killed(
    gateway: Gateway, upstream: UpstreamProcess, chance: random.Random, store: str
) -> None:
    async with under_load(gateway.base_url, gateway.first_key, f"{store}{chance.random()}", chance) as load:
        for _ in range(ROUNDS):
            await instant(load, chance)
            (killed,) = gateway.pids_of(store)
            os.kill(killed, signal.SIGKILL)
            await met(load, 20)
            await asyncio.to_thread(until, functools.partial(is_back, gateway, store, killed), f"{store} is back")
    assert load.failed == {}
    assert_books_are_right(gateway, upstream, load, set())
