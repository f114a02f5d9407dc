"""The one path: Request + Caller -> screened -> Decision -> Attempt* -> Chunk* -> Charge.

Streaming and not is the same path: a whole answer is a stream of one block. What holds at every line:

- guards see a prompt before anything else does, and every answer before its client; those in the shadow see prompts
  meanwhile, and nothing waits for them but entries;
- a call is admitted by all limits and budgets at once, and holds the most that it can cost, before the upstream hears
  of it; its intent is durable then, and is itself a valid (orphaned) ledger entry;
- every attempt ends in exactly one settled entry, whoever goes away;
- an error before the first block falls back to the next deployment; after it, none does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from gateway.admitting import Admissions
from gateway.answering import Answer
from gateway.answers.deflecting import Deflections
from gateway.answers.error_budget import ErrorBudgets
from gateway.answers.flights import Flights
from gateway.answers.given import Given
from gateway.answers.likeness import Likeness, Similarities
from gateway.answers.recall import Recall
from gateway.answers.vectors import embedded
from gateway.attempting import Attempts, Path
from gateway.cascading import Climb
from gateway.conversing import turn_of
from gateway.decide import Moment, nothing_left, weigh
from gateway.decision_records import kept_prompt, record_of
from gateway.domain import (
    Caller,
    Decision,
    Deployment,
    ExactCache,
    Forecast,
    Request,
    Route,
    StageName,
    Turn,
    Where,
)
from gateway.errors import (
    ContentFiltered,
    GuardUnavailable,
    NotCached,
    PromptUnreadable,
    RateLimited,
    UnpricedModel,
)
from gateway.following import at_origin
from gateway.ids import rfc3339
from gateway.ports import Dialect, Services
from gateway.progress import Progress
from gateway.repair.repairing import Repairing
from gateway.screening.screening import GUARDS_HEADER, Screening
from gateway.settlement import Settlement
from policies.acceptance import AcceptanceBoard
from policies.breaker import HealthBoard
from policies.conversations import kept_tokens
from policies.first_token import FirstTokenBoard
from policies.repair.form import asked_form

_log = logging.getLogger("obol.path")


class Pipeline:
    """Walks requests from the parsed question to the settled charge."""

    def __init__(self, services: Services, random: Random | None = None) -> None:
        """``random``: what policies draw from."""
        self._services = services
        self._random = random or Random()  # noqa: S311 - it shares requests out, it keeps no secret
        self.health = HealthBoard()  # of this process: each replica finds out for itself
        self.first_tokens = FirstTokenBoard()  # likewise
        self.acceptance = AcceptanceBoard()  # likewise
        self.progress = Progress(services.journal)
        store = services.answers
        self.flights = None if store is None else Flights(store, services.background, services.clock)
        self.similarities = None
        if self.flights is not None and services.semantic is not None and services.counts is not None:
            self.similarities = Similarities(services.semantic, self.flights, ErrorBudgets(services.counts))
        self._settlement = Settlement(services, self.health, self.first_tokens)
        self.deflections = Deflections(services, self._settlement)
        self._path = Path(services, self._settlement, self.progress, self.health, self.acceptance)

    async def answer(self, request: Request, dialect: Dialect, caller: Caller) -> Answer | Given:
        """Begin an answer on the first deployment that gives one. Raises GatewayError while nothing was sent."""
        guards = () if self._services.guards is None else self._services.guards.of(request, caller)
        if not guards:
            return await self._unscreened(request, dialect, caller, None)
        screening = Screening(self._path, guards, request, dialect, caller)
        try:
            await screening.look_at_prompt()
            answer = await self._unscreened(screening.request, screening.dialect, caller, screening)
        except BaseException as exc:  # a cancellation too: what a guard's call took is given back
            if isinstance(exc, ContentFiltered | GuardUnavailable | PromptUnreadable):
                exc.headers = {GUARDS_HEADER: screening.told()}
            if screening.has_place:
                self._settlement.leave(request.id, caller.organization_id)
            raise
        answer.guards = screening.told
        if isinstance(answer, Given):
            answer.cost_nusd = screening.cost_nusd()
        return answer

    async def screened_again(self, kept: bytes, request: Request, dialect: Dialect, caller: Caller) -> bytes:
        """An answer that its upstream kept, as guards let its client have it. Raises GatewayError.

        ``request``: for the deployment that gave it.
        """
        guards = () if self._services.guards is None else self._services.guards.of_kept(request.model, caller)
        if not guards:
            return kept
        screening = Screening(self._path, guards, request, dialect, caller)
        try:
            return await screening.pass_whole(kept)
        finally:
            if screening.has_place:
                self._settlement.leave(request.id, caller.organization_id)

    def is_screened(self, deployment: str, caller: Caller) -> bool:
        """Whether guards look at what that deployment keeps."""
        guards = self._services.guards
        return guards is not None and any(rule.looks_at(Where.OUTPUT) for rule, _ in guards.of_kept(deployment, caller))

    async def _unscreened(
        self, request: Request, dialect: Dialect, caller: Caller, screening: Screening | None
    ) -> Answer | Given:
        """What follows the guards of the prompt. ``screening``: has those of the answer, if there are any."""
        services = self._services
        deflected = await self.deflections.find(request, dialect, caller)
        if deflected is not None:
            screen = None if screening is None else screening.pass_whole
            given = await self.deflections.answer(deflected, request, dialect, caller, screen)
            if given is not None:
                return given
            if deflected.is_repeated:
                request = replace(request, deflector=deflected.name)
        began_s = services.clock.monotonic_s()
        decision = await self.weigh(request, dialect, caller)
        decided_s = services.clock.unix_s()
        try:
            decision = await self._of_use(request, caller, decision)
            if request.chain is not None:
                request.chain.add(StageName.ROUTING, began_s, services.clock.monotonic_s())
            answer = await self._answer(request, dialect, caller, decision, screening)
        except BaseException as exc:  # whatever ends it, a cancellation too: it was decided, and that is recorded
            is_limited = isinstance(exc, RateLimited) and exc.details  # by us: whoever floods us fills no table
            if not is_limited:
                self._record(request, dialect, caller, decision, None, decided_s)
            raise
        if not isinstance(answer, Given):  # nobody was asked, so nothing came of the decision
            self._record(request, dialect, caller, decision, answer.deployment, decided_s)
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
        self,
        request: Request,
        dialect: Dialect,
        caller: Caller,
        decision: Decision,
        chosen: str | None,
        decided_s: float,
    ) -> None:
        log = self._services.decisions
        if log is None or decision.route is None:
            return
        try:
            record = record_of(request, caller, decision, chosen, rfc3339(decided_s))
            days = decision.keep_prompts_days
            prompt = None if days is None else kept_prompt(record, dialect.question().text, days, decided_s)
            log.record(record, prompt)
        except Exception:  # noqa: BLE001 - whatever is wrong with a record, the answer must reach its client
            _log.exception("the decision of request %s is not recorded", request.id)

    async def _answer(
        self, request: Request, dialect: Dialect, caller: Caller, decision: Decision, screening: Screening | None
    ) -> Answer | Given:
        """Begin an answer on the first candidate that gives one, or give a kept one again. Raises GatewayError."""
        services = self._services
        admissions = Admissions(services, request, caller, decision)
        recall = self._recall(request, dialect, caller, decision, admissions, screening)
        try:
            outlet, guards_nusd = (None, None) if screening is None else (screening.outlet, screening.cost_nusd)
            attempts = Attempts(self._path, request, dialect, decision, admissions, recall, outlet, guards_nusd)
            if decision.steps and decision.cascade is not None:
                climb = Climb(self._path, request, dialect, caller, decision, attempts)
                answer: Answer | Given = await climb.answer(decision.cascade)
            else:
                finish = self._repairing(request, dialect, caller, decision, attempts)
                answer = await attempts.first_of(decision.candidates, finish)
        except BaseException:  # a cancellation too: its place is given back
            if admissions.has_place:
                self._settlement.leave(request.id, caller.organization_id)
            raise
        finally:
            if recall is not None:
                services.telemetry.recalled(decision.route or "", recall.status)
        answer.room = admissions.room
        answer.cache = None if recall is None else recall.status
        if answer.is_unpriced:
            services.telemetry.unpriced(caller.organization_id, answer.deployment)
        return answer

    def _repairing(
        self, request: Request, dialect: Dialect, caller: Caller, decision: Decision, attempts: Attempts
    ) -> Callable[[Answer, Deployment], Awaitable[Answer]] | None:
        """What becomes of an answer that must be JSON; ``None`` where none is asked for, or the route leaves it."""
        form = None if decision.repair is None else asked_form(request)
        if form is None or decision.repair is None:
            return None
        return Repairing(self._path, request, dialect, caller, decision, attempts, form).finish

    def _recall(
        self,
        request: Request,
        dialect: Dialect,
        caller: Caller,
        decision: Decision,
        admissions: Admissions,
        screening: Screening | None,
    ) -> Recall | None:
        """What looks for a kept answer; ``None`` where the route keeps none. Raises NotCached."""
        rules = decision.exact_cache
        keeps_none = rules is None or self.flights is None or decision.cascade is not None
        if keeps_none and request.cache_control.is_cached_only:
            raise NotCached
        if rules is None or self.flights is None:
            return None
        likeness = self._likeness(request, dialect, caller, decision, rules)
        return Recall(
            self._services,
            self.flights,
            self._settlement,
            admissions,
            request,
            dialect,
            caller,
            decision,
            rules,
            likeness,
            None if screening is None else screening.pass_whole,
        )

    def _likeness(
        self, request: Request, dialect: Dialect, caller: Caller, decision: Decision, exact: ExactCache
    ) -> Likeness | None:
        """What looks for answers to similar questions; ``None`` where the route gives none."""
        services, rules = self._services, decision.semantic_cache
        if rules is None or self.similarities is None:
            return None
        embed = None
        if rules.embedding is not None:
            embed = partial(embedded, self._path, rules.embedding, request, dialect, caller, decision)
        draw, route = self._random.random(), decision.route or ""
        return Likeness(services, self.similarities, draw, request, caller, route, exact, rules, embed)

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
            accepted_share=lambda route, name: self.acceptance.share(route, name, now_s),
            draw=self._random.random(),
        )
