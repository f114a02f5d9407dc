"""What the readers look at in OpenAI-shaped answers, whole or in chunks: their parts, their text, their errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from backends import upstream_errors
from gateway.errors import UpstreamError
from gateway.translation.lone_surrogates import HALF_A_PAIR

TEXT_FIELD = re.compile(rb'"(?:content|text|refusal|reasoning_content|thinking|arguments)"\s*:\s*"((?:[^"\\]|\\.)*)')
T = TypeVar("T")

ABSENT = msgspec.Raw(b"null")


class Choice(msgspec.Struct):
    """Typed loosely where nothing hangs on it: a good answer is not refused for such a field."""

    index: object = 0
    finish_reason: object = None


class Answer(msgspec.Struct):
    """A whole answer or one chunk, as far as the path looks into it."""

    model: object = None
    service_tier: object = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


decode_answer = msgspec.json.Decoder(Answer).decode
decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse_error(raw: bytes | msgspec.Raw, http_status: int) -> UpstreamError:
    """An error object that came with a good status, as the error that the same words with a bad one would be."""
    said = upstream_errors.error_object(b'{"error":' + bytes(raw) + b"}")
    return upstream_errors.refusal_in_answer(said or upstream_errors.ErrorObject(), http_status)


def text_or_none(value: object) -> str | None:
    """A string as it is, anything else as nothing."""
    return value if isinstance(value, str) else None


def items(value: object) -> Sequence[object]:
    """A list as it is; anything else that an upstream may put in its place is none."""
    return value if isinstance(value, list) else ()


def text_of(choice: object) -> Iterable[str]:
    """All generated text in one choice, whole or delta: content, refusal, reasoning, tool calls."""
    match choice:
        case {"message": dict(part)} | {"delta": dict(part)}:
            for name in ("content", "refusal", "reasoning_content", "reasoning"):
                if isinstance(part.get(name), str):
                    yield part[name]
            for call in items(part.get("tool_calls")):
                match call:
                    case {"function": dict(function)}:
                        yield from (function[k] for k in ("name", "arguments") if isinstance(function.get(k), str))
        case {"text": str(text)}:
            yield text


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decoded(decode: Callable[[bytes], T], data: bytes) -> T:
    """Decode JSON as other decoders do, who take lone surrogates. Raises one of UNREADABLE."""
    try:
        return decode(data)
    except msgspec.DecodeError:
        return decode(HALF_A_PAIR.sub(rb"\\ufffd", data))
