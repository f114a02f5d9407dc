"""What several files of unit tests ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from webhook_parts import Clock, hooks_by

from backends.guards.hooks import Hooks
from gateway.catalog.pricelist import PriceList, packaged_path, read


@pytest.fixture(scope="session")
def packaged() -> PriceList:
    """The price list that comes with the gateway, read once."""
    return read(packaged_path())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def hooks(clock: Clock) -> AsyncIterator[Hooks]:
    """What webhooks are asked through, by that clock."""
    async with hooks_by(clock) as made:
        yield made
