"""Who an admin secret belongs to, without a query for each of the many requests of one script or page."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from gateway.domain import Actor
from gateway.errors import StoreUnavailable
from gateway.stores.key_secrets import ADMIN_KEY_PREFIX, digest

BELIEVED_S = 1.0  # so long a revoked admin key may go on, on every replica
REMEMBERED_MAX = 1000
LOOKUPS_MAX = 2  # at once: a flood of made-up keys must leave the ledger its connections
LOOKUP_S = 5.0  # including the wait for its turn


class ActorSource(Protocol):
    """What the cache asks: AdminKeyStore."""

    async def actor(self, secret_sha256: bytes) -> Actor | None:
        """Who a live secret belongs to. Raises StoreUnavailable."""


class AdminKeyCache:
    """Finds actors by their secrets. It holds digests, never secrets, and compares nothing else."""

    def __init__(self, source: ActorSource, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic_s = monotonic_s
        self._seen: OrderedDict[bytes, tuple[float, Actor | None]] = OrderedDict()  # oldest first
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)

    async def find(self, secret: str) -> Actor | None:
        """The actor of a live admin key, None for a malformed, unknown, revoked or expired one.

        Raises StoreUnavailable when nobody can tell.
        """
        key = digest(secret, ADMIN_KEY_PREFIX)
        if key is None:
            return None
        seen_s, actor = self._seen.get(key, (float("-inf"), None))
        asked_s = self._monotonic_s()
        if asked_s - seen_s < BELIEVED_S:
            return actor
        try:
            async with asyncio.timeout(LOOKUP_S), self._lookups:
                asked_s = self._monotonic_s()
                actor = await self._source.actor(key)
        except TimeoutError as exc:
            raise StoreUnavailable("The database did not say in time whose admin key this is. Please retry.") from exc
        self._seen.pop(key, None)
        self._seen[key] = (asked_s, actor)
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)
        return actor
