"""One request and the answers that were given before: looked for while it is admitted, and waited for.

The look leaves with the admission, so that who finds nothing has lost no time. A kept answer counts for limits of
requests like any other and costs nothing, whatever is left of a budget.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from gateway.admitting import Admissions
from gateway.answers.flights import Flights, Landing
from gateway.answers.given import Given, Screen
from gateway.answers.likeness import Likeness, Look
from gateway.answers.own_cost import charge_embedding
from gateway.answers.recording import Recording
from gateway.answers.said import said
from gateway.answers.telling import TELLINGS
from gateway.domain import (
    AnswerKey,
    CacheStatus,
    Caller,
    Decision,
    Deployment,
    ExactCache,
    Found,
    Hit,
    Miss,
    Request,
    Source,
    StageName,
    UnderWay,
)
from gateway.entries import Attempt, recalled_intent
from gateway.errors import BudgetExceeded, BudgetsUnavailable, GatewayError, Internal, NotCached
from gateway.ports import Dialect, Services
from gateway.settlement import Settlement
from policies.answer_identity import NotKeyed, answer_key, is_bypassed

_NO_EPOCH = "-"  # that nothing is kept under
_LONG = 131_072  # bytes of a body: many small objects of so many take 4 ms


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is admitted, and what will note down its answer."""

    attempt: Attempt
    recording: Recording | None


class Recall:
    """What one request to a route with a cache makes of it."""

    def __init__(
        self,
        services: Services,
        flights: Flights,
        settlement: Settlement,
        admissions: Admissions,
        request: Request,
        dialect: Dialect,
        caller: Caller,
        decision: Decision,
        rules: ExactCache,
        likeness: Likeness | None = None,
        screen: Screen | None = None,
    ) -> None:
        """``likeness``: answers to similar questions may be given too. ``screen``: what guards make of a given one."""
        self.status = CacheStatus.BYPASS
        self._services = services
        self._flights = flights
        self._settlement = settlement
        self._admissions = admissions
        self._request = request
        self._dialect = dialect
        self._caller = caller
        self._rules = rules
        self._likeness = likeness
        self._screen = screen
        self._is_bypassed = decision.cascade is not None or is_bypassed(request, rules)
        self._looked_for: set[str] = set()
        self._epoch = ""  # of the first look: what is purged later takes with it what becomes of this request

    async def key_of(self, deployment: Deployment) -> AnswerKey | None:
        """Where the answer of that deployment would be; ``None`` where none is looked for, or was already."""
        control = self._request.cache_control
        key = None
        if not self._is_bypassed and control.may_keep:
            try:
                key = await self._made_for(deployment)
            except NotKeyed:
                self._is_bypassed = True
        if key is None and control.is_cached_only:
            raise NotCached
        if key is None or key.digest in self._looked_for:
            return None
        self._looked_for.add(key.digest)
        return key

    async def _made_for(self, deployment: Deployment) -> AnswerKey:
        """The key; one that takes milliseconds is made off the loop. Raises NotKeyed."""
        request, secret = self._request, self._services.answer_secret
        tokens_max = self._admissions.output_tokens_max(deployment)
        make = partial(answer_key, secret, self._rules, request, self._caller, deployment, tokens_max)
        return await asyncio.to_thread(make) if request.body_bytes > _LONG else make()

    async def find(self, key: AnswerKey, deployment: Deployment, number: int) -> Given | Begun | None:
        """A kept answer, or an attempt that may ask; ``None`` where no budget has room for one. Raises GatewayError."""
        control, total_s = self._request.cache_control, deployment.provider.timeouts.total_s
        may_lead = control.may_read and not control.is_cached_only
        while True:
            attempt = self._admissions.attempt(deployment, number)
            found, is_admitted = await self._looked(key, attempt, total_s, may_lead=may_lead)
            if found is not None and control.may_read:
                self.status = CacheStatus.MISS
            if not isinstance(found, Hit):
                self._epoch = self._epoch or (found.epoch if found else "") or _NO_EPOCH
            match found:
                case Hit():
                    return await self._give(found, deployment, number, attempt if is_admitted else None)
                case UnderWay() if may_lead:
                    if is_admitted:
                        self._settlement.take_back(attempt)  # who waits holds no money
                    began_s = self._services.clock.monotonic_s()
                    landed = await self._flights.follow(key, control, total_s)
                    self._passed("waiting", began_s)
                    if isinstance(landed, Hit) and self._takes(landed):
                        return await self._give(landed, deployment, number, None)
                    may_lead = landed is not Landing.ALONE
                    continue
            look = None
            if isinstance(found, Miss) and control.may_read:
                look = await self._looked_near(key, attempt, found, is_admitted=is_admitted)
                if look is not None and look.hit is not None:
                    return await self._give(look.hit, deployment, number, attempt if is_admitted else None)
            return self._begun(key, attempt, found, look, is_admitted=is_admitted)

    async def _looked_near(self, key: AnswerKey, attempt: Attempt, miss: Miss, *, is_admitted: bool) -> Look | None:
        """What is found near a question that nobody has asked in these words. Where that is given, others may lead."""
        likeness, background = self._likeness, self._services.background
        if likeness is None:
            return None
        look, began_s = None, self._services.clock.monotonic_s()
        try:
            look = await likeness.find(key, attempt.deployment, self._admissions.output_tokens_max(attempt.deployment))
            self._passed("semantic", began_s)
        except BaseException:  # the client is gone
            if is_admitted:
                self._settlement.take_back(attempt)
            if miss.is_leader:
                background.spawn(self._flights.drop(key))
            raise
        if look is not None:
            background.spawn(charge_embedding(self._services, self._settlement, attempt, look.nearest))
            if look.hit is not None and miss.is_leader:
                background.spawn(self._pass_on(key, look, look.hit, likeness))
        return look

    async def _pass_on(self, key: AnswerKey, look: Look, hit: Hit, likeness: Likeness) -> None:
        likeness.passed_on(look, await self._flights.pass_on(key, hit))

    def _begun(
        self, key: AnswerKey, attempt: Attempt, found: Found | None, look: Look | None, *, is_admitted: bool
    ) -> Begun | None:
        """What goes on to the upstream, if it may."""
        recording = None
        if isinstance(found, Miss | UnderWay):
            miss = found if isinstance(found, Miss) else Miss(found.epoch)
            if miss.epoch == self._epoch:
                background = self._services.background
                learn = None
                if look is not None and self._likeness is not None:
                    learn = partial(self._likeness.learn, look, key, miss.epoch)
                recording = Recording(self._flights, background, key, miss, self._rules, self._request, learn)
        if self._request.cache_control.is_cached_only:
            if is_admitted:
                self._settlement.take_back(attempt)
            raise NotCached
        if is_admitted:
            return Begun(attempt, recording)
        if recording is not None:
            recording.leave()
        return None

    async def _looked(
        self, key: AnswerKey, attempt: Attempt, total_s: float, *, may_lead: bool
    ) -> tuple[Found | None, bool]:
        """Look and be admitted at once. Raises what refuses it, but for budgets: they refuse no kept answer."""
        looking = asyncio.ensure_future(self._exact(key, total_s, may_lead=may_lead))
        is_admitted = False
        try:
            is_admitted = await self._is_admitted(attempt)
            return await asyncio.shield(looking), is_admitted
        except BaseException:  # refused, or the client is gone: nobody is to wait for us
            if is_admitted:
                self._settlement.take_back(attempt)
            self._services.background.spawn(self._give_up(key, looking))
            raise

    async def _exact(self, key: AnswerKey, total_s: float, *, may_lead: bool) -> Found | None:
        began_s = self._services.clock.monotonic_s()
        control = self._request.cache_control
        found = await self._flights.look(key, control, total_s, may_lead=may_lead, since=self._epoch)
        self._passed("exact", began_s)
        return found

    def _passed(self, name: str, began_s: float) -> None:
        """That look is over."""
        if self._request.chain is not None:
            self._request.chain.add(StageName.CACHE, began_s, self._services.clock.monotonic_s(), name)

    async def _give_up(self, key: AnswerKey, looking: asyncio.Future[Found | None]) -> None:
        found = await looking
        if isinstance(found, Miss) and found.is_leader:
            await self._flights.drop(key)

    async def _is_admitted(self, attempt: Attempt) -> bool:
        if not self._admissions.may_fit(attempt):
            return False
        try:
            await self._admissions.admit(attempt, self._settlement)
        except (BudgetExceeded, BudgetsUnavailable):
            return False
        return True

    async def _give(self, hit: Hit, deployment: Deployment, number: int, admitted: Attempt | None) -> Given:
        """Give it again, settled at nothing. Raises RateLimited: limits of requests count it like any other."""
        similar = hit.similarity
        source = Source.CACHE_EXACT if similar is None else Source.CACHE_SEMANTIC
        attempt = admitted
        if attempt is None:
            attempt = self._admissions.attempt(deployment, number)
            attempt.intent = recalled_intent(attempt.intent, source)
            attempt.admission = replace(attempt.admission, hold_nusd=0)
            await self._admissions.admit(attempt, self._settlement)
        content = None
        try:
            if self._services.is_content_logged:
                said_again = said(self._request.endpoint, hit.answer.whole)
                content = {"request": self._dialect.input_text(), "answer": said_again}
            told = TELLINGS[self._request.endpoint].told_again(hit.answer, self._request)
            if self._screen is not None:
                told = await self._screen(told, hit.answer.usage)
            await self._settlement.recall(attempt, hit.answer, source, content)
        except BaseException as exc:  # a guard's, a fault of ours, or the client is gone: it is settled all the same
            error = exc if isinstance(exc, GatewayError) else Internal() if isinstance(exc, Exception) else None
            self._services.background.spawn(self._settlement.recall(attempt, hit.answer, source, content, error))
            raise
        self.status = CacheStatus.HIT if similar is None else CacheStatus.HIT_SIMILAR
        headers = {} if similar is None else {"x-obol-similarity": f"{similar.cosine:.3f}"}
        return Given(attempt, told, source=source, cache=self.status, age_s=hit.age_s, headers=headers)

    def _takes(self, hit: Hit) -> bool:
        """Whether it may be given here too: to similar questions only where so many may be wrong.

        Such an answer may also be older than who waited for it takes.
        """
        if hit.similarity is None:
            return True
        age_s_max = self._request.cache_control.age_s_max
        if age_s_max is not None and hit.age_s > age_s_max:
            return False
        return self._likeness is not None and hit.similarity.wrong_answers_max <= self._likeness.wrong_max
