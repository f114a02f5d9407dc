"""Sends alerts to the operator's webhook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import aiohttp

from gateway.signing import key_of, signed_headers

TIMEOUT_S = 10.0
_CONNECTIONS_MAX = 8


class NotDelivered(Exception):
    """The receiver did not take it; the message names no address, which may hold a secret."""


class Receiver(Protocol):
    """Where alerts go."""

    async def deliver(self, message_id: str, body: bytes) -> None:
        """Returns when the receiver said that it has it. Raises NotDelivered."""


class Webhook:
    """One address. A message is signed anew at each try, so that its time is that of the try."""

    def __init__(self, url: str, secret: str, unix_s: Callable[[], float], *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._key = key_of(secret)
        self._unix_s = unix_s
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, message_id: str, body: bytes) -> None:
        headers = {
            "content-type": "application/json",
            "user-agent": "obol",
            **signed_headers(self._key, message_id, int(self._unix_s()), body),
        }
        try:
            # A redirect would take the message to where nobody said it may go.
            async with self._opened().post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as exc:  # TimeoutError is an OSError
            raise NotDelivered(f"no answer ({type(exc).__name__})") from exc
        if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own class
            raise NotDelivered(f"HTTP {status}")

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                trust_env=False,
            )
        return self._session
