"""What a replay is asked to try: one route as a catalog writes it, and perhaps another router."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from gateway.catalog.route_schema import RoutePart
from gateway.catalog.routes import route_of
from gateway.domain import ANYWHERE, Deployment, Route
from gateway.errors import BadRequest

if TYPE_CHECKING:
    from policies.routing.router import Router


class ReplayPart(RoutePart):
    """A route of a catalog, and ``router``: the file of the router that is asked anew about every decision."""

    router: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """``route``: as it would be. ``is_router_named``: it is asked about every decision, also where one was asked then.

    ``known``: the route's deployments as the catalog has them, for what records do not say: where they are, how good.
    """

    route: Route
    router: Router | None = None
    is_router_named: bool = False
    known: Mapping[str, Deployment] = field(default_factory=dict)


def read_part(policy: Mapping[str, object]) -> ReplayPart:
    """What the policy says. Raises BadRequest with everything that is wrong with it."""
    try:
        return ReplayPart.model_validate(dict(policy))
    except ValidationError as exc:
        reasons = [
            f"{'.'.join(map(str, ('policy', *error['loc'])))}: {error['msg']}"
            for error in exc.errors(include_url=False, include_input=False)
        ]
        raise BadRequest("; ".join(reasons), param="policy", code="invalid_value") from None


def make_plan(
    route: str, part: ReplayPart, router: Router | None, deployment: Callable[[str], Deployment | None]
) -> Plan:
    """``router``: the named one, else the one in force; ``deployment`` looks a name up in the catalog.

    Raises BadRequest where the route says where its deployments must be and nobody knows where one is.
    """
    would_be = route_of(route, part)
    known = {name: one for name in would_be.deployments if (one := deployment(name)) is not None}
    missing = [name for name in would_be.deployments if name not in known]
    if missing and would_be.placement != ANYWHERE:
        raise BadRequest(
            f"policy: the catalog has no {', '.join(missing)}, so that nobody can say where it is.", param="policy"
        )
    return Plan(would_be, router, part.router is not None, known)


def read_router(file: str) -> Router:
    """The router of a file. Raises BadRequest for one that cannot be read."""
    from gateway.router.artifact import BadArtifact, read  # noqa: PLC0415 - numpy
    from gateway.router.training import from_artifact  # noqa: PLC0415

    try:
        return from_artifact(read(Path(file)))
    except (BadArtifact, OSError) as exc:
        raise BadRequest(f"policy.router: {file!r} is no router that can be read here.", param="policy") from exc
