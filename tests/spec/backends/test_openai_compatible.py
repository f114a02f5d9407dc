"""What the OpenAI-compatible backend sends to a real server, and what it makes of everything that can come back."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import inspect
import json
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import client_exceptions
from scripted_upstream import HTML, ScriptedUpstream

from backends import upstream_errors
from backends.openai_compatible import OpenAICompatible, Transport
from backends.registry import create_backends
from gateway.domain import Call, Deployment, Endpoint, Provider, Timeouts
from gateway.errors import (
    UpstreamBroken,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

KEY = "sk-upstream-secret"
QUICK = Timeouts(connect_s=2, first_token_s=0.1, between_tokens_s=0.1, total_s=0.3)


@pytest.fixture
async def upstream():
    async with ScriptedUpstream() as server:
        yield server


@pytest.fixture
async def transport():
    made = Transport()
    yield made
    await made.close()


@pytest.fixture
def backend(transport):
    return OpenAICompatible(transport)


def call_to(
    base_url: str,
    body: dict[str, Any] | None = None,
    *,
    stream: bool = False,
    timeouts: Timeouts | None = None,
    headers: dict[str, str] | None = None,
    endpoint: Endpoint = Endpoint.CHAT,
    **provider: Any,
) -> Call:
    content = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **(body or {})}
    if stream:
        content["stream"] = True
    settings = {"kind": "openai", "api_key": KEY, **provider}
    owner = Provider("p", base_url=base_url, timeouts=timeouts or Timeouts(), **settings)
    return Call(Deployment("d", owner, "gpt x"), endpoint, json.dumps(content).encode(), stream, headers or {})


def scripted(upstream: ScriptedUpstream, stream: bool = False, timeouts: Timeouts | None = None, **script: Any) -> Call:
    return call_to(upstream.base_url, {"script": script}, stream=stream, timeouts=timeouts)


async def everything(reply: Any) -> bytes:
    blocks = [reply.first]
    await drained_into(blocks, reply)
    reply.close()
    return b"".join(blocks)


async def drained_into(blocks: list[bytes], reply: Any) -> None:
    while (block := await reply.next()) is not None:
        blocks.append(block)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (the server's side has no event for it)
            await asyncio.sleep(0.005)


# --- what is sent -----------------------------------------------------------------------------------------------------


async def test_the_body_arrives_byte_by_byte_with_our_credentials_and_nothing_of_the_clients(upstream, backend):
    headers = {"traceparent": "00-1-2-03", "Authorization": "Bearer sk-client", "cookie": "a=b", "X-Api-Key": "c"}

    await everything(
        await backend.open(call_to(upstream.base_url, {"unknown": [1.0, {"b": 1, "a": 2}]}, headers=headers))
    )

    call = upstream.calls[0]
    assert call.path == "/v1/chat/completions"
    assert call.body["unknown"] == [1.0, {"b": 1, "a": 2}]
    assert list(call.body["unknown"][1]) == ["b", "a"]
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["traceparent"] == "00-1-2-03"
    assert call.headers["content-type"] == "application/json"
    assert not {"cookie", "x-api-key"} & call.headers.keys()


async def test_a_stream_is_asked_for_as_events_and_the_providers_own_headers_win(upstream, backend):
    owner = Provider("p", "openai", upstream.base_url, KEY, headers={"x-org": "o"}, query={"v": "2"})
    call = Call(Deployment("d", owner, "m"), Endpoint.CHAT, b'{"stream":true}', is_stream=True, headers={"x-org": "c"})

    await everything(await backend.open(call))

    sent = upstream.calls[0]
    assert (sent.headers["accept"], sent.headers["x-org"], sent.query) == ("text/event-stream", "o", {"v": "2"})


async def test_the_clients_query_travels_and_the_operators_wins(upstream, backend):
    owner = Provider("p", "openai_compatible", upstream.base_url, KEY, query={"v": "2"})
    asked = {"beta": "true", "v": "1"}

    await everything(await backend.open(Call(Deployment("d", owner, "m"), Endpoint.CHAT, b"{}", False, {}, asked)))

    assert upstream.calls[0].query == {"beta": "true", "v": "2"}


async def test_azure_gets_its_own_path_version_and_key_header(upstream, transport):
    base = upstream.base_url.removesuffix("/v1")

    await everything(await OpenAICompatible(transport, is_azure=True).open(call_to(base, kind="azure")))

    call = upstream.calls[0]
    assert call.path == "/openai/deployments/gpt x/chat/completions"
    assert call.query["api-version"]
    assert (call.headers["api-key"], "authorization" in call.headers) == (KEY, False)


async def test_a_large_body_arrives_whole(upstream, backend):
    text = "x" * 3_000_000
    await everything(await backend.open(call_to(upstream.base_url, {"padding": text})))
    assert upstream.calls[0].body["padding"] == text


async def test_a_provider_without_a_key_gets_no_credentials(upstream, backend):
    await everything(await backend.open(call_to(upstream.base_url, kind="vllm", api_key="")))
    assert "authorization" not in upstream.calls[0].headers


# --- good answers -----------------------------------------------------------------------------------------------------


async def test_a_whole_answer_is_one_block_with_the_upstreams_request_id(upstream, backend):
    reply = await backend.open(scripted(upstream, extra={"vendor": 1}, headers={"openai-version": "2020-10-01"}))

    assert json.loads(reply.first)["vendor"] == 1
    assert await reply.next() is None
    assert reply.upstream_request_id == "req-scripted"
    assert reply.headers == {"openai-version": "2020-10-01"}


@pytest.mark.parametrize(
    "script", [{}, {"crlf": True}, {"comments": True}, {"split_events": True}, {"join_events": True}, {"gzip": True}]
)
async def test_a_stream_passes_in_blocks_however_it_was_cut(upstream, backend, script):
    body = await everything(await backend.open(scripted(upstream, stream=True, text="a b c", **script)))
    assert body.count(b"data: ") == 6  # role, three words, finish, end mark
    assert body.rstrip().endswith(b"data: [DONE]")


async def test_a_compressed_whole_answer_is_unpacked(upstream, backend):
    reply = await backend.open(scripted(upstream, gzip=True))
    assert json.loads(reply.first)["object"] == "chat.completion"


async def test_a_connection_is_used_again_after_whole_answers_streams_and_refusals(upstream, transport, backend):
    await everything(await backend.open(scripted(upstream)))
    await everything(await backend.open(scripted(upstream, stream=True)))
    await refused(backend, call_to(upstream.base_url, {"model": "error-429"}))
    await everything(await backend.open(scripted(upstream)))
    assert len([c for pool in transport.session().connector._conns.values() for c in pool]) == 1


async def test_a_stream_that_is_finished_at_its_end_mark_gives_its_connection_back(upstream, transport, backend):
    def idle():
        return [connection for pool in transport.session().connector._conns.values() for connection in pool]

    for _ in range(3):
        reply = await backend.open(scripted(upstream, stream=True))
        read = reply.first
        while b"[DONE]" not in read:
            read += await reply.next()
        reply.finish()
        await until(idle)
        assert len(idle()) == 1


@contextlib.asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """An upstream that answers every request with these bytes and then closes; gives its base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            writer.write(answer)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


ODD_HEADERS = (
    b"x-request-id: req-\xff\xfe\r\napim-request-id: good\r\n"
    b"openai-version: 20\xe2\x98\x83\r\nretry-after: 2\xff\r\nretry-after-ms: 1\xe2\x98\x83\r\n"
)


@pytest.mark.parametrize("stream", [False, True])
async def test_headers_that_are_no_printable_ascii_are_left_out(backend, stream):
    body = b'data: {"choices":[]}\n\n' if stream else b'{"choices":[]}'
    head = b"HTTP/1.1 200 OK\r\n" + ODD_HEADERS + b"content-length: %d\r\n\r\n" % len(body)

    async with answering(head + body) as base_url:
        reply = await backend.open(call_to(base_url, stream=stream))

        assert await everything(reply) == body
    assert (reply.upstream_request_id, reply.headers) == ("good", {})


async def test_a_refusal_passes_no_header_on_that_is_no_printable_ascii(backend):
    head = b"HTTP/1.1 503 No\r\n" + ODD_HEADERS + b"x-should-retry: \xff\r\ncontent-length: 2\r\n\r\n"

    async with answering(head + b"{}") as base_url:
        error = await refused(backend, call_to(base_url))

    assert (error.status, dict(error.headers), error.retry_after_s) == (503, {}, None)


# --- refusals ---------------------------------------------------------------------------------------------------------


async def refused(backend: OpenAICompatible, call: Call) -> UpstreamRefused:
    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
async def test_a_clients_mistake_keeps_its_words_and_goes_nowhere_else(upstream, backend, stream):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-400"}, stream=stream))

    assert (error.status, error.message, error.param) == (400, "too long", "messages")
    assert (error.type, error.code) == ("invalid_request_error", "context_length_exceeded")
    assert (error.can_retry, error.can_fall_back, error.blames_deployment) == (False, False, False)


async def test_our_own_credentials_being_refused_is_not_the_clients_401(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-401"}))

    assert (error.status, error.code, error.http_status) == (502, "upstream_authentication", 401)
    assert "sk-up" not in error.message
    assert (error.can_retry, error.can_fall_back, error.blames_deployment) == (False, True, True)


async def test_a_model_that_is_missing_there_may_be_asked_for_elsewhere(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-404"}))
    # vLLM puts the status number into ``code``; clients look for the code's name.
    assert (error.status, error.code, error.can_fall_back, error.can_retry) == (404, "model_not_found", True, False)


async def test_a_rate_limit_passes_its_pause_on_and_blames_nobody(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-429"}))

    assert (error.status, error.code, error.headers["retry-after"]) == (429, "rate_limit_exceeded", "7")
    assert (error.retry_after_s, error.can_retry, error.can_fall_back) == (7.0, False, True)
    assert not error.blames_deployment


async def test_a_rate_limit_with_a_short_pause_may_be_asked_again(upstream, backend):
    error = await refused(backend, scripted(upstream, status=429, body={}, headers={"retry-after-ms": "1500"}))
    assert (error.retry_after_s, error.can_retry, error.code) == (1.5, True, "rate_limit_exceeded")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
@pytest.mark.parametrize(("wish", "can_retry"), [("1", True), ("3", False), ("86400", False)])
async def test_who_wants_a_long_pause_is_left_for_another_deployment(upstream, backend, status, wish, can_retry):
    error = await refused(backend, scripted(upstream, status=status, body={}, headers={"retry-after": wish}))
    assert (error.can_retry, error.can_fall_back) == (can_retry, True)
    assert (error.retry_after_s, error.headers["retry-after"]) == (float(wish), wish)


async def test_a_pause_that_makes_no_sense_is_not_passed_on(upstream, backend):
    error = await refused(backend, scripted(upstream, status=503, body={}, headers={"retry-after": "nan"}))
    assert (error.retry_after_s, error.can_retry, dict(error.headers)) == (None, True, {})


async def test_an_exhausted_quota_is_never_asked_again(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-quota"}))

    assert (error.status, error.type, error.code) == (429, "insufficient_quota", "insufficient_quota")
    assert (error.can_retry, error.can_fall_back, error.should_retry) == (False, True, False)
    assert error.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("upstream_status", "status", "can_retry", "can_fall_back"),
    [
        (402, 429, False, True), (403, 502, False, True), (408, 408, True, True), (409, 409, True, True),
        (413, 413, False, False), (418, 400, False, False), (422, 400, False, False), (500, 500, True, True),
        (502, 502, True, True), (503, 503, True, True), (504, 504, True, True), (529, 503, True, True),
        (599, 502, True, True), (302, 502, False, True),
    ],
)  # fmt: skip
async def test_each_status_has_its_meaning(upstream, backend, upstream_status, status, can_retry, can_fall_back):
    script = {"status": upstream_status, "body": {"error": {"message": "words", "code": None}}}

    error = await refused(backend, scripted(upstream, **script, headers={"location": "http://elsewhere"}))

    assert (error.status, error.can_retry, error.can_fall_back) == (status, can_retry, can_fall_back)
    assert error.http_status == upstream_status
    assert error.code is None or not error.code.isdigit()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_proxys_html_page_is_never_shown(upstream, backend, status):
    error = await refused(backend, scripted(upstream, status=status, body=HTML, content_type="text/html"))
    assert (error.status, error.code) == (502 if status == 500 else status, "upstream_error")
    assert "<" not in error.message
    assert "secret-proxy" not in error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "plain words"}, "plain words"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"object": "error", "message": "vllm's words", "code": 400}, "vllm's words"),
        ([{"error": {"code": 400, "message": "gemini's words", "status": "INVALID_ARGUMENT"}}], "gemini's words"),
        ({"detail": [{"loc": ["n"], "msg": "bad"}]}, '[{"loc":["n"],"msg":"bad"}]'),
    ],
)
async def test_error_objects_of_other_shapes_are_read(upstream, backend, body, message):
    error = await refused(backend, scripted(upstream, status=400, body=body))
    assert (error.message, error.code) == (message, None)


@pytest.mark.parametrize("filling", [4080, 4090, 4096])
async def test_a_long_message_is_cut_between_words_so_that_no_half_credential_is_left(upstream, backend, filling):
    words = ("x" * 15 + " ") * (filling // 16) + "y" * (filling % 16)
    body = {"error": {"message": f"{words} {KEY} and more {KEY}" + " z" * 1000}}

    error = await refused(backend, scripted(upstream, status=400, body=body))

    assert 4000 < len(error.message) <= upstream_errors.MESSAGE_CHARS_MAX
    assert "sk-" not in error.message.replace(KEY, "")


async def test_a_long_message_without_words_is_not_shown(upstream, backend):
    error = await refused(backend, scripted(upstream, status=400, body={"error": {"message": "x" * 5000}}))
    assert error.message == "The upstream answered with status 400 and no error message."


async def test_the_upstreams_wish_not_to_be_asked_again_is_obeyed_and_passed_on(upstream, backend):
    error = await refused(backend, scripted(upstream, status=500, body={}, headers={"x-should-retry": "false"}))
    assert (error.can_retry, error.should_retry, error.headers["x-should-retry"]) == (False, False, "false")


# --- answers that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("preset", ["html-200", "empty-200"])
async def test_a_good_status_without_an_answer_is_broken(upstream, backend, preset, stream):
    with pytest.raises(UpstreamBroken) as caught:
        await backend.open(call_to(upstream.base_url, {"model": preset}, stream=stream))
    assert caught.value.can_fall_back


async def test_a_whole_answer_that_is_cut_hands_out_what_came_and_then_says_so(upstream, transport, backend):
    whole = (await backend.open(scripted(upstream))).first
    cut = {"drop_last_bytes": 9, "content_length_excess": 50}

    reply = await backend.open(scripted(upstream, **cut))

    assert reply.first == whole[:-9]
    with pytest.raises(UpstreamBroken) as caught:
        await reply.next()
    assert (caught.value.can_fall_back, caught.value.can_retry) == (True, False)
    assert not transport.session().connector._acquired


async def test_a_cut_compressed_answer_hands_out_what_could_be_unpacked(backend):
    text = json.dumps({"choices": list(range(50_000))})
    packed = gzip.compress(text.encode())
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"

    async with answering(head + b"content-length: %d\r\n\r\n" % len(packed) + packed[:-2000]) as base_url:
        reply = await backend.open(call_to(base_url))

    assert reply.first
    assert text.encode().startswith(reply.first)
    with pytest.raises(UpstreamBroken):
        await reply.next()


async def test_a_whole_answer_of_which_nothing_came_is_broken(backend):
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n") as base_url:
        with pytest.raises(UpstreamBroken) as caught:
            await backend.open(call_to(base_url))
    assert caught.value.can_fall_back


async def test_an_error_object_with_status_200_refuses_a_stream_in_its_own_words(upstream, backend):
    error = await refused(backend, scripted(upstream, stream=True, body={"error": {"message": "no", "code": "c"}}))
    assert (error.status, error.message, error.code) == (502, "no", "c")


@pytest.mark.parametrize("cut_by", ["reset", "close"])
async def test_a_cut_stream_hands_out_what_came_and_then_says_so(upstream, backend, cut_by):
    reply = await backend.open(scripted(upstream, stream=True, text="a b c", cut_after=3, cut_by=cut_by))

    got = [reply.first]
    with pytest.raises(UpstreamInterrupted) as caught:
        await drained_into(got, reply)

    assert b"".join(got).count(b"data: ") == 3
    assert (caught.value.can_fall_back, caught.value.can_retry) == (False, False)


async def test_blocks_that_arrived_before_the_break_are_not_lost(upstream, backend):
    reply = await backend.open(scripted(upstream, stream=True, text="a b c", cut_after=3, chunk_ms=1))
    await until(lambda: upstream.calls[0].ended_at is not None)
    await until(lambda: reply._content.exception() is not None)  # the break has arrived, and nobody has read on

    rest = await reply.next()

    assert (reply.first + rest).count(b"data: ") == 3
    with pytest.raises(UpstreamInterrupted):
        await reply.next()


# --- connections ------------------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_unreachable(backend):
    with pytest.raises(UpstreamUnreachable) as caught:
        await backend.open(call_to("http://127.0.0.1:9/v1"))
    assert (caught.value.can_retry, caught.value.can_fall_back, caught.value.status) == (True, True, 502)


async def test_an_unknown_host_is_unreachable(backend):
    with pytest.raises(UpstreamUnreachable):
        await backend.open(call_to("http://no-such-host.invalid/v1"))


async def test_a_server_without_tls_is_unreachable_over_tls(upstream, backend):
    with pytest.raises(UpstreamUnreachable):
        await backend.open(call_to(upstream.base_url.replace("http:", "https:")))


async def test_an_unusable_address_is_unreachable(backend):
    with pytest.raises(UpstreamUnreachable) as caught:
        await backend.open(call_to("ftp://127.0.0.1/v1"))
    assert not caught.value.can_retry


async def test_a_fresh_connection_dropped_without_an_answer_is_not_asked_again(upstream, backend):
    with pytest.raises(UpstreamBroken) as caught:
        await backend.open(call_to(upstream.base_url, {"model": "drop"}))
    assert (caught.value.can_retry, caught.value.can_fall_back) == (False, True)
    assert len(upstream.calls) == 1


async def test_an_idle_connection_dropped_without_an_answer_may_be_asked_again_as_an_attempt_of_its_own(
    upstream, backend
):
    await everything(await backend.open(scripted(upstream)))

    with pytest.raises(UpstreamUnreachable) as caught:
        await backend.open(call_to(upstream.base_url, {"model": "drop"}))

    assert (caught.value.can_retry, caught.value.blames_deployment) == (True, False)
    assert len(upstream.calls) == 2  # never sent twice behind the ledger's back


async def test_garbage_instead_of_http_is_broken(backend):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamBroken):
            await backend.open(call_to(f"http://127.0.0.1:{port}/v1"))


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["hang", "hang-after-headers"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_upstream_times_out_and_sees_us_leave(upstream, backend, preset, stream):
    with pytest.raises(UpstreamTimeout) as caught:
        await backend.open(call_to(upstream.base_url, {"model": preset}, stream=stream, timeouts=QUICK))

    assert (caught.value.status, caught.value.can_fall_back) == (504, True)
    await until(lambda: upstream.calls[0].is_client_gone)


async def test_silence_between_two_blocks_times_out(upstream, backend):
    limits = Timeouts(between_tokens_s=0.1)
    reply = await backend.open(call_to(upstream.base_url, {"model": "hang-mid-stream"}, stream=True, timeouts=limits))

    with pytest.raises(UpstreamTimeout) as caught:
        await everything(reply)

    assert not caught.value.can_fall_back
    await until(lambda: upstream.calls[0].is_client_gone)


async def test_a_stream_that_takes_too_long_altogether_times_out(upstream, backend):
    limits = Timeouts(total_s=0.3)
    call = scripted(upstream, stream=True, timeouts=limits, text="word " * 500, chunk_ms=20)

    with pytest.raises(UpstreamTimeout):
        await everything(await backend.open(call))


async def test_a_slow_reader_is_not_an_upstreams_silence(upstream, backend):
    limits = Timeouts(between_tokens_s=0.02)
    reply = await backend.open(scripted(upstream, stream=True, timeouts=limits, text="a b", join_events=True))

    for _ in range(20):  # the watch looks often, after long silences, while nobody asks for a block
        reply._seen_at_s -= 1
        reply._unwatch()
        reply._look()

    assert (await everything(reply)).rstrip().endswith(b"[DONE]")


async def test_no_connection_in_time_is_unreachable(backend):
    # A listening socket whose queue is full accepts nobody.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        try:
            with pytest.raises(UpstreamUnreachable):
                await backend.open(
                    call_to(f"http://127.0.0.1:{address[1]}/v1", timeouts=Timeouts(connect_s=0.2, total_s=5))
                )
        finally:
            for filler in fillers:
                filler.close()


# --- leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["hang", "hang-after-headers"])
@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_open_closes_the_upstream_connection(upstream, backend, preset, stream):
    task = asyncio.create_task(backend.open(call_to(upstream.base_url, {"model": preset}, stream=stream)))
    await until(lambda: upstream.calls)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: upstream.calls[0].is_client_gone)


async def test_closing_a_stream_midway_closes_the_upstream_connection(upstream, backend):
    reply = await backend.open(call_to(upstream.base_url, {"model": "hang-mid-stream"}, stream=True))

    reply.close()
    reply.close()

    await until(lambda: upstream.calls[0].is_client_gone)


# --- tables -----------------------------------------------------------------------------------------------------------


def test_every_exception_of_aiohttp_is_in_the_table():
    own = {
        kind
        for kind in vars(client_exceptions).values()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == client_exceptions.__name__
    }
    assert own - set(upstream_errors.FAILURES) == set()


def test_every_failure_is_an_upstream_error_that_a_client_may_read():
    for kind in upstream_errors.FAILURES:
        error = upstream_errors.failure(kind.__new__(kind))
        assert isinstance(error, UpstreamError)
        assert error.message.endswith(".")


def test_operating_system_errors_without_a_line_of_their_own_are_translated():
    assert isinstance(upstream_errors.failure(ConnectionResetError()), UpstreamBroken)
    assert isinstance(upstream_errors.failure(ssl.SSLError()), UpstreamBroken)
    assert isinstance(upstream_errors.interruption(aiohttp.ClientPayloadError()), UpstreamInterrupted)


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({}, None), ({"retry-after": "3"}, 3.0), ({"retry-after": "0.5"}, 0.5), ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0), ({"retry-after-ms": "20", "retry-after": "9"}, 0.02),
        ({"retry-after-ms": "x"}, None), ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({"retry-after": "-4"}, None), ({"retry-after": "nan"}, None), ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None), ({"retry-after-ms": "-1"}, None),
    ],
)  # fmt: skip
def test_the_wished_pause_is_read_in_all_its_forms(headers, pause_s):
    assert upstream_errors.wanted_pause_s(headers) == pause_s


async def test_each_provider_kind_has_a_backend_and_closing_twice_is_harmless():
    backends = create_backends()
    assert set(backends.by_kind) == {
        *("openai", "openai_compatible", "azure", "vllm", "anthropic", "litellm", "simulator")
    }
    await backends.close()
    await backends.close()
