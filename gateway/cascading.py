"""The steps of a cascade: ask the cheap deployment, hold its answer until the gates have judged it, else ask the next.

Nobody sees a byte of an answer that may yet be rejected; the answer of the last step streams as it comes. All attempts
are charged. An answer that was not accepted is kept until another one has begun: where none does, because upstreams are
down or a budget has no room, the client gets it after all, as it would get a fallback's.
"""

from __future__ import annotations

from gateway.admitting import Admissions
from gateway.answering import Answer
from gateway.attempting import Attempts, Path
from gateway.domain import Caller, Cascade, Decision, Deployment, Request
from gateway.drafts import (
    asks_logprobs,
    draft_of,
    sample_request,
    verifier_request,
    with_logprobs,
    without_logprobs,
)
from gateway.errors import GatewayError
from gateway.ports import Dialect
from policies.gates import Draft, Gate, Poll, form_of, needs_calls, refused_by, score_in

#: The most that a verifier may write: one that reasons needs some room for that.
SCORE_TOKENS_MAX = 1024


class Climb:
    """One request on its way up the steps of its route."""

    def __init__(
        self, path: Path, request: Request, dialect: Dialect, caller: Caller, decision: Decision, attempts: Attempts
    ) -> None:
        self._path = path
        self._request = request
        self._dialect = dialect
        self._caller = caller
        self._decision = decision
        self._attempts = attempts
        self._held: Answer | None = None  # the latest that no gate let through
        self._why = Gate.UNFINISHED

    async def answer(self, cascade: Cascade) -> Answer:
        """The first answer that is accepted, or that of the last step, or the best there is. Raises GatewayError."""
        try:
            answer = await self._climb(cascade)
        except GatewayError:
            if self._held is None:
                raise
            answer = await self._accept(self._held)
        except BaseException:  # mostly a cancellation: the client is gone, and what was used is charged
            if self._held is not None:
                self._attempts.abandon(self._held)
            raise
        answer.steps = self._attempts.deployments_asked
        return answer

    async def _climb(self, cascade: Cascade) -> Answer:
        asked = self._asked(cascade)
        for place, deployment in enumerate(self._decision.candidates, 1):
            if place >= self._decision.steps:
                answer = await self._attempts.ask(deployment)
                if answer is not None:
                    return await self._last(answer)
                if self._attempts.is_vain:
                    break
                continue
            answer = await self._attempts.ask(deployment, asked, is_held=True)
            if answer is not None and await self._is_accepted(answer, deployment, cascade):
                return await self._accept(answer)
            if self._attempts.is_refused:  # such as the question for probabilities, which some models do not take
                self._observe(deployment, is_accepted=False)
        raise self._attempts.error()

    async def _is_accepted(self, answer: Answer, deployment: Deployment, cascade: Cascade) -> bool:
        """Judge a whole answer. One that is not accepted takes the place of the one before it."""
        before, why_before = self._held, self._why
        self._held = answer  # from here on it is ended whatever happens
        if before is not None:
            await self._attempts.reject(before, why_before)
        draft = draft_of(answer.held, is_stream=self._request.is_stream)
        why = refused_by(draft, form_of(self._request), cascade)
        if why is None and needs_calls(draft, cascade):
            why = await self._refused_by_calls(draft, deployment, cascade)
        self._observe(deployment, is_accepted=why is None)
        self._why = why or self._why
        return why is None

    def _observe(self, deployment: Deployment, *, is_accepted: bool) -> None:
        now_s = self._path.services.clock.monotonic_s()
        self._path.acceptance.observed(self._decision.route or "", deployment.name, now_s, is_accepted=is_accepted)

    async def _accept(self, answer: Answer) -> Answer:
        shown = answer.held
        if not asks_logprobs(self._request):
            shown = without_logprobs(shown, is_stream=self._request.is_stream)
        self._held = None
        await self._attempts.accept(answer, shown)
        return answer

    async def _last(self, answer: Answer) -> Answer:
        """An answer that needs no gate: what was held before it is rejected now, and the client hears the sum."""
        try:
            if (held := self._held) is not None:
                await self._attempts.reject(held, self._why)
                self._held = None
            answer.cost_besides_nusd = self._attempts.cost_besides_nusd(answer)
        except BaseException:  # it has begun as well
            self._attempts.abandon(answer)
            raise
        await self._attempts.show(answer)
        return answer

    def _asked(self, cascade: Cascade) -> Dialect:
        """How those are asked whose answers are judged."""
        return self._dialect if cascade.logprob_min is None else self._dialect.of(with_logprobs(self._request))

    # The gates that make calls of their own.

    async def _refused_by_calls(self, draft: Draft, deployment: Deployment, cascade: Cascade) -> Gate | None:
        if cascade.samples > 1 and not await self._agrees(draft, deployment, cascade):
            return Gate.AGREEMENT
        return None if cascade.verifier is None else await self._refused_by_verifier(draft, cascade)

    async def _agrees(self, draft: Draft, deployment: Deployment, cascade: Cascade) -> bool:
        """Ask the same deployment again until it is clear whether most of its answers say the same."""
        request = sample_request(self._request)
        dialect = self._dialect.of(request)
        admissions = Admissions(self._path.services, request, self._caller, self._decision)
        poll = Poll(draft, cascade)
        while poll.outcome is None:
            sample = await self._attempts.ask_aside(deployment, admissions, dialect)
            poll.add(None if sample is None else draft_of(sample.held, is_stream=False))
        return poll.outcome

    async def _refused_by_verifier(self, draft: Draft, cascade: Cascade) -> Gate | None:
        verifier = self._decision.verifier
        if verifier is None:
            return Gate.VERIFIER_UNMEASURED
        request = verifier_request(self._request, self._dialect.input_text(), draft)
        decision = Decision(
            self._decision.route, (verifier,), self._decision.baseline, output_tokens_max_default=SCORE_TOKENS_MAX
        )
        admissions = Admissions(self._path.services, request, self._caller, decision)
        graded = await self._attempts.ask_aside(verifier, admissions, self._dialect.of(request))
        score = None if graded is None else score_in(draft_of(graded.held, is_stream=False).text)
        if score is None:
            return Gate.VERIFIER_UNMEASURED
        return None if score >= cascade.score_min else Gate.VERIFIER
