"""One request and the answers to questions like its own: looked for where nobody has asked the very same.

What may be given is decided by policies/semantic: words that change the answer refuse it, and how alike two questions
must be follows from how often such answers were wrong on this route. To learn that, a share of those that would be
given is not: the upstream is asked as on any miss, its answer goes to the client, and both are compared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from gateway.answer_ports import IndexAway, SemanticIndex
from gateway.answers.error_budget import ErrorBudgets, tenant_of
from gateway.answers.flights import Flights
from gateway.answers.said import said
from gateway.domain import (
    AnswerKey,
    Caller,
    Deployment,
    ExactCache,
    Found,
    Hit,
    KeptAnswer,
    Request,
    SemanticCache,
    Similarity,
)
from gateway.domain.similar import KeptQuestion, Nearest, Neighbour
from gateway.ports import Services
from policies.answer_identity import NotKeyed, space_of
from policies.lone_question import lone_question
from policies.semantic.budget import Action, Counts, Decision, Plan
from policies.semantic.considering import Candidate, Verdict, consider
from policies.semantic.same_answer import same_answer

#: Characters of an answer whose vector is made: a vector is of the first 256 tokens, and all of a text is read for it.
_COMPARED = 4000
_NOTHING = Counts({}, {})

VectorOf = Callable[[str], Awaitable[bytes | None]]

_log = logging.getLogger("obol.answers")


@dataclass(frozen=True, slots=True)
class Doubt:
    """An answer that is not given but compared with what the upstream says; ``plan`` decided so.

    ``group``: of the question that it answers.
    """

    answer: KeptAnswer
    group: str
    plan: Plan
    decision: Decision


@dataclass(frozen=True, slots=True)
class Look:
    """What was found for one question at one deployment: nothing, a ``hit`` to give, or an answer to compare."""

    space: str
    text: str
    nearest: Nearest
    hit: Hit | None = None
    doubt: Doubt | None = None
    counts: Counts = _NOTHING


@dataclass(frozen=True, slots=True)
class Similarities:
    """What all requests of a process share in looking for similar questions."""

    index: SemanticIndex
    flights: Flights
    budgets: ErrorBudgets


class Likeness:
    """What one request to a route with a semantic cache makes of it."""

    def __init__(
        self,
        services: Services,
        shared: Similarities,
        draw: float,
        request: Request,
        caller: Caller,
        route: str,
        exact: ExactCache,
        rules: SemanticCache,
        embed: VectorOf | None = None,
    ) -> None:
        """``draw``: from 0 to 1, decides whether the upstream is asked although there is something to give.

        ``embed``: makes the vector of a text, if not the model that comes with us.
        """
        self._services = services
        self._shared = shared
        self._draw = draw
        self._request = request
        self._caller = caller
        self._route = route
        self._exact = exact
        self._rules = rules
        self._embed = embed
        asked = request.wrong_answers_max
        self.wrong_max = rules.wrong_answers_max if asked is None else min(asked, rules.wrong_answers_max)
        self._lone = lone_question(request)
        self._tenant = tenant_of(route, caller.team_id)

    async def find(self, key: AnswerKey, deployment: Deployment, output_tokens_max: int | None) -> Look | None:
        """What is found near the question; ``None`` where nobody looked. Never raises, whatever is away."""
        try:
            look = await self._looked(key, deployment, output_tokens_max)
            return None if look is None else await self._weighed(key, look)
        except NotKeyed:
            pass
        except Exception:  # noqa: BLE001 - whatever it trips over, the upstream can still be asked
            _log.exception("nothing like it is looked for")
        return None

    async def _weighed(self, key: AnswerKey, look: Look) -> Look:
        """What to do with what is near."""
        budgets = self._shared.budgets
        plan, tenant = budgets.plan(self._route, self.wrong_max), budgets.counts(self._tenant)
        neighbours = list(look.nearest.neighbours)
        hit, group = None, ""
        while True:
            verdict = await _considered(look.text, neighbours)
            decision = plan.decide(verdict, tenant, self._draw)
            if decision.index is None or decision.action is Action.MISS:
                break
            found = await self._kept(key, look, neighbours[decision.index])
            if isinstance(found, Hit):
                group = neighbours[decision.index].group
                hit = replace(found, similarity=Similarity(neighbours[decision.index].cosine, self.wrong_max))
            if hit is not None or found is None:
                break
            del neighbours[decision.index]  # its answer is there no more
        look = replace(look, counts=plan.asked(decision))
        budgets.add(self._route, self._tenant, look.counts)
        if hit is None:
            return look
        if decision.action is Action.SERVE:
            return replace(look, hit=hit)
        return replace(look, doubt=Doubt(hit.answer, group, plan, decision))

    async def _looked(self, key: AnswerKey, deployment: Deployment, output_tokens_max: int | None) -> Look | None:
        lone = self._lone
        if lone is None or not self.wrong_max:
            return None
        secret, request, caller = self._services.answer_secret, self._request, self._caller
        rules, embedding = self._exact, self._rules.embedding
        space = space_of(secret, rules, request, caller, deployment, output_tokens_max, lone.rest, embedding)
        vector = None if self._embed is None else await self._embed(lone.text)
        if vector is None and self._embed is not None:
            return None
        try:
            nearest = await self._shared.index.nearest(key.tenant, space, lone.text, vector)
        except IndexAway as exc:  # late, or not there yet: its question may be found later all the same
            _log.debug("nothing like it is found: %s", exc)
            nearest = Nearest((), 0, 0, vector or b"")
        is_long = nearest.is_too_long or nearest.tokens > self._rules.tokens_max
        return None if is_long else Look(space, lone.text, nearest)

    async def _kept(self, key: AnswerKey, look: Look, chosen: Neighbour) -> Found | None:
        """The answer to a question that was found; one that is gone is forgotten with its question.

        ``None`` while the store is away.
        """
        age_s_max = self._request.cache_control.age_s_max
        found = await self._shared.flights.look_beside(key, chosen.digest, age_s_max)
        if not isinstance(found, Hit | None) and age_s_max is None:
            self._services.background.spawn(self._forget(key, look, chosen))
        return found

    async def _forget(self, key: AnswerKey, look: Look, chosen: Neighbour) -> None:
        try:
            await self._shared.index.forget(key.tenant, look.space, chosen.digest)
        except IndexAway as exc:
            _log.debug("a question whose answer is gone stays: %s", exc)

    def passed_on(self, look: Look, followers: int) -> None:
        """What is given to those who waited too is as wrong for each of them: all of them count."""
        for _ in range(followers):
            self._shared.budgets.add(self._route, self._tenant, look.counts)

    async def learn(self, look: Look, key: AnswerKey, epoch: str, whole: bytes) -> None:
        """The upstream's answer is kept: let its question be found, and see what the one that was doubted was worth."""
        try:
            is_same = look.doubt is not None and await self._compare(look.doubt, whole)
            group = look.doubt.group if look.doubt is not None and is_same else ""
            vector = look.nearest.vector or None
            await self._shared.index.keep(KeptQuestion(key, epoch, look.space, look.text, vector, group))
        except IndexAway as exc:
            _log.debug("a question is not found later, or an answer not compared: %s", exc)

    async def _compare(self, doubt: Doubt, whole: bytes) -> bool:
        """Whether both say the same, which is counted."""
        endpoint = self._request.endpoint
        before = await asyncio.to_thread(said, endpoint, doubt.answer.whole)
        now = await asyncio.to_thread(said, endpoint, whole)
        one, other = await self._shared.index.vectors([before[:_COMPARED], now[:_COMPARED]])
        # Of what says nothing that can be read nobody knows.
        is_same = bool(before) and await asyncio.to_thread(same_answer, before, now, float(one @ other))
        counts = doubt.plan.compared(doubt.decision, is_wrong=not is_same)
        self._shared.budgets.add(self._route, self._tenant, counts)
        return is_same


async def _considered(text: str, neighbours: Sequence[Neighbour]) -> Verdict:
    """Mostly half a millisecond's work, but texts may be made so that it is a hundred: off the loop."""
    if not neighbours:
        return consider(text, ())
    return await asyncio.to_thread(consider, text, [Candidate(one.cosine, one.text, one.group) for one in neighbours])
