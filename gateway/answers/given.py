"""An answer of our own on its way to its client: it looks like one that has begun, and is settled already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from gateway.domain import NO_ROOM_TOLD, CacheStatus, Endpoint, Outcome, Source, Usage
from gateway.entries import Attempt
from gateway.error_objects import ErrorShape, error_event
from gateway.errors import GatewayError

#: What its client gets of an answer that is all there. Raises GatewayError where guards do not let it.
Screen = Callable[[bytes, Usage], Awaitable[bytes]]


class Given:
    """An answer that no upstream was asked for. ``next()`` yields the client's bytes, all at once."""

    steps = 0
    repair = None  # it was repaired before it was kept
    is_unpriced = False
    cost_nusd: int | None = 0

    def __init__(
        self,
        attempt: Attempt,
        told: bytes,
        *,
        source: Source = Source.CACHE_EXACT,
        cache: CacheStatus | None = CacheStatus.HIT,
        age_s: int | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``age_s``: of one that was kept. ``headers``: what its client is told besides."""
        self.source = source
        self.cache = cache
        self.age_s = age_s
        self.headers = headers
        self.room = NO_ROOM_TOLD
        self.guards: Callable[[], str] | None = None  # what its client hears of those that looked
        self._attempt = attempt
        self._told = told

    @property
    def deployment(self) -> str:
        """Who would have been asked, or who of us answered."""
        return self._attempt.deployment.name

    @property
    def ready_bytes(self) -> int:
        return len(self._told)

    async def next(self) -> bytes | None:
        """All of it, then ``None``."""
        told, self._told = self._told, b""
        return told or None

    def failing(self, error: GatewayError) -> bytes:
        is_message = self._attempt.intent.endpoint == Endpoint.MESSAGES
        return error_event(error, ErrorShape.ANTHROPIC if is_message else ErrorShape.OPENAI)

    def abandon(self, outcome: Outcome = Outcome.CANCELLED) -> bool:
        """The client went away: nothing was used, and nothing is left to charge."""
        del outcome
        return False
