"""What tests of the cache of keys share."""

from __future__ import annotations

import asyncio

from gateway.errors import StoreUnavailable
from gateway.stores.keys import KeyStore


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
