"""Who a virtual key belongs to, answered in microseconds and without Postgres for every key seen before."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.domain import Caller
from gateway.errors import StoreUnavailable
from gateway.stores.key_announcer import CHANNEL
from gateway.stores.key_secrets import digest
from gateway.stores.keys import Changes

if TYPE_CHECKING:
    from redis.asyncio.cluster import RedisCluster

log = logging.getLogger(__name__)

KNOWN_MAX = 50_000
UNKNOWN_MAX = 10_000
OUTAGE_S_MAX = 3600.0  # while Postgres is away, the last good entry of a key serves for so long
LOOKUPS_MAX = 2  # at once: a flood of made-up keys must leave the ledger its connections
LOOKUP_S = 5.0  # including the wait for its turn
SILENCE_S = 5.0  # then the subscription is asked whether it lives
RECONNECT_S = 0.5
FIRST_LOOK_S = 10.0
LOOK_AGAIN_S = 0.1
REDIS_TIMEOUT_S = 2.0


class KeySource(Protocol):
    """What the cache asks: KeyStore."""

    async def lookup(self, secret_sha256: bytes) -> Caller | None:
        """The caller of a live key. Raises StoreUnavailable."""

    async def changes(self, since: datetime | None) -> Changes:
        """The keys that changed since then, None: many that are live. Raises StoreUnavailable."""


class KeyCache:
    """The KeyDirectory of the path. It holds digests, never secrets.

    Three things keep it right: ``heard`` for changes that another process announces, ``refresh`` every 10 s for
    announcements that were lost, and the expiry, which every ``find`` checks.
    """

    channel = CHANNEL

    def __init__(
        self,
        source: KeySource,
        *,
        unix_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._unix_s = unix_s
        self._monotonic_s = monotonic_s
        self._known: dict[bytes, Caller] = {}
        self._unknown: OrderedDict[bytes, None] = OrderedDict()  # least recently asked first
        self._pending: dict[bytes, asyncio.Task[Caller | None]] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)
        self._since: datetime | None = None
        self._news = 0  # announcements heard
        self._refreshed_s = monotonic_s()

    async def find(self, secret: str) -> Caller | None:
        """The caller of a live key, None for a malformed, unknown, revoked or expired one. Raises StoreUnavailable."""
        key = digest(secret)
        if key is None:
            return None
        caller = self._known.get(key)
        if caller is None:
            if key in self._unknown:
                self._unknown.move_to_end(key)
                return None
            caller = await self._look_up(key)
            if caller is None:
                return None
        if caller.expires_at_s is not None and caller.expires_at_s <= self._unix_s():
            return None
        return caller

    async def refresh(self) -> None:
        """Take in what changed since the last time; run it before the first request and every 10 s.

        The first time many keys are taken in unasked: a process that was just started must serve them too when
        Postgres goes away. After an hour without success nothing is believed any more. Raises StoreUnavailable.
        """
        news = self._news
        try:
            changes = await self._source.changes(self._since)
        except StoreUnavailable:
            if self._monotonic_s() - self._refreshed_s > OUTAGE_S_MAX:
                self.forget()
            raise
        if self._since is None:
            self.forget()  # what was looked up before the first refresh may have changed before it too
            if self._news == news:  # else what was read may be older than the news
                self._known = {one.digest: one.caller for one in reversed(changes.keys) if one.caller is not None}
        self._since, self._refreshed_s = changes.until, self._monotonic_s()
        for changed in changes.keys:
            self._take(changed.digest, changed.caller)
        self._drop_rotated(changes)

    def heard(self, announcement: bytes) -> None:
        """A message of the channel: a digest in hexadecimal, whose key must be looked up anew, or ``*`` for all."""
        self._news += 1
        try:
            key = bytes.fromhex(announcement.decode("ascii"))
        except ValueError:
            self.forget()  # "*", or a newer version's word that we do not know: forgetting is always right
            return
        self._known.pop(key, None)
        self._unknown.pop(key, None)
        self._pending.pop(key, None)  # its answer may be older than this news: nobody else may get it

    def forget(self) -> None:
        """Know nothing; every key is looked up anew."""
        self._known.clear()
        self._unknown.clear()
        self._pending.clear()

    def _take(self, key: bytes, caller: Caller | None) -> None:
        """A changed key: only those that were asked for are kept, so that memory follows traffic, not the table."""
        self._pending.pop(key, None)
        if caller is None:
            if self._known.pop(key, None) is not None:
                self._remember_unknown(key)
        else:
            self._unknown.pop(key, None)
            if key in self._known:
                self._known[key] = caller

    def _drop_rotated(self, changes: Changes) -> None:
        """Forget the secrets that a changed key had once: a rotation replaced them, and their overlap was cut short."""
        ids, current = {one.key_id for one in changes.keys}, {one.digest for one in changes.keys}
        if ids:
            rotated = [key for key, caller in self._known.items() if caller.key_id in ids and key not in current]
            for key in rotated:
                del self._known[key]

    async def _look_up(self, key: bytes) -> Caller | None:
        """Ask the store, once for all that wait for this key; a waiter that leaves takes the answer from no other."""
        task = self._pending.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key))
            self._pending[key] = task
            task.add_done_callback(lambda done: self._fetched(key, done))
        return await asyncio.shield(task)

    async def _fetch(self, key: bytes) -> Caller | None:
        try:
            async with asyncio.timeout(LOOKUP_S), self._lookups:
                return await self._source.lookup(key)
        except TimeoutError as exc:
            raise StoreUnavailable("The database did not say in time whose key this is. Please retry.") from exc

    def _fetched(self, key: bytes, task: asyncio.Task[Caller | None]) -> None:
        """Remember an answer, unless the key was changed, and so dropped from the pending, while it was fetched."""
        is_current = self._pending.get(key) is task
        if is_current:
            del self._pending[key]
        if task.cancelled() or task.exception() is not None or not is_current:
            return
        caller = task.result()
        if caller is None:
            self._remember_unknown(key)
        else:
            self._known[key] = caller
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]

    def _remember_unknown(self, key: bytes) -> None:
        self._unknown[key] = None
        if len(self._unknown) > UNKNOWN_MAX:
            self._unknown.popitem(last=False)


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
    """Know keys and rules before the first request, so that serving goes on should Postgres go away right then.

    While it is away already, the other processes of the gateway, who know them, serve alone for some seconds.
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
                    log.info("changes of keys and rules are heard again")
                    is_away = False
                await _listen(pubsub, {cache.channel: cache for cache in caches})
        except Exception as exc:  # noqa: BLE001 - the clients raise KeyError and worse; an end here would go unnoticed
            if not is_away:
                log.warning("changes of keys and rules are not heard, they take effect at the next refresh: %r", exc)
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
                log.warning("changes of keys or rules could not be read: %s", exc)
        elif message["type"] == "message":
            data = message["data"]
            cache.heard(data if isinstance(data, bytes) else str(data).encode())


def _text(channel: object) -> str:
    """A channel's name, which clients give as bytes, text or, on a pong, nothing."""
    return channel.decode() if isinstance(channel, bytes) else str(channel)
