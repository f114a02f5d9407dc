"""Makes the record of a decision out of what ``decide`` returned: while a request is under way, so it is kept lean."""

from __future__ import annotations

from gateway.domain import (
    Caller,
    Considered,
    Decision,
    DecisionRecord,
    Deployment,
    Forecast,
    KeptPrompt,
    Meter,
    Prediction,
    Rates,
    Request,
)
from gateway.entries import estimated_input_tokens
from gateway.ids import rfc3339
from policies.pricing import rates_of

# As in policies.pricing: an attribute of an enum class costs a lookup in its metaclass each time.
_INPUT, _CACHED_INPUT, _OUTPUT, _REASONING = Meter.INPUT, Meter.CACHED_INPUT, Meter.OUTPUT, Meter.REASONING
_NOTHING = Prediction()
_NOTHING_FORESEEN = Forecast(None, {}, 0.0)
_ORIGIN = "origin"
_PROMPT_BYTES_MAX = 65_536
_DAY_S = 86_400
_NOT_KNOWN_THERE = "origin: the response that the request goes on from is not known there"


def record_of(
    request: Request, caller: Caller, decision: Decision, chosen: str | None, created_at: str
) -> DecisionRecord:
    """``chosen``: whose answer began; ``created_at``: when the decision was taken. Only for decisions of routes."""
    input_tokens = estimated_input_tokens(request)
    turn, told = decision.turn, decision.forecast or _NOTHING_FORESEEN
    places = {one.name: place for place, one in enumerate(decision.candidates, 1)}
    return DecisionRecord(
        request_id=request.id,
        created_at=created_at,
        organization_id=caller.organization_id,
        team_id=caller.team_id,
        key_id=caller.key_id,
        endpoint=request.endpoint,
        route=decision.route or "",
        policy=decision.policy,
        router_version=told.router_version,
        quality_loss_max=decision.quality_loss_max,
        input_tokens=input_tokens,
        output_tokens_max=request.output_tokens_max,
        chosen=chosen,
        propensity=decision.propensity,
        baseline=decision.baseline.name if decision.baseline is not None else None,
        features=told.features,
        draw=decision.draw,
        is_stream=request.is_stream,
        quality_loss_target=told.quality_loss_target,
        is_loss_asked=decision.is_loss_asked,
        cost_weight=told.cost_weight,
        strongest=told.strongest,
        is_certified=decision.is_certified,
        router_us=told.router_us,
        conversation=None if turn is None else turn.conversation,
        question_tokens=told.question_tokens,
        answered_before=None if turn is None or turn.before is None else turn.before.deployment,
        is_kept=decision.stay.kept is not None,
        switching_nusd=decision.stay.switching_nusd,
        cost_max_nusd=decision.cost_max_nusd,
        text_tokens=request.text_tokens,
        before=None if turn is None else turn.before,
        candidates=tuple(
            [_considered(one, places.get(one.name), decision, request, input_tokens) for one in decision.offered]
        ),
    )


def kept_prompt(record: DecisionRecord, text: str, days: int, created_s: float) -> KeptPrompt:
    """What a router sees of the request, cut to 64 kB, for that many days. Postgres holds no NUL and no half a pair."""
    data = text.replace("\0", "\ufffd").encode(errors="replace")[:_PROMPT_BYTES_MAX]
    return KeptPrompt(
        request_id=record.request_id,
        created_at=record.created_at,
        organization_id=record.organization_id,
        team_id=record.team_id,
        route=record.route,
        text=data.decode(errors="ignore"),
        expires_at=rfc3339(created_s + days * _DAY_S),
    )


def _considered(
    deployment: Deployment, place: int | None, decision: Decision, request: Request, input_tokens: int
) -> Considered:
    name = deployment.name
    rates = None
    if deployment.tariff is not None:
        card = rates_of(deployment.tariff, input_tokens, request.service_tier)
        rates = Rates(card[_INPUT], card[_CACHED_INPUT], card[_OUTPUT], card[_REASONING])
    bar, reason = _why_out(name, decision, request) if place is None else (None, _why_last(name, decision))
    told = (decision.forecast or _NOTHING_FORESEEN).predictions.get(name, _NOTHING)
    return Considered(
        name,
        deployment.model,
        place,
        bar,
        reason,
        told.quality,
        told.quality_low,
        told.quality_high,
        told.expected_cost_nusd,
        rates,
        decision.first_token_p95_s.get(name),
        place if place is not None and place <= decision.steps else None,
    )


def _why_last(name: str, decision: Decision) -> str | None:
    """The reason of one that is tried all the same, after those that keep to the target."""
    why = decision.rejected.get(name)
    return None if why is None else why.text


def _why_out(name: str, decision: Decision, request: Request) -> tuple[str | None, str | None]:
    """The bar and the reason; two ``None`` for a deployment that the policy itself left out."""
    if (why := decision.rejected.get(name)) is not None:
        return why.bar, why.text
    return (None, None) if request.continues is None else (_ORIGIN, _NOT_KNOWN_THERE)
