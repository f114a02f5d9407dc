"""Caches that follow what is announced, for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib

from gateway.stores.announcements import follow, subscription_client


@contextlib.asynccontextmanager
async def following(url, *caches):
    """Yields the client of their subscription, which can announce as well."""
    redis = subscription_client(url)
    task = asyncio.create_task(follow(redis, *caches))
    try:
        yield redis
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await redis.aclose()


async def is_heard(redis, channel, by=1):
    """Whether so many processes follow the channel."""
    return (await redis.pubsub_numsub(channel))[0][1] == by
