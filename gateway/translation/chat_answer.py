"""What a chat upstream answers, whole or in chunks, read once for all dialects that it is told in."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.errors import UpstreamBroken
from gateway.translation.fields import NULL, as_string

TEXT, THINKING = b"text", b"thinking"


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: msgspec.Raw = NULL

    def piece(self) -> bytes:
        """The arguments, or the next piece of them: the bytes between the quotes of the string that holds their JSON.

        Some servers put an object where that string belongs.
        """
        return text_of(as_string(self.arguments) if bytes(self.arguments)[:1] == b"{" else self.arguments)


class ToolCall(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None

    def is_other_than(self, call_id: str) -> bool:
        """Some servers give all calls the index 0, or none: a name with another id is another call."""
        return bool(self.id and self.id != call_id and self.function is not None and self.function.name)


class Said(msgspec.Struct, gc=False):
    """A message, or the delta of one."""

    content: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    reasoning_content: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL
    thinking_blocks: msgspec.Raw = NULL
    tool_calls: list[ToolCall] | None = None
    annotations: msgspec.Raw = NULL

    def texts(self) -> Iterator[tuple[bytes, bytes]]:
        """What is reasoned and said, in order: which of both, and the bytes between its quotes."""
        if thought := text_of(self.reasoning_content) or text_of(self.reasoning):
            yield THINKING, thought
        if bytes(self.content)[:1] == b"[":
            yield from _texts_of_parts(self.content)
        elif text := text_of(self.content):
            yield TEXT, text


class _Part(msgspec.Struct):
    """Of servers that give content as a list (Mistral): a text, or thoughts that are a list again."""

    text: msgspec.Raw = NULL
    thinking: list[_Part] = []


class Choice(msgspec.Struct, gc=False):
    """Typed loosely where nothing hangs on it: a good answer is not refused for such a field."""

    index: object = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: object = None
    stop_reason: object = None  # vLLM's: the stop sequence that was met, or the number of a token
    logprobs: msgspec.Raw = NULL


class Reply(msgspec.Struct, gc=False):
    """A whole answer or one chunk, as far as other dialects need it. Texts stay the upstream's own bytes."""

    id: object = None
    created: object = None
    model: object = None
    service_tier: object = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = NULL


decode_reply = msgspec.json.Decoder(Reply).decode
_parts = msgspec.json.Decoder(list[_Part]).decode


def text_of(raw: msgspec.Raw) -> bytes:
    """The bytes of a string between its quotes; empty where there is none. Raises UpstreamBroken for another type."""
    text = bytes(raw)
    if text[:1] == b'"':
        return text[1:-1]
    if text == b"null":
        return b""
    raise UpstreamBroken("The upstream's answer has something else in place of a text.")


def _texts_of_parts(raw: msgspec.Raw) -> Iterator[tuple[bytes, bytes]]:
    try:
        parts = _parts(raw)
    except msgspec.DecodeError as exc:  # to try again, as with JSON that cannot be read, would say things twice
        raise UpstreamBroken("The upstream's answer has content of a form that is none of its API.") from exc
    for part in parts:
        for thought in part.thinking:
            yield THINKING, text_of(thought.text)
        yield TEXT, text_of(part.text)
