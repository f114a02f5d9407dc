"""A whole Messages answer as a chat completion, and what streamed ones have in common with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.errors import UpstreamBroken
from gateway.translation.chat_over_messages.usage import usage_of
from gateway.translation.fields import NULL, is_string, joined
from gateway.translation.lone_surrogates import leniently

_EMPTY = msgspec.Raw(b'""')
#: ``pause_turn``: the upstream stopped between two uses of its own tools; the answer is not whole.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_encode = msgspec.json.encode


class Citation(msgspec.Struct):
    """What a text rests on; only pages of the web have a form in chat."""

    type: str | None = None
    url: msgspec.Raw = NULL
    title: msgspec.Raw = NULL


class Block(msgspec.Struct):
    """A block of an answer, whole or as its first event shows it."""

    type: str
    text: msgspec.Raw = _EMPTY
    thinking: msgspec.Raw = _EMPTY
    signature: msgspec.Raw = _EMPTY
    data: msgspec.Raw = _EMPTY
    id: msgspec.Raw = NULL
    name: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    citations: list[Citation] | None = None


class StopDetails(msgspec.Struct):
    """Why the model refused."""

    explanation: msgspec.Raw = NULL


class Message(msgspec.Struct):
    """A whole answer; in the first event of a stream, one without content."""

    id: str
    model: msgspec.Raw
    content: list[Block]
    stop_reason: str | None = None
    stop_sequence: msgspec.Raw = NULL
    stop_details: StopDetails | None = None
    usage: msgspec.Raw = NULL


_decode_message = msgspec.json.Decoder(Message).decode


def completion_id(message_id: str) -> str:
    """The chat completion's id: the message's own, so that logs of both ends can be joined."""
    return "chatcmpl-" + message_id.removeprefix("msg_")


def finish_reason(stop_reason: str | None) -> str:
    """Chat's word for it; what is new or missing counts as a normal end."""
    return FINISH_REASONS.get(stop_reason or "", "stop")


def signed_thought(thinking: bytes, signature: bytes) -> bytes:
    """A block that the client hands back with its next turn."""
    return b'{"type":"thinking","thinking":' + thinking + b',"signature":' + signature + b"}"


def sealed_thought(block: Block) -> bytes:
    """The same for thoughts that nobody may read."""
    return b'{"type":"redacted_thinking","data":' + bytes(block.data) + b"}"


def web_annotations(citations: Iterable[Citation], start: int, end: int) -> list[dict[str, object]]:
    """Citations of the web under the characters from ``start`` to ``end`` of the content."""
    return [
        {
            "type": "url_citation",
            "url_citation": {"start_index": start, "end_index": end, "title": one.title, "url": one.url},
        }
        for one in citations
        if one.type == "web_search_result_location"
    ]


def characters(text: bytes) -> int:
    """How long a JSON string is once it is read."""
    return len(msgspec.json.decode(text, type=str))


def string_of(raw: msgspec.Raw) -> bytes:
    """The JSON string, an empty one for ``null``. Raises UpstreamBroken for another type."""
    if is_string(raw):
        return bytes(raw)
    if raw == NULL:
        return b'""'
    raise UpstreamBroken("The upstream's answer has something else in place of a text.")


def says_something(text: bytes) -> bool:
    """Whether the JSON string is not empty."""
    return text != b'""'


def completion(answer: bytes, created_s: int) -> bytes:
    """The chat completion that a whole answer is. Raises UpstreamBroken for what is no answer of Anthropic's."""
    return leniently(lambda data: _completion(_decode_message(data), created_s), answer)


def _completion(message: Message, created_s: int) -> bytes:
    choice: dict[str, object] = {
        "index": 0,
        "message": _chat_message(message),
        "logprobs": None,
        "finish_reason": finish_reason(message.stop_reason),
    }
    if message.stop_reason == "stop_sequence":
        choice["stop_reason"] = message.stop_sequence  # vLLM's name for it in chat
    return _encode(
        {
            "id": completion_id(message.id),
            "object": "chat.completion",
            "created": created_s,
            "model": message.model,
            "choices": [choice],
            "usage": usage_of(message.usage).as_chat(),
        }
    )


def _chat_message(message: Message) -> dict[str, object]:
    texts: list[bytes] = []
    thoughts: list[bytes] = []
    blocks: list[bytes] = []
    calls: list[object] = []
    cited: list[dict[str, object]] = []
    length = 0
    for block in message.content:
        match block.type:
            case "text":
                text = string_of(block.text)
                start, length = length, length + characters(text)
                texts.append(text)
                cited += web_annotations(block.citations or (), start, length)
            case "thinking":
                thoughts.append(string_of(block.thinking))
                blocks.append(signed_thought(thoughts[-1], string_of(block.signature)))
            case "redacted_thinking":
                blocks.append(sealed_thought(block))
            case "tool_use":
                calls.append(_call(block))
    content = joined(texts) if texts else None
    made: dict[str, object] = {"role": "assistant", "content": content, "refusal": None}
    if message.stop_details is not None:
        made["refusal"] = message.stop_details.explanation
    if thoughts:
        made["reasoning_content"] = joined(thoughts)
    if blocks:
        made["thinking_blocks"] = [msgspec.Raw(block) for block in blocks]
    if calls:
        made["tool_calls"] = calls
    if cited:
        made["annotations"] = cited
    return made


def _call(block: Block) -> dict[str, object]:
    arguments = bytes(block.input).decode(errors="replace") if block.input != NULL else "{}"
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}
