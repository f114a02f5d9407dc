"""What guards ask of others in their request's name: admitted, held and charged like any call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.admitting import Admissions
from gateway.attempting import Attempts, Path
from gateway.domain import Asker, Caller, Decision, Endpoint, Purpose, Request, StageName, Where
from gateway.errors import GuardFailed, UpstreamError
from gateway.own_calls import own_request
from gateway.ports import Dialect
from policies.breaker import ErrorFacts

_STAGES = {Where.INPUT: StageName.PROMPT_MODERATION, Where.OUTPUT: StageName.OUTPUT_MODERATION}


class InItsName:
    """Of one guard at one request, on one side of its answer."""

    def __init__(
        self,
        path: Path,
        request: Request,
        dialect: Dialect,
        caller: Caller,
        route: str | None,
        where: Where,
        end_user: str | None,
    ) -> None:
        """``end_user``: as others may see it."""
        self.cost_nusd = 0
        self.has_place = False  # the request counts among those under way
        self._path = path
        self._request = request
        self._dialect = dialect
        self._caller = caller
        self._route = route
        self._stage = _STAGES[where]
        self._cut_off: list[str] = []  # deployments that had not answered when we stopped waiting
        self.asker = Asker(
            request_id=request.id,
            organization_id=caller.organization_id,
            team_id=caller.team_id,
            key_id=caller.key_id,
            where=where,
            model=request.model,
            end_user=end_user,
            tags=request.tags,
        )

    async def ask(self, deployment: str, endpoint: Endpoint, fields: Mapping[str, object]) -> bytes:
        """Raises GuardFailed, BudgetExceeded, BudgetsUnavailable and RateLimited.

        While the deployment's circuit is open it is not asked at all.
        """
        path = self._path
        named = path.services.catalog().deployment(deployment)
        if named is None:
            raise GuardFailed(f"There is no deployment '{deployment}'.")
        if (reason := path.health.why_unavailable(named.name, path.services.clock.monotonic_s())) is not None:
            raise GuardFailed(f"{deployment}: {reason.text}")
        limit = fields.get("max_tokens", fields.get("max_completion_tokens"))
        request = own_request(
            self._request, endpoint, fields, output_tokens_max=limit if isinstance(limit, int) else None
        )
        decision = Decision(self._route, (named,), None)
        admissions = Admissions(path.services, request, self._caller, decision)
        dialect = self._dialect.of(request)
        attempts = Attempts(path, request, dialect, decision, admissions)
        try:
            answer = await attempts.asked_aside(named, admissions, dialect, Purpose.GUARD, self._stage)
        except UpstreamError as exc:
            raise GuardFailed(f"{deployment}: {exc.code or 'no answer'}") from exc  # its words may be the prompt's
        except asyncio.CancelledError:
            if attempts.is_waiting:
                self._cut_off.append(named.name)
            raise
        finally:
            self.has_place = self.has_place or admissions.has_place
        if answer is None:
            raise GuardFailed(f"{deployment}: no room within its provider's limits")
        self.cost_nusd += answer.cost_nusd or 0
        return answer.held

    def was_late(self) -> None:
        """The guard's deadline is over: that is a failure of whoever it waited for, on the circuit of all callers."""
        health, now_s = self._path.health, self._path.services.clock.monotonic_s()
        for name in self._cut_off:
            health.failed(name, now_s, ErrorFacts(blames_deployment=True))
        self._cut_off.clear()
