"""What the scripted upstream says on OpenAI's older endpoints: chat, completions, embeddings, moderations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from scripted.script import Script, fragments_of, framed, pieces_of

CREATED = 1_700_000_000


def usage_of(script: Script, words: int) -> dict[str, Any]:
    if script.usage is not None:
        return script.usage
    return {"prompt_tokens": 9, "completion_tokens": words, "total_tokens": 9 + words}


def whole_answer(endpoint: str, body: dict[str, Any], script: Script) -> dict[str, Any]:
    model = script.answered_model or body.get("model")
    if endpoint == "embeddings":
        inputs = body.get("input") if isinstance(body.get("input"), list) else [body.get("input")]
        data = [{"object": "embedding", "index": i, "embedding": [0.5, -0.5]} for i in range(len(inputs or []))]
        answer: dict[str, Any] = {"object": "list", "data": data, "model": model}
        usage: dict[str, Any] = script.usage or {"prompt_tokens": 9, "total_tokens": 9}
    elif endpoint == "moderations":
        return {"id": "modr-1", "model": model, "results": [{"flagged": False}], **script.extra}
    else:
        is_chat = endpoint == "chat/completions"
        answer = {
            "id": "chatcmpl-1" if is_chat else "cmpl-1",
            "object": "chat.completion" if is_chat else "text_completion",
            "created": CREATED,
            "model": model,
            "choices": [_whole_choice(script, index, body, is_chat=is_chat) for index in range(body.get("n") or 1)],
        }
        usage = usage_of(script, len(pieces_of(script.text)) * (body.get("n") or 1))
    if not script.no_usage:
        answer["usage"] = usage
    return {**answer, **script.extra}


def _logprobs(script: Script, body: dict[str, Any], text: str) -> dict[str, Any] | None:
    if script.logprob is None or not body.get("logprobs"):
        return None
    token = {"logprob": script.logprob, "bytes": None, "top_logprobs": []}
    return {"content": [{"token": piece, **token} for piece in pieces_of(text)], "refusal": None}


def _text(script: Script, body: dict[str, Any]) -> str:
    return script.text if script.text_drawn is None or "temperature" not in body else script.text_drawn


def _whole_choice(script: Script, index: int, body: dict[str, Any], *, is_chat: bool) -> dict[str, Any]:
    text = _text(script, body)
    logprobs = _logprobs(script, body, text)
    choice: dict[str, Any] = {"index": index, "logprobs": logprobs, "finish_reason": _finish_reason(script)}
    if not is_chat:
        return {**choice, "text": script.text}
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": script.refusal}
    if script.reasoning is not None:
        message["reasoning_content"] = script.reasoning
    if script.refusal is not None or script.tool_calls:
        message["content"] = script.preamble or None
    if script.tool_calls:
        message["tool_calls"] = [_tool_call(tool, number) for number, tool in enumerate(script.tool_calls)]
    return {**choice, "message": message}


def _tool_call(tool: dict[str, str], number: int) -> dict[str, Any]:
    kind = "custom" if "input" in tool else "function"
    named = {name: value for name, value in tool.items() if name != "id"}
    return {"id": tool.get("id", f"call_{number}"), "type": kind, kind: named}


def _finish_reason(script: Script) -> str:
    return script.finish_reason or ("tool_calls" if script.tool_calls else "stop")


def stream_events(endpoint: str, body: dict[str, Any], script: Script) -> Iterator[bytes]:
    """The events of a stream, end mark included, each as the bytes of one SSE event."""
    is_chat = endpoint == "chat/completions"
    options = body.get("stream_options") or {}
    is_continuous = script.continuous_usage or bool(options.get("continuous_usage_stats"))
    has_usage = (bool(options.get("include_usage")) or script.forced_usage or is_continuous) and not script.no_usage
    said = 0

    def chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        event: dict[str, Any] = {
            "id": "chatcmpl-1" if is_chat else "cmpl-1",
            "object": "chat.completion.chunk" if is_chat else "text_completion",
            "created": CREATED,
            "model": script.answered_model or body.get("model"),
            "choices": choices,
            **script.extra,
        }
        if has_usage:
            event["usage"] = usage  # null in all chunks but the last, like OpenAI
        return framed(json.dumps(event), script)

    for index in range(body.get("n") or 1):
        for delta, finish_reason in _deltas(script, is_chat=is_chat):
            said += bool(delta.get("content") or delta.get("text"))
            inner = {"delta": delta} if is_chat else {"text": delta.get("text", "")}
            logprobs = _logprobs(script, body, delta.get("content") or "") if delta.get("content") else None
            choice = {"index": index, **inner, "logprobs": logprobs, "finish_reason": finish_reason}
            running = {"prompt_tokens": 9, "completion_tokens": said, "total_tokens": 9 + said}
            yield chunk([choice], running if is_continuous else None)
    if has_usage:
        yield chunk([], usage_of(script, said))
    if not script.omit_done:
        yield framed("[DONE]", script)


def _deltas(script: Script, *, is_chat: bool) -> Iterator[tuple[dict[str, Any], str | None]]:
    if not is_chat:
        yield from (({"text": piece}, None) for piece in pieces_of(script.text))
        yield {"text": ""}, _finish_reason(script)
        return
    yield {"role": "assistant", "content": "", "refusal": None}, None
    yield from (({"reasoning_content": piece}, None) for piece in pieces_of(script.reasoning or ""))
    if script.tool_calls:
        yield from (({"content": piece}, None) for piece in pieces_of(script.preamble))
        for number, tool in enumerate(script.tool_calls):
            argument = "input" if "input" in tool else "arguments"
            opening = _tool_call({**tool, argument: ""}, number)
            yield {"tool_calls": [{"index": number, **opening}]}, None
            for fragment in fragments_of(tool[argument]):
                yield {"tool_calls": [{"index": number, opening["type"]: {argument: fragment}}]}, None
    elif script.refusal is not None:
        yield from (({"refusal": piece}, None) for piece in pieces_of(script.refusal))
    else:
        yield from (({"content": piece}, None) for piece in pieces_of(script.text))
    yield {}, _finish_reason(script)
