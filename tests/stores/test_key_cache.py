"""Who a key belongs to, on the path: at once, for everyone alike, and wrong for no longer than a second."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from announcement_parts import following, is_heard
from journal_parts import until
from own_valkey import free_port, own_valkey
from redis.asyncio import Redis
from tenant_parts import OWNER

from gateway.errors import StoreUnavailable
from gateway.stores import announcements, key_cache
from gateway.stores.announcements import look_first
from gateway.stores.key_announcer import CHANNEL, redis_announcer
from gateway.stores.key_cache import KeyCache
from gateway.stores.key_secrets import digest
from gateway.stores.keys import KeyStore
from gateway.stores.tenants import TenantStore

UNKNOWN = "sk-obol-" + "u" * 43


class Watched:
    """A KeyStore whose lookups are counted, may be held back, and may fail."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store
        self.lookups = 0
        self.reads = self.refusals = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def lookup(self, secret_sha256):
        self.lookups += 1
        if self.is_away:
            raise StoreUnavailable("away")
        found = await self.store.lookup(secret_sha256)
        await self.gate.wait()
        return found

    async def changes(self, since):
        if self.is_away:
            self.refusals += 1
            raise StoreUnavailable("away")
        changes = await self.store.changes(since)
        self.reads += 1
        await self.gate.wait()
        return changes


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


async def test_a_revocation_reaches_every_process(engine, source, made):
    with own_valkey() as server:
        replicas = [KeyCache(source), KeyCache(source)]
        async with following(server.url, replicas[0]) as redis, following(server.url, replicas[1]):
            admin = KeyStore(engine, redis_announcer(redis))
            await until(lambda: is_heard(redis, CHANNEL, 2))
            for replica in replicas:
                await replica.find(made.secret)

            await admin.revoke_key(OWNER, made.key.id)

            for replica in replicas:
                await until(lambda replica=replica: is_true(replica.find(made.secret), None))


async def is_true(awaitable, expected):
    return await awaitable == expected


async def test_a_team_deletion_and_a_new_key_reach_every_process(engine, source, made, team):
    with own_valkey() as server:
        cache = KeyCache(source)
        async with following(server.url, cache) as redis:
            admin = TenantStore(engine, redis_announcer(redis))
            await until(lambda: is_heard(redis, CHANNEL))
            await cache.find(made.secret)

            await admin.delete_team(OWNER, team.id)

            await until(lambda: is_true(cache.find(made.secret), None))


async def test_changes_are_heard_again_after_redis_was_away_and_what_was_missed_is_read(
    engine, source, keys, made, team
):
    other = await keys.create_key(OWNER, team.id, "other")
    with own_valkey() as server:
        cache = KeyCache(source)
        async with following(server.url, cache) as redis:
            await until(lambda: is_heard(redis, CHANNEL))
            await until(lambda: cache._since is not None)
            await cache.find(made.secret)
            await cache.find(other.secret)

            server.kill()
            await KeyStore(engine, redis_announcer(redis)).revoke_key(OWNER, made.key.id)  # unannounced, and no error
            server.start()

            await until(lambda: is_true(cache.find(made.secret), None))
            await until(lambda: is_heard(redis, CHANNEL))
            await KeyStore(engine, redis_announcer(redis)).revoke_key(OWNER, other.key.id)
            await until(lambda: is_true(cache.find(other.secret), None))


async def test_a_redis_that_hangs_is_noticed(source, monkeypatch, caplog):
    monkeypatch.setattr(announcements, "SILENCE_S", 0.05)
    with own_valkey() as server:
        async with following(server.url, KeyCache(source)) as redis:
            await until(lambda: is_heard(redis, CHANNEL))

            server.pause()
            await until(lambda: any("not heard" in record.message for record in caplog.records))
            server.go_on()

            await until(lambda: is_heard(redis, CHANNEL))


async def test_a_quiet_subscription_stays(source, monkeypatch, caplog):
    monkeypatch.setattr(announcements, "SILENCE_S", 0.05)

    with own_valkey() as server:
        async with following(server.url, KeyCache(source)) as redis:

            async def has_asked_often():
                return (await redis.info("commandstats")).get("cmdstat_ping", {}).get("calls", 0) >= 5

            await until(has_asked_often)

    assert not [record for record in caplog.records if "not heard" in record.message]


async def test_a_lookup_that_hangs_is_given_up(cache, source, monkeypatch):
    monkeypatch.setattr(key_cache, "LOOKUP_S", 0.01)
    source.gate.clear()

    with pytest.raises(StoreUnavailable):
        await cache.find(UNKNOWN)

    source.gate.set()
    monkeypatch.setattr(key_cache, "LOOKUP_S", 5.0)
    assert await cache.find(UNKNOWN) is None


async def test_a_revocation_reaches_every_process_over_a_cluster(engine, source, made):
    port = free_port()
    with own_valkey(port=str(port), cluster_enabled="yes", cluster_port=str(free_port())) as server:
        single = Redis.from_url(server.url)
        await single.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await until(lambda: is_true(is_whole(single), expected=True))
        cache = KeyCache(source)
        async with following(f"redis+cluster://127.0.0.1:{port}", cache) as redis:
            await until(lambda: is_heard(single, CHANNEL))
            await cache.find(made.secret)

            await KeyStore(engine, redis_announcer(redis)).revoke_key(OWNER, made.key.id)

            await until(lambda: is_true(cache.find(made.secret), None))
        await single.aclose()


async def is_whole(redis):
    return b"cluster_state:ok" in await redis.execute_command("CLUSTER", "INFO")


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


async def test_a_rotation_and_changes_of_a_key_reach_every_process(engine, source, made):
    with own_valkey() as server:
        cache = KeyCache(source)
        async with following(server.url, cache) as redis:
            admin = KeyStore(engine, redis_announcer(redis))
            await until(lambda: is_heard(redis, CHANNEL))
            await cache.find(made.secret)

            await admin.update_key(OWNER, made.key.id, {"allowed_ips": ["192.0.2.0/24"]})
            await until(lambda: has(cache.find(made.secret), lambda caller: caller.allowed_ips is not None))

            await admin.rotate_key(OWNER, made.key.id, timedelta(0))
            await until(lambda: is_true(cache.find(made.secret), None))


async def has(awaitable, is_so):
    return is_so(await awaitable)


async def test_a_renamed_team_and_a_deleted_member_reach_every_process(engine, source, tenants, keys, team):
    member = await tenants.create_member(OWNER, team.id, "Ada")
    bound = await keys.create_key(OWNER, team.id, "bound", member_id=member.id)
    with own_valkey() as server:
        cache = KeyCache(source)
        async with following(server.url, cache) as redis:
            admin = TenantStore(engine, redis_announcer(redis))
            await until(lambda: is_heard(redis, CHANNEL))
            assert (await cache.find(bound.secret)).member_id == member.id

            name = uuid4().hex
            await admin.update_team(OWNER, team.id, {"name": name})
            await until(lambda: has(cache.find(bound.secret), lambda caller: caller.team_name == name))

            await admin.delete_member(OWNER, member.id)
            await until(lambda: is_true(cache.find(bound.secret), None))


async def test_more_changed_keys_than_are_worth_naming_are_announced_as_all(cache, source, made):
    heard = []

    class Redis:
        async def publish(self, channel, message):
            heard.append((channel, message))

    await cache.find(made.secret)
    await redis_announcer(Redis())([bytes([number % 256]) * 32 for number in range(1000)])
    cache.heard(heard[0][1].encode())
    await cache.find(made.secret)

    assert heard == [(CHANNEL, "*")]
    assert source.lookups == 2
