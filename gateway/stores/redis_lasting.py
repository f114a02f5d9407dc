"""A link that comes back by itself: what one server and a cluster have in common."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Callable

from redis.exceptions import AuthenticationError, RedisError

log = logging.getLogger("obol.redis")

_BACKOFF_S_MIN = 0.05
_BACKOFF_S_MAX = 1.0


class UnsafeRedis(RuntimeError):
    """A Redis that may drop money by itself, or refuses us; the message says what to change."""


class LastingLink(ABC):
    """Connects, and once lost tries again until closed. Subclasses say how to connect, and when they lost it."""

    _whom = "redis"  # in the words of the log

    def __init__(self) -> None:
        self._trying: asyncio.Task[None] | None = None
        self._on_lost: list[Callable[[], None]] = []
        self._on_back: list[Callable[[], None]] = []
        self._is_closed = False

    @property
    @abstractmethod
    def is_connected(self) -> bool: ...

    @abstractmethod
    async def _connect(self) -> None:
        """Connect once. Raises UnsafeRedis, RedisError or OSError, having left nothing open."""

    def watch(self, *, on_lost: Callable[[], None] | None = None, on_back: Callable[[], None] | None = None) -> None:
        """Be told of the link's loss and of every return after the first connection. Callbacks must not block."""
        if on_lost is not None:
            self._on_lost.append(on_lost)
        if on_back is not None:
            self._on_back.append(on_back)

    async def connect(self) -> None:
        """Connect now; what cannot be reached is tried again in the background. Raises UnsafeRedis."""
        try:
            await self._connect()
        except AuthenticationError as exc:
            raise UnsafeRedis(f"Redis refused our credentials: {exc}") from exc
        except (RedisError, OSError) as exc:
            log.warning("%s IS AWAY at start, serving goes on without it: %s", self._whom.upper(), exc)
            self._try_again()

    def _has_been_lost(self, error: BaseException) -> None:
        """Say so, tell the watchers, and try to come back."""
        if self._is_closed:
            return
        log.error("%s is away: %s", self._whom, error)
        self._try_again()
        for callback in self._on_lost:
            callback()

    async def _stop_trying(self) -> None:
        self._is_closed = True
        if self._trying is not None:
            self._trying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._trying

    def _try_again(self) -> None:
        if self._trying is None or self._trying.done():
            self._trying = asyncio.get_running_loop().create_task(self._keep_trying(), name="redis-reconnect")

    async def _keep_trying(self) -> None:
        backoff_s = _BACKOFF_S_MIN
        while not self.is_connected and not self._is_closed:
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads replicas, no secret
            backoff_s = min(backoff_s * 2, _BACKOFF_S_MAX)
            try:
                await self._connect()
            except UnsafeRedis as exc:
                log.critical("%s is back, but not used: %s", self._whom, exc)
            except (RedisError, OSError) as exc:
                log.debug("%s is still away: %s", self._whom, exc)
        if self.is_connected:
            log.warning("%s is back", self._whom)
            for callback in self._on_back:
                callback()
