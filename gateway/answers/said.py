"""What a kept answer says, without how: for comparing answers with one another, and for content logging."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.domain import Endpoint

_LISTS = {
    Endpoint.CHAT: "choices",
    Endpoint.COMPLETIONS: "choices",
    Endpoint.MESSAGES: "content",
    Endpoint.RESPONSES: "output",
}


def said(endpoint: Endpoint, whole: bytes) -> str:
    """The text of all its choices or items, a line each; empty for an answer without any."""
    try:
        answer = msgspec.json.decode(whole)
    except (msgspec.DecodeError, RecursionError):
        return ""
    items = answer.get(_LISTS.get(endpoint, "")) if isinstance(answer, dict) else None
    return "\n".join(_texts(items))


def _texts(item: object) -> Iterator[str]:
    match item:
        case list():
            for one in item:
                yield from _texts(one)
        case {"message": dict(message)}:
            yield from _texts(message)
        case {"type": "reasoning" | "thinking"}:
            return
        case {"text": str(text)} | {"content": str(text)} | {"refusal": str(text)}:
            yield text
        case {"content": list(parts)}:
            yield from _texts(parts)
