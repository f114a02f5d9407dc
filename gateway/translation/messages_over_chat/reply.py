"""What whole answers and streams of chat have in common, and the words of Messages for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from gateway.errors import UpstreamBroken
from gateway.translation.lone_surrogates import HALF_A_PAIR

TEXT, THINKING = b"text", b"thinking"
ABSENT = msgspec.Raw()
_ID_CHARS = 24


class Function(msgspec.Struct):
    name: str | None = None
    arguments: msgspec.Raw = ABSENT


class ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct):
    """A message, or the delta of one."""

    content: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    tool_calls: list[ToolCall] | None = None

    def texts(self) -> Iterator[tuple[bytes, bytes]]:
        """What is reasoned and said, in order: the type of its block, and the bytes between its quotes."""
        if thought := text_of(self.reasoning_content) or text_of(self.reasoning):
            yield THINKING, thought
        if bytes(self.content)[:1] == b"[":
            yield from _texts_of_parts(self.content)
        elif text := text_of(self.content):
            yield TEXT, text
        if refusal := text_of(self.refusal):
            yield TEXT, refusal


class _Part(msgspec.Struct):
    """Of servers that give content as a list (Mistral): a text, or thoughts that are a list again."""

    text: msgspec.Raw = ABSENT
    thinking: list[_Part] = []


class Choice(msgspec.Struct):
    """Typed loosely where nothing hangs on it: a good answer is not refused for such a field."""

    index: object = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: object = None
    stop_reason: object = None  # vLLM's: the stop sequence that was met, or the number of a token


class Reply(msgspec.Struct):
    """A whole answer or one chunk, as far as a message needs it. Texts stay the upstream's own bytes."""

    id: object = None
    model: object = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT


decode_reply = msgspec.json.Decoder(Reply).decode
_string = msgspec.json.Decoder(str).decode
_parts = msgspec.json.Decoder(list[_Part]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}


def text_of(raw: msgspec.Raw) -> bytes:
    """The bytes of a string between its quotes; empty where there is none. Raises UpstreamBroken for another type."""
    text = bytes(raw)
    if text[:1] == b'"':
        return text[1:-1]
    if text in (b"", b"null"):
        return b""
    raise UpstreamBroken("The upstream's answer has something else in place of a text.")


def _texts_of_parts(raw: msgspec.Raw) -> Iterator[tuple[bytes, bytes]]:
    for part in _parts(raw):
        for thought in part.thinking:
            yield THINKING, text_of(thought.text)
        yield TEXT, text_of(part.text)


def decode_text(inner: bytes) -> str:
    """The string whose bytes between the quotes these are; half an emoji becomes a replacement character."""
    try:
        return _string(b'"' + inner + b'"')
    except msgspec.DecodeError:
        return _string(b'"' + HALF_A_PAIR.sub(rb"\\ufffd", inner) + b'"')


def message_id(chat_id: object, reply: bytes) -> str:
    """An id for the message: the upstream's under Anthropic's prefix, or one made of its first words."""
    if not chat_id or not isinstance(chat_id, str):
        chat_id = hashlib.sha256(reply).hexdigest()[:_ID_CHARS]
    return "msg_" + chat_id.removeprefix("chatcmpl-").removeprefix("msg_")


def stop_reason_of(choice: Choice, *, has_calls: bool, has_refused: bool) -> tuple[str, str | None]:
    """``stop_reason`` and ``stop_sequence`` of the message."""
    if isinstance(choice.finish_reason, str) and choice.finish_reason in _STOP_REASONS:
        return _STOP_REASONS[choice.finish_reason], None
    if has_calls:
        return "tool_use", None
    if has_refused:
        return "refusal", None
    if isinstance(choice.stop_reason, str):
        return "stop_sequence", choice.stop_reason
    return "end_turn", None


def input_of(arguments: bytes) -> bytes | None:
    """The input of a tool call as JSON, from the bytes between the quotes of its arguments; ``None`` if it is none."""
    try:
        text = decode_text(arguments).encode().strip()
        if text:
            _object(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return text or b"{}"
