"""The provider's limits over a real Valkey."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_parts import until
from own_valkey import own_valkey

from gateway.domain import Deployment, Provider, UpstreamLimits
from gateway.stores.redis_open import open_link
from gateway.stores.upstream_limits import LEASE_MS, RedisUpstreamAdmission, _Keys


class Clock:
    now_ms = 1_767_225_600_000

    def __call__(self) -> int:
        return self.now_ms


def deployment(**limits: int) -> Deployment:
    return Deployment(uuid4().hex, Provider("p", "simulator"), "m", limits=UpstreamLimits(**limits))


@pytest.fixture
async def link(redis_url):
    link = await open_link(redis_url)
    yield link
    await link.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(link, clock):
    return RedisUpstreamAdmission(link, "one", now_ms=clock)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 6),
    pauses_ms=st.lists(
        st.sampled_from([0, 1, 400, 999, 1000, 5_000, 29_000, 59_999, 60_000, 61_000, 200_000]), max_size=40
    ),
)
async def test_no_sixty_seconds_ever_hold_more_requests_than_the_limit(link, limit, pauses_ms):
    clock = Clock()
    admission = RedisUpstreamAdmission(link, "one", now_ms=clock)
    target = deployment(requests_per_minute=limit)
    admitted = []
    for pause_ms in pauses_ms:
        clock.now_ms += pause_ms
        recent = [one for one in admitted if one > clock.now_ms - 60_000]
        touching = [one for one in admitted if one // 1000 > clock.now_ms // 1000 - 61]
        if await admission.acquire(target, uuid4().hex, 0):
            assert len(recent) < limit
            admitted.append(clock.now_ms)
        else:
            assert len(touching) == limit, "refused although a place was free"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(100, 1000),
    calls=st.lists(st.tuples(st.integers(0, 70_000), st.integers(0, 600)), max_size=30),
)
async def test_no_sixty_seconds_ever_hold_more_tokens_than_the_limit(link, limit, calls):
    clock = Clock()
    admission = RedisUpstreamAdmission(link, "one", now_ms=clock)
    target = deployment(tokens_per_minute=limit)
    admitted: list[tuple[int, int]] = []
    for pause_ms, tokens in calls:
        clock.now_ms += pause_ms
        if await admission.acquire(target, uuid4().hex, tokens):
            admitted.append((clock.now_ms, tokens))
            assert sum(count for at_ms, count in admitted if at_ms > clock.now_ms - 60_000) <= limit


async def test_a_clock_set_back_forgets_nothing(admission, clock):
    target = deployment(requests_per_minute=1)
    assert await admission.acquire(target, "a", 0)
    clock.now_ms -= 3_600_000
    assert not await admission.acquire(target, "b", 0)


async def test_replicas_share_the_limits(link):
    one, two = RedisUpstreamAdmission(link, "one"), RedisUpstreamAdmission(link, "two")
    target = deployment(requests_per_minute=3, parallel_requests=3)

    results = [await replica.acquire(target, uuid4().hex, 1) for replica in (one, two, one, two, one)]

    assert results == [True, True, True, False, False]


async def test_a_released_place_is_free_at_once(admission):
    target = deployment(parallel_requests=1)
    assert await admission.acquire(target, "a", 0)
    assert not await admission.acquire(target, "b", 0)
    await admission.release(target, "a")
    assert await admission.acquire(target, "b", 0)


async def test_a_refusal_for_one_limit_takes_nothing_of_the_others(admission):
    target = deployment(requests_per_minute=2, tokens_per_minute=10, parallel_requests=5)
    assert not await admission.acquire(target, "too big", 11)
    assert await admission.acquire(target, "a", 5)
    assert await admission.acquire(target, "b", 5)


async def test_places_of_a_dead_instance_come_free_when_its_lease_runs_out(link, clock, admission):
    target = deployment(parallel_requests=1)
    dead = RedisUpstreamAdmission(link, "dead", now_ms=clock)
    assert await dead.acquire(target, "a", 0)
    assert not await admission.acquire(target, "b", 0)
    clock.now_ms += LEASE_MS + 1
    assert await admission.acquire(target, "b", 0)


async def test_a_long_call_keeps_its_place_while_its_instance_renews(link, clock, admission):
    target = deployment(parallel_requests=1)
    busy = RedisUpstreamAdmission(link, "busy", now_ms=clock)
    assert await busy.acquire(target, "a", 0)
    for _ in range(5):
        clock.now_ms += LEASE_MS - 1
        await busy.renew()
        assert not await admission.acquire(target, "b", 0)


async def test_a_lost_release_is_made_good_by_the_next_renewal(admission):
    target = deployment(parallel_requests=1)
    assert await admission.acquire(target, "a", 0)
    admission._forget(target.name, "a")  # as after a release that Redis never heard
    await admission.renew()
    assert await admission.acquire(target, "b", 0)


async def test_an_unlimited_deployment_makes_no_redis_call(redis_url):
    link = await open_link(redis_url)
    await link.close()
    assert await RedisUpstreamAdmission(link, "one").acquire(deployment(), "a", 10)


async def test_everything_is_admitted_while_redis_is_away():
    with own_valkey() as server:
        link = await open_link(server.url)
        admission = RedisUpstreamAdmission(link, "one")
        target = deployment(requests_per_minute=1, parallel_requests=1)
        assert await admission.acquire(target, "a", 0)
        server.kill()
        await until(lambda: not link.is_connected)
        assert await admission.acquire(target, "b", 0)
        await admission.release(target, "b")
        await link.close()


async def test_all_keys_expire(link, admission):
    target = deployment(requests_per_minute=1, parallel_requests=1)
    await admission.acquire(target, "a", 0)
    for key in _Keys.of(target.name):
        assert isinstance(ttl := await link.command("TTL", key), int)
        assert ttl > 0
