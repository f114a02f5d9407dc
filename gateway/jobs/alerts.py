"""Tells the operator of alerts: each is logged and counted once, and goes to the webhook until that has taken it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from redis.exceptions import RedisError

from gateway.domain.alert import Alert
from gateway.ids import rfc3339
from gateway.jobs.webhook import NotDelivered, Receiver
from gateway.stores.alert_outbox import AlertOutbox, Taken
from policies.alerts import GIVE_UP_MS, retry_delay_s

log = logging.getLogger("obol.alerts")

POLL_INTERVAL_S = 10.0
_AT_ONCE = 8  # organizations whose alerts are sent at the same time

Describe = Callable[[str, Alert], Awaitable[dict[str, object]]]


class AlertSender:
    """Empties the outbox. Any number of replicas may do so: an alert that one has taken is left alone by the others.

    ``announce`` is for the moment when an alert was written, ``poll`` (every POLL_INTERVAL_S) for what others left.
    """

    def __init__(
        self,
        outbox: AlertOutbox,
        describe: Describe,
        receiver: Receiver | None,
        *,
        noticed: Callable[[Alert, Mapping[str, object]], None],
        draw: Callable[[], float],
    ) -> None:
        """``noticed`` is called once for each alert, with what is said of it; ``draw`` gives numbers from 0 to 1."""
        self._outbox = outbox
        self._describe = describe
        self._receiver = receiver
        self._noticed = noticed
        self._draw = draw
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._announced: set[str] = set()  # while their organization's alerts were being sent
        self._wake_ups: dict[str, asyncio.TimerHandle] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._is_closed = False

    def announce(self, organization_id: str) -> None:
        """An alert of that organization was written: take it up now. Never blocks."""
        self._announced.add(organization_id)
        if organization_id not in self._sending and not self._is_closed:
            task = asyncio.get_running_loop().create_task(self._send_all(organization_id), name="alerts")
            self._sending[organization_id] = task
            task.add_done_callback(lambda _: self._ended(organization_id))

    async def poll(self) -> None:
        """Take up all that waits. Raises RedisError."""
        for organization_id in await self._outbox.waiting():
            self.announce(organization_id)

    async def close(self) -> None:
        """Stop. What was not told is told by another replica, or by the next start."""
        self._is_closed = True
        for wake_up in self._wake_ups.values():
            wake_up.cancel()
        self._wake_ups.clear()
        tasks = list(self._sending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send_all(self, organization_id: str) -> None:
        try:
            async with self._places:
                while organization_id in self._announced:
                    self._announced.discard(organization_id)
                    while isinstance(taken := await self._outbox.take(organization_id), Taken):
                        await self._send(taken)
                    if taken is not None and taken <= POLL_INTERVAL_S:
                        self._wake_up_in(taken, organization_id)
        except RedisError as exc:
            log.info("alerts of %s wait for Redis: %s", organization_id, exc)
        except Exception:  # the outbox keeps the alert, and the next poll tries again
            log.exception("alerts of %s failed", organization_id)

    def _ended(self, organization_id: str) -> None:
        del self._sending[organization_id]
        if organization_id in self._announced:  # just as the task ended
            self.announce(organization_id)

    def _wake_up_in(self, delay_s: float, organization_id: str) -> None:
        former = self._wake_ups.pop(organization_id, None)
        if former is not None:
            former.cancel()
        loop = asyncio.get_running_loop()
        self._wake_ups[organization_id] = loop.call_later(delay_s, self._wake_up, organization_id)

    def _wake_up(self, organization_id: str) -> None:
        self._wake_ups.pop(organization_id, None)
        self.announce(organization_id)

    async def _send(self, taken: Taken) -> None:
        alert = taken.alert
        if alert is None:
            log.error("alert %r of %s cannot be read and is dropped", taken.id, taken.organization_id)
            await self._outbox.done(taken)
            return
        data = await self._describe(taken.organization_id, alert)
        if taken.tries == 1:
            self._noticed(alert, data)
        if self._receiver is None:
            await self._outbox.done(taken)
            return
        message_id = message_id_of(taken.organization_id, taken.id)
        body = {"id": message_id, "type": alert.kind, "timestamp": rfc3339(alert.at_ms / 1000), "data": data}
        try:
            await self._receiver.deliver(message_id, msgspec.json.encode(body))
        except NotDelivered as exc:
            await self._failed(taken, alert, exc)
        else:
            await self._outbox.done(taken)

    async def _failed(self, taken: Taken, alert: Alert, exc: NotDelivered) -> None:
        if taken.now_ms - alert.at_ms > GIVE_UP_MS:
            log.error("the alert webhook did not take alert %r for a day, it is dropped: %s", taken.id, exc)
            await self._outbox.done(taken)
            return
        delay_s = retry_delay_s(taken.tries, self._draw())
        log.warning("the alert webhook did not take alert %r, again in %.1f s: %s", taken.id, delay_s, exc)
        await self._outbox.later(taken, delay_s)


def message_id_of(organization_id: str, alert_id: str) -> str:
    """By which a receiver knows that it has had this alert: short, plain, and always the same for the same alert."""
    return "alert_" + hashlib.sha256(f"{organization_id}\n{alert_id}".encode()).hexdigest()[:32]
