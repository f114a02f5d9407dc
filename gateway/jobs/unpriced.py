"""Tells the operator of models that clients ask for and whose price nobody stated."""

from __future__ import annotations

import logging
from collections.abc import Callable

from redis.exceptions import RedisError

from gateway.domain.alert import Alert, AlertKind
from gateway.ids import rfc3339
from gateway.ports import Background
from gateway.stores.alert_outbox import AlertOutbox

log = logging.getLogger("obol.alerts")

MODELS_MAX = 100  # a day and organization: behind a wildcard clients make up names


class UnpricedModels:
    """``noticed`` may be called for every request: each model is told of once a day and organization."""

    def __init__(
        self,
        outbox: AlertOutbox,
        background: Background,
        *,
        unix_s: Callable[[], float],
        announce: Callable[[str], None],
    ) -> None:
        self._outbox = outbox
        self._background = background
        self._unix_s = unix_s
        self._announce = announce
        self._day = ""
        self._told: dict[str, set[str]] = {}  # organization -> models of that day

    def noticed(self, organization_id: str, model: str) -> None:
        """Never blocks, never raises."""
        now_s = self._unix_s()
        day = rfc3339(now_s)[:10]
        if day != self._day:
            self._day, self._told = day, {}
        told = self._told.setdefault(organization_id, set())
        if model in told or len(told) >= MODELS_MAX:
            return
        told.add(model)
        alert = Alert(id=f"unpriced:{model}:{day}", kind=AlertKind.UNPRICED_MODEL, at_ms=int(now_s * 1000), model=model)
        self._background.spawn(self._put(organization_id, alert))

    async def _put(self, organization_id: str, alert: Alert) -> None:
        try:
            if await self._outbox.put(organization_id, alert):
                self._announce(organization_id)
        except RedisError as exc:
            self._told.get(organization_id, set()).discard(alert.model or "")  # the next request tries again
            log.info("the alert of unpriced model %r waits for Redis: %s", alert.model, exc)
