"""Ledger entries of one attempt: the intent that stands if we die, and the charge that replaces it. All pure."""

from __future__ import annotations

import msgspec

from gateway.domain import (
    BYTES_PER_TOKEN,
    Admission,
    Basis,
    Caller,
    Chain,
    Charge,
    Deployment,
    GuardResult,
    GuardVerdict,
    KeptAnswer,
    LedgerEntry,
    Meter,
    MeterReading,
    Outcome,
    Purpose,
    Request,
    Source,
    Stage,
    Usage,
    Where,
)
from gateway.errors import ContentFiltered, GatewayError, UpstreamError
from policies.pricing import charge
from policies.stages import stage_of

_NO_CHARGE = Charge(0)
_NO_USAGE = Usage()
_NO_ADMISSION = Admission()


class Attempt:
    """One upstream call of one request while it is under way."""

    __slots__ = (
        "admission",
        "baseline",
        "called_s",
        "chain",
        "created_ms",
        "deployment",
        "ended_s",
        "first_token_ms",
        "http_status",
        "intent",
        "is_open",
        "is_settled",
        "settled",
        "started_s",
        "upstream_request_id",
        "whole_s",
    )

    def __init__(
        self,
        deployment: Deployment,
        baseline: Deployment | None,
        intent: LedgerEntry,
        started_s: float,
        chain: Chain | None = None,
    ) -> None:
        """``chain``: what its request goes through; the call becomes a stage of it."""
        self.chain = chain
        self.called_s: float | None = None  # when its upstream was, by the monotonic clock
        self.whole_s: float | None = None  # ... and when it had said all, of what others look at before it ends
        self.ended_s: float | None = None
        self.deployment = deployment
        self.baseline = baseline
        self.intent = intent
        self.started_s = started_s
        self.admission = _NO_ADMISSION
        self.created_ms = 0  # of the intent, in milliseconds since 1970
        self.is_open = False  # admitted everywhere: its upstream may be called
        self.first_token_ms: float | None = None
        self.http_status: int | None = None
        self.upstream_request_id: str | None = None
        self.settled: LedgerEntry | None = None  # the charge, once it is known
        self.is_settled = False  # ... and durable

    def began(self, http_status: int, upstream_request_id: str | None, now_s: float) -> None:
        """The upstream's first block is here."""
        self.http_status = http_status
        self.upstream_request_id = upstream_request_id
        self.first_token_ms = (now_s - self.started_s) * 1000

    def whole_at(self, now_s: float) -> None:
        """Its upstream has said all: what comes until the end is our own work."""
        if self.whole_s is None:
            self.whole_s = now_s

    def end(self, now_s: float) -> float:
        """The call is over, if it was not before; returns the milliseconds that the attempt took."""
        if self.ended_s is None:
            self.ended_s = now_s
            if self.chain is not None and self.called_s is not None:
                stage = stage_of(self.intent.stage, self.intent.source, self.intent.purpose)
                self.chain.add(stage, self.called_s, self.whole_s or now_s, self.deployment.name, self.id)
        return (self.ended_s - self.started_s) * 1000

    @property
    def id(self) -> str:
        """The id of the attempt and of its ledger entry."""
        return self.intent.id


def estimated_input_tokens(request: Request) -> int:
    """For intents, which only count if this process dies."""
    if request.foreseen is not None:
        return request.foreseen.input_tokens
    return -(-request.body_bytes // BYTES_PER_TOKEN)


def price(deployment: Deployment | None, usage: Usage, service_tier: str | None) -> Charge:
    """What the usage costs at that deployment; nothing where it is unpriced by the operator's leave."""
    if deployment is None or deployment.tariff is None:
        return _NO_CHARGE
    return charge(deployment.tariff, usage, service_tier)


def intent(
    *,
    entry_id: str,
    created_at: str,
    instance: str,
    number: int,
    request: Request,
    caller: Caller,
    route: str | None,
    deployment: Deployment,
    baseline: Deployment | None,
    purpose: Purpose = Purpose.ANSWER,
    held: Charge | None = None,
) -> LedgerEntry:
    """The entry that stands if the process dies during the call: orphaned, charged for its estimated input.

    ``held``: the operator wants it charged at its hold instead.
    """
    if held is None:
        usage = request.foreseen or Usage(input_tokens=estimated_input_tokens(request))
        charged = price(deployment, usage, request.service_tier)
    else:
        usage, charged = _held_usage(held), held
    return LedgerEntry(
        id=entry_id,
        request_id=request.id,
        created_at=created_at,
        instance=instance,
        attempt=number,
        organization_id=caller.organization_id,
        team_id=caller.team_id,
        member_id=caller.member_id,
        key_id=caller.key_id,
        end_user=request.end_user,
        endpoint=request.endpoint,
        is_stream=request.is_stream,
        route=route,
        deployment=deployment.name,
        provider=deployment.provider.name,
        model_asked=request.model,
        model=deployment.model,
        purpose=purpose,
        basis=Basis.ORPHANED,
        status=Outcome.ORPHANED,
        service_tier=request.service_tier,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        meters=_readings(charged),
        cost_nusd=charged.cost_nusd,
        baseline_nusd=_baseline_nusd(purpose, baseline, usage, request.service_tier, charged),
        is_baseline_estimated=True,
        tags=request.tags,
        deflector=request.deflector,
    )


def _held_usage(held: Charge) -> Usage:
    tokens = {line.meter: line.quantity for line in held.lines}
    return Usage(input_tokens=tokens.get(Meter.INPUT, 0), output_tokens=tokens.get(Meter.OUTPUT, 0))


def seen_entry(attempt: Attempt, usage: Usage, service_tier: str | None) -> LedgerEntry:
    """The intent renewed by what was seen of its answer so far: it stands if the process dies now."""
    tier = service_tier or attempt.intent.service_tier
    charged = price(attempt.deployment, usage, tier)
    return msgspec.structs.replace(
        attempt.intent,
        service_tier=tier,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_long_tokens,
        cache_write_long_tokens=usage.cache_write_long_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        meters=_readings(charged),
        cost_nusd=charged.cost_nusd,
        baseline_nusd=_baseline_nusd(attempt.intent.purpose, attempt.baseline, usage, tier, charged),
    )


def _baseline_nusd(
    purpose: str, baseline: Deployment | None, usage: Usage, service_tier: str | None, charged: Charge
) -> int:
    """What the reference model would have cost; nothing for calls that it would not have needed."""
    if purpose != Purpose.ANSWER:
        return 0
    return charged.cost_nusd if baseline is None else price(baseline, usage, service_tier).cost_nusd


def charged_entry(
    attempt: Attempt,
    usage: Usage,
    basis: Basis,
    outcome: Outcome,
    *,
    total_ms: float,
    service_tier: str | None = None,
    model_answered: str | None = None,
    finish_reason: str | None = None,
    error: GatewayError | None = None,
    error_code: str | None = None,
    content: dict[str, str] | None = None,
) -> LedgerEntry:
    """The charge that replaces the attempt's intent. ``error_code``: why it was rejected; an error has its own."""
    tier = service_tier or attempt.intent.service_tier  # what was asked may not be what was served
    charged = price(attempt.deployment, usage, tier)
    # No answer: the attempt that gives it carries the baseline, or it would count twice.
    is_no_answer = outcome is Outcome.REJECTED or (outcome is Outcome.FAILED and attempt.baseline is not None)
    baseline_nusd = (
        0 if is_no_answer else _baseline_nusd(attempt.intent.purpose, attempt.baseline, usage, tier, charged)
    )
    return msgspec.structs.replace(
        attempt.intent,
        basis=basis,
        status=outcome,
        http_status=attempt.http_status,
        error_code=error.code if error else error_code,
        finish_reason=finish_reason,
        service_tier=tier,
        model_answered=model_answered,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_long_tokens,
        cache_write_long_tokens=usage.cache_write_long_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        meters=_readings(charged),
        cost_nusd=charged.cost_nusd,
        baseline_nusd=baseline_nusd,
        is_baseline_estimated=basis is not Basis.REPORTED,
        first_token_ms=attempt.first_token_ms,
        total_ms=total_ms,
        upstream_request_id=attempt.upstream_request_id,
        content=content,
        guards=_verdicts(attempt),
        stages=_stages(attempt),
    )


def recalled_intent(intent: LedgerEntry, source: Source = Source.CACHE_EXACT) -> LedgerEntry:
    """The intent of an answer that no upstream is asked for: it costs nothing, whatever happens."""
    return msgspec.structs.replace(
        intent,
        source=source,
        input_tokens=0,
        output_tokens=0,
        meters=(),
        cost_nusd=0,
        baseline_nusd=0,
        held_nusd=0,
    )


def recalled_entry(
    attempt: Attempt,
    answer: KeptAnswer,
    *,
    total_ms: float,
    source: Source = Source.CACHE_EXACT,
    content: dict[str, str] | None = None,
    error: GatewayError | None = None,
) -> LedgerEntry:
    """What stands for an answer that no upstream was asked for: nothing was used, and all of the baseline is saved.

    The baseline is what the answer's usage would have cost there, with what of it was read from its provider's own
    cache. What guards do not let out saves nothing. ``error``: in whose place the client gets no answer.
    """
    guards = _verdicts(attempt)
    is_blocked = any(one.where == Where.OUTPUT and one.verdict == GuardResult.BLOCKED for one in guards)
    status, error_code = Outcome.SUCCEEDED, None
    if is_blocked:
        status, error_code = Outcome.REJECTED, ContentFiltered.code
    elif error is not None:
        status, error_code = Outcome.FAILED, error.code
    tier = answer.service_tier or attempt.intent.service_tier
    baseline = price(attempt.baseline or attempt.deployment, answer.usage, tier)
    return msgspec.structs.replace(
        recalled_intent(attempt.intent, source),
        held_nusd=attempt.intent.held_nusd,
        basis=Basis.NONE,
        status=status,
        error_code=error_code,
        finish_reason=answer.finish_reason,
        service_tier=tier,
        model_answered=answer.model_answered,
        baseline_nusd=baseline.cost_nusd if status is Outcome.SUCCEEDED else 0,
        is_baseline_estimated=answer.is_estimated,
        total_ms=total_ms,
        content=content,
        guards=guards,
        stages=_stages(attempt),
    )


def unbilled_entry(attempt: Attempt, error: UpstreamError, *, total_ms: float) -> LedgerEntry:
    """The entry of an attempt that failed before anything was generated."""
    entry = charged_entry(attempt, _NO_USAGE, Basis.UNBILLED, Outcome.FAILED, total_ms=total_ms, error=error)
    return msgspec.structs.replace(
        entry, http_status=error.http_status or attempt.http_status, is_baseline_estimated=False
    )


def _verdicts(attempt: Attempt) -> tuple[GuardVerdict, ...]:
    chain = attempt.chain
    return () if chain is None or attempt.intent.purpose != Purpose.ANSWER else tuple(chain.verdicts)


def _stages(attempt: Attempt) -> tuple[Stage, ...]:
    """What the request went through until now: only answers tell it, what is asked beside them is a part of it."""
    chain = attempt.chain
    return () if chain is None or attempt.intent.purpose != Purpose.ANSWER else tuple(chain.stages)


def _readings(charged: Charge) -> tuple[MeterReading, ...]:
    return tuple(MeterReading(line.meter, line.quantity, line.rate_nusd_per_mtok) for line in charged.lines)
