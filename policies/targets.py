"""What a request to a route is to be answered by: how much quality may be lost, and what it may be expected to cost.

Of quality the most specific word counts: the request's, else its team's, else the route's. Of caps on the cost the
smallest does. Who states a cap and says nothing of quality wants the best that fits in it; where quality is spoken of
as well the cap is but a condition, and the cheapest adequate one answers.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.domain import Caller, Request, Route


class Target(NamedTuple):
    """``cost_max_nusd``: ``None`` without a cap. ``is_best_wanted``: of what fits in it the best, not the cheapest."""

    quality_loss_max: float
    cost_max_nusd: int | None
    is_best_wanted: bool


def target_of(route: Route, request: Request, caller: Caller) -> Target:
    """The target of one request."""
    caps = [one.cost_max_nusd for one in (request, caller, route) if one.cost_max_nusd is not None]
    cost_max_nusd = min(caps, default=None)
    for stated in (request, caller):
        if stated.quality_loss_max is not None:
            return Target(stated.quality_loss_max, cost_max_nusd, is_best_wanted=False)
        if stated.cost_max_nusd is not None:
            return Target(route.quality_loss_max, cost_max_nusd, is_best_wanted=True)
    return Target(route.quality_loss_max, cost_max_nusd, route.is_best_wanted)
