"""Who a key belongs to, on the path: at once, for everyone alike, and wrong for no longer than a second."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from journal_parts import until
from key_parts import Watched
from tenant_parts import OWNER

from gateway.errors import StoreUnavailable
from gateway.stores import announcements, key_cache
from gateway.stores.announcements import look_first
from gateway.stores.key_cache import KeyCache
from gateway.stores.key_secrets import digest

UNKNOWN = "sk-obol-" + "u" * 43


class Time:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def source(keys):
    return Watched(keys)


@pytest.fixture
def clock():
    return Time()


@pytest.fixture
def cache(source, clock):
    return KeyCache(source, unix_s=clock, monotonic_s=clock)


@pytest.fixture
async def team(tenants):
    return await tenants.create_team(OWNER, uuid4().hex)


@pytest.fixture
async def made(keys, team):
    return await keys.create_key(OWNER, team.id, "laptop")


async def test_a_key_is_looked_up_once(cache, source, made):
    found = [await cache.find(made.secret) for _ in range(5)]

    assert {caller.key_id for caller in found} == {made.key.id}
    assert source.lookups == 1


async def test_an_unknown_key_is_looked_up_once(cache, source):
    assert [await cache.find(UNKNOWN) for _ in range(5)] == [None] * 5
    assert source.lookups == 1


@pytest.mark.parametrize("secret", ["", "sk-obol-short", "sk-" + "a" * 48, "\0", "sk-obol-" + "é" * 43, "x" * 10**6])
async def test_a_malformed_key_reaches_no_database(cache, source, secret):
    assert await cache.find(secret) is None
    assert source.lookups == 0


async def test_requests_that_miss_together_share_one_lookup(cache, source, made):
    source.gate.clear()
    waiting = [asyncio.create_task(cache.find(made.secret)) for _ in range(20)]
    await until(lambda: source.lookups == 1)
    waiting[0].cancel()  # a client that leaves takes the answer from no other
    source.gate.set()

    found = await asyncio.gather(*waiting[1:])

    assert {caller.key_id for caller in found} == {made.key.id}
    assert source.lookups == 1


async def test_a_flood_of_made_up_keys_stays_within_bounds(cache, source, monkeypatch, made):
    monkeypatch.setattr(key_cache, "UNKNOWN_MAX", 10)
    await cache.find(made.secret)

    for number in range(30):
        await cache.find(f"sk-obol-{number:043d}")

    assert len(cache._unknown) == 10
    before = source.lookups
    assert (await cache.find(made.secret)).key_id == made.key.id
    assert await cache.find(f"sk-obol-{29:043d}") is None
    assert source.lookups == before


async def test_known_keys_stay_within_bounds(cache, keys, team, monkeypatch):
    monkeypatch.setattr(key_cache, "KNOWN_MAX", 2)

    for _ in range(4):
        await cache.find((await keys.create_key(OWNER, team.id, "k")).secret)

    assert len(cache._known) == 2


async def test_lookups_leave_connections_to_others(cache, source):
    source.gate.clear()
    waiting = [asyncio.create_task(cache.find(f"sk-obol-{number:043d}")) for number in range(10)]
    await until(lambda: source.lookups == key_cache.LOOKUPS_MAX)
    for _ in range(10):
        await asyncio.sleep(0)

    assert source.lookups == key_cache.LOOKUPS_MAX
    source.gate.set()
    assert await asyncio.gather(*waiting) == [None] * 10


async def test_a_key_ends_at_its_expiry_without_anyone_telling(cache, clock, keys, team):
    expires_at = datetime.fromtimestamp(clock.now, UTC) + timedelta(seconds=10)
    made = await keys.create_key(OWNER, team.id, "short", expires_at=expires_at)

    clock.now += 9.999
    assert (await cache.find(made.secret)).key_id == made.key.id
    clock.now += 0.001
    assert await cache.find(made.secret) is None


async def test_a_refresh_finds_what_was_revoked_and_what_was_made(cache, source, keys, made):
    await cache.refresh()
    await cache.find(made.secret)
    await cache.find(UNKNOWN)
    before = source.lookups

    await keys.revoke_key(OWNER, made.key.id)
    await cache.refresh()

    assert await cache.find(made.secret) is None
    assert await cache.find(UNKNOWN) is None
    assert source.lookups == before


async def test_what_was_known_before_the_first_refresh_is_asked_again(cache, keys, made):
    await cache.find(made.secret)
    await keys.revoke_key(OWNER, made.key.id)

    await cache.refresh()

    assert await cache.find(made.secret) is None


async def test_a_process_that_just_started_serves_keys_while_postgres_is_away(cache, source, keys, made):
    revoked = await keys.create_key(OWNER, made.key.team, "revoked")
    await keys.revoke_key(OWNER, revoked.key.id)
    await cache.refresh()
    source.is_away = True

    assert (await cache.find(made.secret)).key_id == made.key.id
    with pytest.raises(StoreUnavailable):
        await cache.find(revoked.secret)


async def test_a_start_waits_until_postgres_is_back(cache, source, made):
    source.is_away = True
    looking = asyncio.create_task(look_first(cache))
    await until(lambda: source.refusals > 1)
    source.is_away = False
    await looking

    await cache.find(made.secret)
    assert source.lookups == 0


async def test_a_start_does_not_wait_for_postgres_for_ever(cache, source, monkeypatch):
    monkeypatch.setattr(announcements, "FIRST_LOOK_S", 0.01)
    source.is_away = True

    await look_first(cache)

    assert source.refusals > 0


async def test_what_is_read_at_the_start_does_not_overwrite_news(cache, source, keys, made):
    source.gate.clear()
    refreshing = asyncio.create_task(cache.refresh())
    await until(lambda: source.reads == 1)
    await keys.revoke_key(OWNER, made.key.id)
    cache.heard(digest(made.secret).hex().encode())
    source.gate.set()
    await refreshing

    assert await cache.find(made.secret) is None


async def test_while_postgres_is_away_known_keys_serve_and_unknown_ones_are_undecided(cache, source, made):
    await cache.refresh()
    await cache.find(made.secret)
    source.is_away = True

    with pytest.raises(StoreUnavailable):
        await cache.refresh()
    assert (await cache.find(made.secret)).key_id == made.key.id
    with pytest.raises(StoreUnavailable):
        await cache.find(UNKNOWN)

    source.is_away = False
    assert await cache.find(UNKNOWN) is None  # the failure was not remembered


async def test_after_an_hour_without_postgres_no_key_is_believed(cache, source, clock, made):
    await cache.refresh()
    await cache.find(made.secret)
    source.is_away = True

    clock.now += key_cache.OUTAGE_S_MAX + 1
    with pytest.raises(StoreUnavailable):
        await cache.refresh()

    with pytest.raises(StoreUnavailable):
        await cache.find(made.secret)


async def test_a_revocation_during_a_lookup_is_not_overwritten_by_its_older_answer(cache, source, keys, made):
    source.gate.clear()
    looking = asyncio.create_task(cache.find(made.secret))
    await until(lambda: source.lookups == 1)

    await keys.revoke_key(OWNER, made.key.id)
    cache.heard(digest(made.secret).hex().encode())
    source.gate.set()
    await looking

    assert await cache.find(made.secret) is None


async def test_a_message_that_nobody_understands_makes_the_cache_ask_again(cache, source, made):
    await cache.find(made.secret)

    cache.heard(b"something of a newer version")
    await cache.find(made.secret)

    assert source.lookups == 2


async def test_a_lookup_that_hangs_is_given_up(cache, source, monkeypatch):
    monkeypatch.setattr(key_cache, "LOOKUP_S", 0.01)
    source.gate.clear()

    with pytest.raises(StoreUnavailable):
        await cache.find(UNKNOWN)

    source.gate.set()
    monkeypatch.setattr(key_cache, "LOOKUP_S", 5.0)
    assert await cache.find(UNKNOWN) is None


async def test_an_old_secret_ends_with_the_overlap_without_anyone_telling(cache, clock, keys, made):
    clock.now = datetime.now(UTC).timestamp()
    await cache.find(made.secret)
    rotated = await keys.rotate_key(OWNER, made.key.id, timedelta(hours=1))
    await cache.refresh()
    ends_s = rotated.key.previous_expires_at.timestamp()

    clock.now = ends_s - 0.001
    assert (await cache.find(made.secret)).key_id == made.key.id
    clock.now = ends_s
    assert await cache.find(made.secret) is None
    assert (await cache.find(rotated.secret)).key_id == made.key.id


async def test_a_refresh_drops_a_secret_whose_overlap_a_second_rotation_cut_short(cache, clock, keys, made):
    clock.now = datetime.now(UTC).timestamp()
    await cache.refresh()
    second = await keys.rotate_key(OWNER, made.key.id, timedelta(days=1))
    for secret in (made.secret, second.secret):
        assert (await cache.find(secret)).key_id == made.key.id

    third = await keys.rotate_key(OWNER, made.key.id, timedelta(0))
    await cache.refresh()  # no announcement was heard

    assert await cache.find(made.secret) is None
    assert await cache.find(second.secret) is None
    assert (await cache.find(third.secret)).key_id == made.key.id
