"""What becomes of keys in one process reaches all others, through every loss of Redis."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from announcement_parts import following, is_heard
from journal_parts import until
from key_parts import Watched
from own_valkey import free_port, own_valkey
from redis.asyncio import Redis
from tenant_parts import OWNER

from gateway.stores import announcements
from gateway.stores.key_announcer import CHANNEL, redis_announcer
from gateway.stores.key_cache import KeyCache
from gateway.stores.keys import KeyStore
from gateway.stores.tenants import TenantStore


@pytest.fixture
def source(keys):
    return Watched(keys)


@pytest.fixture
def cache(source):
    return KeyCache(source)


@pytest.fixture
async def team(tenants):
    return await tenants.create_team(OWNER, uuid4().hex)


@pytest.fixture
async def made(keys, team):
    return await keys.create_key(OWNER, team.id, "laptop")


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
