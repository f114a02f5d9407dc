"""Calls that a request makes for itself, in its client's name: for a vector, a verdict of a guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from gateway.domain import AnswerForm, Body, Endpoint, Request

_encode = msgspec.json.encode


def own_request(
    request: Request, endpoint: Endpoint, fields: Mapping[str, object], *, output_tokens_max: int | None = None
) -> Request:
    """What asks for it; ``fields`` are its whole body."""
    body = Body({name: msgspec.Raw(_encode(value)) for name, value in fields.items()})
    return replace(
        request,
        endpoint=endpoint,
        body=body,
        body_bytes=len(_encode(fields)),
        is_stream=False,
        wants_usage=False,
        stream_options={},
        output_tokens_max=output_tokens_max,
        choices=1,
        service_tier=None,
        form=AnswerForm.OBJECT,
        foreseen=None,
        needs=frozenset(),
        media_bytes=0,
    )
