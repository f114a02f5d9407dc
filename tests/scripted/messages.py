"""What the scripted upstream says on Anthropic's endpoints: messages and count_tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scripted.script import Script, fragments_of, framed, pieces_of

MESSAGE_ID = "msg_scripted"
SIGNATURE = "EqQBScriptedSignature+/=="
_RUNNING = (  # what message_delta repeats of the usage; the rest is said in message_start alone
    "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens",
    "output_tokens_details", "server_tool_use",
)  # fmt: skip


def usage_of(script: Script, words: int) -> dict[str, Any]:
    if script.usage is not None:
        return script.usage
    return {
        "input_tokens": 9,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": words,
        "service_tier": "standard",
    }


def token_count(script: Script) -> dict[str, Any]:
    return {"input_tokens": (script.usage or {}).get("input_tokens", 9), **script.extra}


def whole_answer(body: dict[str, Any], script: Script) -> dict[str, Any]:
    blocks = _blocks(script)
    usage = None if script.no_usage else usage_of(script, _words(script))
    return _message(body, script, blocks, usage) | {"stop_reason": _stop_reason(script)}


def _message(
    body: dict[str, Any], script: Script, blocks: list[dict[str, Any]], usage: dict[str, Any] | None
) -> dict[str, Any]:
    message = {
        "id": MESSAGE_ID,
        "type": "message",
        "role": "assistant",
        "model": script.answered_model or body.get("model"),
        "content": blocks,
        "stop_reason": None,
        "stop_sequence": None,
    }
    return {**message, **({} if usage is None else {"usage": usage}), **script.extra}


def _blocks(script: Script) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if script.reasoning is not None:
        blocks.append({"type": "thinking", "thinking": script.reasoning, "signature": SIGNATURE})
    said = script.preamble if script.tool_calls else (script.refusal if script.refusal is not None else script.text)
    if said:
        blocks.append({"type": "text", "text": said})
    for number, tool in enumerate(script.tool_calls):
        arguments = json.loads(tool["arguments"] or "{}")
        blocks.append(
            {"type": "tool_use", "id": tool.get("id", f"toolu_{number}"), "name": tool["name"], "input": arguments}
        )
    return blocks


def _words(script: Script) -> int:
    return len(pieces_of(script.text))


def _stop_reason(script: Script) -> str:
    by_content = "tool_use" if script.tool_calls else "end_turn" if script.refusal is None else "refusal"
    return script.finish_reason or by_content


def stream_events(body: dict[str, Any], script: Script) -> Iterator[bytes]:
    """The events of a stream, each as the bytes of one SSE event."""

    def event(kind: str, **fields: Any) -> bytes:
        return framed(json.dumps({"type": kind, **fields}), script, kind)

    usage = usage_of(script, _words(script))
    opening = {name: value for name, value in usage.items() if name not in ("output_tokens_details", "server_tool_use")}
    begun = None if script.no_usage else {**opening, "output_tokens": 1}
    yield event("message_start", message=_message(body, script, [], begun))
    for index, block in enumerate(_blocks(script)):
        yield event("content_block_start", index=index, content_block=_opening(block))
        if index == 0:
            yield event("ping")
        for delta in _deltas(block, script):
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    ending: dict[str, Any] = {"delta": {"stop_reason": _stop_reason(script), "stop_sequence": None}}
    if not script.no_usage:
        ending["usage"] = {name: usage[name] for name in _RUNNING if name in usage}
    yield event("message_delta", **ending)
    if not script.omit_done:
        yield event("message_stop")


def _opening(block: dict[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "text":
            return {"type": "text", "text": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: dict[str, Any], script: Script) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "thinking":
            yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces_of(block["thinking"]))
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            yield from ({"type": "text_delta", "text": piece} for piece in pieces_of(block["text"]))
        case _:
            # The script's own text, not ours of what it means: white space and key order are the model's.
            (arguments,) = (
                tool["arguments"]
                for number, tool in enumerate(script.tool_calls)
                if tool.get("id", f"toolu_{number}") == block["id"]
            )
            yield {"type": "input_json_delta", "partial_json": ""}
            yield from ({"type": "input_json_delta", "partial_json": part} for part in fragments_of(arguments))


def error_event(script: Script) -> bytes:
    return framed(json.dumps({"type": "error", "error": script.error_event}), script, "error")
