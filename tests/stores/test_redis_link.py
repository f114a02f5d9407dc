"""The link to Redis: fast when it is there, never hanging when it is not."""

from __future__ import annotations

import asyncio

import pytest
from journal_parts import until
from own_valkey import free_port, own_valkey
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from relay import Relay

from gateway.stores.redis_cluster import ClusterLink, is_cluster_url
from gateway.stores.redis_lasting import UnsafeRedis
from gateway.stores.redis_link import RedisLink, Script
from gateway.stores.redis_open import open_link

ECHO = Script("echo", "return {KEYS[1], ARGV[1]}")


@pytest.fixture
def server():
    with own_valkey() as server:
        yield server


@pytest.fixture
async def link(server):
    link = await open_link(server.url, timeout_s=0.2)
    yield link
    await link.close()


async def test_each_of_many_commands_gets_its_own_reply(link):
    replies = await asyncio.gather(*(link.command("ECHO", str(i)) for i in range(2000)))
    assert replies == [str(i).encode() for i in range(2000)]


async def test_replies_larger_than_a_read_come_whole(link):
    blob = bytes(range(256)) * 20_000
    await link.command("SET", "blob", blob)
    assert await link.command("GET", "blob") == blob


async def test_a_script_runs_also_where_the_server_has_never_seen_it(link):
    assert await link.script(ECHO, ("k",), ("v",)) == [b"k", b"v"]
    await link.command("SCRIPT", "FLUSH")
    assert await link.script(ECHO, ("k",), ("v",)) == [b"k", b"v"]


async def test_an_error_reply_raises_and_the_link_goes_on(link):
    with pytest.raises(ResponseError, match="wrong number"):
        await link.command("GET")
    assert await link.command("PING") == b"PONG"


async def test_an_error_inside_a_list_is_part_of_the_reply(link):
    await link.command("SET", "text", "x")
    reply = await link.script(Script("inner", "return {redis.pcall('INCR', KEYS[1]), 1}"), ("text",), ())
    assert isinstance(reply[0], ResponseError)


async def test_a_cancelled_command_does_not_shift_the_replies_of_others(link):
    gone = asyncio.ensure_future(link.command("ECHO", "gone"))
    after = asyncio.ensure_future(link.command("ECHO", "after"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await after == b"after"


async def test_nothing_of_a_lost_connection_runs_after_the_next_one_is_there(server):
    with Relay(server.socket) as relay:
        link = await open_link(f"redis://127.0.0.1:{relay.port}", timeout_s=0.2)
        relay.cut()
        with pytest.raises(RedisConnectionError):
            await link.command("SET", "late", "1")
        relay.heal()
        await until(lambda: link.is_connected)
        relay.deliver()
        await until(lambda: relay.held == 0)
        assert await link.command("GET", "late") is None
        await link.close()


async def test_commands_under_way_fail_at_once_when_the_server_dies(server, link):
    server.pause()
    waiting = [asyncio.ensure_future(link.command("PING")) for _ in range(10)]
    await asyncio.sleep(0)
    server.kill()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in results] == [RedisConnectionError] * 10, results
    assert not link.is_connected


async def test_a_hung_server_counts_as_away(server, link):
    server.pause()
    with pytest.raises(RedisConnectionError, match="did not answer"):
        await link.command("PING")
    assert not link.is_connected
    with pytest.raises(RedisConnectionError):
        await link.command("PING")


async def test_the_link_comes_back_by_itself_and_says_so(server, link):
    events = []
    link.watch(on_lost=lambda: events.append("lost"), on_back=lambda: events.append("back"))
    server.kill()
    await until(lambda: events == ["lost"])
    server.start()
    await until(lambda: events == ["lost", "back"])
    assert await link.command("PING") == b"PONG"


async def test_a_server_that_is_away_at_start_is_found_later(server):
    server.kill()
    link = await open_link(server.url)
    assert not link.is_connected
    server.start()
    await until(lambda: link.is_connected)
    await link.close()


async def test_a_replica_that_was_a_primary_counts_as_away(link):
    with own_valkey(port=str(free_port())) as primary:
        await link.command("REPLICAOF", "127.0.0.1", primary._options["port"])
        with pytest.raises(RedisConnectionError):
            await link.command("SET", "a", "b")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
async def test_a_money_redis_that_evicts_is_refused(policy):
    with own_valkey(maxmemory_policy=policy) as server:
        with pytest.raises(UnsafeRedis, match=policy):
            await open_link(server.url)
        cache = await open_link(server.url, holds_money=False)
        assert await cache.command("PING") == b"PONG"
        await cache.close()


async def test_a_missing_append_only_file_is_warned_of(caplog):
    with own_valkey(appendonly="no") as server:
        link = await open_link(server.url)
        await link.close()
    assert "NO APPEND-ONLY FILE" in caplog.text


async def test_passwords_and_databases_work_over_tcp():
    port = str(free_port())
    with own_valkey(port=port) as server:
        link = await open_link(server.url)
        await link.command("CONFIG", "SET", "requirepass", "secret")
        await link.close()
        other = await open_link(f"redis://:secret@127.0.0.1:{port}/3", client_name="obol-test")
        assert await other.command("CLIENT", "GETNAME") == b"obol-test"
        assert b"db=3" in await other.command("CLIENT", "INFO")
        await other.close()
        with pytest.raises(UnsafeRedis, match="credentials"):
            await open_link(f"redis://:wrong@127.0.0.1:{port}/3")


async def test_commands_after_close_fail(server):
    link = RedisLink(server.url)
    await link.connect()
    await link.close()
    with pytest.raises(RedisConnectionError):
        await link.command("PING")


@pytest.mark.parametrize(
    ("url", "is_cluster"),
    [
        ("redis://one:6379/0", False),
        ("unix:///run/valkey.sock", False),
        ("redis+cluster://one:6379", True),
        ("rediss://:secret@one:6379,two:6380", True),
        ("redis://one:6379?cluster=true", True),
    ],
)
def test_addresses_of_clusters_are_told_apart(url, is_cluster):
    assert is_cluster_url(url) is is_cluster


async def test_a_cluster_is_found_out_and_runs_scripts_on_the_node_of_their_key():
    port = free_port()
    with own_valkey(port=str(port), cluster_enabled="yes", cluster_port=str(free_port())) as server:
        single = RedisLink(server.url)
        await single.connect()
        await single.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await until(lambda: is_cluster_ok(single))
        await single.close()

        link = await open_link(f"redis://127.0.0.1:{port}")

        assert isinstance(link, ClusterLink)
        assert await link.script(ECHO, ("{org}:a",), ("v",)) == [b"{org}:a", b"v"]
        await link.command("HSET", "{org}:h", "f", "v")
        assert await link.command("HGETALL", "{org}:h") == [b"f", b"v"]
        server.kill()
        with pytest.raises(RedisConnectionError):
            await link.command("GET", "{org}:a")
        assert not link.is_connected
        server.start()
        await until(lambda: link.is_connected)
        await link.close()


async def is_cluster_ok(link: RedisLink) -> bool:
    return b"cluster_state:ok" in await link.command("CLUSTER", "INFO")
