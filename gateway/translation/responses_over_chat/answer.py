"""The answer: chat completions, whole or in chunks, as a response or the events of one.

A whole answer takes the way of a stream that has one chunk, so that both tell the same.
"""

from __future__ import annotations

import contextlib
import os

import msgspec

from gateway.domain import Body
from gateway.errors import GatewayError, UpstreamBroken
from gateway.translation.chat_answer import THINKING, Function, Reply, Said, ToolCall, decode_reply, text_of
from gateway.translation.events import DONE, payloads
from gateway.translation.fields import NULL
from gateway.translation.lone_surrogates import leniently, restored
from gateway.translation.responses_over_chat import response as objects
from gateway.translation.responses_over_chat.items import NO_ITEMS, read_items
from gateway.translation.responses_over_chat.output import CallItem, Events, MessageItem, OutputItem, ReasoningItem
from gateway.translation.responses_over_chat.request import described_tools
from gateway.translation.responses_over_chat.thinking import Thinking
from gateway.translation.responses_over_chat.tools import Toolbox

_encode = msgspec.json.encode


class _Annotation(msgspec.Struct):
    url_citation: dict[str, object] | None = None


_decode_blocks = msgspec.json.Decoder(list[Thinking]).decode
_decode_annotations = msgspec.json.Decoder(list[_Annotation]).decode
_decode_logprobs = msgspec.json.Decoder(dict[str, object]).decode
_INCOMPLETE = {"length": b"max_output_tokens", "content_filter": b"content_filter"}


class ResponseWriter:
    """Writes one response. ``token`` makes its ids: they need only be unlike those of other answers."""

    def __init__(self, body: Body, token: str | None = None) -> None:
        self._fields = body.fields
        self._token = (token or os.urandom(12).hex()).encode()
        self._known_toolbox: Toolbox | None = None
        self._head = b""  # which response this is, once that is known
        self._echoed = b""
        self._events = Events()
        self._items: list[OutputItem] = []
        self._open: OutputItem | None = None  # the message or reasoning that the next piece may belong to
        self._calls: dict[int, CallItem] = {}  # by the index of chat; they all end with the answer
        self._finish_reason: object = None
        self._service_tier: object = None
        self._usage = NULL

    def whole(self, answer: bytes) -> bytes:
        return leniently(self._whole, answer)

    def _whole(self, answer: bytes) -> bytes:
        self._take(decode_reply(answer))
        return restored(self._finished()[1])

    def feed(self, events: bytes) -> bytes:
        if events.startswith(b":") and b"\ndata:" not in events:
            return events  # comments alone, by which an upstream that thinks long keeps the connection open
        for payload in payloads(events):
            if payload == DONE:
                if self.is_cut:
                    raise UpstreamBroken("The upstream ended in the middle of a tool call.")
                kind, response = self._finished()
                self._events.add(kind, b'"response":' + response)
            else:
                leniently(self._chunk, payload)
        return self._events.take()

    @property
    def is_cut(self) -> bool:
        calls = [item for item in self._items if isinstance(item, CallItem)]
        return not self._finish_reason and not all(call.is_whole() for call in calls)

    def _chunk(self, payload: bytes) -> bytes:
        self._take(decode_reply(payload))
        return b""

    def failing(self, error: GatewayError, request_id: str | None = None) -> bytes:  # noqa: ARG002 - it has no place for it
        self._begin(Reply())
        self._events.add(b"response.failed", b'"response":' + self._response(b"failed", error=objects.failure(error)))
        return self._events.take()

    def _begin(self, chat: Reply) -> None:
        """At the first chunk, say which response this is."""
        if self._head:
            return
        model = _encode(chat.model) if isinstance(chat.model, str) else bytes(self._fields.get("model", NULL))
        created = int(chat.created) if isinstance(chat.created, int | float) else 0
        self._head = b'"id":"resp_%b","created_at":%d,"model":%b' % (self._token, created, model)
        self._echoed = objects.echo(self._fields)
        begun = b'"response":' + self._response(b"in_progress")
        self._events.add(b"response.created", begun)
        self._events.add(b"response.in_progress", begun)

    def _response(
        self,
        status: bytes,
        *,
        output: bytes = b"",
        usage: bytes = b"null",
        error: bytes = b"null",
        incomplete_reason: bytes = b"",
    ) -> bytes:
        """The response object; ``output`` is the JSON of its items."""
        details = b'{"reason":"%b"}' % incomplete_reason if incomplete_reason else b"null"
        tier = _encode(self._service_tier if isinstance(self._service_tier, str) else None)
        ending = b'"error":%b,"incomplete_details":%b,"usage":%b,"service_tier":%b' % (error, details, usage, tier)
        return b'{%b,"object":"response","status":"%b","output":[%b],%b,%b}' % (
            self._head, status, output, ending, self._echoed,
        )  # fmt: skip

    def _take(self, chat: Reply) -> None:
        self._begin(chat)
        if chat.usage != NULL:
            self._usage = chat.usage
        self._service_tier = chat.service_tier or self._service_tier
        for choice in chat.choices or ():
            if choice.index:
                continue  # of several answers, which nobody asked for, the first
            delta = choice.delta or choice.message
            if delta is not None:
                self._grow(delta, choice.logprobs)
            self._finish_reason = choice.finish_reason or self._finish_reason

    def _grow(self, delta: Said, logprobs: msgspec.Raw) -> None:
        if delta.thinking_blocks != NULL:
            with contextlib.suppress(msgspec.DecodeError):  # another gateway's own, and only worth something to it
                blocks = _decode_blocks(delta.thinking_blocks)
                self._reasoning().add_blocks(blocks)
        for kind, text in delta.texts():
            piece = b'"%b"' % text
            if kind == THINKING:
                self._reasoning().add_text(piece)
            else:
                self._message().add_text(piece, _elements(logprobs))
        if delta.annotations != NULL:
            self._annotate(delta.annotations)
        if text_of(delta.refusal):
            self._message().add_refusal(bytes(delta.refusal))
        for number, call in enumerate(delta.tool_calls or ()):
            self._call(call, number)

    def _annotate(self, annotations: msgspec.Raw) -> None:
        with contextlib.suppress(msgspec.DecodeError):  # sources of a vendor's own form have none in this API
            for one in _decode_annotations(annotations):
                if one.url_citation is not None:
                    self._message().add_annotation(_encode({"type": "url_citation", **one.url_citation}))

    def _reasoning(self) -> ReasoningItem:
        if not isinstance(self._open, ReasoningItem):
            self._close_open()
            self._open = ReasoningItem(self._events, len(self._items), self._token)
            self._items.append(self._open)
        return self._open

    def _message(self) -> MessageItem:
        if not isinstance(self._open, MessageItem):
            self._close_open()
            self._open = MessageItem(self._events, len(self._items), self._token)
            self._items.append(self._open)
        return self._open

    def _call(self, piece: ToolCall, number: int) -> None:
        function = piece.function or Function()
        index = number if piece.index is None else piece.index
        item = self._calls.get(index)
        if item is None or piece.is_other_than(item.call_id):
            self._close_open()
            call_id = piece.id or f"call_{self._token.decode()}{len(self._items):02x}"
            origin = self._toolbox().origin(function.name or "")
            item = self._calls[index] = CallItem(self._events, len(self._items), self._token, origin, call_id)
            self._items.append(item)
        if arguments := function.piece():
            item.add_arguments(b'"%b"' % arguments)

    def _toolbox(self) -> Toolbox:
        if self._known_toolbox is None:
            self._known_toolbox = described_tools(self._fields, read_items(self._fields.get("input", NO_ITEMS)))
        return self._known_toolbox

    def _close_open(self) -> None:
        if self._open is not None:
            self._open.close(b"completed")
            self._open = None

    def _finished(self) -> tuple[bytes, bytes]:
        """End every item; the event that ends the stream, and the response."""
        reason = _INCOMPLETE.get(self._finish_reason, b"") if isinstance(self._finish_reason, str) else b""
        status = b"incomplete" if reason else b"completed"
        last = self._items[-1] if self._items else None
        for item in self._items:
            item.close(status if item is last else b"completed")
        output = b",".join(item.final for item in self._items)
        response = self._response(status, output=output, usage=objects.usage(self._usage), incomplete_reason=reason)
        return b"response." + status, response


def _elements(logprobs: msgspec.Raw) -> bytes:
    """The elements of the list of tokens, where the chunk has one."""
    if logprobs == NULL:
        return b""
    try:
        tokens = _decode_logprobs(logprobs).get("content")
    except msgspec.DecodeError:  # an older form, which says nothing in this API's
        return b""
    return _encode(tokens)[1:-1] if isinstance(tokens, list) else b""
