"""How often answers to similar questions were right, by route and by tenant: what all replicas have counted.

Requests only add to counts in memory; they are shared once a second, so that no request waits for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gateway.answer_ports import SharedCounts
from policies.semantic.budget import EPOCH, Counts, Plan, plan, stale

SHARE_INTERVAL_S = 1.0
_PLAN_LASTS = 50  # requests
_KNOWN_MAX = 10_000
_REQUESTS = "requests"
_OF = "\n"  # between a route and its tenant, in no name of either


class _Plan:
    __slots__ = ("left", "plan")

    def __init__(self, made: Plan) -> None:
        self.plan = made
        self.left = _PLAN_LASTS


class ErrorBudgets:
    """Those of one process."""

    def __init__(self, shared: SharedCounts) -> None:
        self._shared = shared
        self._known: dict[str, Counter[str]] = {}  # what all replicas had counted when we last asked
        self._new: dict[str, Counter[str]] = {}  # what we have counted since
        self._used: set[str] = set()  # names that were asked for since
        self._plans: dict[tuple[str, float], _Plan] = {}

    def plan(self, route: str, wrong_answers_max: float) -> Plan:
        """What the route does to keep to that share of wrong answers, by all that is known."""
        kept = self._plans.get((route, wrong_answers_max))
        if kept is None or not kept.left:
            kept = self._plans[route, wrong_answers_max] = _Plan(plan(self.counts(route), wrong_answers_max))
        kept.left -= 1
        return kept.plan

    def counts(self, name: str) -> Mapping[str, int]:
        """All that is known, what was counted a moment ago too. ``name``: of a route, or of a tenant of one."""
        self._used.add(name)
        known, new = self._known.get(name, _NOTHING), self._new.get(name)
        return known + new if new else known

    def add(self, route: str, tenant: str, counts: Counts) -> None:
        """Count something. ``tenant``: by its name as ``tenant_of`` tells it."""
        for name, more in ((route, counts.route), (tenant, counts.tenant)):
            if more:
                self._used.add(name)
                self._new.setdefault(name, Counter()).update(more)

    async def share(self) -> None:
        """Tell the others what is new here, and learn what is new with them. Run every SHARE_INTERVAL_S."""
        used, self._used = self._used, set()
        for name in used:
            route = self._known.get(name.partition(_OF)[0], _NOTHING)
            known, new = self._known.pop(name, _NOTHING), self._new.pop(name, Counter())
            self._known[name] = known + new  # for who asks meanwhile; the last used stands last
            found = await self._shared.add(name, new, stale(known, route.get(_REQUESTS, 0) // EPOCH))
            if found is None:  # the store is away: what it was not told it is told later
                self._new.setdefault(name, Counter()).update(new)
                self._used.add(name)
            self._known[name] = known if found is None else Counter(found)
        self._plans.clear()
        for name in tuple(self._known)[:-_KNOWN_MAX]:
            del self._known[name]


_NOTHING: Counter[str] = Counter()


def tenant_of(route: str, tenant: str) -> str:
    """The name that a tenant of a route is counted under."""
    return f"{route}{_OF}{tenant}"
