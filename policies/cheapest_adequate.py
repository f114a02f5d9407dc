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

from gateway.domain import Deployment, Prediction, Request
from policies.view import View

_UNKNOWN = Prediction()


def order(candidates: Sequence[Deployment], request: Request, view: View) -> Sequence[Deployment]:  # noqa: ARG001 - the policies' shared form
    """The candidates by what they are worth."""
    forecast = view.forecast
    if forecast is None:
        return candidates
    predictions = [forecast.predictions.get(one.name, _UNKNOWN) for one in candidates]
    expected = [(one.quality or 0.0, one.expected_cost_nusd or 0) for one in predictions]
    keys: list[tuple[float, ...]]
    if (weight := forecast.cost_weight) is not None:
        keys = [(weight * nusd - quality, nusd) for quality, nusd in expected]
    else:
        enough = (1 - forecast.quality_loss_max) * max(expected)[0]
        keys = [(0, nusd, -quality) if quality >= enough else (1, -quality, nusd) for quality, nusd in expected]
        if forecast.strongest is not None:
            keys = [(one.name != forecast.strongest, *key) for one, key in zip(candidates, keys, strict=True)]
    return [candidates[place] for place in sorted(range(len(keys)), key=keys.__getitem__)]
