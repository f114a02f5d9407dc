"""The policy ``cascade``: ask a cheap deployment first where that is cheaper on average, and the strongest if need be.

Last of the steps is the deployment of the best predicted quality. Before it come those, at most ``steps_max - 1`` and
by rising cost, with which an answer is expected to cost the least: each costs its own call and what its gates ask, and
what comes after it with the probability that it is not accepted. That probability is what the route's gates have lately
said of the deployment, else its predicted quality. Where the strongest alone costs least, it is asked alone; so it is
where nothing can be judged (another API than chat, several choices, no form that the only gate could check). The other
candidates follow as fallbacks, the best first.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain import Cascade, Deployment, Endpoint, Prediction, Request
from policies.expected_cost import OUTPUT_TOKENS, list_cost_nusd
from policies.gates import form_of, has_only_schema
from policies.view import View

#: What is taken where neither a router nor the catalog says how often an answer is good.
UNKNOWN_SHARE = 0.5
#: What a verifier reads besides the question and the answer, and what it writes.
RUBRIC_TOKENS, SCORE_TOKENS = 250, 20
_UNKNOWN = Prediction()


def order(candidates: Sequence[Deployment], request: Request, view: View) -> Sequence[Deployment]:
    """The steps, then all others."""
    chain = _chain(candidates, request, view)
    others = [one for one in candidates if one not in chain]
    return [*chain, *sorted(others, key=lambda one: (-(_quality(one, view) or 0.0), _cost_nusd(one, request, view)))]


def steps(candidates: Sequence[Deployment], request: Request, view: View) -> int:
    """How many of the first are asked one after the other, 0 where the first is asked alone."""
    count = len(_chain(candidates, request, view))
    return count if count > 1 else 0


def is_judgeable(request: Request, cascade: Cascade, verifier: Deployment | None) -> bool:
    """Whether the gates can judge any answer to the request."""
    if request.endpoint is not Endpoint.CHAT or request.choices != 1:
        return False
    if cascade.verifier is not None and (verifier is None or request.media_bytes):
        return False  # it would judge an answer to what it does not see
    return not has_only_schema(cascade) or form_of(request).is_asked


def _chain(candidates: Sequence[Deployment], request: Request, view: View) -> Sequence[Deployment]:
    """The steps in their order; the last one is the strongest."""
    if not candidates:
        return ()
    costs = {one.name: _cost_nusd(one, request, view) for one in candidates}
    strongest = max(candidates, key=lambda one: (_quality(one, view) or 0.0, costs[one.name], one.name))
    cascade = view.route.cascade
    if cascade is None or not is_judgeable(request, cascade, view.verifier):
        return (strongest,)
    # By how many steps may come before the strongest: the cheapest way on, through those that were looked at so far.
    # The dearest are looked at first, so that nobody stands before one that costs less.
    alone: tuple[float, tuple[Deployment, ...]] = (float(costs[strongest.name]), (strongest,))
    ways = [alone] * cascade.steps_max
    cheaper = sorted((one for one in candidates if costs[one.name] < costs[strongest.name]), key=lambda one: one.name)
    for one in sorted(cheaper, key=lambda one: -costs[one.name]):
        asked = costs[one.name] + _gates_cost_nusd(costs[one.name], request, cascade, view)
        rejected = 1 - _accepted_share(one, cascade, view)
        for before in range(cascade.steps_max - 1, 0, -1):
            onward, then = ways[before - 1]
            total = asked + rejected * onward
            if total < ways[before][0]:
                ways[before] = (total, (one, *then))
    return ways[-1][1]


def _accepted_share(one: Deployment, cascade: Cascade, view: View) -> float:
    if cascade.logprob_min is not None and Endpoint.CHAT not in one.speaks:
        return 0.0  # only chat tells what its tokens' probabilities were
    observed = view.accepted_share.get(one.name)
    expected = _quality(one, view) if observed is None else observed
    return UNKNOWN_SHARE if expected is None else min(1.0, max(0.0, expected))


def _gates_cost_nusd(cost_nusd: int, request: Request, cascade: Cascade, view: View) -> int:
    """What it costs to judge an answer that costs so much."""
    cost = (cascade.samples - 1) * cost_nusd
    if view.verifier is not None:
        cost += list_cost_nusd(view.verifier, request.text_tokens + OUTPUT_TOKENS + RUBRIC_TOKENS, SCORE_TOKENS)
    return cost


def _quality(one: Deployment, view: View) -> float | None:
    if view.forecast is None:
        return one.quality
    return view.forecast.predictions.get(one.name, _UNKNOWN).quality


def _cost_nusd(one: Deployment, request: Request, view: View) -> int:
    """As predicted, else of an answer of usual length at the list price."""
    if view.forecast is not None:
        predicted = view.forecast.predictions.get(one.name, _UNKNOWN).expected_cost_nusd
        if predicted is not None:
            return predicted
    return list_cost_nusd(one, request.text_tokens, request.output_tokens_max)
