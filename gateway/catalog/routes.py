"""Routes, as a catalog file states them."""

from __future__ import annotations

from gateway.catalog.deflect_schema import deflection_of
from gateway.catalog.route_schema import CascadePart, ExactPart, RoutePart, SemanticPart
from gateway.domain import (
    NANO,
    QUALITY_LOSS_MAX,
    Cascade,
    Conversations,
    ExactCache,
    Placement,
    Repair,
    Route,
    SemanticCache,
    Sharing,
)


def route_of(name: str, part: RoutePart) -> Route:
    """The route that a part of a catalog makes; whether its deployments are there is not looked at."""
    return Route(
        name=name,
        deployments=part.deployments,
        policy=part.policy,
        baseline=part.baseline,
        output_tokens_max_default=part.output_tokens_max_default,
        weights=dict(part.weights or {}),
        placement=Placement(frozenset(part.regions or ()), frozenset(part.tags or ())),
        first_token_p95_s_max=part.first_token_p95_s_max,
        quality_loss_max=QUALITY_LOSS_MAX if part.quality_loss_max is None else part.quality_loss_max,
        cascade=None if part.cascade is None else _cascade(part.cascade),
        conversations=_conversations(part),
        deflection=None if part.deflect is None else deflection_of(part.deflect),
        exact_cache=None
        if part.cache is None
        else _exact_cache(part.cache.exact, are_repaired=part.repair is not None),
        semantic_cache=None if part.cache is None else _semantic_cache(part.cache.semantic),
        cost_max_nusd=None if part.cost_max_usd is None else int(part.cost_max_usd * NANO),
        keep_prompts_days=part.keep_prompts_days,
        guards=part.guards,
        repair=None if part.repair is None else Repair(part.repair.reask),
        is_best_wanted=part.cost_max_usd is not None and part.quality_loss_max is None,
    )


def _conversations(part: RoutePart) -> Conversations:
    """Where nothing is stated, what decides by the prompt keeps to its choice, and nothing else does."""
    stated = part.conversations
    if stated is None:
        return Conversations(is_sticky=part.policy == "cheapest_adequate")
    return Conversations(stated.sticky, stated.switching_share_max, stated.remembered_s)


def _cascade(part: CascadePart) -> Cascade:
    agreement, verifier = part.gate.agreement, part.gate.verifier
    return Cascade(
        logprob_min=part.gate.logprob_min,
        checks_schema=part.gate.schema_,
        samples=1 if agreement is None else agreement.samples,
        share_min=0.0 if agreement is None else agreement.share_min,
        verifier=None if verifier is None else verifier.deployment,
        score_min=0.0 if verifier is None else verifier.score_min,
        steps_max=part.steps_max,
    )


def _exact_cache(part: ExactPart, *, are_repaired: bool) -> ExactCache:
    return ExactCache(
        ttl_s=part.ttl_s,
        shared_by=Sharing(part.scope),
        keeps_tool_calls=part.tool_calls,
        any_temperature=part.any_temperature,
        bytes_max=part.bytes_max,
        are_repaired=are_repaired,
    )


def _semantic_cache(part: SemanticPart | None) -> SemanticCache | None:
    return None if part is None else SemanticCache(part.wrong_answers_max, part.tokens_max, part.embedding)
