"""Looks once an hour, in one replica, at who spends much more than in the same hours a week before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from gateway.stores.alert_outbox import AlertOutbox
from gateway.stores.redis_link import Link
from policies.alerts import Spend, spend_alerts, with_organizations

LOOK_INTERVAL_S = 60.0
_LATE_S = 90.0  # until the hour's last charges are in the ledger, those of dead processes too
_CLAIM_S = 300  # a replica that died while it looked, or a database that was too slow, is tried again after that
_DONE_S = 2 * 86_400


class SpendWatch:
    """``look`` is to be run every LOOK_INTERVAL_S in every replica; each hour is looked at by one of them."""

    def __init__(
        self,
        spend_until: Callable[[datetime], Awaitable[Sequence[Spend]]],
        outbox: AlertOutbox,
        link: Link,
        *,
        multiple: float,
        unix_s: Callable[[], float],
        announce: Callable[[str], None],
    ) -> None:
        self._spend_until = spend_until
        self._outbox = outbox
        self._link = link
        self._multiple = multiple
        self._unix_s = unix_s
        self._announce = announce
        self._done: datetime | None = None

    async def look(self) -> None:
        """Raises StoreUnavailable or RedisError; the next look tries again."""
        now_s = self._unix_s()
        end = datetime.fromtimestamp(now_s - _LATE_S, UTC).replace(minute=0, second=0, microsecond=0)
        if end == self._done:
            return
        mark = f"obol:spend-watch:{end:%Y-%m-%dT%H}"
        if await self._link.command("SET", mark, "under way", "NX", "EX", _CLAIM_S) is not None:
            spends = with_organizations(await self._spend_until(end))
            for organization_id, alert in spend_alerts(spends, self._multiple, int(now_s * 1000)):
                if await self._outbox.put(organization_id, alert):
                    self._announce(organization_id)
            await self._link.command("SET", mark, "done", "EX", _DONE_S)
        elif await self._link.command("GET", mark) != b"done":
            return
        self._done = end
