"""Tells every process which virtual keys changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from gateway.stores.announcements import publish

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

CHANNEL = "obol:keys"
EVERY_KEY = "*"
_SINGLY_MAX = 200  # more changed keys are announced as all of them: asking again is cheaper than so many messages

# Takes the digests of keys that changed.
Announce = Callable[[Sequence[bytes]], Awaitable[None]]


def redis_announcer(redis: Redis | RedisCluster) -> Announce:
    """Tell every process which keys changed, by Redis. While Redis is away their refresh finds it, within 10 s."""

    async def announce(digests: Sequence[bytes]) -> None:
        messages = [key.hex() for key in digests] if len(digests) <= _SINGLY_MAX else [EVERY_KEY]
        await publish(redis, CHANNEL, messages, f"{len(digests)} keys")

    return announce


async def announce_nothing(digests: Sequence[bytes]) -> None:
    """For tools beside which no gateway runs."""
