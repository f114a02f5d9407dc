"""What one request asks of budgets and limits, attempt by attempt: its intents, with what they hold."""

from __future__ import annotations

import msgspec

from gateway.domain import (
    NO_ROOM_TOLD,
    Admission,
    Caller,
    Charge,
    Claims,
    Decision,
    Deployment,
    Endpoint,
    OnExhausted,
    Purpose,
    Request,
    StageName,
)
from gateway.entries import Attempt, estimated_input_tokens, intent
from gateway.errors import BudgetExceeded, BudgetsUnavailable, GatewayError
from gateway.ids import new_entry_id, rfc3339, unix_ms
from gateway.ports import Services
from gateway.settlement import Settlement
from policies.demand import Demand, demand
from policies.holding import hold
from policies.ladder import CHEAPEST_UNTIL_PCT, ladder_pcts

# Endpoints whose requests may leave the maximum out; Messages always states one.
_LIMITABLE = frozenset({Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES})


class Admissions:
    """The admissions of one request. Holds are computed where a budget is claimed, and only there."""

    def __init__(self, services: Services, request: Request, caller: Caller, decision: Decision) -> None:
        self._services = services
        self._request = request
        self._caller = caller
        self._decision = decision
        self._input_tokens = estimated_input_tokens(request)
        self._demand: Demand | None = None
        self._holds: dict[str, Charge] = {}
        self._ladder: dict[str, int] | None = None
        self._refusals: list[tuple[BudgetExceeded | BudgetsUnavailable, int]] = []  # with their holds
        self._is_first = True
        self.has_place = False  # it counts among the parallel requests of a limit
        self.room = NO_ROOM_TOLD

    def output_tokens_max(self, deployment: Deployment) -> int | None:
        """What is sent along as the most that may be generated, where client and route leave that to us."""
        default, request = self._decision.output_tokens_max_default, self._request
        if default is None or request.output_tokens_max is not None or request.endpoint not in _LIMITABLE:
            return None
        return default if deployment.output_tokens_max is None else min(default, deployment.output_tokens_max)

    def attempt(self, deployment: Deployment, number: int, purpose: Purpose = Purpose.ANSWER) -> Attempt:
        """An attempt at that deployment with its intent; ``is_affordable`` says whether to try."""
        services, decision = self._services, self._decision
        created_at = rfc3339(services.clock.unix_s())
        created_ms = unix_ms(created_at)
        is_at_hold = services.are_orphans_charged_at_hold
        entry = intent(
            entry_id=new_entry_id(),
            created_at=created_at,
            instance=services.instance,
            number=number,
            request=self._request,
            caller=self._caller,
            route=decision.route,
            deployment=deployment,
            baseline=decision.baseline,
            purpose=purpose,
            held=self._hold(deployment) if is_at_hold else None,
        )
        claims = services.rules.claims(entry, created_ms)
        held_nusd, ladder_pct = 0, CHEAPEST_UNTIL_PCT
        if claims.budgets:
            held_nusd, ladder_pct = self._hold(deployment).cost_nusd, self._ladder_pct(deployment, claims)
            entry = msgspec.structs.replace(entry, held_nusd=held_nusd)
        admission = Admission(
            claims=claims,
            hold_nusd=held_nusd,
            input_tokens=self._input_tokens,
            ladder_pct=ladder_pct,
        )
        attempt = Attempt(deployment, decision.baseline, entry, services.clock.monotonic_s(), self._request.chain)
        attempt.admission, attempt.created_ms = admission, created_ms
        return attempt

    def may_fit(self, attempt: Attempt) -> bool:
        """Whether what refused an earlier attempt leaves this one a chance.

        A spent budget lets free answers through, one that downgrades also cheaper ones.
        """
        claims, hold_nusd = attempt.admission.claims, attempt.admission.hold_nusd
        return all(
            hold_nusd == 0 or not _is_claimed(refusal, claims) or (_downgrades(refusal) and hold_nusd < refused_nusd)
            for refusal, refused_nusd in self._refusals
        )

    async def open(self, attempt: Attempt, settlement: Settlement) -> bool:
        """Admit the attempt; false where its provider's limits are used up. Raises what refuses it."""
        await self.admit(attempt, settlement)
        await settlement.place(attempt)
        return attempt.is_open

    async def admit(self, attempt: Attempt, settlement: Settlement) -> None:
        """Admit the attempt by our own limits and budgets. Raises what refuses it."""
        admission = attempt.admission
        self.has_place = self.has_place or bool(admission.claims.limits)
        try:
            room = await settlement.admit(attempt)
        except GatewayError as exc:
            self.has_place = self.has_place and not self._is_first  # who is refused has consumed nothing
            if isinstance(exc, (BudgetExceeded, BudgetsUnavailable)):
                self._refusals.append((exc, admission.hold_nusd))
            raise
        finally:
            if attempt.chain is not None:
                now_s = self._services.clock.monotonic_s()
                attempt.chain.add(StageName.LIMITS, attempt.started_s, now_s, attempt.deployment.name)
        if self._is_first:
            self._is_first, self.room = False, room

    @property
    def refusal(self) -> GatewayError | None:
        """What refused the first attempt that no budget had room for."""
        return self._refusals[0][0] if self._refusals else None

    def _hold(self, deployment: Deployment) -> Charge:
        held = self._holds.get(deployment.name)
        if held is None:
            if self._demand is None:
                self._demand = demand(self._request)
            held = hold(deployment, self._demand, self.output_tokens_max(deployment))
            self._holds[deployment.name] = held
        return held

    def _ladder_pct(self, deployment: Deployment, claims: Claims) -> int:
        rungs = self._decision.rungs
        if len(rungs) < 2 or all(one.budget.on_exhausted is not OnExhausted.DOWNGRADE for one in claims.budgets):  # noqa: PLR2004 - a ladder has two
            return CHEAPEST_UNTIL_PCT
        if self._ladder is None:
            pcts = ladder_pcts([self._hold(one).cost_nusd for one in rungs])
            self._ladder = {one.name: pct for one, pct in zip(rungs, pcts, strict=True)}
        return self._ladder.get(deployment.name, CHEAPEST_UNTIL_PCT)


def _downgrades(refusal: BudgetExceeded | BudgetsUnavailable) -> bool:
    return isinstance(refusal, BudgetExceeded) and refusal.on_exhausted is OnExhausted.DOWNGRADE


def _is_claimed(refusal: BudgetExceeded | BudgetsUnavailable, claims: Claims) -> bool:
    """Whether the budget that refused is one of these; where it is not named, any is."""
    match refusal.details:
        case {"budget": {"id": str(budget_id)}}:
            return any(claim.budget.id == budget_id for claim in claims.budgets)
        case _:
            return True
