"""Keeps what all replicas together send to a deployment under its provider's limits, exactly, by the clock of Redis.

Requests and tokens per minute are counted in one-second cells over the last 61 seconds; parallel requests are a hash of
attempts, each held by the lease of its instance, which ``renew`` extends. Nothing of this is money: keys expire, and
while Redis is away everything is admitted (the provider refuses for itself).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from redis.exceptions import RedisError

from gateway.domain import Deployment, UpstreamLimits
from gateway.stores.redis_link import Link, Script
from gateway.stores.redis_wire import Arg

log = logging.getLogger("obol.limits")

LEASE_MS = 10_000
RENEW_INTERVAL_S = 2.0

_ACQUIRE = Script.load("upstream_acquire")
_RENEW = Script.load("upstream_renew")


class _Keys(NamedTuple):
    window: str
    places: str
    leases: str

    @classmethod
    def of(cls, deployment: str) -> _Keys:
        # Closing braces would end the hash tag early and spread the keys over a cluster.
        prefix = f"obol:{{upstream:{deployment.replace('}', '_')}}}:"
        return cls(f"{prefix}window", f"{prefix}places", f"{prefix}leases")


class RedisUpstreamAdmission:
    """ports.UpstreamAdmission over Redis. ``renew`` is to be run every RENEW_INTERVAL_S."""

    def __init__(self, link: Link, instance: str, *, now_ms: Callable[[], int] | None = None) -> None:
        """``now_ms`` replaces the clock of Redis, for tests of the window."""
        self._link = link
        self._instance = instance
        self._now_ms = now_ms
        self._held: dict[str, set[str]] = {}  # deployment -> attempts that hold a parallel place

    async def acquire(self, deployment: Deployment, attempt_id: str, tokens: int) -> bool:
        """Take a place; false when the deployment is exhausted. Deployments without limits cost nothing."""
        limits = deployment.limits
        if not limits.is_limited:
            return True
        if limits.parallel_requests is not None:
            # Before the call: should its answer get lost, release and renew still know of the place.
            self._held.setdefault(deployment.name, set()).add(attempt_id)
        args = (attempt_id, self._instance, max(tokens, 0), *_numbers(limits), LEASE_MS, self._time())
        try:
            is_admitted = await self._link.script(_ACQUIRE, _Keys.of(deployment.name), args) == 1
        except RedisError as exc:
            log.debug("upstream limits of %s are not kept while Redis is away: %s", deployment.name, exc)
            return True
        except asyncio.CancelledError:
            self._forget(deployment.name, attempt_id)
            raise
        if not is_admitted:
            self._forget(deployment.name, attempt_id)
        return is_admitted

    async def release(self, deployment: Deployment, attempt_id: str) -> None:
        """Give the parallel place back. Idempotent; costs nothing where there is no limit on parallel requests."""
        if attempt_id not in self._held.get(deployment.name, ()):
            return
        self._forget(deployment.name, attempt_id)
        try:
            await self._link.command("HDEL", _Keys.of(deployment.name).places, attempt_id)
        except RedisError as exc:
            log.debug("a place at %s is given back with the next renewal: %s", deployment.name, exc)

    async def renew(self) -> None:
        """Extend the leases of this instance and correct its places. Raises RedisError while Redis is away."""
        for name, attempt_ids in list(self._held.items()):
            keys = _Keys.of(name)
            args: list[Arg] = [self._instance, LEASE_MS, self._time(), *attempt_ids]
            if not attempt_ids:
                del self._held[name]
            await self._link.script(_RENEW, (keys.places, keys.leases), args)

    def _forget(self, deployment: str, attempt_id: str) -> None:
        self._held.get(deployment, set()).discard(attempt_id)

    def _time(self) -> Arg:
        return "" if self._now_ms is None else self._now_ms()


def _numbers(limits: UpstreamLimits) -> tuple[int, int, int]:
    """Requests, tokens, parallel; -1 is unlimited."""
    three = (limits.requests_per_minute, limits.tokens_per_minute, limits.parallel_requests)
    first, second, third = (-1 if one is None else one for one in three)
    return first, second, third
