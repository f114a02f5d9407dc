"""A completion of the older API as one object: made of the stream that its first client read, told again as such.

Its chunks are those of chat but for what a choice holds: a text, and log probabilities as lists beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.answers.telling_chat import (
    UNREADABLE,
    Json,
    add,
    chunks_in,
    events_of,
    joined,
    take_common,
    usage_fields,
)
from gateway.domain import KeptAnswer, Request, Usage
from policies.demand import prompts_in


def whole_of(shown: bytes, *, is_stream: bool, usage: Usage | None) -> bytes | None:
    """The answer as one object, from the bytes that its client read; ``None`` for what cannot be put together.

    ``usage``: stands in where a stream did not tell it.
    """
    if not is_stream:
        return shown
    whole: Json = {"object": "text_completion"}
    choices: dict[int, Json] = {}
    try:
        for chunk in chunks_in(shown):
            take_common(whole, chunk)
            for told in chunk.get("choices") or ():
                choice = choices.setdefault(told["index"], {"logprobs": None, "finish_reason": None})
                for name, value in told.items():
                    if name in ("text", "logprobs"):
                        add(choice, name, value)
                    elif name != "finish_reason" or value is not None:
                        choice[name] = value
    except (*UNREADABLE, TypeError, ValueError, LookupError, AttributeError):
        return None
    whole["choices"] = [choices[index] for index in sorted(choices)]
    if whole.get("usage") is None and usage is not None:
        whole["usage"] = usage_fields(usage)
    return msgspec.json.encode(whole, enc_hook=joined)


def is_worth_keeping(whole: bytes, request: Request, *, keeps_tool_calls: bool) -> bool:
    """Whether the answer is whole: all choices of all prompts ended by themselves."""
    del keeps_tool_calls
    try:
        answer = msgspec.json.decode(whole)
    except UNREADABLE:
        return False
    match answer:
        case {"choices": list(choices)}:
            expected = request.choices * prompts_in(request.body.fields)
            return len(choices) == expected and all(_is_ended(one) for one in choices)
        case _:
            return False


def _is_ended(choice: object) -> bool:
    match choice:
        case {"text": str(), "finish_reason": "stop"}:
            return True
        case _:
            return False


def told_again(kept: KeptAnswer, request: Request) -> bytes:
    """The bytes that a client gets of a kept answer: the object itself, or a stream that says the same."""
    if not request.is_stream:
        return kept.whole
    return b"".join(events_of(kept.whole, "text_completion", _pieces, wants_usage=request.wants_usage))


def _pieces(choice: Json) -> Iterator[Json]:
    """All of the text, then how it ends."""
    yield {**choice, "finish_reason": None}
    yield {**choice, "text": "", "logprobs": None}
