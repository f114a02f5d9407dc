"""Asks our own servers how they are, so that a dead one costs no request its time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from gateway.domain import Deployment
from gateway.ports import Catalog, Probe
from policies.breaker import HealthBoard

log = logging.getLogger("obol.jobs")

PROBE_INTERVAL_S = 10.0
_SICK_S = 2.5 * PROBE_INTERVAL_S  # longer than the next probe takes to come


class Prober:
    """``probe`` is one round over all deployments whose kind can be probed."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        probes: Mapping[str, Probe],
        health: HealthBoard,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._catalog = catalog
        self._probes = probes
        self._health = health
        self._monotonic_s = monotonic_s
        self._sick: set[str] = set()

    async def probe(self) -> None:
        catalog = self._catalog()
        found = (catalog.deployment(name) for name, _ in catalog.names())
        await asyncio.gather(
            *(self._ask(one) for one in found if one is not None and one.provider.kind in self._probes)
        )

    async def _ask(self, deployment: Deployment) -> None:
        name = deployment.name
        is_healthy = await self._probes[deployment.provider.kind].probe(deployment)
        now_s = self._monotonic_s()
        self._health.probed(name, now_s, now_s + _SICK_S, is_healthy=is_healthy)
        if is_healthy == (name in self._sick):
            log.warning("%s says that it is %s", name, "well again" if is_healthy else "not well, and is left alone")
            self._sick.symmetric_difference_update({name})
