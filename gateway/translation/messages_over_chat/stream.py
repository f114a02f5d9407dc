"""A chat stream as the events of a message.

Messages has one block open at a time, chat may interleave its tool calls: calls behind the open one wait until that one
is whole. So do texts that come after a call.
"""

from __future__ import annotations

import msgspec

from gateway.domain import Body
from gateway.errors import UpstreamBroken
from gateway.translation.chat_answer import (
    TEXT,
    THINKING,
    Choice,
    Reply,
    Said,
    ToolCall,
    decode_reply,
    text_of,
)
from gateway.translation.events import DONE, payloads, typed
from gateway.translation.fields import NULL
from gateway.translation.lone_surrogates import leniently, restored
from gateway.translation.messages_over_chat.names import ToolNames
from gateway.translation.messages_over_chat.reply import decode_text, input_of, message_id, stop_reason_of
from gateway.translation.messages_over_chat.usage import message_usage

_encode = msgspec.json.encode

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":'
_TEXT_DELTA = _DELTA + b'"text_delta","text":"%b"}}\n\n'
_THINKING_DELTA = _DELTA + b'"thinking_delta","thinking":"%b"}}\n\n'
_INPUT_DELTA = _DELTA + b'"input_json_delta","partial_json":"%b"}}\n\n'
_DELTAS = {TEXT: _TEXT_DELTA, THINKING: _THINKING_DELTA}
_EMPTY_BLOCKS = {
    TEXT: b'{"type":"text","text":""}',
    THINKING: b'{"type":"thinking","thinking":"","signature":""}',
}


class _Call:
    """One tool call as it grows: ``arguments`` are fragments of a JSON string, without quotes."""

    __slots__ = ("arguments", "id", "is_over", "name")

    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.arguments: list[bytes] = []
        self.is_over = False

    def is_whole(self) -> bool:
        """Nothing can follow any more: the arguments are a JSON object."""
        return bool(self.arguments) and input_of(b"".join(self.arguments)) is not None


class MessageStream:
    """Translates one streamed answer. The inner end mark brings ``message_delta`` and ``message_stop``."""

    def __init__(self, asked: Body) -> None:
        """``asked``: the client's request."""
        self._model = asked.fields.get("model")
        self._names = ToolNames(asked)
        self._id = ""
        self._index = 0  # of the open block, or of the next one
        self._open: bytes | _Call | None = None
        self._calls: list[_Call] = []
        self._by_index: dict[object, _Call] = {}
        self._waiting: list[_Call] = []
        self._late: list[tuple[bytes, bytes]] = []  # texts behind a call
        self._has_refused = False
        self._last = Choice()  # the one that said why it ends
        self._usage = NULL

    def feed(self, events: bytes) -> bytes:
        """Whole events of chat in, whole events of Messages out. Raises UpstreamBroken."""
        out = [self._end() if data == DONE else leniently(self._take, data) for data in payloads(events)]
        if not out and self._id:
            return _PING  # a comment keeps the upstream's connection alive, and this the client's
        return b"".join(out)

    @property
    def is_cut(self) -> bool:
        """Nobody could run one of the calls, should the stream end here; a limit on its length may cut them off."""
        reason = self._last.finish_reason
        return reason != "length" and not all(
            call.is_whole() or (reason is not None and not call.arguments) for call in self._calls
        )

    def _take(self, payload: bytes) -> bytes:
        reply = decode_reply(payload)
        out: list[bytes] = []
        if not self._id:
            if reply.choices is None:
                raise UpstreamBroken("The upstream streams something else than chat completions.")
            out.append(self._begin(reply, payload))
        if reply.usage != NULL:
            self._usage = reply.usage
        for choice in reply.choices or ():
            if choice.index not in (0, None):
                continue  # a message has one answer
            if choice.delta is not None:
                self._say(out, choice.delta)
            if choice.finish_reason is not None:
                self._last = choice
                self._close_all(out)
        return b"".join(out)

    def _begin(self, reply: Reply, payload: bytes) -> bytes:
        self._id = message_id(reply.id, payload)
        message = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": reply.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": message_usage(NULL),  # chat tells it at the end
        }
        return typed("message_start", {"type": "message_start", "message": message})

    def _say(self, out: list[bytes], said: Said) -> None:
        for kind, text in said.texts():
            self._add_text(out, kind, text)
        if refusal := text_of(said.refusal):
            self._has_refused = True
            self._add_text(out, TEXT, refusal)
        for call in said.tool_calls or ():
            self._add_call(out, call)

    def _add_text(self, out: list[bytes], kind: bytes, text: bytes) -> None:
        if not text:
            return
        if self._calls:
            self._late.append((kind, restored(text)))
            return
        if self._open != kind:
            self._close(out)
            self._start(out, kind, _EMPTY_BLOCKS[kind])
        out.append(_DELTAS[kind] % (self._index, text))

    def _add_call(self, out: list[bytes], said: ToolCall) -> None:
        function = said.function
        call = self._by_index.get(said.index)
        if call is None or said.is_other_than(call.id):
            call = self._new_call(said)
            self._advance(out, is_last=False)
        fragment = restored(function.piece()) if function is not None else b""
        if not fragment:
            return
        if call.is_over:
            if decode_text(fragment).strip():
                raise UpstreamBroken("The upstream goes on with a tool call that was whole.")
            return
        call.arguments.append(fragment)
        if call is self._open:
            out.append(_INPUT_DELTA % (self._index, fragment))

    def _new_call(self, said: ToolCall) -> _Call:
        if said.function is None or not said.function.name:
            raise UpstreamBroken("The upstream calls a tool without a name.")
        call_id = said.id or f"toolu_{self._id}_{len(self._calls)}"
        call = self._by_index[said.index] = _Call(call_id, self._names.original(said.function.name))
        self._calls.append(call)
        self._waiting.append(call)
        return call

    def _advance(self, out: list[bytes], *, is_last: bool) -> None:
        """Open the next calls in their order, as far as the open one is whole; all of them at the end."""
        while self._waiting:
            if isinstance(self._open, _Call) and not (is_last or self._open.is_whole()):
                return
            self._close(out)
            call = self._waiting.pop(0)
            block = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (_encode(call.id), _encode(call.name))
            self._start(out, call, block)
            # As Anthropic's own first fragment, this one is there even if it is empty.
            out.append(_INPUT_DELTA % (self._index, b"".join(call.arguments)))

    def _start(self, out: list[bytes], what: bytes | _Call, block: bytes) -> None:
        self._open = what
        out.append(_START % (self._index, block))

    def _close(self, out: list[bytes]) -> None:
        if self._open is None:
            return
        if isinstance(self._open, _Call):
            self._open.is_over = True
        out.append(_STOP % self._index)
        self._open = None
        self._index += 1

    def _close_all(self, out: list[bytes]) -> None:
        """End every block. Raises UpstreamBroken for a tool call that nobody can run, unless a limit cut it off."""
        if self.is_cut:
            raise UpstreamBroken("The upstream calls a tool with arguments that are no JSON object.")
        self._advance(out, is_last=True)
        self._close(out)
        late, self._late = self._late, []
        for kind, text in late:
            if self._open != kind:
                self._close(out)
                self._start(out, kind, _EMPTY_BLOCKS[kind])
            out.append(_DELTAS[kind] % (self._index, text))
        self._close(out)

    def _end(self) -> bytes:
        out: list[bytes] = []
        if not self._id:
            out.append(self._begin(Reply(), b""))
        self._close_all(out)
        reason, sequence = stop_reason_of(self._last, has_calls=bool(self._calls), has_refused=self._has_refused)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        usage = message_usage(self._usage)
        out.append(typed("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}))
        out.append(typed("message_stop", {"type": "message_stop"}))
        return b"".join(out)
