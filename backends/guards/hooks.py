"""What the guards that are webhooks share: their connections, and which of them are left alone for having failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp

from policies.breaker import HealthBoard

_CONNECTIONS_PER_HOST_MAX = 100
_KEEPALIVE_S = 2.0  # idle connections are closed by us, before most servers close them on a look


class Hooks:
    """The connections to all webhooks of this process, and the circuits of those that failed, by their addresses."""

    def __init__(
        self,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        unix_s: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.health = HealthBoard()
        self.monotonic_s = monotonic_s
        self.unix_s = unix_s
        self.sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """Made on first use in the running loop."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, limit_per_host=_CONNECTIONS_PER_HOST_MAX, keepalive_timeout=_KEEPALIVE_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # each look has its own
                auto_decompress=False,  # a small answer that grows
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close all connections. Idempotent; a later use opens anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
