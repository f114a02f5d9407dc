"""The server of the scripted upstream and its records."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from typing import Any, Self

import msgspec
from aiohttp import web

from scripted import media, messages, openai_chat
from scripted.responses import ResponsesAnswer, Shelf, compaction, token_count
from scripted.script import PRESETS, Script, framed, script_of
from scripted.sending import Broken, break_off, pause, send_stream, send_whole

ENDPOINTS = (
    *("chat/completions", "completions", "embeddings", "moderations"),
    *("responses/input_tokens", "responses/compact", "responses", "messages/count_tokens", "messages"),
    *media.ENDPOINTS,
)
_STREAMING = ("chat/completions", "completions", "responses", "messages")
_OPENAI_HEADERS = {"x-request-id": "req-scripted", "openai-processing-ms": "5"}
_ANTHROPIC_HEADERS = {"request-id": "req-scripted", "anthropic-ratelimit-requests-remaining": "4999"}


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


def user_of(body: object) -> str:
    """Who asks, by a recorded body: ``user``, with Anthropic ``metadata.user_id``."""
    if not isinstance(body, dict):
        return ""
    metadata = body.get("metadata")
    return str(body.get("user") or (metadata.get("user_id", "") if isinstance(metadata, dict) else ""))


def _model_of(body: object) -> object:
    return body.get("model") if isinstance(body, dict) else None


class ScriptedUpstream:
    """The server and its records. ``calls`` grows by one for each request."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, script_of: Callable[[str, dict[str, Any]], Script] = script_of
    ) -> None:
        """``script_of``: what to do with a body at an endpoint; by default what the request itself says."""
        self.host, self.port = host, port
        self.calls: list[Call] = []
        self._script_of = script_of
        self._shelf = Shelf()
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
        app.router.add_get("/v1/responses/{rest:.+}", self._kept)
        app.router.add_delete("/v1/responses/{rest:.+}", self._kept)
        app.router.add_post("/v1/responses/{rest:[^/]+/cancel}", self._kept)
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

    async def _show_calls(self, request: web.Request) -> web.Response:
        """All, or those whose user begins so, and of that model: thousands of others would be parsed for one."""
        user, model = request.query.get("user", ""), request.query.get("model")
        shown = [
            call
            for call in self.calls
            if user_of(call.body).startswith(user) and (model is None or _model_of(call.body) == model)
        ]
        return web.Response(body=msgspec.json.encode({"calls": shown}), content_type="application/json")

    async def _forget_calls(self, _: web.Request) -> web.Response:
        self.calls.clear()
        return web.json_response({})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _models(self, request: web.Request) -> web.Response:
        self._record(request, "")
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in PRESETS]})

    async def _kept(self, request: web.Request) -> web.Response:
        """An answer that was stored earlier."""
        call = self._record(request, await request.text())
        status, body = self._shelf.look_up(request.method, request.match_info["rest"])
        call.is_complete, call.ended_at = True, time.time()
        return web.json_response(body, status=status, headers=_OPENAI_HEADERS)

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
            is_form = request.content_type == "multipart/form-data"
            body = media.form_of(request.headers["content-type"], raw) if is_form else json.loads(raw)
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
        except Broken as broken:
            return broken.response
        finally:
            call.ended_at = time.time()

    async def _play(self, request: web.Request, call: Call) -> web.StreamResponse:
        endpoint = next((known for known in ENDPOINTS if request.path.endswith("/" + known)), "")
        if not isinstance(call.body, dict):
            return _refusal(400, "not JSON", "invalid_request_error")
        try:
            script = self._script_of(endpoint, call.body)
        except msgspec.ValidationError as exc:  # a mistake in a test shows as what it is
            return _refusal(400, f"bad script: {exc}", "script")
        await pause(script.delay_ms)
        if script.hang == "before_headers":
            await asyncio.Event().wait()
        if script.drop_connection:
            raise break_off(request, web.Response())
        if not endpoint:
            return _refusal(404, "no such endpoint", "not_found")
        return await self._say(request, call, endpoint, script)

    async def _say(self, request: web.Request, call: Call, endpoint: str, script: Script) -> web.StreamResponse:
        headers = _ANTHROPIC_HEADERS if endpoint.startswith("messages") else _OPENAI_HEADERS
        missed = self._shelf.misses(call.body.get("previous_response_id")) if endpoint == "responses" else None
        if missed is not None:
            return web.json_response(missed, status=400, headers=headers)
        if script.body is not None or script.status != 200:
            body = script.body if isinstance(script.body, str) else json.dumps(script.body)
            return await send_whole(request, script, body.encode(), headers)
        if endpoint in media.ENDPOINTS:
            if media.is_streamed(endpoint, call.body):
                blocks, script = media.blocks(endpoint, call.body, script)
                error = framed(json.dumps({"error": script.error_event}), script)
                return await send_stream(request, script, call, blocks, error, headers)
            answer, kind = media.whole(endpoint, call.body, script)
            typed = msgspec.structs.replace(script, content_type=script.content_type or kind)
            return await send_whole(request, typed, answer, headers)
        if call.body.get("stream") and endpoint in _STREAMING:
            events, error = self._stream(endpoint, call.body, script)
            return await send_stream(request, script, call, events, error, headers)
        whole = json.dumps(self._whole(endpoint, call.body, script))
        return await send_whole(request, script, whole.encode(), headers)

    def _whole(self, endpoint: str, body: dict[str, Any], script: Script) -> dict[str, Any]:
        match endpoint:
            case "messages":
                return messages.whole_answer(body, script)
            case "messages/count_tokens":
                return messages.token_count(script)
            case "responses/compact":
                return compaction(script)
            case "responses/input_tokens":
                return token_count(script)
            case "responses":
                answer = ResponsesAnswer(body, script)
                self._shelf.keep(answer.whole, body)
                return answer.queued if body.get("background") else answer.whole
            case _:
                return openai_chat.whole_answer(endpoint, body, script)

    def _stream(self, endpoint: str, body: dict[str, Any], script: Script) -> tuple[list[bytes], bytes]:
        """All events, and the one that takes their place when the script cuts them with an error."""
        match endpoint:
            case "messages":
                events, error = list(messages.stream_events(body, script)), messages.error_event(script)
            case "responses":
                answer = ResponsesAnswer(body, script)
                self._shelf.keep(answer.whole, body)
                events, error = list(answer.events()), answer.error_event()
            case _:
                events = list(openai_chat.stream_events(endpoint, body, script))
                error = framed(json.dumps({"error": script.error_event}), script)
        if script.events is not None:
            events = [framed(json.dumps(event), script, event.get("type")) for event in script.events]
            if endpoint in ("chat/completions", "completions") and not script.omit_done:
                events.append(framed("[DONE]", script))
        return events, error


def _refusal(status: int, message: str, kind: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": kind}}, status=status)


async def serve(
    host: str = "127.0.0.1", port: int = 0, script_of: Callable[[str, dict[str, Any]], Script] = script_of
) -> None:
    """Print ``{"port": 12345}`` for the parent process to read, and serve until a signal ends it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with ScriptedUpstream(host, port, script_of) as upstream:
        print(json.dumps({"port": upstream.port}), flush=True)  # noqa: T201
        await stop.wait()
