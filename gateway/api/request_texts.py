"""The texts of a request that somebody may read at its upstream, taken out and put back by guards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from gateway.api.prompt_text import decoded_or_text, texts
from gateway.domain import Body, Request

# Top-level fields that say how to answer: words of the API's own, or of ours.
_NOT_SAID = frozenset({"model", "stream", "stream_options", "service_tier", "encoding_format", "response_format"})


def texts_of(request: Request) -> Sequence[str]:
    """All of them, in the order of the body."""
    return [text for name in _said(request) for text in texts(decoded_or_text(request.body.fields[name]))]


def with_texts(request: Request, others: Sequence[str]) -> Request:
    """The request with these in their places; fields in which none differs keep the client's bytes."""
    waiting = iter(others)
    fields = dict(request.body.fields)
    for name in _said(request):
        before = decoded_or_text(fields[name])
        after = _placed(before, waiting)
        if after != before:
            fields[name] = msgspec.Raw(msgspec.json.encode(after))
    body = Body(fields)
    return replace(request, body=body, body_bytes=len(body.encoded_with({})))


def _said(request: Request) -> Iterator[str]:
    return (name for name in request.body.fields if name not in _NOT_SAID)


def _placed(value: object, waiting: Iterator[str]) -> object:
    match value:
        case str() as text if not text.startswith("data:"):
            return next(waiting)
        case list() as items:
            return [_placed(item, waiting) for item in items]
        case dict() as named:
            return {name: _placed(item, waiting) for name, item in named.items()}
        case _:
            return value
