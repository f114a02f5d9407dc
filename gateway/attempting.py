"""The upstream calls of one request: who is asked, how often, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from gateway.admitting import Admissions
from gateway.answering import Answer
from gateway.answers.given import Given
from gateway.answers.recall import Begun, Recall
from gateway.decide import nothing_left
from gateway.domain import Call, Decision, Deployment, Purpose, Reason, Request, StageName
from gateway.entries import Attempt
from gateway.errors import BadRequest, BudgetExceeded, BudgetsUnavailable, GatewayError, UpstreamError, UpstreamRefused
from gateway.ports import Dialect, Services
from gateway.progress import Progress
from gateway.screening.outlet import Outlet
from gateway.settlement import Settlement
from policies.acceptance import AcceptanceBoard
from policies.breaker import HealthBoard
from policies.eligibility import LIMITED

_TRIES_PER_DEPLOYMENT = 2  # SDKs retry as well, and the two multiply


@dataclass(frozen=True, slots=True)
class Path:
    """What all requests of a process share on their way."""

    services: Services
    settlement: Settlement
    progress: Progress
    health: HealthBoard
    acceptance: AcceptanceBoard


class Attempts:
    """The attempts of one request, one after the other. Each ends in exactly one entry."""

    def __init__(
        self,
        path: Path,
        request: Request,
        dialect: Dialect,
        decision: Decision,
        admissions: Admissions,
        recall: Recall | None = None,
        outlet: Callable[[], Outlet | None] | None = None,
        guards_nusd: Callable[[], int] | None = None,
    ) -> None:
        """``recall``: what was answered before may be given again. ``outlet``: the way out of what is shown.

        ``guards_nusd``: what guards were paid so far.
        """
        self._path = path
        self._request = request
        self._dialect = dialect
        self._admissions = admissions
        self._decision = decision
        self._recall = recall
        self._outlet = outlet
        self._guards_nusd = guards_nusd
        self._rejected: dict[str, Reason] = dict(decision.rejected)
        self._failure: UpstreamError | None = None
        self._refusal: BadRequest | None = None
        self._opened: list[Attempt] = []
        self.is_refused = False  # the last that was asked takes no such request
        self.is_vain = False  # what one has refused, all would refuse

    async def first_of(
        self,
        candidates: Sequence[Deployment],
        finish: Callable[[Answer, Deployment], Awaitable[Answer]] | None = None,
    ) -> Answer | Given:
        """The answer of the first that gives one. Raises GatewayError when none does.

        ``finish``: what becomes of a whole answer before it is shown, which it does itself.
        """
        for deployment in candidates:
            answer = await self._recalled(deployment, is_held=finish is not None)
            if isinstance(answer, Given):
                return answer
            if answer is not None and finish is not None:
                return await finish(answer, deployment)
            if answer is not None:
                await self.show(answer)
                return answer
            if self.is_vain:
                break
        raise self.error()

    async def _recalled(self, deployment: Deployment, *, is_held: bool) -> Answer | Given | None:
        """What that deployment answered before, else what it answers now, to be given again later."""
        recall = self._recall
        key = None if recall is None else await recall.key_of(deployment)
        if recall is None or key is None:
            return await self.ask(deployment, is_held=is_held)
        found = await recall.find(key, deployment, len(self._opened) + 1)
        if not isinstance(found, Begun):
            return found
        try:
            answer = await self.ask(deployment, is_held=is_held, begun=found)
        except BaseException:  # mostly a cancellation, the client is gone: another one is to ask
            if found.recording is not None:
                found.recording.leave()
            raise
        if answer is None and found.recording is not None:
            found.recording.fail()
        return answer

    @property
    def deployments_asked(self) -> int:
        """How many were asked for the answer."""
        return len({one.deployment.name for one in self._opened if one.intent.purpose == Purpose.ANSWER})

    @property
    def is_waiting(self) -> bool:
        """Whether an upstream was called that has neither said all nor failed."""
        return any(one.called_s is not None and one.whole_s is None and one.ended_s is None for one in self._opened)

    def error(self) -> GatewayError:
        """Why nobody answered."""
        failure = self._failure
        if failure is None:
            return self._admissions.refusal or self._refusal or nothing_left(self._request.model, self._rejected)
        if len(self._opened) > 1 and failure.should_retry is None:
            failure.should_retry = False  # we have tried again already; SDKs would multiply that by three
        return failure

    def cost_besides_nusd(self, answer: Answer) -> int:
        """What all attempts but the one of that answer have cost."""
        return sum(one.settled.cost_nusd for one in self._opened if one.settled and not answer.is_of(one))

    async def ask(
        self,
        deployment: Deployment,
        dialect: Dialect | None = None,
        *,
        is_held: bool = False,
        begun: Begun | None = None,
        admissions: Admissions | None = None,
    ) -> Answer | None:
        """Its answer, begun but not shown; ``None`` where it gives none or may not be asked. Raises GatewayError.

        ``dialect``: how it is asked, if not as the client does. ``is_held``: wait for all of the answer. ``begun``:
        the first attempt, if it is admitted already. ``admissions``: of what is asked, if it is more than the client
        asks.
        """
        self.is_refused = False
        admissions = admissions or self._admissions
        for tries_left in reversed(range(_TRIES_PER_DEPLOYMENT)):
            if begun is not None and not begun.attempt.is_open:
                ready = await self._placed(begun.attempt, dialect or self._dialect)
                attempt = begun.attempt
            else:
                attempt = admissions.attempt(deployment, len(self._opened) + 1)
                ready = await self._opened_for(attempt, dialect or self._dialect, admissions)
            if ready is None:
                return None
            call, answer = ready
            if begun is not None and begun.recording is not None:
                begun.recording.begin()
                answer.recording = begun.recording
            try:
                await self._begin(attempt, call, answer, is_held=is_held)
            except UpstreamError as exc:
                self._failure = exc
                self.is_refused = isinstance(exc, UpstreamRefused) and not exc.can_fall_back
                # Of what is held, nothing was shown; and what is asked in other words than the client's may be ours.
                is_ours = is_held and (dialect is not None or not self.is_refused)
                self.is_vain = not (exc.can_fall_back or is_ours)
                if not (exc.can_retry and tries_left):
                    return None
                await self._path.services.clock.pause(exc.retry_after_s)
            else:
                return answer
        return None

    async def _opened_for(
        self, attempt: Attempt, dialect: Dialect, admissions: Admissions
    ) -> tuple[Call, Answer] | None:
        """Admit it; ``None`` where that cannot be, or what is asked cannot be said to its deployment."""
        if not admissions.may_fit(attempt):
            return None
        try:
            ready = self._prepared(attempt, dialect, admissions)
        except BadRequest as exc:
            self._refusal = self._refusal or exc
            return None
        try:
            is_open = await admissions.open(attempt, self._path.settlement)
        except (BudgetExceeded, BudgetsUnavailable):
            return None  # a cheaper one may fit
        if not is_open:
            self._rejected[attempt.deployment.name] = LIMITED
            return None
        self._opened.append(attempt)
        return ready

    async def _placed(self, attempt: Attempt, dialect: Dialect) -> tuple[Call, Answer] | None:
        """As ``_opened_for``, of an attempt that is admitted."""
        settlement = self._path.settlement
        try:
            ready = self._prepared(attempt, dialect, self._admissions)
        except BadRequest as exc:
            self._refusal = self._refusal or exc
            settlement.take_back(attempt)
            return None
        await settlement.place(attempt)
        if not attempt.is_open:
            self._rejected[attempt.deployment.name] = LIMITED
            return None
        self._opened.append(attempt)
        return ready

    async def ask_aside(
        self, deployment: Deployment, admissions: Admissions, dialect: Dialect, purpose: Purpose = Purpose.JUDGE
    ) -> Answer | None:
        """A whole answer for our own use, charged; ``None`` where there is none, whatever kept it away."""
        try:
            return await self.asked_aside(deployment, admissions, dialect, purpose)
        except GatewayError:
            return None

    async def asked_aside(
        self,
        deployment: Deployment,
        admissions: Admissions,
        dialect: Dialect,
        purpose: Purpose,
        stage: StageName | None = None,
    ) -> Answer | None:
        """As ``ask_aside``; ``None`` where its provider's limits are used up. ``stage``: which one pays for it.

        Raises GatewayError.
        """
        attempt = admissions.attempt(deployment, len(self._opened) + 1, purpose)
        if stage is not None:
            attempt.intent = msgspec.structs.replace(attempt.intent, stage=stage.value)
        call, answer = self._prepared(attempt, dialect, admissions)
        if not await admissions.open(attempt, self._path.settlement):
            return None
        self._opened.append(attempt)
        await self._begin(attempt, call, answer, is_held=True)
        await self._unless_cut_short(answer, answer.keep())
        return answer

    async def show(self, answer: Answer) -> None:
        """It goes to the client. Raises GatewayError where a guard does not let it."""
        answer.outlet = self._outlet() if self._outlet is not None else None
        answer.guards_nusd = self._guards_nusd
        await self._unless_cut_short(answer, answer.show())

    async def accept(self, answer: Answer, shown: bytes, close: Callable[[bytes], bytes] | None = None) -> None:
        """What was held goes to the client. Raises GatewayError where a guard does not let it.

        ``close``: what becomes of the bytes that end it.
        """
        answer.outlet = self._outlet() if self._outlet is not None else None
        answer.guards_nusd = self._guards_nusd
        answer.cost_besides_nusd = self.cost_besides_nusd(answer)
        await self._unless_cut_short(answer, answer.accept(shown, close))

    async def reject(self, answer: Answer, why: str) -> None:
        """What was held goes to nobody."""
        await self._unless_cut_short(answer, answer.reject(why))

    def abandon(self, answer: Answer) -> None:
        """It is wanted no longer: what was used of it is charged, which gives the request's place back."""
        if answer.abandon():
            self._admissions.has_place = False

    def _prepared(self, attempt: Attempt, dialect: Dialect, admissions: Admissions) -> tuple[Call, Answer]:
        """Raises BadRequest for what cannot be said to that deployment."""
        path, deployment = self._path, attempt.deployment
        call = dialect.call(deployment, admissions.output_tokens_max(deployment))
        return call, Answer(path.services, path.settlement, path.progress, attempt, dialect, self._decision)

    async def _begin(self, attempt: Attempt, call: Call, answer: Answer, *, is_held: bool) -> None:
        """Call, and wait until there is something to show, or for all of it. Raises UpstreamError."""
        path, deployment = self._path, attempt.deployment
        path.health.started(deployment.name, attempt.started_s)
        attempt.called_s = path.services.clock.monotonic_s()
        try:
            try:
                reply = await path.services.backends[deployment.provider.kind].open(call)
                await (answer.hold(reply) if is_held else answer.begin(reply))
            except UpstreamError as exc:
                await answer.fail(exc)
                raise
        except BaseException:  # mostly a cancellation, the client is gone; whatever it is, no intent may stay open
            self.abandon(answer)
            raise

    async def _unless_cut_short(self, answer: Answer, end: Awaitable[None]) -> None:
        try:
            await end
        except BaseException:  # as above
            self.abandon(answer)
            raise
