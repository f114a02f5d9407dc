"""Lets a reader find what was written down a moment ago, whichever process served it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

from gateway.jobs.shipper import Shipper
from gateway.stores.instances import count_journaled
from gateway.stores.redis_link import Link

FLUSH_S = 1.0
_LOOKS_AT_OTHERS = 15  # for what other processes are about to ship; under load there is always something
_LOOK_AGAIN_S = 0.02


def flusher(shipper: Shipper, link: Link) -> Callable[[], Awaitable[None]]:
    """What brings all charges of now to the ledger, or gives up soon."""

    async def flush() -> None:
        await shipper.flush(FLUSH_S)
        with contextlib.suppress(RedisError):
            for _ in range(_LOOKS_AT_OTHERS):
                if await count_journaled(link) == 0:
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)

    return flush
