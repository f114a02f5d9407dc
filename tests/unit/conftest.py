"""What several files of unit tests ask for."""

from __future__ import annotations

import pytest

from gateway.catalog.pricelist import PriceList, packaged_path, read


@pytest.fixture(scope="session")
def packaged() -> PriceList:
    """The price list that comes with the gateway, read once."""
    return read(packaged_path())
