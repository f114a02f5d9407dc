"""Counts that all replicas add to, over a real Valkey."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from gateway.stores.redis_open import open_link
from gateway.stores.shared_counts import KEPT_S, RedisCounts


@pytest.fixture
async def link(redis_url):
    link = await open_link(redis_url)
    yield link
    await link.close()


async def test_whoever_adds_is_told_what_all_have_added(link, redis_url):
    other = await open_link(redis_url)
    name = uuid4().hex
    adding = (RedisCounts(one).add(name, {"requests": 3, "wrong": 1}) for one in (link, other) for _ in range(20))
    told = await asyncio.gather(*adding)
    assert max(one["requests"] for one in told) == 120
    assert await RedisCounts(other).add(name, {}) == {"requests": 120, "wrong": 40}
    await other.close()


async def test_they_end_some_months_after_the_last_was_added(link):
    name = uuid4().hex
    await RedisCounts(link).add(name, {"requests": 1})
    assert KEPT_S - 60 < await link.command("TTL", f"obol:counts:{name}") <= KEPT_S


async def test_while_redis_is_away_nothing_is_known(redis_url):
    link = await open_link(redis_url)
    await link.close()
    assert await RedisCounts(link).add("any", {"requests": 1}) is None


async def test_what_nobody_wants_to_know_any_more_goes(link):
    counts, name = RedisCounts(link), uuid4().hex
    await counts.add(name, {"1:requests": 5, "2:requests": 7})
    assert await counts.add(name, {"3:requests": 1}, ["1:requests", "2:requests"]) == {"3:requests": 1}
