"""The policy ``weighted``: share a route's requests out over its deployments.

The first is drawn in proportion to the weights of those that may serve, the next by the same law from what is left,
and so on: drawing without replacement. All of it comes from the request's one draw: where in its share the draw fell
is again even over [0, 1), and draws the next. What has no weight stands last, in the catalog's order, as a fallback.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain import Deployment, Request
from policies.view import View

_UNSTATED = 1.0


def order(candidates: Sequence[Deployment], request: Request, view: View) -> Sequence[Deployment]:  # noqa: ARG001 - the policies' shared form
    """The candidates as they are drawn."""
    weights = view.route.weights
    left = [(weight, one) for one in candidates if (weight := weights.get(one.name, _UNSTATED)) > 0]
    unweighted = [one for one in candidates if weights.get(one.name, _UNSTATED) <= 0]
    drawn: list[Deployment] = []
    draw = view.draw
    while left:
        rest = draw * sum(weight for weight, _ in left)
        index = 0
        while index < len(left) - 1 and rest >= left[index][0]:  # the last one takes what rounding leaves over
            rest -= left[index][0]
            index += 1
        weight, one = left.pop(index)
        draw = rest / weight
        drawn.append(one)
    return [*drawn, *unweighted]


def propensity(candidates: Sequence[Deployment], request: Request, view: View, first: Deployment) -> float:  # noqa: ARG001
    """With which probability ``first`` is drawn first."""
    weights = view.route.weights
    total = sum(max(weights.get(one.name, _UNSTATED), 0.0) for one in candidates)
    if total <= 0:  # the catalog's order
        return float(first.name == candidates[0].name)
    return max(weights.get(first.name, _UNSTATED), 0.0) / total
