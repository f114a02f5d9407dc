"""Providers with an API of their own: what goes to Anthropic (a local stand-in) and what comes back as OpenAI's."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import subprocess
import sys
from typing import Any

import pytest
from aiohttp import web
from scripted_upstream import ScriptedUpstream

from backends import litellm_errors
from backends.litellm import LiteLLM
from gateway.domain import Call, Deployment, Endpoint, Provider, Timeouts
from gateway.errors import UpstreamInterrupted, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable

# litellm's own types warn at their first use; what we filter in production, pytest brings back for each test.
pytestmark = pytest.mark.filterwarnings("ignore:Item .* on TypedDict class:UserWarning")

USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 70,
    "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 50},
    "output_tokens": 4,
}
HELLO = {"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}


class Anthropic:
    """A stand-in for Anthropic's Messages API. ``behaviour`` is set by each test."""

    def __init__(self) -> None:
        self.behaviour = "good"
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.clients_gone = 0
        self.base_url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(({k.lower(): v for k, v in request.headers.items()}, body))
        match self.behaviour:
            case "hang":
                await self._hang()
            case int() as status:
                error = {"type": "error", "error": {"type": "some_error", "message": "Anthropic's own words"}}
                return web.json_response(error, status=status, headers={"retry-after": "1", "request-id": "req_1"})
        if body.get("stream"):
            return await self._stream(request)
        tool = {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {"coin": 1}}
        content = [tool] if self.behaviour == "tool" else [{"type": "text", "text": "Hello there"}]
        answer = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
            "stop_reason": "tool_use" if self.behaviour == "tool" else "end_turn", "stop_sequence": None,
            "usage": USAGE,
        }  # fmt: skip
        return web.json_response(answer, headers={"request-id": "req_1"})

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.clients_gone += 1
            raise

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
                   "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}  # fmt: skip
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " there"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
            {"type": "message_stop"},
        ]
        for number, event in enumerate(events):
            if number == 4 and self.behaviour == "cut" and request.transport is not None:
                request.transport.abort()
                return response
            if number == 4 and self.behaviour == "short":
                return response  # a proper end of HTTP, but not of the answer
            if number == 4 and self.behaviour == "hang_mid_stream":
                await self._hang()
            await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return response


@pytest.fixture(scope="module")
async def backend():
    made = LiteLLM()
    yield made
    await made.close()


@pytest.fixture
async def anthropic():
    upstream = Anthropic()
    await upstream.start()
    yield upstream
    await upstream.stop()


def call_to(base_url: str, body: dict[str, Any], timeouts: Timeouts | None = None) -> Call:
    provider = Provider(
        "claude", "litellm", base_url, "sk-upstream-secret", litellm_provider="anthropic",
        timeouts=timeouts or Timeouts(),
    )  # fmt: skip
    return Call(
        Deployment("d", provider, "claude-x"), Endpoint.CHAT, json.dumps(body).encode(), bool(body.get("stream")), {}
    )


async def events_of(reply: Any) -> list[Any]:
    blocks = [reply.first]
    while (block := await reply.next()) is not None:
        blocks.append(block)
    payloads = [line.removeprefix("data: ") for line in b"".join(blocks).decode().split("\n\n") if line]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (the condition is another process's, or litellm's)
            await asyncio.sleep(0.01)


def test_importing_the_backend_does_not_import_litellm():
    code = "import sys, backends.litellm, backends.registry; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_litellm_is_loaded_without_a_network_and_without_a_word():
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): sys.exit('the network was asked')\n"
        "socket.getaddrinfo = socket.socket.connect = refuse\n"
        "from backends.litellm import _load\n"
        "_load()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_a_whole_answer_comes_back_in_openai_form_with_every_kind_of_token(backend, anthropic):
    reply = await backend.open(call_to(anthropic.base_url, HELLO))

    answer = json.loads(reply.first)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == "Hello there"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["prompt_tokens"] == 180  # 10 fresh + 100 read + 70 written
    assert answer["usage"]["completion_tokens"] == 4
    details = answer["usage"]["prompt_tokens_details"]
    assert details["cached_tokens"] == 100
    assert (details["cache_write_tokens"], details["cache_write_long_tokens"]) == (20, 50)
    assert await reply.next() is None
    assert reply.upstream_request_id == "req_1"


async def test_the_providers_key_is_used_and_the_body_is_anthropics(backend, anthropic):
    await backend.open(call_to(anthropic.base_url, {**HELLO, "top_k": 5, "temperature": 0.5}))

    headers, body = anthropic.requests[0]
    assert headers["x-api-key"] == "sk-upstream-secret"
    assert (body["model"], body["top_k"], body["temperature"]) == ("claude-x", 5, 0.5)


async def test_a_stream_ends_with_usage_and_the_end_mark(backend, anthropic):
    body = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}

    events = await events_of(await backend.open(call_to(anthropic.base_url, body)))

    text = "".join(choice["delta"].get("content", "") for e in events[:-1] for choice in e["choices"])
    assert text == "Hello there"
    assert events[-1] == "[DONE]"
    usage = next(e["usage"] for e in events[:-1] if e.get("usage"))
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (180, 4)
    details = usage["prompt_tokens_details"]
    assert (details["cached_tokens"], details["cache_write_tokens"], details["cache_write_long_tokens"]) == (
        100,
        20,
        50,
    )
    finish = [c["finish_reason"] for e in events[:-1] for c in e["choices"] if c["finish_reason"]]
    assert finish == ["stop"]
    assert len({e["id"] for e in events[:-1]}) == 1


async def test_tool_calls_come_back_as_functions(backend, anthropic):
    anthropic.behaviour = "tool"
    tool = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}}}

    reply = await backend.open(call_to(anthropic.base_url, {**HELLO, "tools": [tool]}))

    choice = json.loads(reply.first)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "pay", "arguments": '{"coin": 1}'}


@pytest.mark.parametrize(
    ("upstream", "status", "can_fall_back"), [(400, 400, False), (401, 502, True), (429, 429, True), (529, 503, True)]
)
async def test_a_refusal_keeps_its_words_but_never_our_credentials(backend, anthropic, upstream, status, can_fall_back):
    anthropic.behaviour = upstream

    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call_to(anthropic.base_url, HELLO))

    assert (caught.value.status, caught.value.can_fall_back) == (status, can_fall_back)
    assert (caught.value.message == "Anthropic's own words") is (upstream != 401)
    assert len(anthropic.requests) == 1  # litellm did not try again


async def test_an_unreachable_upstream_can_be_fallen_back_from(backend):
    with pytest.raises(UpstreamUnreachable) as caught:
        await backend.open(call_to("http://127.0.0.1:9", HELLO))
    assert caught.value.can_fall_back


async def test_to_an_openai_like_provider_unknown_fields_travel_in_the_body(backend):
    async with ScriptedUpstream() as upstream:
        owner = Provider("o", "litellm", upstream.base_url, "sk-x", litellm_provider="openai")
        deployment = Deployment("d", owner, "m")
        for endpoint, body in ((Endpoint.CHAT, HELLO), (Endpoint.EMBEDDINGS, {"input": ["x"]})):
            content = json.dumps({**body, "vendor": {"b": 1, "a": 2}}).encode()
            reply = await backend.open(
                Call(deployment, endpoint, content, is_stream=False, headers={"traceparent": "t"})
            )

            call = upstream.calls[-1]
            assert json.loads(reply.first)["usage"]["prompt_tokens"] == 9
            assert (call.body["vendor"], call.headers["traceparent"]) == ({"b": 1, "a": 2}, "t")
            assert not any(name.startswith("_") for name in call.body)


@pytest.mark.parametrize("behaviour", ["cut", "short"])
async def test_a_stream_that_breaks_off_does_not_look_like_an_end(backend, anthropic, behaviour):
    anthropic.behaviour = behaviour
    reply = await backend.open(call_to(anthropic.base_url, {**HELLO, "stream": True}))

    with pytest.raises(UpstreamInterrupted):
        await events_of(reply)


async def test_a_silent_upstream_times_out_before_the_first_block(backend, anthropic):
    # litellm's first call imports more of itself; a limit that strikes in there would leave a coroutine unawaited.
    await backend.open(call_to(anthropic.base_url, HELLO))
    anthropic.behaviour = "hang"
    limits = Timeouts(first_token_s=1, total_s=1)

    with pytest.raises(UpstreamTimeout):
        await backend.open(call_to(anthropic.base_url, HELLO, limits))


async def test_leaving_closes_the_upstream_call(backend, anthropic):
    anthropic.behaviour = "hang_mid_stream"
    reply = await backend.open(call_to(anthropic.base_url, {**HELLO, "stream": True}))

    reply.close()

    await until(lambda: anthropic.clients_gone == 1)


async def test_cancelling_open_closes_the_upstream_call(backend, anthropic):
    anthropic.behaviour = "hang"
    task = asyncio.create_task(backend.open(call_to(anthropic.base_url, HELLO)))
    await until(lambda: anthropic.requests)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: anthropic.clients_gone == 1)


@pytest.mark.parametrize(
    "field", ["api_base", "base_url", "api_key", "fallbacks", "model_list", "extra_headers", "aws_region_name",
              "vertex_credentials", "litellm_metadata", "mock_response", "custom_llm_provider", "timeout_url"]
)  # fmt: skip
async def test_a_client_cannot_set_what_steers_litellm(backend, anthropic, field):
    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call_to(anthropic.base_url, {**HELLO, field: "http://elsewhere"}))
    assert (caught.value.status, caught.value.param) == (400, field)
    assert anthropic.requests == []


async def test_every_exception_of_litellm_is_in_the_table(backend, anthropic):
    await backend.open(call_to(anthropic.base_url, HELLO))
    exceptions = importlib.import_module("litellm.exceptions")
    own = {
        name
        for name, kind in vars(exceptions).items()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == exceptions.__name__
    }
    assert own == set(litellm_errors.EXCEPTIONS)


async def test_an_endpoint_that_litellm_is_not_asked_for_is_refused_in_our_form(backend, anthropic):
    call = call_to(anthropic.base_url, HELLO)
    moderation = Call(call.deployment, Endpoint.MODERATIONS, b'{"input":"x"}', is_stream=False, headers={})
    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(moderation)
    assert caught.value.status == 404
