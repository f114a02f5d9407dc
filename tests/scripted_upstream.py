"""A real HTTP upstream with the OpenAI API whose behaviour each request chooses; the whole project's tests call it.

As a process: ``python tests/scripted_upstream.py --port 0`` prints ``{"port": 12345}`` and serves until it is
terminated. In a test: ``async with ScriptedUpstream() as upstream: ... upstream.base_url ... upstream.calls``.

A request says what it wants in the body field ``script`` (with the SDKs: ``extra_body={"script": {...}}``; fields in
``Script`` below), or by a model named like one of ``PRESETS``. Without either it gets a plain good answer.

Every request is recorded: ``GET /_calls`` returns ``{"calls": [...]}`` (fields in ``Call`` below), ``DELETE /_calls``
forgets them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import signal
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal, Self

import msgspec
from aiohttp import web

ENDPOINTS = ("chat/completions", "completions", "embeddings", "moderations")
CREATED = 1_700_000_000
HTML = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1>secret-proxy-7</body></html>"


class Script(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with one request. The default is a good answer."""

    # The answer
    text: str = "Hello from the scripted upstream, word by word."
    usage: dict[str, Any] | None = None  # the usage object, exactly; None: 9 prompt tokens, one per word of the text
    no_usage: bool = False  # report none, asked or not
    forced_usage: bool = False  # a usage chunk although nobody asked
    continuous_usage: bool = False  # usage in every chunk, like vLLM with continuous_usage_stats
    tool_calls: list[dict[str, str]] = []  # [{"name", "arguments"}]; streamed in fragments of 5 characters
    refusal: str | None = None
    finish_reason: str | None = None
    answered_model: str | None = None  # what the answer names as its model
    extra: dict[str, Any] = {}  # unknown fields, put on the top level of the answer and of each chunk
    # Refusals and broken bodies
    status: int = 200
    body: Any = None  # the body instead of an answer: an object (sent as JSON) or a string (sent as it is)
    content_type: str | None = None
    headers: dict[str, str] = {}
    drop_last_bytes: int = 0  # truncated JSON, with a content-length that fits it
    content_length_excess: int = 0  # promise so many bytes more than come, then close
    gzip: bool = False
    # Time
    delay_ms: float = 0  # before the headers
    first_chunk_ms: float = 0  # between the headers and the first event
    chunk_ms: float = 0  # before each further event
    hang: Literal["before_headers", "after_headers", "mid_stream"] | None = None  # mid_stream: after cut_after events
    # Breaks
    drop_connection: bool = False  # close without a byte of an answer
    cut_after: int | None = None  # after so many events ...
    cut_by: Literal["reset", "close"] = "reset"  # ... reset the socket, or close it without the last chunk
    error_event: dict[str, Any] | None = None  # ... or send this error event and end properly
    # How a stream is written
    omit_done: bool = False
    comments: bool = False  # an SSE comment before each event
    crlf: bool = False
    split_events: bool = False  # each event in three TCP segments, cut inside its JSON
    join_events: bool = False  # all events in one write


PRESETS: dict[str, Script] = {
    "error-400": Script(
        status=400,
        body={"error": {"message": "too long", "type": "invalid_request_error", "param": "messages",
                        "code": "context_length_exceeded"}},
    ),
    "error-401": Script(
        status=401,
        body={"error": {"message": "Incorrect API key provided: sk-up***", "type": "invalid_request_error",
                        "param": None, "code": "invalid_api_key"}},
    ),
    "error-404": Script(status=404, body={"error": {"message": "no such model", "type": "x", "code": 404}}),
    "error-429": Script(
        status=429, headers={"retry-after": "7"},
        body={"error": {"message": "slow down", "type": "requests", "param": None, "code": "rate_limit_exceeded"}},
    ),
    "error-quota": Script(
        status=429,
        body={"error": {"message": "no money", "type": "insufficient_quota", "param": None,
                        "code": "insufficient_quota"}},
    ),
    "error-500": Script(status=500, body={"error": {"message": "oops", "type": "server_error", "code": None}}),
    "error-503": Script(status=503, body=HTML, content_type="text/html"),
    "html-200": Script(body=HTML, content_type="text/html"),
    "empty-200": Script(body=""),
    "truncated": Script(drop_last_bytes=9),
    "wrong-length": Script(content_length_excess=50),
    "hang": Script(hang="before_headers"),
    "hang-after-headers": Script(hang="after_headers"),
    "hang-mid-stream": Script(hang="mid_stream", cut_after=3),
    "cut": Script(cut_after=3),
    "drop": Script(drop_connection=True),
    "no-done": Script(omit_done=True),
    "no-usage": Script(no_usage=True),
}  # fmt: skip


class Call(msgspec.Struct):
    """One recorded request. Times are Unix seconds; ``ended_at`` is ``None`` while it runs."""

    number: int
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: Any  # parsed when it is JSON, else its text
    started_at: float
    ended_at: float | None = None
    is_client_gone: bool = False  # the client left before the answer was whole
    is_complete: bool = False  # the answer went out whole
    events_sent: int = 0


class ScriptedUpstream:
    """The server and its records. ``calls`` grows by one for each request."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.calls: list[Call] = []
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/_calls", self._show_calls)
        app.router.add_delete("/_calls", self._forget_calls)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        # Azure's older paths end in the same way.
        app.router.add_post("/{path:.*}", self._answer)
        # handler_cancellation: a client that leaves cancels the answer, so that it can be recorded.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _show_calls(self, _: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode({"calls": self.calls}), content_type="application/json")

    async def _forget_calls(self, _: web.Request) -> web.Response:
        self.calls.clear()
        return web.json_response({})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, request: web.Request) -> web.Response:
        self._record(request, "")
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in PRESETS]})

    def _record(self, request: web.Request, body: Any) -> Call:
        call = Call(
            number=len(self.calls),
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            started_at=time.time(),
        )
        self.calls.append(call)
        return call

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw.decode(errors="replace")
        call = self._record(request, body)
        try:
            response = await self._play(request, call)
            call.is_complete = True
            return response
        except (asyncio.CancelledError, ConnectionError):
            call.is_client_gone = True
            raise
        except _Broken as broken:
            return broken.response
        finally:
            call.ended_at = time.time()

    async def _play(self, request: web.Request, call: Call) -> web.StreamResponse:
        if not isinstance(call.body, dict):
            return web.json_response({"error": {"message": "not JSON", "type": "invalid_request_error"}}, status=400)
        try:
            script = _script_of(call.body)
        except msgspec.ValidationError as exc:  # a mistake in a test shows as what it is
            return web.json_response({"error": {"message": f"bad script: {exc}", "type": "script"}}, status=400)
        await _pause(script.delay_ms)
        if script.hang == "before_headers":
            await asyncio.Event().wait()
        if script.drop_connection:
            raise _break_off(request, web.Response())
        endpoint = next((known for known in ENDPOINTS if request.path.endswith("/" + known)), None)
        if endpoint is None:
            return web.json_response({"error": {"message": "no such endpoint", "type": "not_found"}}, status=404)
        if script.body is not None or script.status != 200:
            return await _send_whole(request, script, _body_bytes(script))
        if call.body.get("stream") and endpoint in ("chat/completions", "completions"):
            return await _send_stream(request, script, call, list(stream_events(endpoint, call.body, script)))
        return await _send_whole(request, script, json.dumps(whole_answer(endpoint, call.body, script)).encode())


class _Broken(Exception):
    """The answer was broken off on purpose."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response


def _script_of(body: dict[str, Any]) -> Script:
    if "script" in body:
        return msgspec.convert(body["script"], Script)
    return PRESETS.get(str(body.get("model")), Script())


def _body_bytes(script: Script) -> bytes:
    return script.body.encode() if isinstance(script.body, str) else json.dumps(script.body).encode()


def _break_off(request: web.Request, response: web.StreamResponse, by: str = "reset") -> _Broken:
    """Reset the socket, or close it in good manners but too early."""
    transport = request.transport
    if transport is not None:
        if by == "close":
            transport.close()
        else:
            transport.abort()
    return _Broken(response)


async def _pause(pause_ms: float) -> None:
    if pause_ms:
        await asyncio.sleep(pause_ms / 1000)


# --- what is said -----------------------------------------------------------------------------------------------------


def usage_of(script: Script, words: int) -> dict[str, Any]:
    if script.usage is not None:
        return script.usage
    return {"prompt_tokens": 9, "completion_tokens": words, "total_tokens": 9 + words}


def pieces_of(text: str) -> list[str]:
    """The text word by word, spaces kept: each piece is one token of the default usage."""
    return text.replace(" ", "\0 ").split("\0") if text else []


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
            "choices": [_whole_choice(script, index, is_chat=is_chat) for index in range(body.get("n") or 1)],
        }
        usage = usage_of(script, len(pieces_of(script.text)) * (body.get("n") or 1))
    if not script.no_usage:
        answer["usage"] = usage
    return {**answer, **script.extra}


def _whole_choice(script: Script, index: int, *, is_chat: bool) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": _finish_reason(script)}
    if not is_chat:
        return {**choice, "text": script.text}
    message: dict[str, Any] = {"role": "assistant", "content": script.text, "refusal": script.refusal}
    if script.refusal is not None or script.tool_calls:
        message["content"] = None
    if script.tool_calls:
        message["tool_calls"] = [_tool_call(tool, number) for number, tool in enumerate(script.tool_calls)]
    return {**choice, "message": message}


def _tool_call(tool: dict[str, str], number: int) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": dict(tool)}


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
        return _framed(json.dumps(event), script)

    for index in range(body.get("n") or 1):
        for delta, finish_reason in _deltas(script, is_chat=is_chat):
            said += bool(delta.get("content") or delta.get("text"))
            inner = {"delta": delta} if is_chat else {"text": delta.get("text", "")}
            choice = {"index": index, **inner, "logprobs": None, "finish_reason": finish_reason}
            running = {"prompt_tokens": 9, "completion_tokens": said, "total_tokens": 9 + said}
            yield chunk([choice], running if is_continuous else None)
    if has_usage:
        yield chunk([], usage_of(script, said))
    if not script.omit_done:
        yield _framed("[DONE]", script)


def _deltas(script: Script, *, is_chat: bool) -> Iterator[tuple[dict[str, Any], str | None]]:
    if not is_chat:
        yield from (({"text": piece}, None) for piece in pieces_of(script.text))
        yield {"text": ""}, _finish_reason(script)
        return
    yield {"role": "assistant", "content": "", "refusal": None}, None
    if script.tool_calls:
        for number, tool in enumerate(script.tool_calls):
            opening = _tool_call({**tool, "arguments": ""}, number)
            yield {"tool_calls": [{"index": number, **opening}]}, None
            for start in range(0, len(tool["arguments"]), 5):
                fragment = {"arguments": tool["arguments"][start : start + 5]}
                yield {"tool_calls": [{"index": number, "function": fragment}]}, None
    elif script.refusal is not None:
        yield from (({"refusal": piece}, None) for piece in pieces_of(script.refusal))
    else:
        yield from (({"content": piece}, None) for piece in pieces_of(script.text))
    yield {}, _finish_reason(script)


def _framed(data: str, script: Script) -> bytes:
    event = (": keep-alive\n\n" if script.comments else "") + f"data: {data}\n\n"
    return (event.replace("\n", "\r\n") if script.crlf else event).encode()


# --- how it is sent ---------------------------------------------------------------------------------------------------


async def _send_whole(request: web.Request, script: Script, body: bytes) -> web.StreamResponse:
    if script.drop_last_bytes:
        body = body[: -script.drop_last_bytes]
    headers = {"x-request-id": "req-scripted", "openai-processing-ms": "5", "set-cookie": "a=b", **script.headers}
    headers["content-type"] = script.content_type or "application/json"
    if script.gzip:
        body = gzip.compress(body)
        headers["content-encoding"] = "gzip"
    response = web.StreamResponse(status=script.status, headers=headers)
    response.content_length = len(body) + script.content_length_excess
    await response.prepare(request)
    if script.hang == "after_headers":
        await asyncio.Event().wait()
    await response.write(body)
    if script.content_length_excess:
        raise _break_off(request, response, "close")
    if script.cut_after is not None:
        raise _break_off(request, response, script.cut_by)
    await response.write_eof()
    return response


async def _send_stream(request: web.Request, script: Script, call: Call, events: list[bytes]) -> web.StreamResponse:
    headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req-scripted", **script.headers}
    packer = zlib.compressobj(wbits=31) if script.gzip else None
    if packer is not None:
        headers["content-encoding"] = "gzip"
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    if script.hang == "after_headers":
        await asyncio.Event().wait()
    await _pause(script.first_chunk_ms)
    async for event in _paced(script, call, events):
        for segment in _segments(event, script):
            packed = segment if packer is None else packer.compress(segment) + packer.flush(zlib.Z_SYNC_FLUSH)
            await response.write(packed)
            if script.split_events:
                await asyncio.sleep(0.001)  # lets the segment leave by itself
    if script.cut_after is not None:
        if script.hang == "mid_stream":
            await asyncio.Event().wait()
        if script.error_event is None:
            raise _break_off(request, response, script.cut_by)
        await response.write(_framed(json.dumps({"error": script.error_event}), script))
    await response.write_eof(b"" if packer is None else packer.flush())
    return response


async def _paced(script: Script, call: Call, events: list[bytes]) -> AsyncIterator[bytes]:
    """The events to be sent, in their rhythm, counted."""
    events = events if script.cut_after is None else events[: script.cut_after]
    if script.join_events:
        call.events_sent = len(events)
        yield b"".join(events)
        return
    for number, event in enumerate(events):
        if number:
            await _pause(script.chunk_ms)
        yield event
        call.events_sent += 1


def _segments(event: bytes, script: Script) -> list[bytes]:
    if not script.split_events:
        return [event]
    third = max(1, len(event) // 3)
    return [part for part in (event[:third], event[third : 2 * third], event[2 * third :]) if part]


async def _serve(host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with ScriptedUpstream(host, port) as upstream:
        print(json.dumps({"port": upstream.port}), flush=True)  # noqa: T201 (its parent reads the port here)
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.host, options.port))


if __name__ == "__main__":
    main()
