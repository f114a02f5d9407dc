"""Turns an asked name into a Decision: a named deployment stays itself, a route offers its deployments in order.

What bars a deployment comes first and is no policy's choice; the policy orders the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain import (
    NO_CONVERSATION,
    Bar,
    Caller,
    Decision,
    Deployment,
    Forecast,
    Reason,
    Request,
    Route,
    Stay,
    Turn,
)
from gateway.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    ModelNotFound,
    NoDeployment,
    RateLimited,
    UnpricedModel,
)
from gateway.ports import Catalog
from policies import cascade, cheapest_adequate, lowest_latency, ordered, weighted
from policies.conversations import stay
from policies.eligibility import LASTING, may_call, roomiest, too_slow, why_not
from policies.expected_cost import too_dear
from policies.targets import Target, target_of
from policies.view import Policy, Propensity, Steps, View

_RETRY_AFTER_S = 5.0

POLICIES: Mapping[str, Policy] = {
    "ordered": ordered.order,
    "weighted": weighted.order,
    "lowest_latency": lowest_latency.order,
    "cheapest_adequate": cheapest_adequate.order,
    "cascade": cascade.order,
}
PROPENSITIES: Mapping[str, Propensity] = {
    "weighted": weighted.propensity,
    "lowest_latency": lowest_latency.propensity,
}
STEPS: Mapping[str, Steps] = {"cascade": cascade.steps}
#: Those that want to know what a router expects.
FORESEEING = frozenset({"cheapest_adequate", "cascade"})


def _nothing(name: str) -> None:
    del name


def _unjudged(route: str, name: str) -> None:
    del route, name


def _unforeseen(route: Route, candidates: Sequence[Deployment]) -> None:
    del route, candidates


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known while a decision is made, by deployment name; the default is for who only asks what it would be.

    ``draw``: chance, one number in [0, 1) for each request.
    """

    why_unavailable: Callable[[str], Reason | None] = _nothing
    first_token_p95_s: Callable[[str], float | None] = _nothing
    forecast: Callable[[Route, Sequence[Deployment]], Forecast | None] = _unforeseen
    accepted_share: Callable[[str, str], float | None] = _unjudged  # by route and deployment
    turn: Turn | None = None
    draw: float = 0.0


def decide(catalog: Catalog, request: Request, caller: Caller, moment: Moment) -> Decision:
    """The deployments to try. Raises ModelNotFound, Forbidden, UnpricedModel or NoDeployment with every reason."""
    decision = weigh(catalog, request, caller, moment)
    if not decision.candidates:
        raise nothing_left(request.model, decision.rejected)
    return decision


def weigh(catalog: Catalog, request: Request, caller: Caller, moment: Moment) -> Decision:
    """As ``decide``, but where nothing is left the decision says so itself. Raises ModelNotFound and Forbidden."""
    route = catalog.route(request.model)
    offered = _offered(catalog, request.model, route)
    if not may_call(caller, request.model):
        raise Forbidden(f"This key may not call '{request.model}'.", param="model")
    reasons = {d.name: reason for d in offered if (reason := why_not(d, request, route, moment.why_unavailable))}
    candidates = [d for d in offered if d.name not in reasons]
    if route is None:
        return Decision(None, tuple(candidates), None, reasons)
    if not candidates and (widest := roomiest(offered, request, reasons)) is not None:
        if (reason := moment.why_unavailable(widest.name)) is None:
            candidates = [widest]
            del reasons[widest.name]
        else:
            reasons[widest.name] = reason
    target = target_of(route, request, caller)
    foreseen = _foreseen(route, candidates, target, moment)
    dear = too_dear(candidates, request, target.cost_max_nusd, foreseen.predictions if foreseen else {})
    if dear:
        reasons |= dear
        candidates = [d for d in candidates if d.name not in dear]
        foreseen = foreseen and replace(foreseen, is_certified=False)  # that was for the choice among all of them
    measured = {d.name: p95_s for d in candidates if (p95_s := moment.first_token_p95_s(d.name)) is not None}
    slow = too_slow(candidates, route, measured)
    view = _judged(View(route, moment.draw, measured, foreseen), candidates, catalog, request, moment)
    tried = tuple(in_order(candidates, request, view, slow)) if candidates else ()
    is_drawn = bool(tried) and route.policy in PROPENSITIES
    propensity = propensity_of(candidates, request, view, slow, tried[0]) if is_drawn else 1.0
    steps = _steps(tried, request, view, slow)
    kept = _kept(tried, steps, request, view, moment.turn)
    if kept.kept is not None:
        tried, propensity, steps = tuple(sorted(tried, key=lambda one: one.name != kept.kept)), 1.0, 0
    return Decision(
        route.name,
        tried,
        catalog.reference(route.baseline) if route.baseline else None,
        {**reasons, **slow},
        cascade=route.cascade,
        steps=steps,
        verifier=view.verifier,
        rungs=tuple(d for d in offered if d.name not in reasons or reasons[d.name].bar not in LASTING),
        output_tokens_max_default=route.output_tokens_max_default,
        offered=tuple(offered),
        policy=route.policy,
        propensity=propensity,
        forecast=foreseen,
        # What a router was asked to keep is no promise where somebody else goes by its figures.
        quality_loss_max=foreseen.quality_loss_max
        if foreseen and not target.is_best_wanted and route.cascade is None
        else None,
        is_loss_asked=foreseen is not None and _is_other_than(target, route),
        draw=moment.draw,
        first_token_p95_s=measured,
        # What was certified is the policy's own choice.
        is_certified=foreseen is not None and foreseen.is_certified and kept.kept is None,
        turn=moment.turn,
        stay=kept,
        exact_cache=route.exact_cache,
        semantic_cache=route.semantic_cache,
        cost_max_nusd=target.cost_max_nusd,
        keep_prompts_days=route.keep_prompts_days,
        repair=route.repair,
    )


def _foreseen(route: Route, candidates: Sequence[Deployment], target: Target, moment: Moment) -> Forecast | None:
    """What a router expects, for policies that ask one, with what the target makes of it."""
    if not candidates or route.policy not in FORESEEING:
        return None
    if target.quality_loss_max != route.quality_loss_max:
        route = replace(route, quality_loss_max=target.quality_loss_max)
    foreseen = moment.forecast(route, candidates)
    if foreseen is None or not target.is_best_wanted:
        return foreseen
    return replace(foreseen, cost_weight=0.0, strongest=None, is_certified=False)


def _judged(view: View, candidates: Sequence[Deployment], catalog: Catalog, request: Request, moment: Moment) -> View:
    """What the gates of a cascade make of the candidates lately, and whom they can ask now."""
    cascade = view.route.cascade
    if cascade is None:
        return view
    name = view.route.name
    shares = {one.name: share for one in candidates if (share := moment.accepted_share(name, one.name)) is not None}
    verifier = catalog.deployment(cascade.verifier) if cascade.verifier is not None else None
    asked = replace(request, needs=frozenset())  # it reads what was said, and calls no tools
    if verifier is not None and why_not(verifier, asked, view.route, moment.why_unavailable) is not None:
        verifier = None
    return replace(view, accepted_share=shares, verifier=verifier)


def _steps(tried: Sequence[Deployment], request: Request, view: View, slow: Mapping[str, Reason]) -> int:
    steps = STEPS.get(view.route.policy)
    return 0 if steps is None else steps([one for one in tried if one.name not in slow], request, view)


def _kept(tried: Sequence[Deployment], steps: int, request: Request, view: View, turn: Turn | None) -> Stay:
    """Who answers on in a conversation. In a cascade only the strongest does: of others each answer is judged."""
    if turn is None or turn.before is None or not tried:
        return NO_CONVERSATION
    kept = stay(tried, view.forecast, turn.rules, turn.before, request.text_tokens)
    is_judged = view.route.cascade is not None and kept.kept != tried[max(steps, 1) - 1].name
    return NO_CONVERSATION if kept.kept is not None and is_judged else kept


def _is_other_than(target: Target, route: Route) -> bool:
    """Whether somebody else than the route said what quality is wanted."""
    return (target.quality_loss_max, target.is_best_wanted) != (route.quality_loss_max, route.is_best_wanted)


def in_order(
    candidates: Sequence[Deployment], request: Request, view: View, slow: Mapping[str, Reason]
) -> Sequence[Deployment]:
    """By the route's policy those that are fast enough, and where none of them answers the others, the slowest last."""
    policy = POLICIES[view.route.policy]
    if not slow:
        return policy(candidates, request, view)
    fast = [one for one in candidates if one.name not in slow]
    rest = sorted((one for one in candidates if one.name in slow), key=lambda one: view.first_token_p95_s[one.name])
    return [*(policy(fast, request, view) if fast else ()), *rest]


def propensity_of(
    candidates: Sequence[Deployment], request: Request, view: View, slow: Mapping[str, Reason], first: Deployment
) -> float:
    """With which probability the route's policy puts ``first`` first, over all lots that it may draw."""
    law = PROPENSITIES.get(view.route.policy)
    drawn_from = [one for one in candidates if one.name not in slow]
    if law is None or not drawn_from:
        return float(in_order(candidates, request, view, slow)[0].name == first.name)
    return 0.0 if first.name in slow else law(drawn_from, request, view, first)


def _offered(catalog: Catalog, model: str, route: Route | None) -> Sequence[Deployment]:
    if route:
        named = (catalog.deployment(name) for name in route.deployments)
        return [deployment for deployment in named if deployment is not None]
    deployment = catalog.deployment(model)
    if deployment is None:
        raise ModelNotFound(f"The model '{model}' does not exist or you do not have access to it.", param="model")
    return [deployment]


def nothing_left(model: str, reasons: Mapping[str, Reason]) -> GatewayError:
    """Why no deployment can serve, in words: 400 where waiting cannot help, 429 where all are limited, else 503."""
    bars = {reason.bar for reason in reasons.values()}
    listed = "; ".join(f"{name}: {reason.text}" for name, reason in reasons.items()) or "the route is empty"
    if bars == {Bar.UNPRICED}:
        names = ", ".join(sorted(reasons))
        return UnpricedModel(
            f"No price is known for '{names}'. Give its deployment a 'price' in the catalog "
            "(USD per 1M tokens, or 'price: free'), or say 'unpriced: allow'.",
            param="model",
        )
    if bars == {Bar.CONTEXT}:
        # In the words of both APIs: clients look for them, or for the code, to make a conversation shorter.
        return BadRequest(
            f"The prompt is too long: it exceeds the maximum context length of all deployments of '{model}': {listed}.",
            code="context_length_exceeded",
        )
    if Bar.PRICE_CAP in bars and bars <= LASTING:
        cheapest, reason = next((name, one) for name, one in reasons.items() if one.bar is Bar.PRICE_CAP)
        return BadRequest(
            f"'{model}' cannot answer this within its price cap. The cheapest is {cheapest}: {reason.text}. Raise the "
            f"cap (x-obol-cost-max-usd, the team's or the route's), or ask for a shorter answer. In all: {listed}.",
            code="price_cap_exceeded",
        )
    if bars and bars <= LASTING:
        return BadRequest(f"'{model}' cannot serve this request: {listed}.", code="unsupported_model", param="model")
    waits = [reason.retry_after_s for reason in reasons.values() if reason.retry_after_s is not None]
    headers = {"retry-after": str(math.ceil(min(waits, default=_RETRY_AFTER_S)))}
    if bars and bars <= {Bar.COOLDOWN, Bar.LIMITS}:
        return RateLimited(
            f"Every deployment of '{model}' is at its provider's limit. Try again in {headers['retry-after']} s.",
            headers=headers,
        )
    return NoDeployment(f"No deployment can serve '{model}' now: {listed}.", headers=headers)
