"""What a call is expected to cost at list prices, where no router has learned better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain import Bar, Deployment, Endpoint, Prediction, Reason, Request, Usage
from policies.pricing import charge
from policies.refusal_text import dollars

#: What an answer is taken to be long where nothing was learned of it: the mean of the public benchmarks, and some more.
OUTPUT_TOKENS = 300
_WRITING = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.COMPACT, Endpoint.MESSAGES, Endpoint.COMPLETIONS})
_UNKNOWN = Prediction()


def list_cost_nusd(deployment: Deployment, input_tokens: int, output_tokens_max: int | None) -> int:
    """Of an answer of the usual length, at most the client's own maximum; 0 for what has no price."""
    return _priced(deployment, Usage(input_tokens=input_tokens, output_tokens=usual_tokens(output_tokens_max)))


def usual_tokens(output_tokens_max: int | None) -> int:
    """How long an answer is taken to be: as usual, or the client's own maximum if that is less."""
    if output_tokens_max is None or output_tokens_max <= 0:  # some servers take -1 or 0 for no maximum at all
        return OUTPUT_TOKENS
    return min(OUTPUT_TOKENS, output_tokens_max)


def too_dear(
    candidates: Sequence[Deployment],
    request: Request,
    cost_max_nusd: int | None,
    predictions: Mapping[str, Prediction],
) -> Mapping[str, Reason]:
    """Which candidates are expected to cost more than the cap, the cheapest of them first; no cap, none."""
    if cost_max_nusd is None:
        return {}
    costs = {one.name: _expected_nusd(one, request, predictions) for one in candidates}
    return {
        name: Reason(
            Bar.PRICE_CAP, f"price cap: expected cost ${dollars(nusd)} is above the cap ${dollars(cost_max_nusd)}"
        )
        for name, nusd in sorted(costs.items(), key=lambda item: item[1])
        if nusd > cost_max_nusd
    }


def _expected_nusd(deployment: Deployment, request: Request, predictions: Mapping[str, Prediction]) -> int:
    predicted = predictions.get(deployment.name, _UNKNOWN).expected_cost_nusd
    if predicted is not None:
        return predicted
    if request.foreseen is not None:
        return _priced(deployment, request.foreseen)
    if request.endpoint not in _WRITING:
        return _priced(deployment, Usage(input_tokens=request.text_tokens))
    return list_cost_nusd(deployment, request.text_tokens, request.output_tokens_max)


def _priced(deployment: Deployment, usage: Usage) -> int:
    return 0 if deployment.tariff is None else charge(deployment.tariff, usage, None).cost_nusd
