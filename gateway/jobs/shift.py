"""Watches whether the questions of calibrated routes still look like those that they were calibrated on.

Every replica reads what was found from Redis; one of them looks. The path learns of it by a mapping that is swapped
whole. What Redis loses is found again from the decisions of the last week.

Keys: ``obol:route-shift:<route>:<router version>``, JSON of a Seen, and ``...:look``, who looks now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from gateway.domain import Route
from gateway.domain.alert import Alert, AlertKind
from gateway.domain.guarantee import Shift
from gateway.router.file import Calibrated, RouterFile
from gateway.stores.alert_outbox import AlertOutbox
from gateway.stores.redis_link import Link
from gateway.stores.route_questions import Asked, RouteQuestions
from gateway.stores.tenants import DEFAULT_ORGANIZATION
from policies.shifts import WINDOW_MAX, WINDOW_MIN, Finding, Seen

if TYPE_CHECKING:
    from policies.routing.shift import Compared

LOOK_INTERVAL_S = 10.0
_LOOK_MS = 8_000  # a replica that died while it looked holds no other up for long
_HISTORY = timedelta(days=7)  # looked back on at first
_JUDGED_OF = timedelta(days=30)  # answers are judged late
_KEPT_S = 30 * 86_400


class ShiftWatch:
    """``look`` is to be run every LOOK_INTERVAL_S in every process; each window is looked at by one of them."""

    def __init__(
        self,
        router: RouterFile,
        routes: Callable[[], Iterable[Route]],
        questions: RouteQuestions,
        link: Link,
        outbox: AlertOutbox,
        *,
        unix_s: Callable[[], float],
        announce: Callable[[str], None],
        told: Callable[[str, bool], None],
    ) -> None:
        """``told`` is called with every route that is or was watched, and whether it has shifted."""
        self._router = router
        self._routes = routes
        self._questions = questions
        self._link = link
        self._outbox = outbox
        self._unix_s = unix_s
        self._announce = announce
        self._told = told

    async def look(self) -> None:
        """Raises StoreUnavailable or RedisError; the next look tries again, and what was found stays."""
        found: dict[tuple[str, str], Shift] = {}
        for one in self._router.calibrated(self._routes()):
            key = f"obol:route-shift:{one.route}:{one.router_version}"
            seen = await self._read(key)
            if await self._link.command("SET", f"{key}:look", "under way", "NX", "PX", _LOOK_MS) is not None:
                seen = await self._looked(one, key, seen)
            if seen is not None and seen.n:
                found[one.route, one.router_version] = seen.shift()
        for route, _ in self._router.shifts.keys() - found.keys():
            self._told(route, False)
        for (route, _), shift in found.items():
            self._told(route, shift.is_shifted)
        self._router.shifts = found

    async def _read(self, key: str) -> Seen | None:
        raw = await self._link.command("GET", key)
        try:
            return msgspec.json.decode(raw, type=Seen) if isinstance(raw, bytes) else None
        except msgspec.DecodeError:  # an older version wrote it: begin anew
            return None

    async def _looked(self, one: Calibrated, key: str, seen: Seen | None) -> Seen:
        """Take up windows that are complete by now, and tell of a shift that is new."""
        now = datetime.fromtimestamp(self._unix_s(), UTC)
        before = seen or Seen(Finding(now - _HISTORY), Finding(now - _HISTORY))
        after = await self._answers(one, await self._asked(one, before), now)
        if after.shift().is_shifted and not before.shift().is_shifted:
            await self._alert(one, after.shift(), now)
        if after != seen:
            await self._link.command("SET", key, msgspec.json.encode(after), "EX", _KEPT_S)
        return after

    async def _asked(self, one: Calibrated, seen: Seen) -> Seen:
        after = seen.questions.after
        window = await self._questions.asked(one.route, one.router_version, after, WINDOW_MAX)
        if len(window) < WINDOW_MIN:
            return seen
        found = await asyncio.to_thread(_compared, one, window)
        questions = seen.questions.next(found.probability, found.reason, window[0].at, window[-1].at)
        return Seen(questions, seen.answers, found.n, found.share_unfamiliar)

    async def _answers(self, one: Calibrated, seen: Seen, now: datetime) -> Seen:
        after = seen.answers.after
        window = await self._questions.judged(one.route, one.router_version, after, now - _JUDGED_OF, WINDOW_MAX)
        if len(window) < WINDOW_MIN:
            return seen
        from policies.routing.shift import disappointment  # noqa: PLC0415 - numpy, which only routers need

        probability, reason = disappointment([one.score for one in window], [one.predicted or 0.0 for one in window])
        answers = seen.answers.next(probability, reason, window[0].at, window[-1].at)
        return Seen(seen.questions, answers, seen.n or len(window), seen.share_unfamiliar)

    async def _alert(self, one: Calibrated, shift: Shift, now: datetime) -> None:
        since = datetime.fromisoformat(shift.since or now.isoformat())
        alert = Alert(
            id=f"shift:{one.route}:{one.router_version}:{shift.since}",
            kind=AlertKind.ROUTE_SHIFT,
            at_ms=round(now.timestamp() * 1000),
            start_ms=round(since.timestamp() * 1000),
            route=one.route,
            model=one.pool.models[one.pool.strongest],
            reason=shift.reason,
        )
        if await self._outbox.put(DEFAULT_ORGANIZATION, alert):
            self._announce(DEFAULT_ORGANIZATION)


def _compared(one: Calibrated, window: Sequence[Asked]) -> Compared:
    from policies.routing.shift import compared  # noqa: PLC0415 - numpy

    return compared(one.pool, [asked.features for asked in window])
