"""Counts the tokens of a prompt here, where no deployment of its model does or can just now: an estimate by tiktoken.

The question is held to all rules of a call of the same dialect, but none is made: there is no ledger entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from gateway.api.prompt_text import decoded_or_text, media_in, texts
from gateway.decide import Moment, decide
from gateway.domain import Caller, Deployment, Endpoint, Request
from gateway.errors import BadRequest, GatewayError
from gateway.ports import Services

#: For an image, a document or a recording, of whatever size: what Anthropic counts for the largest image.
MEDIA_TOKENS = 1600
_NULL = msgspec.Raw(b"null")
_NOT_FOUND, _TOO_MANY = 404, 429


@dataclass(frozen=True, slots=True)
class _Form:
    """How one endpoint counts: for which call, what of its body, and what the answer holds besides the number."""

    counted_for: Endpoint
    fields: tuple[str, ...]
    kept_upstream: tuple[str, ...] = ()  # fields that stand for a prompt which only the upstream has
    answer: Mapping[str, str] = field(default_factory=dict)


_FORMS: Mapping[Endpoint, _Form] = {
    Endpoint.COUNT_TOKENS: _Form(Endpoint.MESSAGES, ("system", "messages")),
    Endpoint.INPUT_TOKENS: _Form(
        Endpoint.RESPONSES,
        ("instructions", "input"),
        ("previous_response_id", "conversation", "prompt"),
        {"object": "response.input_tokens"},
    ),
}


@dataclass(frozen=True, slots=True)
class Counted:
    """An answer that needed no upstream."""

    body: bytes
    deployment: str  # for whose model it was counted


COUNTING = frozenset(_FORMS)


def can_upstream_count(request: Request, caller: Caller, services: Services) -> bool:
    """Whether a deployment of the model counts itself. Raises what a call would be refused with."""
    return any(one.asked_as(request.endpoint) is not None for one in _candidates(request, caller, services))


def is_left_to_us(error: GatewayError) -> bool:
    """Whether an upstream that should have counted cannot; what is wrong with the request is not for us to count."""
    return error.status == _NOT_FOUND or error.status >= _TOO_MANY


async def count_here(request: Request, caller: Caller, services: Services) -> Counted:
    """The count. Raises what a call would be refused with, and BadRequest for a prompt that only an upstream knows."""
    form = _FORMS[request.endpoint]
    candidates = _candidates(request, caller, services)
    fields = request.body.fields
    for name in form.kept_upstream:
        if bytes(fields.get(name, _NULL)) != b"null":
            raise BadRequest(
                f"'{request.model}' cannot count what '{name}' stands for.", param=name, code="unsupported_parameter"
            )
    prompt = [decoded_or_text(fields[name]) for name in form.fields if name in fields]
    text = "\n".join(texts(prompt))
    if "tools" in fields:
        text += "\n" + bytes(fields["tools"]).decode()  # their schemas are read with all their names
    tokens = await services.tokens.count(candidates[0].model, text) + MEDIA_TOKENS * media_in(prompt)
    return Counted(msgspec.json.encode({**form.answer, "input_tokens": tokens}), candidates[0].name)


def _candidates(request: Request, caller: Caller, services: Services) -> Sequence[Deployment]:
    asked = replace(request, endpoint=_FORMS[request.endpoint].counted_for)
    # Nobody is called, so it does not matter who is away or slow.
    return decide(services.catalog(), asked, caller, Moment()).candidates
