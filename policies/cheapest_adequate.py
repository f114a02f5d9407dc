"""The policy ``cheapest_adequate``: of the deployments whose answer will be good enough, the one that costs least.

Where the route's own deployments were calibrated, each is worth its predicted quality less what it is expected to cost,
at the weight of cost that is certified for the route's loss of quality; the best comes first, the others follow by the
same worth, the cheaper of equals first. Where they were calibrated and nothing is certified, the strongest comes first.
Where they were not, adequate is what is predicted to be within the loss of the best: the cheapest of those comes first,
then the dearer ones, then those that are not adequate, the best of them first. Where only the cost is capped
(``policies/targets.py``), cost weighs nothing among those that fit. Without any forecast the catalog's order holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain import Deployment, Forecast, Prediction, Request
from policies.view import View

_UNKNOWN = Prediction()


def order(candidates: Sequence[Deployment], request: Request, view: View) -> Sequence[Deployment]:  # noqa: ARG001 - the policies' shared form
    """The candidates by what they are worth."""
    forecast = view.forecast
    if forecast is None:
        return candidates
    if forecast.cost_weight is not None:
        weight = forecast.cost_weight
        return sorted(candidates, key=lambda one: (-_worth(one, forecast, weight), _cost_nusd(one, forecast)))
    enough = (1 - forecast.quality_loss_max) * max(_quality(one, forecast) for one in candidates)
    adequate = [one for one in candidates if _quality(one, forecast) >= enough]
    others = [one for one in candidates if _quality(one, forecast) < enough]
    ranked = [
        *sorted(adequate, key=lambda one: (_cost_nusd(one, forecast), -_quality(one, forecast))),
        *sorted(others, key=lambda one: (-_quality(one, forecast), _cost_nusd(one, forecast))),
    ]
    return sorted(ranked, key=lambda one: one.name != forecast.strongest)


def _worth(one: Deployment, forecast: Forecast, cost_weight: float) -> float:
    return _quality(one, forecast) - cost_weight * _cost_nusd(one, forecast)


def _quality(one: Deployment, forecast: Forecast) -> float:
    return forecast.predictions.get(one.name, _UNKNOWN).quality or 0.0


def _cost_nusd(one: Deployment, forecast: Forecast) -> int:
    return forecast.predictions.get(one.name, _UNKNOWN).expected_cost_nusd or 0
