"""A migrated database of this folder's own, on the server that all tests share."""

from __future__ import annotations

import asyncio

import pytest
from own_valkey import own_valkey
from postgres_parts import make_database

from gateway.stores import database, migrate
from gateway.stores.keys import KeyStore
from gateway.stores.ledger import LedgerStore
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
