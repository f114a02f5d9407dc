"""The words of Messages for what chat answers, whole or in a stream."""

from __future__ import annotations

import hashlib

import msgspec

from gateway.translation.chat_answer import Choice
from gateway.translation.lone_surrogates import HALF_A_PAIR

_ID_CHARS = 24


_string = msgspec.json.Decoder(str).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_STOP_REASONS = {"length": "max_tokens", "content_filter": "refusal"}


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
