"""A Redis cluster behind the same methods as one server: redis-py's cluster client finds the node of each key."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AuthenticationError,
    ClusterError,
    MovedError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.stores.redis_link import Arg, Ask, Script, UnsafeRedis, check_server

log = logging.getLogger("obol.redis")

_LOST = (RedisConnectionError, RedisTimeoutError, ClusterError, RedisClusterException, OSError)
_PROBE_S = 0.5


def is_cluster_url(url: str) -> bool:
    """Whether the address itself says that it names a cluster."""
    parts = urlsplit(url)
    is_asked_for = parse_qs(parts.query).get("cluster", ["false"])[0].lower() in ("true", "yes", "1")
    return "+cluster" in parts.scheme or "," in parts.netloc or is_asked_for


class ClusterLink:
    """Commands on a cluster. Slower than RedisLink per command (about 0.15 ms), for those who outgrow one server."""

    def __init__(self, url: str, *, holds_money: bool = True, timeout_s: float = 2.0) -> None:
        self._url = url
        self._holds_money = holds_money
        self._timeout_s = timeout_s
        self._cluster: RedisCluster | None = None
        self._probing: asyncio.Task[None] | None = None
        self._on_lost: list[Callable[[], None]] = []
        self._on_back: list[Callable[[], None]] = []
        self._is_closed = False
        self.is_connected = False

    def watch(self, *, on_lost: Callable[[], None] | None = None, on_back: Callable[[], None] | None = None) -> None:
        if on_lost is not None:
            self._on_lost.append(on_lost)
        if on_back is not None:
            self._on_back.append(on_back)

    async def connect(self) -> None:
        """Connect now; an unreachable cluster is tried again in the background. Raises UnsafeRedis."""
        try:
            await self._connect()
        except AuthenticationError as exc:
            raise UnsafeRedis(f"Redis refused our credentials: {exc}") from exc
        except (RedisError, OSError) as exc:
            log.warning("THE REDIS CLUSTER IS AWAY at start, serving goes on without it: %s", exc)
            self._probe()

    async def command(self, *args: Arg) -> object:
        if not self.is_connected or self._cluster is None:
            raise RedisConnectionError("the redis cluster is away")
        try:
            async with asyncio.timeout(self._timeout_s):
                reply: object = await self._cluster.execute_command(*args)
        except TimeoutError as exc:
            self._lost(exc)
            raise RedisConnectionError(f"the redis cluster did not answer within {self._timeout_s} s") from exc
        except MovedError:
            raise
        except _LOST as exc:
            self._lost(exc)
            raise RedisConnectionError(f"the redis cluster is away: {exc}") from exc
        return reply

    async def script(self, script: Script, keys: Sequence[Arg], args: Sequence[Arg]) -> object:
        try:
            return await self.command("EVALSHA", script.sha, len(keys), *keys, *args)
        except RedisError as exc:
            if isinstance(exc, RedisConnectionError) or not is_noscript(exc):
                raise
            return await self.command("EVAL", script.source, len(keys), *keys, *args)

    async def close(self) -> None:
        self._is_closed = True
        self.is_connected = False
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        if self._cluster is not None:
            await self._cluster.aclose()

    async def _connect(self) -> None:
        cluster = cluster_client(self._url, self._timeout_s)
        try:
            await cluster.initialize()
            # Replies stay as the server sent them, the same as on a lone server.
            for name in [n for n in cluster.response_callbacks if not n.startswith(("CLUSTER", "COMMAND"))]:
                del cluster.response_callbacks[name]
            for node in cluster.get_primaries():
                await check_server(_asking(node), holds_money=self._holds_money)
        except BaseException:  # also a cancellation: a client that serves nobody is closed
            await cluster.aclose()
            raise
        self._cluster = cluster
        self.is_connected = True

    def _lost(self, error: BaseException) -> None:
        if not self.is_connected:
            return
        self.is_connected = False
        log.error("the redis cluster is away: %s", error)
        self._probe()
        for callback in self._on_lost:
            callback()

    def _probe(self) -> None:
        if not self._is_closed and (self._probing is None or self._probing.done()):
            self._probing = asyncio.get_running_loop().create_task(self._keep_trying(), name="redis-cluster-probe")

    async def _keep_trying(self) -> None:
        while not self.is_connected:
            await asyncio.sleep(_PROBE_S * random.uniform(0.5, 1.0))  # noqa: S311 - spreads replicas, no secret
            stale, self._cluster = self._cluster, None
            if stale is not None:
                with contextlib.suppress(RedisError, OSError):
                    await stale.aclose()
            try:
                await self._connect()
            except UnsafeRedis as exc:
                log.critical("the redis cluster is back, but not used: %s", exc)
            except (RedisError, OSError) as exc:
                log.debug("the redis cluster is still away: %s", exc)
        log.warning("the redis cluster is back")
        for callback in self._on_back:
            callback()


def is_noscript(error: RedisError) -> bool:
    """redis-py strips the NOSCRIPT prefix off the message."""
    return type(error).__name__ == "NoScriptError" or str(error).startswith("NOSCRIPT")


def _asking(node: ClusterNode) -> Ask:
    async def ask(*args: Arg) -> object:
        reply: object = await node.execute_command(*args)
        return reply

    return ask


def cluster_client(url: str, timeout_s: float) -> RedisCluster:
    """The client for an address that may name several hosts; any of them tells the others."""
    parts = urlsplit(url)
    scheme = parts.scheme.replace("+cluster", "")
    credentials, _, hosts = parts.netloc.rpartition("@")
    names = hosts.split(",")
    single = f"{scheme}://{credentials + '@' if credentials else ''}{names[0]}"
    nodes = []
    for name in names:
        host, _, port = name.rpartition(":") if ":" in name else (name, "", "6379")
        nodes.append(ClusterNode(host, int(port)))
    client: RedisCluster = RedisCluster.from_url(
        single, startup_nodes=nodes, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
    )
    return client
