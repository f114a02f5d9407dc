"""One request to a route that answers some messages itself: by computing, without a model, a decision or a hold.

What is answered counts for limits of requests like any other and costs nothing, whatever is left of a budget, and
whether or not any deployment is well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from gateway.admitting import Admissions
from gateway.answers import telling_chat
from gateway.answers.given import Given, Screen
from gateway.domain import (
    BYTES_PER_TOKEN,
    Caller,
    Decision,
    Deflection,
    Deployment,
    Endpoint,
    KeptAnswer,
    Message,
    Provider,
    Request,
    Route,
    Source,
    StageName,
    Usage,
)
from gateway.entries import Attempt, recalled_intent
from gateway.errors import BadRequest, GatewayError
from gateway.ports import Dialect, Services
from gateway.settlement import Settlement
from policies.deflection.of_route import FAQ, answer_to, stands_alone
from policies.eligibility import may_call

_BYTES_PER_TOKEN_MIN = 2  # of figures and marks, where a model that may write so many tokens would not be cut
_FINISH_REASON = "stop"
_US = Provider("obol", "deflector")  # it speaks chat, as deployments do that say nothing else
_NO_TOKENS = {
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "total_tokens": 0,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


@dataclass(frozen=True, slots=True)
class Found:
    """What answers a request to ``route``. ``is_repeated``: it was asked before, so this time a model is.

    ``name``: of the deflector. ``entry``: of a list, with its version.
    """

    route: Route
    name: str
    answer: str
    is_repeated: bool = False
    entry: str | None = None


class Deflections:
    """Answers without a model, of all routes that turn them on."""

    def __init__(self, services: Services, settlement: Settlement) -> None:
        self._services = services
        self._settlement = settlement

    async def find(self, request: Request, dialect: Dialect, caller: Caller) -> Found | None:
        """What can answer the request; ``None`` leaves it to a model."""
        route = self._services.catalog().route(request.model)
        if route is None or route.deflection is None or not request.may_deflect or not may_call(caller, request.model):
            return None
        began_s = self._services.clock.monotonic_s()
        found = await self._found(route, route.deflection, dialect, caller)
        if found is not None and not _has_room(request, found.answer):
            found = None
        if request.chain is not None:
            name = None if found is None else found.name
            request.chain.add(StageName.DEFLECTION, began_s, self._services.clock.monotonic_s(), name)
        return found

    async def _found(self, route: Route, rules: Deflection, dialect: Dialect, caller: Caller) -> Found | None:
        message = dialect.message()
        if message is None or (message.is_stored and self._is_stored_by(route)):
            return None
        deflected = answer_to(message, rules, datetime.fromtimestamp(self._services.clock.unix_s(), UTC))
        if deflected is not None:
            return Found(route, deflected.name, deflected.answer, message.is_repeated)
        return await self._listed(route, rules, message, caller)

    async def _listed(self, route: Route, rules: Deflection, message: Message, caller: Caller) -> Found | None:
        """What stands on the team's own list."""
        lists = self._services.faq
        if lists is None or FAQ not in rules.answerers or not stands_alone(message, rules):
            return None
        listed = await lists.find(caller.team_id, message.text, rules.faq_wrong_answers_max)
        return None if listed is None else Found(route, FAQ, listed.answer, message.is_repeated, listed.source)

    async def answer(
        self, found: Found, request: Request, dialect: Dialect, caller: Caller, screen: Screen | None = None
    ) -> Given | None:
        """The answer, settled at nothing; ``None`` leaves it to a model. Raises RateLimited.

        ``screen``: what guards make of it, and may raise.
        """
        given = None if found.is_repeated else await self._give(found, request, dialect, caller, screen)
        if given is not None or found.is_repeated:
            self._services.telemetry.deflected(found.route.name, found.name, is_repeated=found.is_repeated)
        return given

    def _is_stored_by(self, route: Route) -> bool:
        """Whether somebody on the route keeps responses, so that clients go on from them."""
        return any(one.asked_as(Endpoint.RESPONSES) is Endpoint.RESPONSES for one in self._deployments(route))

    def _deployments(self, route: Route) -> Sequence[Deployment]:
        named = (self._services.catalog().deployment(name) for name in route.deployments)
        return [one for one in named if one is not None]

    async def _give(
        self, found: Found, request: Request, dialect: Dialect, caller: Caller, screen: Screen | None
    ) -> Given | None:
        services = self._services
        deployment = Deployment(f"{_US.name}/{found.name}", _US, found.name, is_unpriced_allowed=True)
        whole = msgspec.json.encode(_completion(found, request, int(services.clock.unix_s())))
        try:
            told = _told(whole, request, dialect, deployment)
        except BadRequest:  # a field is of a wrong form: an upstream says so in its own words
            return None
        asked = dialect.input_text()
        usage = Usage(_tokens(asked), output_tokens=_tokens(found.answer))
        answer = KeptAnswer(whole, usage, is_estimated=True, model_answered=found.entry, finish_reason=_FINISH_REASON)
        content = {"request": asked, "answer": found.answer} if services.is_content_logged else None
        entered = replace(request, deflector=found.name)
        admissions = Admissions(services, entered, caller, self._decision(found.route))
        attempt = admissions.attempt(deployment, 1)
        await self._admitted(attempt, admissions)
        try:
            if screen is not None:
                told = await screen(told, Usage())  # which the client is told of: nothing was used
            await self._settlement.recall(attempt, answer, Source.DEFLECTED, content)
        except BaseException as exc:  # a guard's, or a cancellation: what the client was given is settled all the same
            error = exc if isinstance(exc, GatewayError) else None
            services.background.spawn(self._settlement.recall(attempt, answer, Source.DEFLECTED, content, error))
            raise
        headers = {"x-obol-deflector": found.name}
        if found.entry is not None:
            headers["x-obol-faq"] = found.entry
        given = Given(attempt, told, source=Source.DEFLECTED, cache=None, headers=headers)
        given.room = admissions.room
        return given

    def _decision(self, route: Route) -> Decision:
        """Nobody to ask; the baseline is the route's, else whom it names first."""
        baseline = self._services.catalog().reference(route.baseline) if route.baseline else None
        return Decision(route.name, (), baseline or next(iter(self._deployments(route)), None))

    async def _admitted(self, attempt: Attempt, admissions: Admissions) -> None:
        """Admit it at nothing. Raises RateLimited."""
        settlement, entry = self._settlement, attempt.intent
        attempt.intent = recalled_intent(entry, Source.DEFLECTED)
        attempt.admission = replace(attempt.admission, hold_nusd=0, input_tokens=0)
        try:
            await admissions.admit(attempt, settlement)
        except BaseException:  # refused, or the client is gone: its place is given back
            if admissions.has_place:
                settlement.leave(entry.request_id, entry.organization_id)
            raise


def _has_room(request: Request, answer: str) -> bool:
    """Whether the client lets so much be written: a model's answer would be cut there."""
    limit = request.output_tokens_max
    return limit is None or limit * _BYTES_PER_TOKEN_MIN >= len(answer.encode())


def _tokens(text: str) -> int:
    return -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN)


def _completion(found: Found, request: Request, created_s: int) -> dict[str, object]:
    """The answer as a chat upstream would give it."""
    message = {"role": "assistant", "content": found.answer, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH_REASON}
    return {
        "id": f"chatcmpl-{request.id.removeprefix('req_')}",
        "object": "chat.completion",
        "created": created_s,
        "model": request.model,
        "choices": [choice],
        "usage": _NO_TOKENS,
    }


def _told(whole: bytes, request: Request, dialect: Dialect, deployment: Deployment) -> bytes:
    """What the client gets: the client's dialect reads it like any upstream's. Raises BadRequest."""
    reader = dialect.reader(deployment)
    shown = reader.feed(telling_chat.told(whole, is_stream=request.is_stream, wants_usage=True))
    return shown + reader.flush() + reader.closing(0)
