"""What becomes of answers that an upstream keeps: requests that go on from one, and those it gives in the background.

An answer given in the background is asked after until it is done, and then charged; its client has been answered long
before. The intent stays open meanwhile, so that a process which dies leaves the same orphaned entry as for any other
call.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.decide import nothing_left
from gateway.domain import Caller, Decision, Deployment, Outcome, Request
from gateway.entries import Attempt
from gateway.errors import BadRequest, UpstreamError, UpstreamTimeout
from gateway.ports import Dialect, Pending, ReplyReader, Services
from gateway.settlement import Settlement

_PAUSE_S_MIN = 1.0
_PAUSE_S_MAX = 10.0
_PAUSE_GROWTH = 1.5
FOLLOWED_S_MAX = 6 * 3600.0  # what takes longer is charged by what was seen of it
# A refusal that stays one, however often the question is repeated.
_FINAL = frozenset(range(400, 500)) - {408, 409, 425, 429}


async def at_origin(services: Services, request: Request, caller: Caller, decision: Decision) -> Decision:
    """Of the candidates, those that can know the response which the request goes on from: its provider's alone.

    Raises BadRequest for a response that is unknown or another team's, and where no candidate is of that provider;
    StoreUnavailable when nobody can tell.
    """
    response_id = request.continues or ""
    stored = await services.stored.find(response_id)
    if stored is None or stored.team_id != caller.team_id:
        raise _not_found(f"Previous response with id '{response_id}' not found.")
    origin = services.catalog().deployment(stored.deployment)
    if origin is None:
        raise _not_found(
            f"Previous response with id '{response_id}' not found: its deployment '{stored.deployment}' is not in the "
            "catalog any more."
        )

    def can_know(deployment: Deployment) -> bool:
        is_spoken = deployment.asked_as(request.endpoint) is request.endpoint
        return is_spoken and deployment.provider.name == origin.provider.name

    kept = sorted(filter(can_know, decision.candidates), key=lambda deployment: deployment.name != origin.name)
    if kept:
        return replace(decision, candidates=tuple(kept))
    if origin.name in decision.rejected:
        raise nothing_left(request.model, {origin.name: decision.rejected[origin.name]})
    raise _not_found(
        f"Previous response with id '{response_id}' not found: it is kept by '{origin.provider.name}', which "
        f"'{request.model}' does not reach."
    )


def _not_found(message: str) -> BadRequest:
    return BadRequest(message, param="previous_response_id", code="previous_response_not_found")


async def follow(
    services: Services, settlement: Settlement, attempt: Attempt, pending: Pending, seen: ReplyReader, dialect: Dialect
) -> None:
    """Charge the attempt when its answer is done. ``seen``: what came of it so far, for an answer that is lost.

    May be cancelled while it waits; the charge itself is made in the background, which is waited for at shutdown.
    """
    try:
        reader = await _done(services, pending)
    except UpstreamError as exc:
        exc.blames_deployment = False  # who asks in vain after an answer has not been refused one
        services.background.spawn(settlement.interrupt(attempt, exc, seen, dialect))
        return
    if reader.error is not None:
        services.background.spawn(settlement.fail(attempt, reader.error, reader, dialect, is_last=True))
    elif reader.finish_reason == "cancelled":
        settlement.abandon(attempt, Outcome.CANCELLED, reader, dialect)
    else:
        services.background.spawn(settlement.succeed(attempt, reader, dialect))


async def _done(services: Services, pending: Pending) -> ReplyReader:
    """The answer once it is done, good or failed. Raises UpstreamError for one that will not be told any more."""
    clock, call = services.clock, pending.call
    backend = services.backends[call.deployment.provider.kind]
    give_up_at_s = clock.monotonic_s() + FOLLOWED_S_MAX
    pause_s = _PAUSE_S_MIN
    while clock.monotonic_s() < give_up_at_s:
        await clock.sleep(pause_s)
        pause_s = min(pause_s * _PAUSE_GROWTH, _PAUSE_S_MAX)
        try:
            reply = await backend.open(call)
        except UpstreamError as exc:
            if exc.http_status in _FINAL:
                raise
            continue  # it may be back at the next turn
        reader = pending.reader()
        reader.feed(reply.first)
        reply.finish()
        if reader.pending is None and reader.finish_reason is not None:
            return reader
    raise UpstreamTimeout("The upstream did not finish its answer in time.")
