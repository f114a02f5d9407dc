"""A request as a turn of its conversation: who answered before, and what is remembered of its answer."""

from __future__ import annotations

from hashlib import blake2b

from gateway.domain import Caller, Decision, Request, Turn
from gateway.entries import Attempt
from gateway.ports import Dialect, Services
from policies.conversations import answered, as_of

_DIGEST_BYTES = 16


async def turn_of(services: Services, request: Request, dialect: Dialect, caller: Caller) -> Turn | None:
    """The turn that the request is; ``None`` where its route does not ask, or nothing tells. Never raises."""
    route = services.catalog().route(request.model)
    if route is None or services.conversations is None or not route.conversations.is_sticky:
        return None
    asked = dialect.question()
    if asked.conversation is None:
        return None
    scope = f"{caller.team_id}\0{route.name}\0".encode()
    name = blake2b(scope + asked.conversation, digest_size=_DIGEST_BYTES).hexdigest()
    before = await services.conversations.find(name) if asked.is_continued else None
    return Turn(name, route.conversations, before and as_of(before, services.clock.unix_s()))


def remember(services: Services, decision: Decision, attempt: Attempt) -> None:
    """Write down, beside the path, who gave this turn its answer at what charge."""
    turn, charged = decision.turn, attempt.settled
    if turn is None or charged is None or services.conversations is None:
        return
    deployment = attempt.deployment
    switched_nusd = decision.stay.switching_nusd if decision.candidates[0] is deployment else 0
    cache, now_s = deployment.provider.prefix_cache, services.clock.unix_s()
    state = answered(turn.before, charged, cache, switched_nusd, now_s)
    services.background.spawn(services.conversations.remember(turn.conversation, state, turn.rules.remembered_s))
