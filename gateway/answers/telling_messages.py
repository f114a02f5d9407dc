"""A message of Anthropic's API as one object: made of the events that its first client read, told again as such."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.domain import KeptAnswer, Request, Usage

Json = dict[str, object]

_STOPPED = frozenset({"end_turn", "stop_sequence"})
_SAID, _CALLED = frozenset({"text", "thinking", "redacted_thinking"}), frozenset({"tool_use"})
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# What a delta adds to a block, by its kind: the field of the delta, that of the block.
_GROWING = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
_encode = msgspec.json.encode


def whole_of(shown: bytes, *, is_stream: bool, usage: Usage | None) -> bytes | None:
    """The message, from the bytes that its client read; ``None`` for what cannot be put together.

    ``usage`` is not asked: every stream of this API tells its own.
    """
    del usage
    if not is_stream:
        return shown
    try:
        return _encode(_Assembly(shown).message)
    except (*_UNREADABLE, TypeError, ValueError, LookupError, AttributeError):
        return None


def is_worth_keeping(whole: bytes, request: Request, *, keeps_tool_calls: bool) -> bool:
    """Whether the message ended by itself, and calls no tools unless that is wanted."""
    del request
    try:
        message = msgspec.json.decode(whole)
    except _UNREADABLE:
        return False
    match message:
        case {"content": list(content), "stop_reason": str(reason), "usage": dict()}:
            kinds = {block.get("type") if isinstance(block, dict) else None for block in content}
            if keeps_tool_calls:
                return reason in {*_STOPPED, *_CALLED} and kinds <= {*_SAID, *_CALLED}
            return reason in _STOPPED and kinds <= _SAID
        case _:
            return False


class _Assembly:
    """Puts a message together, event by event. Raises ValueError and its like for what is no whole message."""

    def __init__(self, shown: bytes) -> None:
        self.message: Json = {}
        self._blocks: list[Json] = []
        self._pieces: list[dict[str, list[str]]] = []  # of each block: what grows, by its field
        is_ended = False
        for line in shown.split(b"\n"):
            if line.startswith(b"data:"):
                event = msgspec.json.decode(line[5:])
                self._take(event)
                is_ended = event["type"] == "message_stop"
        if not is_ended:
            raise ValueError("the message does not end")
        for block, pieces in zip(self._blocks, self._pieces, strict=True):
            for name, parts in pieces.items():
                text = "".join(parts)
                block[name] = msgspec.json.decode(text or "{}") if name == "input" else text
        self.message["content"] = self._blocks

    def _take(self, event: Json) -> None:
        match event:
            case {"type": "message_start", "message": dict(message)}:
                self.message = {**message, "usage": dict(message["usage"])}
            case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                if index != len(self._blocks):
                    raise ValueError("a block is left out")
                self._blocks.append(block)
                self._pieces.append({})
            case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                self._grow(index, delta)
            case {"type": "message_delta", "delta": dict(delta), **rest}:
                self.message |= delta
                used, told = self.message["usage"], rest.get("usage")
                if isinstance(used, dict) and isinstance(told, dict):
                    used |= {name: count for name, count in told.items() if name != "cost"}  # it was ours to say
            case {"type": "content_block_stop" | "message_stop" | "ping"}:
                pass
            case _:
                raise ValueError("no event of a message")

    def _grow(self, index: int, delta: Json) -> None:
        block, pieces = self._blocks[index], self._pieces[index]
        match delta:
            case {"type": "input_json_delta", "partial_json": str(text)}:
                pieces.setdefault("input", []).append(text)
            case {"type": "citations_delta", "citation": citation}:
                block["citations"] = [*(block.get("citations") or ()), citation]  # type: ignore[misc] # a list, if any
            case {"type": str(kind)} if kind in _GROWING:
                name = _GROWING[kind]
                pieces.setdefault(name, [str(block.get(name) or "")]).append(str(delta[name]))
            case _:
                raise ValueError("nothing that a block grows by")


def told_again(kept: KeptAnswer, request: Request) -> bytes:
    """The bytes that a client gets of a kept message. Its events always tell the usage."""
    return b"".join(_events(kept.whole)) if request.is_stream else kept.whole


def _events(whole: bytes) -> Iterator[bytes]:
    message: Json = msgspec.json.decode(whole)
    content, used = message["content"], message["usage"]
    usage: Json = used if isinstance(used, dict) else {}
    begun = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event("message_start", message={**begun, "usage": {**usage, "output_tokens": 0}})
    for index, block in enumerate(content if isinstance(content, list) else ()):
        empty, deltas = _taken_apart(block)
        yield _event("content_block_start", index=index, content_block=empty)
        yield from (_event("content_block_delta", index=index, delta=delta) for delta in deltas)
        yield _event("content_block_stop", index=index)
    ended = {"stop_reason": message.get("stop_reason"), "stop_sequence": message.get("stop_sequence")}
    yield _event("message_delta", delta=ended, usage={**usage, "cost": 0})
    yield _event("message_stop")


def _taken_apart(block: Json) -> tuple[Json, list[Json]]:
    """The block as it begins, and what it grows by; one that does not grow is there at once."""
    match block:
        case {"type": "text", "text": str(text)}:
            cited = block.get("citations")
            said: list[Json] = [
                {"type": "citations_delta", "citation": one} for one in (cited if isinstance(cited, list) else ())
            ]
            empty: Json = {**block, "text": ""}
            if said:
                empty["citations"] = []
            if text:
                said.append({"type": "text_delta", "text": text})
            return empty, said
        case {"type": "thinking", "thinking": str(text)}:
            thought: list[Json] = [{"type": "thinking_delta", "thinking": text}] if text else []
            if signature := block.get("signature"):
                thought.append({"type": "signature_delta", "signature": signature})
                return {**block, "thinking": "", "signature": ""}, thought
            return {**block, "thinking": ""}, thought
        case {"type": "tool_use", "input": given}:
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": _encode(given).decode()}]
        case _:
            return block, []


def _event(kind: str, **fields: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode({"type": kind, **fields}) + b"\n\n"
