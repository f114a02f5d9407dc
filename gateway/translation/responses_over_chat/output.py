"""The items of a response: each grows while the answer arrives, and tells it by its events.

Texts stay the bytes of the JSON strings that they came in: the end of an item repeats its pieces, joined.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from gateway.translation.lone_surrogates import restored
from gateway.translation.responses_over_chat.freeform import FreeText, encoded
from gateway.translation.responses_over_chat.thinking import Thinking, ThinkingBlocks
from gateway.translation.responses_over_chat.tools import Kind, Origin

_encode = msgspec.json.encode
_decode_string = msgspec.json.Decoder(str).decode
_decode_object = msgspec.json.Decoder(dict[str, object]).decode


class Events:
    """Writes events whose name is their type, numbered without gaps."""

    def __init__(self) -> None:
        self._number = 0
        self._written: list[bytes] = []

    def add(self, kind: bytes, members: bytes) -> None:
        """An event with these further members of its object."""
        self._written.append(
            b'event: %b\ndata: {"type":"%b",%b,"sequence_number":%d}\n\n' % (kind, kind, members, self._number)
        )
        self._number += 1

    def take(self) -> bytes:
        """Those written since the last time."""
        written, self._written = b"".join(self._written), []
        return restored(written)


class OutputItem(ABC):
    """One item of ``output``. ``id`` and ``index`` stay what they are at its first event."""

    prefix = b""

    def __init__(self, events: Events, index: int, token: bytes) -> None:
        self._events = events
        self.final = b""  # its JSON, once nothing more comes
        self.id = b"%b_%b%02x" % (self.prefix, token, index)
        self._place = b'"item_id":"%b","output_index":%d' % (self.id, index)
        self._index = index

    def _open(self) -> None:
        item = self.json(b"in_progress")
        self._events.add(b"response.output_item.added", b'"output_index":%d,"item":%b' % (self._index, item))

    def close(self, status: bytes) -> None:
        """Nothing more comes: ``status`` is completed, or incomplete where a limit cut it. Idempotent."""
        if not self.final:
            self._finish()
            self.final = self.json(status)
            self._events.add(b"response.output_item.done", b'"output_index":%d,"item":%b' % (self._index, self.final))

    def _finish(self) -> None:  # noqa: B027 - an item without parts has nothing to say
        """Say by events that the parts of the item are whole."""

    @abstractmethod
    def json(self, status: bytes) -> bytes:
        """The item as it is now."""


class _Part:
    """Text or refusal of a message."""

    def __init__(self, kind: bytes, name: bytes, place: bytes) -> None:
        self.kind = kind
        self._name = name
        self.place = place
        self._pieces: list[bytes] = []
        self._logprobs: list[bytes] = []
        self._annotations: list[bytes] = []

    def annotate(self, events: Events, annotation: bytes) -> None:
        members = b'%b,"annotation_index":%d,"annotation":%b' % (self.place, len(self._annotations), annotation)
        self._annotations.append(annotation)
        events.add(b"response.output_text.annotation.added", members)

    def add(self, events: Events, piece: bytes, logprobs: bytes) -> None:
        self._pieces.append(piece[1:-1])
        if self.kind == b"refusal":
            events.add(b"response.refusal.delta", b'%b,"delta":%b' % (self.place, piece))
            return
        if logprobs:
            self._logprobs.append(logprobs)
        events.add(b"response.output_text.delta", b'%b,"delta":%b,"logprobs":[%b]' % (self.place, piece, logprobs))

    def finish(self, events: Events) -> None:
        whole = b'%b,"%b":"%b"' % (self.place, self._name, b"".join(self._pieces))
        if self.kind == b"refusal":
            events.add(b"response.refusal.done", whole)
        else:
            events.add(b"response.output_text.done", b'%b,"logprobs":[%b]' % (whole, b",".join(self._logprobs)))
        events.add(b"response.content_part.done", b'%b,"part":%b' % (self.place, self.json()))

    def json(self) -> bytes:
        value = b'"%b":"%b"' % (self._name, b"".join(self._pieces))
        if self.kind == b"refusal":
            return b'{"type":"refusal",%b}' % value
        annotations, logprobs = b",".join(self._annotations), b",".join(self._logprobs)
        return b'{"type":"output_text","annotations":[%b],"logprobs":[%b],%b}' % (annotations, logprobs, value)


class MessageItem(OutputItem):
    """What the assistant says."""

    prefix = b"msg"

    def __init__(self, events: Events, index: int, token: bytes) -> None:
        super().__init__(events, index, token)
        self._parts: list[_Part] = []
        self._open()

    def add_text(self, piece: bytes, logprobs: bytes) -> None:
        """A JSON string, and the elements of the list of its tokens' log probabilities."""
        self._part(b"output_text", b"text").add(self._events, piece, logprobs)

    def add_annotation(self, annotation: bytes) -> None:
        """A source of the text, as this API has it."""
        self._part(b"output_text", b"text").annotate(self._events, annotation)

    def add_refusal(self, piece: bytes) -> None:
        self._part(b"refusal", b"refusal").add(self._events, piece, b"")

    def _part(self, kind: bytes, name: bytes) -> _Part:
        if self._parts and self._parts[-1].kind == kind:
            return self._parts[-1]
        if self._parts:
            self._parts[-1].finish(self._events)
        part = _Part(kind, name, b'%b,"content_index":%d' % (self._place, len(self._parts)))
        self._events.add(b"response.content_part.added", b'%b,"part":%b' % (part.place, part.json()))
        self._parts.append(part)
        return part

    def _finish(self) -> None:
        self._parts[-1].finish(self._events)

    def json(self, status: bytes) -> bytes:
        content = b",".join(part.json() for part in self._parts)
        return b'{"id":"%b","type":"message","status":"%b","role":"assistant","content":[%b]}' % (
            self.id, status, content,
        )  # fmt: skip


class ReasoningItem(OutputItem):
    """What the model thought: shown as a summary, which is what Codex and the SDKs show."""

    prefix = b"rs"

    def __init__(self, events: Events, index: int, token: bytes) -> None:
        super().__init__(events, index, token)
        self._place += b',"summary_index":0'
        self._pieces: list[bytes] = []
        self._blocks = ThinkingBlocks()
        self._open()

    def add_text(self, piece: bytes) -> None:
        if not self._pieces:
            self._events.add(
                b"response.reasoning_summary_part.added", b'%b,"part":{"type":"summary_text","text":""}' % self._place
            )
        self._pieces.append(piece[1:-1])
        self._events.add(b"response.reasoning_summary_text.delta", b'%b,"delta":%b' % (self._place, piece))

    def add_blocks(self, pieces: Sequence[Thinking]) -> None:
        self._blocks.add(pieces)

    def _finish(self) -> None:
        if self._pieces:
            text = b"".join(self._pieces)
            self._events.add(b"response.reasoning_summary_text.done", b'%b,"text":"%b"' % (self._place, text))
            part = b'%b,"part":{"type":"summary_text","text":"%b"}' % (self._place, text)
            self._events.add(b"response.reasoning_summary_part.done", part)

    def json(self, status: bytes) -> bytes:  # noqa: ARG002 - OpenAI refuses reasoning items with a status as input
        summary = b'{"type":"summary_text","text":"%b"}' % b"".join(self._pieces) if self._pieces else b""
        sealed = self._blocks.sealed()
        tail = b',"encrypted_content":%b' % sealed if sealed else b""
        return b'{"id":"%b","type":"reasoning","summary":[%b]%b}' % (self.id, summary, tail)


class CallItem(OutputItem):
    """A call of one of the client's tools, in the form that the tool has for the client."""

    def __init__(self, events: Events, index: int, token: bytes, origin: Origin, call_id: str) -> None:
        self.prefix = {Kind.FUNCTION: b"fc", Kind.CUSTOM: b"ctc", Kind.TOOL_SEARCH: b"tsc"}[origin.kind]
        super().__init__(events, index, token)
        self.call_id = call_id
        self._origin = origin
        namespace = b',"namespace":%b' % _encode(origin.namespace) if origin.namespace is not None else b""
        self._head = b'"call_id":%b,"name":%b%b' % (_encode(call_id), _encode(origin.name), namespace)
        self._pieces: list[bytes] = []
        self._free = FreeText() if origin.kind is Kind.CUSTOM else None
        self._open()

    def add_arguments(self, piece: bytes) -> None:
        """The next piece of the arguments, as a JSON string."""
        if self._free is not None:
            self._add_free(self._free.feed(json.loads(restored(piece))))
            return
        self._pieces.append(piece[1:-1])
        if self._origin.kind is Kind.FUNCTION:
            self._events.add(b"response.function_call_arguments.delta", b'%b,"delta":%b' % (self._place, piece))

    def is_whole(self) -> bool:
        """Whether nothing can follow any more."""
        return self._free.is_whole() if self._free is not None else _read_object(self._said()) is not None

    def _said(self) -> bytes:
        return b'"%b"' % b"".join(self._pieces)

    def _add_free(self, text: str) -> None:
        if text:
            piece = encoded(text)
            self._pieces.append(piece[1:-1])
            self._events.add(b"response.custom_tool_call_input.delta", b'%b,"delta":%b' % (self._place, piece))

    def _finish(self) -> None:
        if self._free is not None:
            self._add_free(self._free.rest())
            whole = b'%b,"input":"%b"' % (self._place, b"".join(self._pieces))
            self._events.add(b"response.custom_tool_call_input.done", whole)
        elif self._origin.kind is Kind.FUNCTION:
            if not any(self._pieces):
                self.add_arguments(b'"{}"')  # clients read them as JSON, which nothing at all is not
            whole = b'%b,"name":%b,"arguments":"%b"' % (self._place, _encode(self._origin.name), b"".join(self._pieces))
            self._events.add(b"response.function_call_arguments.done", whole)

    def json(self, status: bytes) -> bytes:
        said = self._said()
        match self._origin.kind:
            case Kind.FUNCTION:
                form = b'"type":"function_call","status":"%b","arguments":%b,%b' % (status, said, self._head)
            case Kind.CUSTOM:
                form = b'"type":"custom_tool_call","status":"%b","input":%b,%b' % (status, said, self._head)
            case Kind.TOOL_SEARCH:
                form = b'"type":"tool_search_call","status":"%b","execution":"client","call_id":%b,"arguments":%b' % (
                    status, _encode(self.call_id), _read_object(said) or b"{}",
                )  # fmt: skip
        return b'{"id":"%b",%b}' % (self.id, form)


def _read_object(said: bytes) -> bytes | None:
    """Arguments as the object that they are the JSON of, ``None`` if they are none."""
    try:
        return _encode(_decode_object(_decode_string(said)))
    except (msgspec.DecodeError, RecursionError):
        return None
