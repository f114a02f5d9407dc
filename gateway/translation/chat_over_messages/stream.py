"""A streamed Messages answer as chunks of a chat completion."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from gateway.errors import UpstreamBroken
from gateway.translation.chat_over_messages.answer import (
    Block,
    Citation,
    Message,
    StopDetails,
    characters,
    completion_id,
    finish_reason,
    says_something,
    sealed_thought,
    signed_thought,
    string_of,
    web_annotations,
)
from gateway.translation.chat_over_messages.usage import MessagesUsage, usage_of
from gateway.translation.events import DONE, payloads
from gateway.translation.fields import NULL, joined
from gateway.translation.lone_surrogates import leniently, restored

_PING = b": ping\n\n"  # a comment: whoever thinks for minutes must not be taken for dead
_encode = msgspec.json.encode


class _Delta(msgspec.Struct):
    type: str = ""
    text: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    signature: msgspec.Raw = NULL
    partial_json: msgspec.Raw = NULL
    citation: Citation | None = None
    stop_reason: str | None = None
    stop_sequence: msgspec.Raw = NULL
    stop_details: StopDetails | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: msgspec.Raw = NULL


_decode_event = msgspec.json.Decoder(_Event).decode


@dataclass(slots=True)
class _OpenBlock:
    """A block whose end has not come."""

    kind: str
    call: int = 0  # which of the tool calls it is
    has_arguments: bool = False
    input: bytes = b"{}"  # as its first event shows it
    start: int = 0  # of its text, in characters of the content
    thinking: list[bytes] = field(default_factory=list)
    signature: list[bytes] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)


class ChunkStream:
    """Turns events into chunks. Keeps state: one for each answer."""

    def __init__(self, created_s: int, *, wants_usage: bool) -> None:
        self._created_s = created_s
        self._wants_usage = wants_usage
        self._frame = b""  # of every chunk, up to its choices
        self._tail = b""  # of every chunk that is not the last of its choice
        self._last = b""  # the end of the one that is
        self._open: dict[int, _OpenBlock] = {}
        self._calls = 0
        self._thoughts = 0
        self._annotations = 0
        self._length = 0  # of the content so far, in characters
        self._usage = MessagesUsage()
        self._stop_reason: str | None = None
        self._stop_sequence = NULL
        self._refusal = NULL

    def feed(self, events: bytes) -> bytes:
        """Raises UpstreamBroken for an event that cannot be read."""
        return b"".join([leniently(self._take, data) for data in payloads(events)])

    @property
    def is_cut(self) -> bool:
        """An end would come in the middle of a tool call."""
        return any(opened.kind == "tool_use" for opened in self._open.values())

    def _take(self, data: bytes) -> bytes:
        """The chunks that one event makes."""
        made = b""
        match _decode_event(data):
            case _Event("content_block_delta", delta=_Delta() as delta) as event:
                made = self._grow(event.index, delta)
            case _Event("message_start", message=Message() as message):
                made = self._begin(message)
            case _Event("content_block_start", content_block=Block() as block) as event:
                made = self._start(event.index, block)
            case _Event("content_block_stop") as event:
                made = self._stop(event.index)
            case _Event("message_delta") as event:
                self._report(event)
            case _Event("message_stop"):
                made = self._end()
            case _Event("ping"):
                made = _PING
        return made

    def _begin(self, message: Message) -> bytes:
        named = {
            "id": completion_id(message.id),
            "object": "chat.completion.chunk",
            "created": self._created_s,
            "model": message.model,
        }
        self._frame = b"data: " + _encode(named)[:-1] + b',"choices":['
        self._last = b"}]" + (b',"usage":null' if self._wants_usage else b"") + b"}\n\n"
        self._tail = b',"logprobs":null,"finish_reason":null' + self._last
        self._usage = usage_of(message.usage)
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}')

    def _chunk(self, delta: bytes) -> bytes:
        return self._frame + b'{"index":0,"delta":' + delta + self._tail

    def _start(self, index: int, block: Block) -> bytes:
        opened = self._open[index] = _OpenBlock(block.type, start=self._length)
        match block.type:
            case "text":
                opened.citations += block.citations or ()
                return self._say(string_of(block.text))
            case "thinking":
                opened.signature.append(string_of(block.signature))
                return self._think(opened, string_of(block.thinking))
            case "redacted_thinking":
                return self._thought(sealed_thought(block))
            case "tool_use":
                opened.call, self._calls = self._calls, self._calls + 1
                if block.input != NULL:
                    opened.input = bytes(block.input)
                return self._chunk(
                    b'{"tool_calls":[{"index":%d,"id":%b,"type":"function","function":{"name":%b,"arguments":""}}]}'
                    % (opened.call, bytes(block.id), bytes(block.name))
                )
        return b""

    def _grow(self, index: int, delta: _Delta) -> bytes:
        opened = self._open.get(index)
        if opened is None:
            raise UpstreamBroken("The upstream sent a part of a block that had not begun.")
        match delta.type:
            case "text_delta":
                return self._say(string_of(delta.text))
            case "thinking_delta":
                return self._think(opened, string_of(delta.thinking))
            case "signature_delta":
                opened.signature.append(string_of(delta.signature))
            case "input_json_delta" if opened.kind == "tool_use":
                return self._argue(opened, string_of(delta.partial_json))
            case "citations_delta" if delta.citation is not None:
                opened.citations.append(delta.citation)
        return b""

    def _say(self, text: bytes) -> bytes:
        if not says_something(text):
            return b""
        self._length += characters(text)
        return self._chunk(b'{"content":' + text + b"}")

    def _think(self, opened: _OpenBlock, text: bytes) -> bytes:
        if not says_something(text):
            return b""
        opened.thinking.append(text)
        return self._chunk(b'{"reasoning_content":' + text + b"}")

    def _argue(self, opened: _OpenBlock, arguments: bytes) -> bytes:
        if not says_something(arguments):
            return b""
        opened.has_arguments = True
        return self._chunk(b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (opened.call, arguments))

    def _stop(self, index: int) -> bytes:
        opened = self._open.pop(index, None)
        if opened is None:
            return b""
        if opened.kind == "thinking":
            thinking, signature = bytes(joined(opened.thinking)), bytes(joined(opened.signature))
            return self._thought(restored(signed_thought(thinking, signature)))
        if opened.kind == "tool_use" and not opened.has_arguments:
            return self._argue(opened, _encode(opened.input.decode()))
        if cited := web_annotations(opened.citations, opened.start, self._length):
            numbered = [{"index": number, **one} for number, one in enumerate(cited, self._annotations)]
            self._annotations += len(cited)
            return self._chunk(b'{"annotations":' + _encode(numbered) + b"}")
        return b""

    def _thought(self, block: bytes) -> bytes:
        number, self._thoughts = self._thoughts, self._thoughts + 1
        # SDKs put lists together by the index of their elements.
        return self._chunk(b'{"thinking_blocks":[{"index":%d,%b]}' % (number, block[1:]))

    def _report(self, event: _Event) -> None:
        self._usage = self._usage.later(usage_of(event.usage))
        if event.delta is not None and event.delta.stop_reason is not None:
            self._stop_reason, self._stop_sequence = event.delta.stop_reason, event.delta.stop_sequence
            if event.delta.stop_details is not None:
                self._refusal = event.delta.stop_details.explanation

    def _end(self) -> bytes:
        """The reason why it ended, the usage, the end mark."""
        if self.is_cut:
            raise UpstreamBroken("The upstream ended in the middle of a tool call.")
        shown = b"" if self._refusal == NULL else self._chunk(b'{"refusal":' + bytes(self._refusal) + b"}")
        shown += self._frame + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"'
        shown += finish_reason(self._stop_reason).encode() + b'"'
        if self._stop_reason == "stop_sequence":
            shown += b',"stop_reason":' + bytes(self._stop_sequence)
        shown += self._last
        if self._wants_usage:
            shown += self._frame + b'],"usage":' + _encode(self._usage.as_chat()) + b"}\n\n"
        return shown + b"data: " + DONE + b"\n\n"
