"""The cheapest honest way to run Redis commands: one multiplexed connection that knows when Redis is away.

redis-py opens the connection (TLS, AUTH, database, Unix sockets, client name are its business); then its transport is
taken over: commands of one loop iteration leave in one write, replies resolve futures in order. A command never hangs:
it fails with ``redis.exceptions.ConnectionError`` as soon as the link is lost, and a Redis that does not answer within
``timeout_s`` counts as lost.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from gateway.stores.redis_lasting import LastingLink, UnsafeRedis
from gateway.stores.redis_wire import Arg, Wire

log = logging.getLogger("obol.redis")

Ask = Callable[..., Awaitable[object]]

# Answers of a Redis that is there and cannot write: a replica after a failover, one that still loads its data.
# A new connection may reach the new primary, so these end the link.
_AWAY_PREFIXES = ("READONLY", "LOADING", "MASTERDOWN", "UNBLOCKED")


class Script:
    """A Lua script, named by its SHA-1 once it was sent; ``Script.load("x")`` reads lua/x.lua.

    ``Script.load("x", "books")`` puts lua/books.lua, whose functions it uses, before it.
    """

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def load(cls, name: str, *libraries: str) -> Script:
        folder = resources.files("gateway.stores").joinpath("lua")
        return cls(name, "".join(folder.joinpath(f"{one}.lua").read_text("utf-8") for one in (*libraries, name)))


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


class RedisLink(LastingLink):
    """One multiplexed connection to one server; reconnects by itself until closed."""

    def __init__(
        self, url: str, *, holds_money: bool = True, timeout_s: float = 2.0, client_name: str | None = None
    ) -> None:
        super().__init__()
        self._url = url
        self._holds_money = holds_money
        self._timeout_s = timeout_s
        self._client_name = client_name
        self._wire: Wire | None = None
        self._session: tuple[str, int] | None = None  # the server's run and our number there, of the last connection
        self.is_cluster_node = False

    @property
    def is_connected(self) -> bool:
        return self._wire is not None

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
        await self._stop_trying()
        if self._wire is not None:
            wire, self._wire = self._wire, None
            await wire.close()

    def _judged(self, wire: Wire, error: Exception) -> Exception:
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
        wire = Wire(writer, self._timeout_s, self._lost)
        try:
            await self._check(wire)
        except BaseException:  # also a cancellation: a connection that serves nobody is closed
            await wire.close()
            raise
        if wire.is_lost:
            raise RedisConnectionError("the connection was lost at once")
        self._wire = wire

    async def _check(self, wire: Wire) -> None:
        async def ask(*args: Arg) -> object:
            reply = await wire.send(args)
            if isinstance(reply, Exception):
                raise reply
            return reply

        self.is_cluster_node = await check_server(ask, holds_money=self._holds_money)
        await self._succeed(ask)

    async def _succeed(self, ask: Ask) -> None:
        """Let no command of the connection before this one run any more.

        What a cut network held back arrives when it can, perhaps long after the journal has brought Redis up to date
        over this connection: an intent that nobody remembers, a charge that was shipped already.
        """
        try:
            run = _fields(await ask("INFO", "server")).get("run_id", "")
            number = await ask("CLIENT", "ID")
            if self._session is not None and self._session[0] == run:  # numbers begin anew in each run
                await ask("CLIENT", "KILL", "ID", self._session[1])
        except ResponseError as exc:
            log.warning("this Redis does not let us end the connection that was lost: %s", exc)
            return
        self._session = (run, number) if isinstance(number, int) else None

    def _lost(self, wire: Wire, error: Exception) -> None:
        if self._wire is wire:
            self._wire = None
            self._has_been_lost(error)


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
