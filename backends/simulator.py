"""Obol's simulator: answers in process, without a model, so that everything around models can be tried and tested.

It is deterministic: the same prompt gets the same answer, ids included, streamed or not. Its text says what it is.
Its tokens are counted by a stated rule, not by a tokenizer: **one token per four bytes of UTF-8, rounded up, per text,
plus three per chat message**; an answer of ``output_tokens`` tokens bills exactly that many.

A request may steer it by the field ``simulate`` (with the SDKs: ``extra_body={"simulate": {...}}``):

| field | effect |
|---|---|
| ``delay_ms`` | pause before anything is answered |
| ``first_token_delay_ms`` | pause before the first block (a stream's role chunk) |
| ``between_tokens_ms`` | pause before each further block of a stream |
| ``output_tokens`` | length of each choice's text |
| ``error`` | ``{"status", "code", "message", "type"}``: refuse like an upstream would |
| ``cut_after_chunks`` | break off after that many blocks of a stream (not streaming: break off at once) |
| ``hang`` | answer nothing (or no more after ``cut_after_chunks`` blocks) until the caller leaves or a limit ends it |
| ``tool_call`` | ``{"name", "arguments"}``: call this tool |
| ``cached_tokens``, ``cache_write_tokens``, ``reasoning_tokens`` | what the usage reports of these |
| ``no_usage`` | report no usage |
| ``finish_reason``, ``text`` | instead of the usual ones |
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from backends import upstream_errors
from backends.simulated_question import Question, Simulate, StreamOptions, ToolCall
from backends.simulated_values import BYTES_PER_TOKEN, count_tokens, prose, sample, unit_vector
from gateway.domain import Call, Endpoint, Timeouts
from gateway.errors import UpstreamBroken, UpstreamInterrupted, UpstreamTimeout
from gateway.ports import Reply

_ANSWERED = frozenset({Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS, Endpoint.MODERATIONS})
_CREATED = 1_700_000_000  # a fixed moment: answers are the same whenever they are asked for
_TOKENS_PER_MESSAGE = 3
_OUTPUT_TOKENS = 32
_EMBEDDING_DIMENSIONS = 64
_MODERATION_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice: a text or a tool call, and how it ends."""

    text: str
    tokens: int
    finish_reason: str
    tool_call: ToolCall | None = None


class SimulatedReply:
    """Blocks made in process, with the pauses and breaks that were asked for, under the provider's time limits."""

    def __init__(self, blocks: Iterator[bytes], steering: Simulate, limits: Timeouts, request_id: str) -> None:
        self.first = b""
        self.http_status = 200
        self.upstream_request_id: str | None = request_id
        self.headers: Mapping[str, str] = {}
        self._blocks = blocks
        self._steering = steering
        self._limits = limits
        self._given = 0

    async def begin(self, limit_s: float) -> None:
        """Wait for the first block. Raises UpstreamTimeout, UpstreamBroken."""
        try:
            self.first = await self._pull(self._steering.first_token_delay_ms, limit_s) or b""
        except UpstreamInterrupted as exc:
            raise UpstreamBroken("Obol's simulator broke off before its answer, as it was asked to.") from exc

    async def next(self) -> bytes | None:
        try:
            return await self._pull(self._steering.between_tokens_ms, self._limits.between_tokens_s)
        except UpstreamTimeout as exc:
            exc.can_fall_back = False
            raise

    def close(self) -> None:
        self._blocks = iter(())

    finish = close

    async def _pull(self, pause_ms: float, limit_s: float) -> bytes | None:
        steering = self._steering
        if self._given == (steering.cut_after_chunks if steering.cut_after_chunks is not None else -1):
            if steering.hang:
                await _silence(limit_s)
            raise UpstreamInterrupted("Obol's simulator broke off, as it was asked to.")
        if pause_ms:
            await _pause(pause_ms, limit_s)
        self._given += 1
        return next(self._blocks, None)


class Simulator:
    """A Backend without an upstream."""

    async def open(self, call: Call) -> Reply:
        """Answer from nothing but the request. Raises UpstreamError where the request asks for one."""
        if call.endpoint not in _ANSWERED:
            said = upstream_errors.ErrorObject(
                message=f"Obol's simulator has no {call.endpoint.value}.", code="not_found"
            )
            raise upstream_errors.refusal_of(404, {}, said)
        limits = call.deployment.provider.timeouts
        try:
            question = msgspec.json.decode(call.body, type=Question)
        except msgspec.DecodeError as exc:
            said = upstream_errors.ErrorObject(message=f"Obol's simulator cannot read this request: {exc}.")
            raise upstream_errors.refusal_of(400, {}, said) from exc
        steering = question.simulate or Simulate()
        limit_s = limits.first_token_s if call.is_stream else limits.total_s
        if steering.delay_ms:
            await _pause(steering.delay_ms, limit_s)
        if steering.error is not None:
            error = steering.error
            said = upstream_errors.ErrorObject(message=error.message, type=error.type, code=error.code)
            raise upstream_errors.refusal_of(error.status, {}, said)
        if steering.hang and steering.cut_after_chunks is None:
            await _silence(limit_s)
        if not call.is_stream and steering.cut_after_chunks is not None:
            steering = msgspec.structs.replace(steering, cut_after_chunks=0)
        asked = [question.model, question.messages, question.prompt, question.input, question.tools]
        identity = hashlib.sha256(_json(asked)).hexdigest()
        reply = SimulatedReply(_blocks(call, question, steering, identity), steering, limits, f"sim-{identity[:24]}")
        await reply.begin(limit_s)
        return reply


async def _pause(pause_ms: float, limit_s: float) -> None:
    """Sleep as asked, but no longer than an upstream may be silent. Raises UpstreamTimeout."""
    if pause_ms / 1000 >= limit_s:
        await _silence(limit_s)
    await asyncio.sleep(pause_ms / 1000)


async def _silence(limit_s: float) -> None:
    await asyncio.sleep(limit_s)
    raise UpstreamTimeout("Obol's simulator stayed silent, as it was asked to.")


def _blocks(call: Call, question: Question, steering: Simulate, identity: str) -> Iterator[bytes]:
    match call.endpoint:
        case Endpoint.EMBEDDINGS:
            yield _json(_embeddings(question, steering))
        case Endpoint.MODERATIONS:
            yield _json(_moderations(question, identity))
        case Endpoint.CHAT | Endpoint.COMPLETIONS:
            answers = [_answer(call.endpoint, question, steering, identity, index) for index in range(question.n or 1)]
            usage = None if steering.no_usage else _usage(_input_tokens(call.endpoint, question), answers, steering)
            make = _stream if call.is_stream else _whole
            yield from make(call.endpoint, question, answers, usage, identity)


def _whole(
    endpoint: Endpoint, question: Question, answers: list[Answer], usage: dict[str, Any] | None, identity: str
) -> Iterator[bytes]:
    is_chat = endpoint is Endpoint.CHAT
    choices: list[dict[str, Any]] = []
    for index, answer in enumerate(answers):
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": answer.finish_reason}
        if is_chat:
            choice["message"] = _message(answer, identity, index)
        else:
            choice["text"] = answer.text
        choices.append(choice)
    reply = _head(question, identity, "chat.completion" if is_chat else "text_completion", is_chat=is_chat)
    reply["choices"] = choices
    if usage is not None:
        reply["usage"] = usage
    yield _json(reply)


def _message(answer: Answer, identity: str, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_call is not None:
        message["content"] = None
        message["tool_calls"] = [_tool_call(answer.tool_call, identity, index)]
    return message


def _stream(
    endpoint: Endpoint, question: Question, answers: list[Answer], usage: dict[str, Any] | None, identity: str
) -> Iterator[bytes]:
    """The events of a streamed answer: one block each, role first, then pieces, finish, usage if asked, end mark."""
    is_chat = endpoint is Endpoint.CHAT
    options = question.stream_options or StreamOptions()
    head = _head(question, identity, "chat.completion.chunk" if is_chat else "text_completion", is_chat=is_chat)

    def event(choices: list[dict[str, Any]], reported: dict[str, Any] | None = None) -> bytes:
        chunk = {**head, "choices": choices}
        if options.include_usage and usage is not None:
            chunk["usage"] = reported
        return b"data: " + _json(chunk) + b"\n\n"

    for index, answer in enumerate(answers):
        for piece in _pieces(answer, identity, index, is_chat=is_chat):
            yield event([piece])
    if options.include_usage and usage is not None:
        yield event([], usage)
    yield b"data: [DONE]\n\n"


def _pieces(answer: Answer, identity: str, index: int, *, is_chat: bool) -> Iterator[dict[str, Any]]:
    """One choice as stream pieces: a few bytes of text at a time, tool arguments in fragments."""

    def piece(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        shown = {"delta": delta} if is_chat else {"text": delta.get("content", "")}
        return {"index": index, **shown, "logprobs": None, "finish_reason": finish_reason}

    if is_chat:
        yield piece({"role": "assistant", "content": None if answer.tool_call else "", "refusal": None})
    if answer.tool_call is not None:
        call = _tool_call(answer.tool_call, identity, index)
        arguments = call["function"]["arguments"]
        call["function"]["arguments"] = ""
        yield piece({"tool_calls": [{"index": 0, **call}]})
        for start in range(0, len(arguments), 8):
            yield piece({"tool_calls": [{"index": 0, "function": {"arguments": arguments[start : start + 8]}}]})
    else:
        for start in range(0, len(answer.text), BYTES_PER_TOKEN):
            yield piece({"content": answer.text[start : start + BYTES_PER_TOKEN]})
    yield piece({}, answer.finish_reason)


def _head(question: Question, identity: str, kind: str, *, is_chat: bool) -> dict[str, Any]:
    prefix = "chatcmpl" if is_chat else "cmpl"
    return {
        "id": f"{prefix}-sim-{identity[:24]}",
        "object": kind,
        "created": _CREATED,
        "model": question.model,
        "system_fingerprint": "obol-simulator",
    }


def _tool_call(call: ToolCall, identity: str, index: int) -> dict[str, Any]:
    arguments = call.arguments if isinstance(call.arguments, str) else _json(call.arguments).decode()
    return {
        "id": f"call_sim_{identity[:16]}_{index}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _answer(endpoint: Endpoint, question: Question, steering: Simulate, identity: str, index: int) -> Answer:
    call = steering.tool_call or (_asked_tool(question) if endpoint is Endpoint.CHAT else None)
    if call is not None:
        text = call.arguments if isinstance(call.arguments, str) else _json(call.arguments).decode()
        return Answer("", count_tokens(call.name + text), steering.finish_reason or "tool_calls", call)
    limit = question.max_completion_tokens or question.max_tokens
    schema = _schema(question.response_format)
    if steering.text is not None:
        text = steering.text
    elif schema is not None:
        text = _json(sample(schema, identity)).decode()
    else:
        wanted = _OUTPUT_TOKENS if steering.output_tokens is None else steering.output_tokens
        text = prose(f"{identity}/{index}", wanted)
    tokens = count_tokens(text)
    if limit is not None and tokens > limit:
        cut = text.encode()[: limit * BYTES_PER_TOKEN].decode(errors="ignore")
        return Answer(cut, limit, steering.finish_reason or "length")
    return Answer(text, tokens, steering.finish_reason or "stop")


def _asked_tool(question: Question) -> ToolCall | None:
    """The tool that ``tool_choice`` insists on, with arguments that satisfy its schema."""
    choice, tools = question.tool_choice, question.tools or []
    if choice == "required":
        wanted = None
    elif isinstance(choice, dict):
        wanted = (choice.get("function") or {}).get("name")
    else:
        return None
    for tool in tools:
        function = tool.get("function") or {}
        if function.get("name") and wanted in (None, function["name"]):
            return ToolCall(function["name"], sample(function.get("parameters") or {"type": "object"}, "tool"))
    return None


def _schema(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    match response_format:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_object"}:
            return {"type": "object", "properties": {"simulated": {"const": True}}}
        case _:
            return None


def _input_tokens(endpoint: Endpoint, question: Question) -> int:
    if endpoint is not Endpoint.CHAT:
        texts = question.prompt if endpoint is Endpoint.COMPLETIONS else question.input
        return sum(_tokens_of(text) for text in _items(texts))
    tokens = sum(_TOKENS_PER_MESSAGE + _tokens_of(message.get("content")) for message in question.messages)
    return tokens + (count_tokens(_json(question.tools).decode()) if question.tools else 0)


def _items(value: Any) -> list[Any]:
    """The texts (or token-id lists) of a ``prompt`` or ``input``, which may also be a single one."""
    if isinstance(value, list) and not all(isinstance(item, int) for item in value):
        return value
    return [value]


def _tokens_of(content: Any) -> int:
    match content:
        case str():
            return count_tokens(content)
        case [int(), *_]:
            return len(content)  # token ids
        case list():
            return sum(_tokens_of(part.get("text")) for part in content if isinstance(part, dict))
        case _:
            return 0


def _usage(input_tokens: int, answers: list[Answer], steering: Simulate) -> dict[str, Any]:
    output_tokens = sum(answer.tokens for answer in answers) + steering.reasoning_tokens
    input_tokens = max(input_tokens, steering.cached_tokens + steering.cache_write_tokens)
    details = {"cached_tokens": steering.cached_tokens, "audio_tokens": 0}
    if steering.cache_write_tokens:
        details["cache_write_tokens"] = steering.cache_write_tokens
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": steering.reasoning_tokens, "audio_tokens": 0},
    }


def _embeddings(question: Question, steering: Simulate) -> dict[str, Any]:
    dimensions = question.dimensions or _EMBEDDING_DIMENSIONS
    data: list[dict[str, Any]] = []
    for index, text in enumerate(_items(question.input)):
        vector = unit_vector(text if isinstance(text, str) else _json(text).decode(), dimensions)
        if question.encoding_format == "base64":
            embedding: Any = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
        else:
            embedding = vector
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    reply: dict[str, Any] = {"object": "list", "data": data, "model": question.model}
    if not steering.no_usage:
        tokens = _input_tokens(Endpoint.EMBEDDINGS, question)
        reply["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return reply


def _moderations(question: Question, identity: str) -> dict[str, Any]:
    """Flags a text that holds the word ``simulate-flagged``, and no other."""
    results = []
    for text in _items(question.input):
        words = text if isinstance(text, str) else _json(text).decode()
        flagged = "simulate-flagged" in words
        scores = {name: float(flagged and name == "harassment") for name in _MODERATION_CATEGORIES}
        result = {
            "flagged": flagged,
            "categories": {name: score > 0 for name, score in scores.items()},
            "category_scores": scores,
            "category_applied_input_types": {name: ["text"] for name in scores},
        }
        results.append(result)
    return {"id": f"modr-sim-{identity[:24]}", "model": question.model, "results": results}


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)
