"""Reads answers of Anthropic's Messages API as they pass, whole or streamed: what to show, what they consumed.

A stream begins with ``message_start``, which holds the usage of the input. It is held back until something else comes,
so that an upstream which announces an answer and then fails at once is still replaced by the next one. The last
``message_delta``, which holds the usage of the output, is held back with ``message_stop`` until the charge is durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gateway.api.answers import ABSENT, UNREADABLE, decode_fields, decoded, items, parse_error, text_or_none
from gateway.api.messages_usage import merged, parse_usage, with_tool
from gateway.api.typed_events import TypedStreamReader
from gateway.api.whole_answer import WholeAnswerReader
from gateway.api.wire import dollars
from gateway.domain import Usage
from gateway.error_objects import ErrorShape, error_event
from gateway.errors import GatewayError, UpstreamBroken

_OF_OUTPUT = ("output_tokens", "output_tokens_details")
_NOTHING: frozenset[bytes] = frozenset()
_NO_CONTENT = msgspec.Raw(b"[]")
_encode = msgspec.json.encode


class _Message(msgspec.Struct):
    """A message, or what a stream says of one, as far as the path looks into it. Typed loosely on purpose."""

    model: object = None
    content: msgspec.Raw = ABSENT
    stop_reason: object = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Block(msgspec.Struct):
    type: object = None
    name: object = None


class _Tier(msgspec.Struct):
    service_tier: object = None
    speed: object = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_block = msgspec.json.Decoder(_Block).decode
_decode_tier = msgspec.json.Decoder(_Tier).decode


def _service_tier(usage: bytes | msgspec.Raw) -> str | None:
    """The tier that served, which stands in the usage; the fast mode has prices of its own, as a tier has."""
    try:
        served = _decode_tier(usage)
    except msgspec.DecodeError:
        return None
    return "fast" if served.speed == "fast" else text_or_none(served.service_tier)


def _failing(error: GatewayError, request_id: str | None) -> bytes:
    return error_event(error, ErrorShape.ANTHROPIC, request_id)


class WholeMessageReader(WholeAnswerReader):
    """Reads a message that is not streamed."""

    def __init__(self, request_id: str | None = None) -> None:
        """``request_id``: ours, which errors carry."""
        super().__init__()
        self._request_id = request_id

    def failing(self, error: GatewayError) -> bytes:
        return _failing(error, self._request_id)

    def take(self, answer: bytes) -> None:
        message = decoded(_decode_message, answer)
        if bytes(message.error) != b"null":
            self.error = parse_error(message.error, 200)
        elif bytes(message.content)[:1] != b"[":
            self.error = UpstreamBroken("The upstream's answer has no 'content'.")
        else:
            self.model_answered = text_or_none(message.model)
            self.finish_reason = text_or_none(message.stop_reason)
            self.usage = parse_usage(message.usage)
            self.service_tier = _service_tier(message.usage)

    def texts_in(self, answer: bytes) -> Iterable[str]:
        content = decoded(decode_fields, answer).get("content", _NO_CONTENT)
        blocks = items(decoded(msgspec.json.decode, content))
        return (text for block in blocks for text in _texts_of_block(block))


class MessageStreamReader(TypedStreamReader):
    """Reads a streamed message event by event."""

    passing = frozenset({b"content_block_delta", b"content_block_stop"})

    def __init__(self, request_id: str | None = None, *, keeps_text: bool = False) -> None:
        """``request_id``: ours, which errors carry."""
        super().__init__(keeps_text=keeps_text)
        self._request_id = request_id
        self._reported: dict[str, msgspec.Raw] = {}  # the usage so far, field by field
        self._counted_texts = 0  # how many of _text a report of the output covers
        self._delta: dict[str, msgspec.Raw] | None = None  # the message_delta that is held back ...
        self._delta_event = b""  # ... as it came
        self._stop = b""

    def look(self, kind: str, event: bytes, fields: dict[str, msgspec.Raw]) -> bytes:
        if kind in {"message_start", "ping"} and not self.has_data:
            if kind == "message_start":
                self._begin(fields)
            self._opening.append(event)
            return b""
        if kind == "ping":
            return event
        if kind == "error":
            self._fail(fields.get("error", ABSENT))
            return b""
        self.has_data = True
        if kind == "message_delta":
            return self._hold(event, fields)
        if kind == "message_stop":
            self._stop, self.is_ended = event, True
            return b""
        if kind == "content_block_start":
            self._begin_block(fields)
            self._keep(event)
        elif kind.encode() in type(self).passing:
            self._keep(event)
        return self._released(event)

    def look_at_untyped(self, payload: bytes) -> bytes:
        if payload.strip() == b"[DONE]":  # some servers end this API's streams like OpenAI's
            return b""
        try:
            error = decoded(decode_fields, payload).get("error", ABSENT)
        except UNREADABLE:
            error = ABSENT
        if bytes(error) == b"null":
            return super().look_at_untyped(payload)
        self._fail(error)
        return b""

    def _fail(self, error: msgspec.Raw) -> None:
        self.error = parse_error(error, 200)
        if not self.has_data:
            self.usage = None  # refused after all: nothing was generated, and so nothing is charged

    def _begin(self, fields: Mapping[str, msgspec.Raw]) -> None:
        """Take over what the opening event says: the exact usage of the input, the first words about the output."""
        try:
            message = decoded(_decode_message, fields.get("message", ABSENT))
            usage = decoded(decode_fields, message.usage)
        except UNREADABLE:
            return  # nothing hangs on it: who reports no usage is counted
        self.model_answered = text_or_none(message.model)
        self.service_tier = _service_tier(message.usage)
        self._reported = {name: raw for name, raw in usage.items() if name not in _OF_OUTPUT}
        self.usage = parse_usage(_encode(self._reported))

    def _begin_block(self, fields: Mapping[str, msgspec.Raw]) -> None:
        """Count a tool of the upstream's own, in case that the stream is cut before it is reported."""
        try:
            block = decoded(_decode_block, fields.get("content_block", ABSENT))
        except UNREADABLE:
            return
        if block.type == "server_tool_use":
            self.unreported_calls = with_tool(self.unreported_calls, block.name)

    def _hold(self, event: bytes, fields: dict[str, msgspec.Raw]) -> bytes:
        """Keep a closing event back; the one before it was not the last, and is shown now."""
        shown = self._released(b"")
        self._delta, self._delta_event = fields, event
        self.passing = _NOTHING  # whatever comes next must let this one go first
        try:
            delta = decoded(_decode_message, fields.get("delta", ABSENT))
            self.finish_reason = text_or_none(delta.stop_reason) or self.finish_reason
        except UNREADABLE:
            pass
        try:
            report = decoded(decode_fields, fields.get("usage", ABSENT))
        except UNREADABLE:
            return shown
        self._reported = merged(self._reported, report)
        used = parse_usage(_encode(self._reported))
        if used is not None:
            self.usage = used
            self.service_tier = _service_tier(_encode(self._reported)) or self.service_tier
            if "output_tokens" in self._reported:
                self._count_off()
        return shown

    def _count_off(self) -> None:
        """All that came so far is in the usage."""
        self.unreported_calls = Usage()
        if self._keeps_text:
            self._fold()
            self._counted_texts = len(self._text)
        else:
            self._kept.clear()
            self._text.clear()
            self._kept_bytes = 0

    def _released(self, event: bytes) -> bytes:
        """The event, after the closing event that was held back and turned out not to be the last."""
        if self._delta is None:
            return event
        held, self._delta, self._delta_event = self._delta_event, None, b""
        self.passing = type(self).passing
        return held + b"\n\n" + event if event else held

    def closing(self, cost_nusd: int) -> bytes:
        """The last ``message_delta`` with ``usage.cost``, then ``message_stop``."""
        end = self._stop + b"\n\n"
        if self._delta is None:
            return end
        try:
            usage = decoded(decode_fields, self._delta.get("usage", ABSENT))
        except UNREADABLE:
            usage = usage_fields(self.usage or Usage())
        usage["cost"] = msgspec.Raw(dollars(cost_nusd).encode())
        return b"event: message_delta\ndata: " + _encode({**self._delta, "usage": usage}) + b"\n\n" + end

    def failing(self, error: GatewayError) -> bytes:
        return _failing(error, self._request_id)

    def texts_of(self, payload: dict[str, object]) -> Iterable[str]:
        match payload:
            case {"delta": dict(delta)}:
                yield from _strings(delta, "text", "thinking", "partial_json", "content")
            case {"content_block": dict(block)}:
                yield from _texts_of_block(block)

    def unreported_text(self) -> str:
        self._fold()
        return "".join(self._text[self._counted_texts :])


def usage_fields(used: Usage) -> dict[str, msgspec.Raw]:
    """Counted usage, as the API reports it: what the cache took is no input."""
    cached = used.cached_input_tokens + used.cache_write_tokens + used.cache_write_long_tokens
    counts = {"input_tokens": used.input_tokens - cached, "output_tokens": used.output_tokens}
    return {name: msgspec.Raw(_encode(count)) for name, count in counts.items()}


def _strings(fields: Mapping[str, object], *names: str) -> Iterable[str]:
    return (value for name in names if isinstance(value := fields.get(name), str))


def _texts_of_block(block: object) -> Iterable[str]:
    """The generated text of a content block; what tools of the upstream's found is not generated."""
    match block:
        case {"type": "text", "text": str(text)} | {"type": "thinking", "thinking": str(text)}:
            yield text
        case {"type": "compaction", "content": str(text)}:
            yield text
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use", "name": str(name), "input": given}:
            yield name
            if given:
                yield _encode(given).decode()
