"""The cheapest honest way to run Redis commands: one multiplexed connection that knows when Redis is away.

redis-py opens the connection (TLS, AUTH, database, Unix sockets, client name are its business); then its transport is
taken over: commands of one loop iteration leave in one write, replies resolve futures in order. A command never hangs:
it fails with ``redis.exceptions.ConnectionError`` as soon as the link is lost, and a Redis that does not answer within
``timeout_s`` counts as lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any, Protocol

import hiredis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

log = logging.getLogger("obol.redis")

Arg = bytes | str | int
Ask = Callable[..., Awaitable[object]]

_NOTHING_YET = object()
# Answers of a Redis that is there and cannot write: a replica after a failover, one that still loads its data.
# A new connection may reach the new primary, so these end the link.
_AWAY_PREFIXES = ("READONLY", "LOADING", "MASTERDOWN", "UNBLOCKED")
_BACKOFF_S_MIN = 0.05
_BACKOFF_S_MAX = 1.0


class UnsafeRedis(RuntimeError):
    """A Redis that may drop money by itself, or refuses us; the message says what to change."""


class Script:
    """A Lua script, named by its SHA-1 once it was sent; ``Script.load("x")`` reads x.lua beside this file."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, name: str) -> Script:
        return cls(name, resources.files("gateway.stores").joinpath(f"{name}.lua").read_text(encoding="utf-8"))


class Link(Protocol):
    """What stores need of Redis, one server or a cluster. All methods raise redis.exceptions.RedisError only."""

    @property
    def is_connected(self) -> bool: ...

    def watch(self, *, on_lost: Callable[[], None] | None = None, on_back: Callable[[], None] | None = None) -> None:
        """Be told of the link's loss and of every return after the first connection. Callbacks must not block."""

    async def command(self, *args: Arg) -> object:
        """Run one command; replies are bytes, int, list or None. Raises ConnectionError or ResponseError."""

    async def script(self, script: Script, keys: Sequence[Arg], args: Sequence[Arg]) -> object:
        """Run a script by its hash, or by its text where the server has not seen it yet."""

    async def close(self) -> None:
        """Give the connection up; commands under way fail. Idempotent."""


async def open_link(
    url: str, *, holds_money: bool = True, timeout_s: float = 2.0, client_name: str | None = None
) -> Link:
    """Connect to the Redis or cluster at ``url``, or come back with a link that keeps trying.

    A cluster is named by ``redis+cluster://h1:p1,h2:p2`` (``rediss+cluster`` for TLS), several hosts, or
    ``?cluster=true``; a lone address whose server says that it is part of a cluster is one too.
    Raises UnsafeRedis for a money Redis that evicts, or wrong credentials, at start only.
    """
    from gateway.stores.redis_cluster import ClusterLink, is_cluster_url  # noqa: PLC0415 - loads what few need

    if is_cluster_url(url):
        cluster = ClusterLink(url, holds_money=holds_money, timeout_s=timeout_s)
        await cluster.connect()
        return cluster
    link = RedisLink(url, holds_money=holds_money, timeout_s=timeout_s, client_name=client_name)
    await link.connect()
    if link.is_cluster_node:
        await link.close()
        cluster = ClusterLink(url, holds_money=holds_money, timeout_s=timeout_s)
        await cluster.connect()
        return cluster
    return link


class RedisLink:
    """One multiplexed connection to one server; reconnects by itself until closed."""

    def __init__(
        self, url: str, *, holds_money: bool = True, timeout_s: float = 2.0, client_name: str | None = None
    ) -> None:
        self._url = url
        self._holds_money = holds_money
        self._timeout_s = timeout_s
        self._client_name = client_name
        self._wire: _Wire | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._on_lost: list[Callable[[], None]] = []
        self._on_back: list[Callable[[], None]] = []
        self._is_closed = False
        self.is_cluster_node = False

    @property
    def is_connected(self) -> bool:
        return self._wire is not None

    def watch(self, *, on_lost: Callable[[], None] | None = None, on_back: Callable[[], None] | None = None) -> None:
        if on_lost is not None:
            self._on_lost.append(on_lost)
        if on_back is not None:
            self._on_back.append(on_back)

    async def connect(self) -> None:
        """Connect now; an unreachable server is tried again in the background. Raises UnsafeRedis."""
        try:
            await self._connect()
        except AuthenticationError as exc:
            raise UnsafeRedis(f"Redis refused our credentials: {exc}") from exc
        except RedisError as exc:
            log.warning("REDIS IS AWAY at start, serving goes on without it: %s", exc)
            self._reconnect()

    async def command(self, *args: Arg) -> object:
        wire = self._wire
        if wire is None:
            raise RedisConnectionError("redis is away")
        reply = await wire.send(args)
        if isinstance(reply, Exception):
            raise self._judged(wire, reply)
        return reply

    async def script(self, script: Script, keys: Sequence[Arg], args: Sequence[Arg]) -> object:
        wire = self._wire
        if wire is None:
            raise RedisConnectionError("redis is away")
        reply = await wire.send(("EVALSHA", script.sha, len(keys), *keys, *args))
        if isinstance(reply, Exception):
            if not str(reply).startswith("NOSCRIPT"):
                raise self._judged(wire, reply)
            return await self.command("EVAL", script.source, len(keys), *keys, *args)
        return reply

    async def close(self) -> None:
        self._is_closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reconnecting
        if self._wire is not None:
            wire, self._wire = self._wire, None
            await wire.close()

    def _judged(self, wire: _Wire, error: Exception) -> Exception:
        """The error to raise for an error reply; some of them end the link."""
        text = str(error)
        if text.startswith(_AWAY_PREFIXES):
            wire.abort(RedisConnectionError(text))
            return RedisConnectionError(text)
        return error

    async def _connect(self) -> None:
        options: dict[str, Any] = dict(parse_url(self._url))
        kind: type[AbstractConnection] = options.pop("connection_class", Connection)
        options.pop("cluster", None)
        options.pop("max_connections", None)
        options |= {
            "protocol": 2,
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._timeout_s,
            "client_name": self._client_name,
            "decode_responses": False,
        }
        connection = kind(**options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:  # also a cancellation: half a connection is given up
            await connection.disconnect(nowait=True)
            raise
        writer = connection._writer  # noqa: SLF001 - taking the transport over is the point of this module
        # From here the connection object must not close, nor warn of, a transport that is ours.
        connection._reader = connection._writer = None  # noqa: SLF001
        if writer is None:
            raise RedisConnectionError("the connection closed during its handshake")
        wire = _Wire(writer, self._timeout_s, self._lost)
        try:
            await self._check(wire)
        except BaseException:  # also a cancellation: a connection that serves nobody is closed
            await wire.close()
            raise
        if wire.is_lost:
            raise RedisConnectionError("the connection was lost at once")
        self._wire = wire

    async def _check(self, wire: _Wire) -> None:
        async def ask(*args: Arg) -> object:
            reply = await wire.send(args)
            if isinstance(reply, Exception):
                raise reply
            return reply

        self.is_cluster_node = await check_server(ask, holds_money=self._holds_money)

    def _lost(self, wire: _Wire, error: Exception) -> None:
        if self._wire is not wire:
            return
        self._wire = None
        if self._is_closed:
            return
        log.error("redis is away: %s", error)
        self._reconnect()
        for callback in self._on_lost:
            callback()

    def _reconnect(self) -> None:
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = asyncio.get_running_loop().create_task(self._keep_trying(), name="redis-reconnect")

    async def _keep_trying(self) -> None:
        backoff_s = _BACKOFF_S_MIN
        while self._wire is None and not self._is_closed:
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads replicas, no secret
            backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)
            try:
                await self._connect()
            except UnsafeRedis as exc:
                log.critical("redis is back, but not used: %s", exc)
            except (RedisError, OSError) as exc:
                log.debug("redis is still away: %s", exc)
        if self._wire is not None:
            log.warning("redis is back")
            for callback in self._on_back:
                callback()


class _Wire(asyncio.Protocol):
    """The transport of one established connection, with the futures that wait on it in order."""

    def __init__(
        self, writer: asyncio.StreamWriter, timeout_s: float, on_lost: Callable[[_Wire, Exception], None]
    ) -> None:
        # The writer is kept because it would close the transport when collected.
        self._writer = writer
        self._transport = writer.transport
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._reader = hiredis.Reader(replyError=ResponseError, notEnoughData=_NOTHING_YET)
        self._waiting: deque[tuple[asyncio.Future[object], float]] = deque()
        self._suspect: asyncio.Future[object] | None = None
        self._closed = self._loop.create_future()
        self.is_lost = False
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(high=1 << 24)
        self._watchdog = self._loop.call_later(timeout_s / 4, self._watch)

    def send(self, args: tuple[Arg, ...]) -> asyncio.Future[object]:
        """Queue one command; the future resolves to its reply, an error reply included, or fails with the link."""
        future = self._loop.create_future()
        if self.is_lost:
            future.set_exception(RedisConnectionError("redis is away"))
            return future
        self._transport.write(hiredis.pack_command(args))  # type: ignore[arg-type] # its stub knows 1-tuples only
        self._waiting.append((future, self._loop.time()))
        return future

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING_YET:
                future = waiting.popleft()[0]
                if not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError) as exc:
            self.abort(RedisConnectionError(f"redis sent what is no answer: {exc}"))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(RedisConnectionError(f"the connection to redis was lost: {exc or 'closed by the server'}"))
        if not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """A server that takes nothing in is caught by the watchdog; until then commands gather in memory."""

    def resume_writing(self) -> None:
        pass

    def abort(self, error: Exception) -> None:
        """Fail all that waits, at once, and drop the connection."""
        self._lose(error)
        self._transport.abort()

    async def close(self) -> None:
        self._lose(RedisConnectionError("the link to redis was closed"))
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed, self._timeout_s)
        self._transport.abort()

    def _lose(self, error: Exception) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._watchdog.cancel()
        self._on_lost(self, error)
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(error)
                # A caller that was cancelled meanwhile never looks at it; that is no leak worth a log line.
                future.exception()

    def _watch(self) -> None:
        """Declare the link lost when its oldest command has waited longer than the timeout.

        The verdict takes two looks at the same command: after a pause of this whole process (SIGSTOP, a stalled
        machine) the answer may already lie in the socket, unread.
        """
        head = self._waiting[0] if self._waiting else None
        if head is None or self._loop.time() - head[1] < self._timeout_s:
            self._suspect = None
            self._watchdog = self._loop.call_later(self._timeout_s / 4, self._watch)
        elif self._suspect is head[0]:
            self.abort(RedisConnectionError(f"redis did not answer within {self._timeout_s} s"))
        else:
            self._suspect = head[0]
            self._watchdog = self._loop.call_later(self._timeout_s / 20, self._watch)


async def check_server(ask: Ask, *, holds_money: bool) -> bool:
    """Refuse a server that evicts money, warn of one that forgets it; true when it is part of a cluster.

    ``ask`` runs one command. INFO tells all of it, also where a managed server forbids CONFIG. Raises UnsafeRedis, and
    ConnectionError while the server still loads its data.
    """
    try:
        # One section each: several at once need Redis 7.
        info = _fields(await ask("INFO", "cluster")) | _fields(await ask("INFO", "persistence"))
        info |= _fields(await ask("INFO", "memory"))
    except ResponseError as exc:
        log.warning("this Redis does not tell whether it keeps what it holds (INFO: %s)", exc)
        return False
    if info.get("loading") == "1":
        raise RedisConnectionError("redis is loading its data")
    if holds_money:
        policy = info.get("maxmemory_policy", "")
        if policy.startswith("allkeys-"):
            raise UnsafeRedis(
                f"the Redis that holds money has maxmemory-policy {policy}: short of memory it would drop charges."
                " Set 'maxmemory-policy noeviction' there, and give the cache a Redis of its own."
            )
        if info.get("aof_enabled") != "1":
            log.warning(
                "NO APPEND-ONLY FILE on the Redis that holds money: if Redis and a gateway process die together, the"
                " charges between them are lost. Set 'appendonly yes'."
            )
    return info.get("cluster_enabled") == "1"


def _fields(reply: object) -> dict[str, str]:
    text = reply.decode() if isinstance(reply, bytes) else ""
    return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
