"""A ledger in memory, and an empty Valkey for each test."""

from __future__ import annotations

import pytest
from journal_parts import MemoryLedger


@pytest.fixture
def ledger():
    return MemoryLedger()


@pytest.fixture(autouse=True)
def _empty(link):
    """The link to the module's Valkey empties it."""
