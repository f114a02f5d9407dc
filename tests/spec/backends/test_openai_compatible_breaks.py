"""What the OpenAI-compatible backend makes of upstreams that break off, fall silent or cannot be reached."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket

import pytest
from openai_calls import QUICK, answering, call_to, drained_into, everything, refused, scripted, until

from gateway.domain import Timeouts
from gateway.errors import UpstreamBroken, UpstreamInterrupted, UpstreamTimeout, UpstreamUnreachable


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


async def test_after_an_idle_connection_was_dropped_the_next_attempt_opens_a_new_one(upstream, backend):
    """An upstream that was restarted has dropped all of them: each of them would cost another attempt."""
    together = [scripted(upstream, delay_ms=50) for _ in range(4)]
    for reply in await asyncio.gather(*map(backend.open, together)):
        await everything(reply)
    with pytest.raises(UpstreamUnreachable):
        await backend.open(call_to(upstream.base_url, {"model": "drop"}))
    with pytest.raises(UpstreamBroken):
        await backend.open(call_to(upstream.base_url, {"model": "drop"}))


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
