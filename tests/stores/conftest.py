"""A migrated database of this folder's own, on the server that all tests share."""

from __future__ import annotations

import asyncio

import pytest
from journal_parts import until
from own_valkey import free_port, own_valkey
from postgres_parts import make_database

from gateway.stores import database, migrate
from gateway.stores.keys import KeyStore
from gateway.stores.ledger import LedgerStore
from gateway.stores.redis_link import RedisLink
from gateway.stores.redis_open import open_link
from gateway.stores.tenants import TenantStore


@pytest.fixture(scope="session")
async def migrated_url(database_url):
    url = await make_database(database_url)
    await asyncio.to_thread(migrate.upgrade, url)
    return url


@pytest.fixture(scope="session")
async def engine(migrated_url):
    engine = database.connect(migrated_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def empty_database(database_url):
    return await make_database(database_url)


@pytest.fixture(scope="session")
def ledger(engine):
    return LedgerStore(engine)


@pytest.fixture(scope="session")
def keys(engine):
    return KeyStore(engine)


@pytest.fixture(scope="session")
def tenants(engine):
    return TenantStore(engine)


@pytest.fixture(scope="module")
def valkey():
    """A Valkey of the module's own, which it may empty, pause or kill."""
    with own_valkey() as server:
        yield server


@pytest.fixture
async def link(valkey):
    """To that Valkey, empty."""
    link = await open_link(valkey.url)
    await link.command("FLUSHALL")
    yield link
    await link.close()


@pytest.fixture
async def cluster_url():
    """Two nodes, half of the slots each."""
    ports = [free_port() for _ in range(2)]
    with (
        own_valkey(port=str(ports[0]), cluster_enabled="yes", cluster_port=str(free_port())) as one,
        own_valkey(port=str(ports[1]), cluster_enabled="yes", cluster_port=str(free_port())) as two,
    ):
        links = [RedisLink(one.url), RedisLink(two.url)]
        for link in links:
            await link.connect()
        await links[0].command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        await links[1].command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        await links[1].command("CLUSTER", "SET-CONFIG-EPOCH", 2)
        await links[0].command("CLUSTER", "MEET", "127.0.0.1", ports[1], int(two._options["cluster_port"]))
        for link in links:
            await until(lambda link=link: is_complete(link))
        for link in links:
            await link.close()
        yield f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"


async def is_complete(link: RedisLink) -> bool:
    info = await link.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_known_nodes:2" in info
