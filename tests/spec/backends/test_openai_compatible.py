"""What the OpenAI-compatible backend sends to a real server, and what it makes of good answers."""

from __future__ import annotations

import json

import pytest
from openai_calls import KEY, ODD_HEADERS, answering, call_to, everything, refused, scripted, until

from backends.openai_compatible import OpenAICompatible
from gateway.domain import Call, Deployment, Endpoint, Provider


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


@pytest.mark.parametrize("stream", [False, True])
async def test_headers_that_are_no_printable_ascii_are_left_out(backend, stream):
    body = b'data: {"choices":[]}\n\n' if stream else b'{"choices":[]}'
    head = b"HTTP/1.1 200 OK\r\n" + ODD_HEADERS + b"content-length: %d\r\n\r\n" % len(body)

    async with answering(head + body) as base_url:
        reply = await backend.open(call_to(base_url, stream=stream))

        assert await everything(reply) == body
    assert (reply.upstream_request_id, reply.headers) == ("good", {})
