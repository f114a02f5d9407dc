"""The one path: Request + Caller -> Decision -> Attempt* -> Chunk* -> Charge.

Streaming and not is the same path: a whole answer is a stream of one block. What holds at every line:

- a call is admitted by all limits and budgets at once, and holds the most that it can cost, before the upstream hears
  of it; its intent is durable then, and is itself a valid (orphaned) ledger entry;
- every attempt ends in exactly one settled entry, whoever goes away;
- an error before the first block falls back to the next deployment; after it, none does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from random import Random

from gateway.admitting import Admissions
from gateway.answering import Answer
from gateway.conversing import turn_of
from gateway.decide import Moment, nothing_left, weigh
from gateway.decision_records import record_of
from gateway.domain import (
    Call,
    Caller,
    Decision,
    Deployment,
    Forecast,
    Request,
    Route,
    Turn,
)
from gateway.entries import Attempt
from gateway.errors import (
    BadRequest,
    BudgetExceeded,
    BudgetsUnavailable,
    RateLimited,
    UnpricedModel,
    UpstreamError,
)
from gateway.following import at_origin
from gateway.ids import rfc3339
from gateway.ports import Dialect, Services
from gateway.progress import Progress
from gateway.settlement import Settlement
from policies.breaker import HealthBoard
from policies.conversations import kept_tokens
from policies.eligibility import LIMITED
from policies.first_token import FirstTokenBoard

_log = logging.getLogger("obol.path")
_TRIES_PER_DEPLOYMENT = 2  # SDKs retry as well, and the two multiply


class Pipeline:
    """Walks requests from the parsed question to the settled charge."""

    def __init__(self, services: Services, random: Random | None = None) -> None:
        """``random``: what policies draw from."""
        self._services = services
        self._random = random or Random()  # noqa: S311 - it shares requests out, it keeps no secret
        self.health = HealthBoard()  # of this process: each replica finds out for itself
        self.first_tokens = FirstTokenBoard()  # likewise
        self.progress = Progress(services.journal)
        self._settlement = Settlement(services, self.health, self.first_tokens)

    async def answer(self, request: Request, dialect: Dialect, caller: Caller) -> Answer:
        """Begin an answer on the first deployment that gives one. Raises GatewayError while nothing was sent."""
        services = self._services
        decision = await self.weigh(request, dialect, caller)
        decided_s = services.clock.unix_s()
        try:
            decision = await self._of_use(request, caller, decision)
            answer = await self._answer(request, dialect, caller, decision)
        except BaseException as exc:  # whatever ends it, a cancellation too: it was decided, and that is recorded
            is_limited = isinstance(exc, RateLimited) and exc.details  # by us: whoever floods us fills no table
            if not is_limited:
                self._record(request, caller, decision, None, decided_s)
            raise
        self._record(request, caller, decision, answer.deployment, decided_s)
        return answer

    async def weigh(self, request: Request, dialect: Dialect, caller: Caller) -> Decision:
        """What is decided for the request as things stand. Raises ModelNotFound and Forbidden."""
        turn = await turn_of(self._services, request, dialect, caller)
        return weigh(self._services.catalog(), request, caller, self._moment(request, dialect, turn))

    async def _of_use(self, request: Request, caller: Caller, decision: Decision) -> Decision:
        """The decision with the candidates that can go on from what the request goes on from. Raises GatewayError."""
        services = self._services
        if not decision.candidates:
            error = nothing_left(request.model, decision.rejected)
            if isinstance(error, UnpricedModel):
                services.telemetry.unpriced(caller.organization_id, request.model)
            raise error
        return decision if request.continues is None else await at_origin(services, request, caller, decision)

    def _record(
        self, request: Request, caller: Caller, decision: Decision, chosen: str | None, decided_s: float
    ) -> None:
        log = self._services.decisions
        if log is None or decision.route is None:
            return
        try:
            log.record(record_of(request, caller, decision, chosen, rfc3339(decided_s)))
        except Exception:  # noqa: BLE001 - whatever is wrong with a record, the answer must reach its client
            _log.exception("the decision of request %s is not recorded", request.id)

    async def _answer(self, request: Request, dialect: Dialect, caller: Caller, decision: Decision) -> Answer:
        """Begin an answer on the first candidate that gives one. Raises GatewayError."""
        services = self._services
        admissions = Admissions(services, request, caller, decision)
        try:
            answer = await self._first_answer(request, dialect, decision, admissions)
        except BaseException:  # a cancellation too: its place is given back
            if admissions.has_place:
                self._settlement.leave(request.id, caller.organization_id)
            raise
        answer.room = admissions.room
        if answer.is_unpriced:
            services.telemetry.unpriced(caller.organization_id, answer.deployment)
        return answer

    def _moment(self, request: Request, dialect: Dialect, turn: Turn | None) -> Moment:
        now_s = self._services.clock.monotonic_s()
        forecaster = self._services.forecaster
        cached = {} if turn is None or turn.before is None else kept_tokens(turn.before)

        def forecast(route: Route, candidates: Sequence[Deployment]) -> Forecast | None:
            if forecaster is None:
                return None
            return forecaster.forecast(route, candidates, request, dialect.question().text, cached)

        return Moment(
            turn=turn,
            forecast=forecast,
            why_unavailable=lambda name: self.health.why_unavailable(name, now_s),
            first_token_p95_s=lambda name: self.first_tokens.p95_s(name, now_s),
            draw=self._random.random(),
        )

    async def _first_answer(
        self, request: Request, dialect: Dialect, decision: Decision, admissions: Admissions
    ) -> Answer:
        """Try the candidates in their order. Raises GatewayError when none gives an answer."""
        rejected = dict(decision.rejected)
        failure: UpstreamError | None = None
        refusal: BadRequest | None = None
        number = 0
        for deployment in decision.candidates:
            for tries_left in reversed(range(_TRIES_PER_DEPLOYMENT)):
                attempt = admissions.attempt(deployment, number + 1)
                if not admissions.may_fit(attempt):
                    break
                try:
                    call = dialect.call(deployment, admissions.output_tokens_max(deployment))
                    answer = Answer(self._services, self._settlement, self.progress, attempt, dialect, decision)
                except BadRequest as exc:  # something in it cannot be said to this one
                    refusal = refusal or exc
                    break
                try:
                    if not await admissions.open(attempt, self._settlement):
                        rejected[deployment.name] = LIMITED
                        break
                except (BudgetExceeded, BudgetsUnavailable):
                    break  # a cheaper one may fit
                number += 1
                try:
                    await self._begin(attempt, call, answer, admissions)
                    return answer
                except UpstreamError as exc:
                    failure = exc
                    if not (exc.can_retry and tries_left):
                        break
                    await self._services.clock.pause(exc.retry_after_s)
            if failure is not None and not failure.can_fall_back:
                break
        if failure is None:
            raise admissions.refusal or refusal or nothing_left(request.model, rejected)
        if number > 1 and failure.should_retry is None:
            failure.should_retry = False  # we have tried again already; SDKs would multiply that by three
        raise failure

    async def _begin(self, attempt: Attempt, call: Call, answer: Answer, admissions: Admissions) -> None:
        """Call, and wait until there is something to show. Raises UpstreamError."""
        backend = self._services.backends[attempt.deployment.provider.kind]
        self.health.started(attempt.deployment.name, attempt.started_s)
        try:
            try:
                await answer.begin(await backend.open(call))
            except UpstreamError as exc:
                await answer.fail(exc)
                raise
        except BaseException:  # mostly a cancellation, the client is gone; whatever it is, no intent may stay open
            if answer.abandon():
                admissions.has_place = False  # the charge, which is still to come, gives it back
            raise
