"""A response of OpenAI's Responses API as one object: read off the end of its stream, told again as all its events.

All of it is the client's own dialect: whatever the upstream speaks was translated before. Ids are told as they were:
what an upstream sealed for its own later reading names the item that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.domain import KeptAnswer, Request, Usage

Json = dict[str, object]
_Fields = dict[str, msgspec.Raw]

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NULL, _NO_OUTPUT = msgspec.Raw(b"null"), msgspec.Raw(b"[]")
_FINISHED = ("completed", None)  # reasoning has no status
_CALLED = frozenset({"function_call", "custom_tool_call"})
# What a response repeats of its request and the key leaves out: each client is told its own, else these.
_ECHOED: Mapping[str, msgspec.Raw] = {
    "metadata": msgspec.Raw(b"{}"),
    **dict.fromkeys(("user", "safety_identifier", "prompt_cache_key"), _NULL),
}
_encode = msgspec.json.encode
_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Event(msgspec.Struct):
    type: str
    item: msgspec.Raw = _NULL
    response: msgspec.Raw = _NULL


class _Item(msgspec.Struct):
    id: str
    type: str


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_item = msgspec.json.Decoder(_Item).decode


def whole_of(shown: bytes, *, is_stream: bool, usage: Usage | None) -> bytes | None:
    """The response, from the bytes that its client read; ``None`` for a stream whose end does not hold what it told.

    ``usage`` is not asked: the end of every stream of this API tells it.
    """
    del usage
    if not is_stream:
        return shown
    told: list[_Item] = []
    fields: _Fields = {}
    try:
        for line in shown.split(b"\n"):
            if line.startswith(b"data:"):
                event = _decode_event(line[5:])
                fields = _decode_fields(event.response) if event.type == "response.completed" else {}
                if event.type == "response.output_item.done":
                    told.append(_decode_item(event.item))
        items = [_decode_item(raw) for raw in _decode_items(fields["output"])]
        used = _decode_fields(fields["usage"])
    except (*_UNREADABLE, KeyError):
        return None
    used.pop("cost", None)  # it was ours to say
    same = {one.id: one.type for one in told} == {one.id: one.type for one in items}
    return _encode({**fields, "usage": used}) if same else None


def is_worth_keeping(whole: bytes, request: Request, *, keeps_tool_calls: bool) -> bool:
    """Whether the response is completed, says something, refuses nothing, and calls tools only if that is wanted."""
    del request
    try:
        response = msgspec.json.decode(whole)
    except _UNREADABLE:
        return False
    match response:
        case {"status": "completed", "output": list(output), "usage": dict()}:
            if response.get("store") is True or response.get("error") or response.get("incomplete_details"):
                return False
            kinds = {_kind_of(item) for item in output}
            allowed = {"message", "reasoning", *(_CALLED if keeps_tool_calls else ())}
            return bool(kinds - {"reasoning"}) and kinds <= allowed
        case _:
            return False


def _kind_of(item: object) -> object:
    """The kind of a finished item that may be told again, ``None`` for any other."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), str) or item.get("status") not in _FINISHED:
        return None
    content = item.get("content")
    parts = content if isinstance(content, list) else ()
    said = {part.get("type") if isinstance(part, dict) else None for part in parts}
    kind = item.get("type")
    return None if kind == "message" and said != {"output_text"} else kind


def told_again(kept: KeptAnswer, request: Request) -> bytes:
    """The bytes that a client gets of a kept response: the object itself, or all events that lead to it."""
    fields = _decode_fields(kept.whole)
    asked = request.body.fields
    own: _Fields = {}
    for name, nothing in _ECHOED.items():
        stated = asked.get(name, _NULL)
        wanted = nothing if bytes(stated) == b"null" else stated
        if name in fields and bytes(fields[name]) != bytes(wanted):
            own[name] = wanted
    if request.is_stream:
        return b"".join(_Events().of({**fields, **own}))
    return _encode({**fields, **own}) if own else kept.whole


class _Events:
    """Writes the events of one response, numbered without gaps."""

    def __init__(self) -> None:
        self._number = -1

    def _event(self, kind: str, **fields: object) -> bytes:
        self._number += 1
        kind = f"response.{kind}"
        data = _encode({"type": kind, "sequence_number": self._number, **fields})
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def of(self, response: _Fields) -> Iterator[bytes]:
        begun = {**response, "status": "in_progress", "output": _NO_OUTPUT, "usage": None}
        if "completed_at" in response:
            begun["completed_at"] = None
        yield self._event("created", response=begun)
        yield self._event("in_progress", response=begun)
        for index, item in enumerate(_decode_items(response["output"])):
            yield from self._of_item(index, item)
        usage = {**_decode_fields(response["usage"]), "cost": 0}
        yield self._event("completed", response={**response, "usage": usage})

    def _of_item(self, index: int, raw: msgspec.Raw) -> Iterator[bytes]:
        item: Json = msgspec.json.decode(raw)
        place: Json = {"item_id": item["id"], "output_index": index}
        opened = {**item, "status": "in_progress"} if "status" in item else dict(item)
        inner: list[Iterator[bytes]] = []
        match item["type"]:
            case "function_call":
                opened["arguments"] = ""
                inner.append(self._of_call(place, "function_call_arguments", "arguments", item))
            case "custom_tool_call":
                opened["input"] = ""
                inner.append(self._of_call(place, "custom_tool_call_input", "input", item))
            case _:
                if isinstance(summary := item.get("summary"), list):
                    opened["summary"] = []
                    inner += [self._of_summary({**place, "summary_index": n}, one) for n, one in enumerate(summary)]
                if isinstance(content := item.get("content"), list):
                    opened["content"] = []
                    inner += [self._of_part({**place, "content_index": n}, one) for n, one in enumerate(content)]
        yield self._event("output_item.added", output_index=index, item=opened)
        for events in inner:
            yield from events
        yield self._event("output_item.done", output_index=index, item=raw)

    def _of_call(self, place: Json, kind: str, field: str, item: Json) -> Iterator[bytes]:
        said = item.get(field)
        named: Json = {"name": item.get("name")} if field == "arguments" else {}
        if said:
            yield self._event(f"{kind}.delta", **place, delta=said)
        yield self._event(f"{kind}.done", **place, **named, **{field: said})

    def _of_summary(self, place: Json, part: Json) -> Iterator[bytes]:
        text = part.get("text")
        yield self._event("reasoning_summary_part.added", **place, part={**part, "text": ""})
        if text:
            yield self._event("reasoning_summary_text.delta", **place, delta=text)
        yield self._event("reasoning_summary_text.done", **place, text=text)
        yield self._event("reasoning_summary_part.done", **place, part=part)

    def _of_part(self, place: Json, part: Json) -> Iterator[bytes]:
        """Text of a message, with its sources and log probabilities, or what was thought."""
        kind, text = part.get("type"), part.get("text")
        growing: Json = {name: [] for name in ("annotations", "logprobs") if isinstance(part.get(name), list)}
        more: Json = {"logprobs": part.get("logprobs") or []} if kind == "output_text" else {}
        yield self._event("content_part.added", **place, part={**part, "text": "", **growing})
        if text:
            yield self._event(f"{kind}.delta", **place, delta=text, **more)
        annotations = part.get("annotations")
        for number, one in enumerate(annotations if isinstance(annotations, list) else ()):
            yield self._event("output_text.annotation.added", **place, annotation_index=number, annotation=one)
        yield self._event(f"{kind}.done", **place, text=text, **more)
        yield self._event("content_part.done", **place, part=part)
