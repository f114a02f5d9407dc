"""What every test folder may use: real stores, one pair per test run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest

from gateway.stores.embedded import EmbeddedStores


def pytest_configure(config: pytest.Config) -> None:
    """Clients here speak to this machine alone: reading everybody's certificates took each of them 45 ms."""
    nobodys = tempfile.TemporaryDirectory(prefix="certificates-")
    config.add_cleanup(nobodys.cleanup)
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = nobodys.name


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStores]:
    """A real Postgres and a real Valkey in a folder of their own."""
    running = EmbeddedStores.start(tmp_path_factory.mktemp("stores"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def database_url(stores: EmbeddedStores) -> str:
    """For SQLAlchemy with asyncpg."""
    return stores.database_url


@pytest.fixture(scope="session")
def redis_url(stores: EmbeddedStores) -> str:
    """For redis-py."""
    return stores.redis_url


@pytest.hookimpl(trylast=True)  # after the tests were put in a random order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that the other process has something to do beside it."""
    items.sort(key=lambda item: not item.path.name.startswith("test_openapi"))
