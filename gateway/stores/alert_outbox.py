"""Alerts on their way out: written in the step that crosses a threshold, kept until somebody was told.

Keys, none of which expires but the marks::

    obol:{<organization>}:alerts              hash alert id -> JSON of an Alert
    obol:{<organization>}:alerts:due          sorted set of alert ids by when they may be taken, ms by Redis
    obol:{<organization>}:alerts:tries        hash alert id -> how often it was taken
    obol:{<organization>}:alerts:put:<id>     mark of an alert that was put lately

The journal's scripts write the hash alone; an alert of theirs that Redis lost is written again, under the same id, when
the balance is rebuilt and the threshold is found crossed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import msgspec

from gateway.domain.alert import Alert
from gateway.stores.instances import ORGANIZATIONS
from gateway.stores.redis_link import Link, Script
from gateway.stores.redis_wire import Arg

LEASE_MS = 30_000  # longer than describing and sending take together
_SAME_AGAIN_S = 2 * 86_400  # ids of what is put hold an hour or a day
_ORDERED_AT_ONCE = 500
_ORGANIZATIONS_AT_ONCE = 200

_PUT = Script.load("alert_put")
_TAKE = Script.load("alert_take")
_LATER = Script.load("alert_later")
_DONE = Script.load("alert_done")


class _Keys(NamedTuple):
    alerts: str
    due: str
    tries: str

    @classmethod
    def of(cls, organization_id: str) -> _Keys:
        alerts = f"obol:{{{organization_id}}}:alerts"
        return cls(alerts, f"{alerts}:due", f"{alerts}:tries")


@dataclass(frozen=True, slots=True)
class Taken:
    """An alert that is ours for LEASE_MS. ``tries`` counts this one. ``alert`` None: it cannot be read."""

    organization_id: str
    id: str
    alert: Alert | None
    tries: int
    now_ms: int


class AlertOutbox:
    """All methods raise RedisError while Redis is away."""

    def __init__(self, link: Link, *, now_ms: Callable[[], int] | None = None) -> None:
        """``now_ms`` replaces the clock of Redis, for tests."""
        self._link = link
        self._now_ms = now_ms
        # Scripts in Lua write amounts as strings.
        self._decoder = msgspec.json.Decoder(Alert, strict=False)

    async def put(self, organization_id: str, alert: Alert) -> bool:
        """Put an alert that no script of the journal writes; false when it was put in the last two days already."""
        keys = _Keys.of(organization_id)
        mark = f"{keys.alerts}:put:{sha256(alert.id.encode()).hexdigest()[:32]}"
        await self._link.command("SADD", ORGANIZATIONS, organization_id)
        args = (alert.id, msgspec.json.encode(alert), _SAME_AGAIN_S)
        return await self._link.script(_PUT, (keys.alerts, mark), args) == 1

    async def waiting(self) -> list[str]:
        """The organizations with alerts that nobody took yet or that are to be tried again."""
        reply = await self._link.command("SMEMBERS", ORGANIZATIONS)
        organizations = sorted(one.decode() for one in reply) if isinstance(reply, list) else []
        found: list[str] = []
        for start in range(0, len(organizations), _ORGANIZATIONS_AT_ONCE):
            part = organizations[start : start + _ORGANIZATIONS_AT_ONCE]
            counts = await asyncio.gather(*(self._link.command("HLEN", _Keys.of(one).alerts) for one in part))
            found += [one for one, count in zip(part, counts, strict=True) if count]
        return found

    async def take(self, organization_id: str) -> Taken | float | None:
        """The alert that has been due for longest; else the seconds until one is, ``None`` for an empty outbox."""
        args = (LEASE_MS, _ORDERED_AT_ONCE, *self._time())
        reply = await self._link.script(_TAKE, _Keys.of(organization_id), args)
        match reply:
            case [bytes() as identity, bytes() as text, int() as tries, int() as now_ms]:
                return Taken(organization_id, identity.decode(), self._read(text), tries, now_ms)
            case [int() as wait_ms]:
                return wait_ms / 1000
            case _:
                return None

    async def later(self, taken: Taken, delay_s: float) -> None:
        """It could not be told: let it be taken again after ``delay_s``."""
        keys = _Keys.of(taken.organization_id)
        args = (taken.id, max(int(delay_s * 1000), 0), *self._time())
        await self._link.script(_LATER, (keys.alerts, keys.due), args)

    async def done(self, taken: Taken) -> None:
        """It was told, or is given up."""
        await self._link.script(_DONE, _Keys.of(taken.organization_id), (taken.id,))

    def _read(self, text: bytes) -> Alert | None:
        try:
            return self._decoder.decode(text)
        except msgspec.DecodeError:  # ValidationError is one of them
            return None

    def _time(self) -> tuple[Arg, ...]:
        return () if self._now_ms is None else (self._now_ms(),)
