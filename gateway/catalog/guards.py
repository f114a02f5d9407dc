"""The guards of a catalog file: each made a rule, and every name looked up."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from gateway.catalog.guard_rules import BadGuard, asked_by, checked_rule
from gateway.catalog.guard_schema import CatalogGuard
from gateway.catalog.schema_fields import did_you_mean
from gateway.catalog.snapshot import CatalogSnapshot
from gateway.catalog.text import Path
from gateway.domain import GuardRule, Route
from policies.eligibility import misplaced

Refuse = Callable[[Path, str], None]


def rules_of(parts: Mapping[str, CatalogGuard], refuse: Refuse) -> Mapping[str, GuardRule]:
    """Those that can be."""
    rules = {}
    for name, part in parts.items():
        try:
            rules[name] = checked_rule(name, part)
        except BadGuard as exc:
            refuse(("guards", name), f"guards.{name}: {exc}")
    return rules


def check_guards(snapshot: CatalogSnapshot, stated: Container[str], refuse: Refuse) -> None:
    """Refuse names that nothing has, and guards that would ask where a route's questions may not go.

    ``stated``: the names of all guards of the file, good or not.
    """
    asked = {name: deployment for name, rule in snapshot.guards.items() if (deployment := asked_by(rule)) is not None}
    for name, deployment in asked.items():
        if snapshot.reference(deployment) is None:
            near = did_you_mean(deployment, [*snapshot.deployments, *snapshot.disabled])
            refuse(("guards", name), f"guards.{name}: there is no deployment {deployment!r}{near}")
    for route in snapshot.routes.values():
        for index, name in enumerate(route.guards):
            if name not in stated:
                near = did_you_mean(name, snapshot.guards)
                refuse(("routes", route.name, "guards", index), f"there is no guard {name!r}{near}")
        for name in (*snapshot.always, *route.guards):
            if name in asked and (reason := misplaced_guard(snapshot, asked[name], route)):
                refuse(("routes", route.name, "guards"), f"the guard {name!r} asks {reason}")


def misplaced_guard(snapshot: CatalogSnapshot, deployment: str, route: Route) -> str | None:
    """Why a guard may not ask the deployment about what the route is asked; None: it may."""
    found = snapshot.reference(deployment)
    reason = None if found is None else misplaced(found, route.placement, "the route")
    if reason is None:
        return None
    return f"{deployment!r}, which is not where the route wants its questions: {reason.text}"
