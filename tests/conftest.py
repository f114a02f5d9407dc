"""What every test folder may use: real stores, one pair per test run."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from gateway.stores.embedded import EmbeddedStores

# A busy machine is no fault of what is tried.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Clients here speak to this machine alone: reading everybody's certificates took each of them 45 ms."""
    # What is imported and collected stays: walking it again and again took a sixth of the time to collect.
    gc.disable()
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


def pytest_collection_finish() -> None:
    """Eight thousand tests and all that they import are no garbage: nobody looks at them again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)  # after the tests were put in a random order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file comes first, short ones that only compute come last: no process ends long before the others."""

    def turn(item: pytest.Item) -> int:
        return 0 if item.path.name == "test_openapi.py" else 2 if item.path.parent.name == "unit" else 1

    items.sort(key=turn)


class LoadFilesThatShare(LoadFileScheduling):
    """Files go to a process whole, and together where they share a gateway, which takes seconds to start."""

    SHARING = ("tests/spec/test_exact_cache", "tests/spec/test_deflection")

    def _split_scope(self, nodeid: str) -> str:
        return next((one for one in self.SHARING if nodeid.startswith(one)), super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFilesThatShare | None:
    """What ``--dist loadfile`` means here."""
    return LoadFilesThatShare(config, log) if config.getoption("dist") == "loadfile" else None
