"""A chat answer as one object: made of the stream that its first client read, told again as a stream or whole.

All of it is OpenAI's chat, the client's own dialect: whatever the upstream speaks was translated before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain import KeptAnswer, Request, Usage

_DONE = b"data: [DONE]\n\n"
_STOPPED, _CALLED = frozenset({"stop"}), frozenset({"stop", "tool_calls", "function_call"})
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
OF_CHUNKS = frozenset({"choices", "usage", "object", "obfuscation"})
_OF_CHOICES = frozenset({"index", "delta", "finish_reason", "logprobs"})
_SAID_ONCE = frozenset({"role", "id", "type", "name"})
_TOLD_AT_ONCE = frozenset({"role", "content"})
_encode = msgspec.json.encode

Json = dict[str, object]


def whole_of(shown: bytes, *, is_stream: bool, usage: Usage | None) -> bytes | None:
    """The answer as one object, from the bytes that its client read; ``None`` for what cannot be put together.

    ``usage``: stands in where a stream did not tell it.
    """
    if not is_stream:
        return shown
    try:
        whole = _assembled(shown)
    except (*UNREADABLE, TypeError, ValueError, AttributeError):
        return None
    if whole.get("usage") is None and usage is not None:
        whole["usage"] = usage_fields(usage)
    return msgspec.json.encode(whole, enc_hook=joined)


def is_worth_keeping(whole: bytes, request: Request, *, keeps_tool_calls: bool) -> bool:
    """Whether the answer is whole: all choices ended by themselves, refuse nothing, and call tools only if wanted."""
    try:
        answer = msgspec.json.decode(whole)
    except UNREADABLE:
        return False
    found = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(found, list) or len(found) != request.choices:
        return False
    return all(_is_ended(one, keeps_tool_calls=keeps_tool_calls) for one in found)


def _is_ended(choice: object, *, keeps_tool_calls: bool) -> bool:
    match choice:
        case {"message": dict(message), "finish_reason": str(reason)}:
            if message.get("refusal"):
                return False
            calls = message.get("tool_calls") or message.get("function_call")
            return reason in (_CALLED if keeps_tool_calls else _STOPPED) and (keeps_tool_calls or not calls)
        case _:
            return False


# From a stream to one object.


class Text:
    """A text that comes in pieces."""

    __slots__ = ("pieces",)

    def __init__(self, piece: str) -> None:
        self.pieces = [piece]


def joined(value: object) -> str:
    """What msgspec's encoder makes of a text that came in pieces. Anything else is refused as its hooks have to."""
    if isinstance(value, Text):
        return "".join(value.pieces)
    raise NotImplementedError


def _assembled(shown: bytes) -> Json:
    """Raises one of UNREADABLE, ValueError or TypeError for a stream that is none of this API's."""
    whole: Json = {"object": "chat.completion"}
    choices: dict[int, Json] = {}
    for chunk in chunks_in(shown):
        take_common(whole, chunk)
        for told in chunk.get("choices") or ():
            index = told.get("index", 0)
            choice = choices.setdefault(index, {"index": index, "message": {}, "logprobs": None, "finish_reason": None})
            _add_choice(choice, told)
    whole["choices"] = [choices[index] for index in sorted(choices)]
    return whole


def chunks_in(shown: bytes) -> Iterator[Any]:
    """The chunks of a stream. Raises one of UNREADABLE, and AttributeError where one is used that is no object."""
    for line in shown.split(b"\n"):
        if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
            yield msgspec.json.decode(line[5:])


def take_common(whole: Json, chunk: Mapping[str, object]) -> None:
    """What a chunk says of the whole answer, usage too, without the cost: it was ours to say."""
    whole |= {name: value for name, value in chunk.items() if name not in OF_CHUNKS and value is not None}
    if isinstance(used := chunk.get("usage"), dict):
        whole["usage"] = {name: value for name, value in used.items() if name != "cost"}


def _add_choice(choice: Json, told: Json) -> None:
    message = choice["message"]
    delta = told.get("delta") or {}
    if not isinstance(message, dict) or not isinstance(delta, dict):
        raise TypeError("a message is an object")
    for name, value in delta.items():
        add(message, name, value)
    for name, value in told.items():
        if name == "logprobs":
            add(choice, name, value)
        elif name not in _OF_CHOICES or (name == "finish_reason" and value is not None):
            choice[name] = value


def add(into: Json, name: str, value: object) -> None:
    """Put one more piece to what is known of a field: texts and lists grow, calls of tools by their index."""
    known = into.get(name)
    if value is None:
        into.setdefault(name, None)
    elif name == "tool_calls":
        into[name] = _with_calls(known, value)
    elif isinstance(value, str) and name not in _SAID_ONCE:
        if isinstance(known, Text):
            known.pieces.append(value)
        else:
            into[name] = Text(value)
    elif isinstance(known, list) and isinstance(value, list):
        known += value
    elif isinstance(value, dict):
        inner = into[name] = known if isinstance(known, dict) else {}
        for part, more in value.items():
            add(inner, part, more)
    else:
        into[name] = value if value or known is None else known


def _with_calls(known: object, more: object) -> list[Json]:
    calls: list[Json] = known if isinstance(known, list) else []
    if not isinstance(more, list):
        raise TypeError("calls are a list")
    for piece in more:
        place = piece.pop("index", len(calls))
        if not 0 <= place <= len(calls):
            raise ValueError("a call is left out")
        if place == len(calls):
            calls.append({})
        for name, value in piece.items():
            add(calls[place], name, value)
    return calls


def usage_fields(used: Usage) -> Json:
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }


# From one object to a stream.


def told_again(kept: KeptAnswer, request: Request) -> bytes:
    """The bytes that a client gets of a kept answer: the object itself, or a stream that says the same."""
    return told(kept.whole, is_stream=request.is_stream, wants_usage=request.wants_usage)


def told(whole: bytes, *, is_stream: bool, wants_usage: bool) -> bytes:
    """An answer as it is, or as a stream."""
    if not is_stream:
        return whole
    return b"".join(events_of(whole, "chat.completion.chunk", _pieces, wants_usage=wants_usage))


def events_of(
    whole: bytes, kind: str, pieces: Callable[[Json], Iterator[Json]], *, wants_usage: bool
) -> Iterator[bytes]:
    """A stream of chunks of that kind, of the pieces that each choice comes in."""
    answer: Json = msgspec.json.decode(whole)
    common: Json = {name: value for name, value in answer.items() if name not in OF_CHUNKS}
    common["object"] = kind
    without_usage: Json = {"usage": None} if wants_usage else {}

    def event(choices: Sequence[Json], more: Mapping[str, object] = without_usage) -> bytes:
        return b"data: " + _encode({**common, "choices": choices, **more}) + b"\n\n"

    choices = answer["choices"]
    for choice in choices if isinstance(choices, list) else ():
        yield from (event([one]) for one in pieces(choice))
    if wants_usage and isinstance(used := answer.get("usage"), dict):
        yield event([], {"usage": {**used, "cost": 0}})
    yield _DONE


def _pieces(choice: Json) -> Iterator[Json]:
    """Who speaks, then what is said, then how it ends."""
    message = choice["message"]
    said: Json = message if isinstance(message, dict) else {}
    index, logprobs = choice.get("index", 0), choice.get("logprobs")

    def piece(delta: Json, *, finish_reason: object = None, logprobs: object = None) -> Json:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}

    content = said.get("content")
    yield piece({"role": said.get("role", "assistant"), "content": None if content is None else ""})
    for name, value in said.items():  # what is thought comes before what is said
        if name not in _TOLD_AT_ONCE and value is not None and name != "tool_calls":
            yield piece({name: value})
    if content:
        yield piece({"content": content}, logprobs=logprobs)
    calls = said.get("tool_calls")
    if isinstance(calls, list) and calls:
        yield piece({"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]})
    last = piece({}, finish_reason=choice.get("finish_reason"), logprobs=None if content else logprobs)
    yield last | {name: value for name, value in choice.items() if name not in {*_OF_CHOICES, "message"}}
