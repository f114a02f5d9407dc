"""Embeddings as one object: what a client is given again is the very answer that the first one got."""

from __future__ import annotations

import msgspec

from gateway.domain import KeptAnswer, Request, Usage
from policies.demand import prompts_in

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Vector(msgspec.Struct):
    embedding: str | list[float] | dict[str, object]


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_decode = msgspec.json.Decoder(_Vectors).decode


def whole_of(shown: bytes, *, is_stream: bool, usage: Usage | None) -> bytes | None:
    """The answer itself."""
    del is_stream, usage
    return shown


def is_worth_keeping(whole: bytes, request: Request, *, keeps_tool_calls: bool) -> bool:
    """Whether there is a vector for each input."""
    del keeps_tool_calls
    try:
        vectors = _decode(whole).data
    except _UNREADABLE:
        return False
    return len(vectors) == prompts_in(request.body.fields, "input") and all(one.embedding for one in vectors)


def told_again(kept: KeptAnswer, request: Request) -> bytes:
    """The answer itself."""
    del request
    return kept.whole
