"""Answers that were asked for as JSON: held until they are whole, mended where they are not, asked for once more.

An answer that keeps to what was asked goes to its client as it came. One that does not is mended; where that cannot be
and the route wants it, the same deployment is asked once more, and told what was wrong. Where that helps nobody, the
client gets the first answer as it came.
"""

from __future__ import annotations

import asyncio

from gateway.admitting import Admissions
from gateway.answering import Answer
from gateway.attempting import Attempts, Path
from gateway.domain import Caller, Decision, Deployment, RepairStatus, Request, StageName
from gateway.errors import GatewayError
from gateway.ports import Dialect
from gateway.repair.asking_again import asked_again
from gateway.repair.said import Judged, judged
from policies.gates import Form

_REJECTED = "schema"  # the ``error_code`` of an answer that another one takes the place of
_LONG = 16_384  # bytes of an answer: longer ones are looked at off the loop; all are mended there


class Repairing:
    """Of one request."""

    def __init__(
        self,
        path: Path,
        request: Request,
        dialect: Dialect,
        caller: Caller,
        decision: Decision,
        attempts: Attempts,
        form: Form,
    ) -> None:
        self._path = path
        self._request = request
        self._dialect = dialect
        self._caller = caller
        self._decision = decision
        self._attempts = attempts
        self._form = form
        self._held: list[Answer] = []  # not ended yet

    async def finish(self, answer: Answer, deployment: Deployment) -> Answer:
        """What the client gets, which is that answer or another one of the deployment. Raises GatewayError."""
        self._held.append(answer)
        try:
            return await self._finish(answer, deployment)
        except BaseException:  # mostly a cancellation: the client is gone, and what was used is charged
            for one in self._held:
                self._attempts.abandon(one)
            raise

    async def _finish(self, answer: Answer, deployment: Deployment) -> Answer:
        first = await self._judge(answer)
        if first.status is not RepairStatus.FAILED:
            return await self._show(answer, first)
        other = await self._asked_again(first, deployment)
        if other is None:
            return await self._show(answer, first)
        self._held.append(other)
        second = await self._judge(other)
        if second.status is RepairStatus.FAILED:
            await self._attempts.reject(other, _REJECTED)
            return await self._show(answer, first)
        other.recording, answer.recording = answer.recording, None
        await self._attempts.reject(answer, _REJECTED)
        return await self._show(other, second, RepairStatus.REASKED)

    async def _judge(self, answer: Answer) -> Judged:
        now_s = self._path.services.clock.monotonic_s
        began_s = now_s()
        if len(answer.held) <= _LONG:
            looked = self._judged(answer, mends=False)
        else:
            looked = await asyncio.to_thread(self._judged, answer, mends=False)
        if looked.status is RepairStatus.FAILED and looked.can_improve:
            looked = await asyncio.to_thread(self._judged, answer, mends=True)
        if self._request.chain is not None:
            self._request.chain.add(StageName.POST_PROCESSING, began_s, now_s())
        return looked

    def _judged(self, answer: Answer, *, mends: bool) -> Judged:
        texts = self._dialect.answer_texts()
        if texts is None:
            return Judged(RepairStatus.FAILED, answer.held)
        return judged(texts, answer.held, self._request, self._form, answer.finish_reason, mends=mends)

    async def _show(self, answer: Answer, looked: Judged, status: RepairStatus | None = None) -> Answer:
        answer.repair = status or looked.status
        self._path.services.telemetry.repaired(self._decision.route or "", answer.repair)
        if answer.recording is not None and answer.repair is RepairStatus.FAILED:
            answer.recording.fail()
        await self._attempts.accept(answer, looked.shown, looked.close)
        return answer

    async def _asked_again(self, first: Judged, deployment: Deployment) -> Answer | None:
        """Another answer of the deployment, held; ``None`` where there is none, whatever kept it away."""
        rules = self._decision.repair
        if rules is None or not rules.asks_again or not first.can_improve:
            return None
        request = asked_again(self._request, first.said, first.schema, is_call=first.is_call)
        if request is None:
            return None
        admissions = Admissions(self._path.services, request, self._caller, self._decision)
        dialect = self._dialect.of(request)
        try:
            return await self._attempts.ask(deployment, dialect, is_held=True, admissions=admissions)
        except GatewayError:  # a limit of ours: the first answer stands
            return None
