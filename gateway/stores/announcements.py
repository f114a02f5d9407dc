"""Changes that one process tells all others, over Redis: how they are announced, and how caches follow them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from gateway.errors import StoreUnavailable

if TYPE_CHECKING:
    from redis.asyncio.cluster import RedisCluster

log = logging.getLogger(__name__)

SILENCE_S = 5.0  # then the subscription is asked whether it lives
RECONNECT_S = 0.5
FIRST_LOOK_S = 10.0
LOOK_AGAIN_S = 0.1
REDIS_TIMEOUT_S = 2.0
_ANNOUNCE_S = 2.0


async def publish(redis: Redis | RedisCluster, channel: str, messages: Sequence[str], changed: str) -> None:
    """Tell every process, or give up within 2 s: their refresh finds it. ``changed``: what did, for the log."""
    try:
        async with asyncio.timeout(_ANNOUNCE_S):
            for message in messages:
                await redis.publish(channel, message)
    except (RedisError, RedisClusterException, OSError) as exc:  # TimeoutError is an OSError
        log.warning("a change of %s was not announced, replicas notice it later: %s", changed, exc)


def subscription_client(url: str) -> Redis | RedisCluster:
    """A client of its own for announcements: a subscription occupies its connection. Connects when it is used."""
    from gateway.stores.redis_cluster import cluster_client, is_cluster_url  # noqa: PLC0415 - loads what few need

    return cluster_client(url, REDIS_TIMEOUT_S) if is_cluster_url(url) else Redis.from_url(url)


class Follower(Protocol):
    """Keeps up with what is announced on a channel."""

    channel: str

    def heard(self, announcement: bytes) -> None:
        """A message of the channel."""

    async def refresh(self) -> None:
        """Take in what was announced while nobody listened. Raises StoreUnavailable."""


async def look_first(*caches: Follower) -> None:
    """Know what the caches hold before the first request, so that serving goes on should Postgres go away right then.

    While it is away already, the other processes of the gateway, who know it all, serve alone for some seconds.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_LOOK_S):
            for cache in caches:
                while True:
                    try:
                        await cache.refresh()
                        break
                    except StoreUnavailable:
                        await asyncio.sleep(LOOK_AGAIN_S)


async def follow(redis: Redis | RedisCluster, *caches: Follower) -> None:
    """Hear announcements until cancelled, through every loss of Redis. Run one beside the caches of each process."""
    is_away = False
    while True:
        try:
            await redis.initialize()  # a cluster's client must learn its nodes first
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(*(cache.channel for cache in caches))
                if is_away:
                    log.info("announced changes are heard again")
                    is_away = False
                await _listen(pubsub, {cache.channel: cache for cache in caches})
        except Exception as exc:  # noqa: BLE001 - the clients raise KeyError and worse; an end here would go unnoticed
            if not is_away:
                log.warning("announced changes are not heard, they take effect at the next refresh: %r", exc)
                is_away = True
        await asyncio.sleep(RECONNECT_S)


async def _listen(pubsub: PubSub, caches: Mapping[str, Follower]) -> None:
    """Pass messages on. Raises RedisError when the connection is lost, or silent even when asked."""
    is_asked = False
    while True:
        message = await pubsub.get_message(timeout=SILENCE_S)
        if message is None:
            if is_asked:
                raise RedisConnectionError("the subscription does not answer")
            await pubsub.ping()
            is_asked = True
            continue
        is_asked = False
        cache = caches.get(_text(message["channel"]))
        if cache is None:
            continue  # the answer to our question
        if message["type"] == "subscribe":  # at first, and after a reconnect inside the client
            try:
                await cache.refresh()  # what was announced while nobody listened
            except StoreUnavailable as exc:
                log.warning("what was announced on %s could not be read: %s", cache.channel, exc)
        elif message["type"] == "message":
            data = message["data"]
            cache.heard(data if isinstance(data, bytes) else str(data).encode())


def _text(channel: object) -> str:
    """A channel's name, which clients give as bytes, text or, on a pong, nothing."""
    return channel.decode() if isinstance(channel, bytes) else str(channel)
