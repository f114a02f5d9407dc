"""A client that leaves: the upstream sees it at once, and what was used is charged."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import INPUT_NUSD, OUTPUT_NUSD, question


async def upstream_hears(upstream: UpstreamProcess, user: str) -> None:
    """Wait until the call is with the upstream."""
    await asyncio.to_thread(until, lambda: upstream.calls(user), "the upstream was called")


async def entry_of(gateway: Gateway, key_id: str) -> dict[str, Any]:
    """The only entry of the key, which comes a moment after the client left."""
    await asyncio.to_thread(until, lambda: gateway.ledger(key=key_id), "the call was charged")
    (entry,) = gateway.ledger(key=key_id)
    return entry


@pytest.mark.parametrize(
    ("is_stream", "script"),
    [
        (False, {"delay_ms": 60_000}),
        (True, {"delay_ms": 60_000}),
        (True, {"first_chunk_ms": 60_000}),
        (False, {"hang": "after_headers"}),
    ],
)
async def test_leaving_before_the_first_byte_cancels_the_upstream_and_charges_the_question(
    gateway: Gateway, upstream: UpstreamProcess, model: str, user: str, is_stream: bool, script: dict[str, Any]
) -> None:
    key = gateway.make_key()
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        asked = question(model, user, script)
        call = asyncio.create_task(client.chat.completions.create(**asked, stream=is_stream))
        await upstream_hears(upstream, user)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await asyncio.to_thread(until, lambda: upstream.calls(user)[0]["is_client_gone"], "the upstream saw us leave")
    entry = await entry_of(gateway, key["id"])
    assert (entry["status"], entry["basis"]) == ("cancelled", "estimated")
    assert entry["end_user"] == user
    assert entry["output_tokens"] == 0
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD > 0
    assert len(upstream.calls(user)) == 1


async def test_leaving_in_the_middle_of_a_stream_cancels_the_upstream_and_charges_what_was_generated(
    gateway: Gateway, upstream: UpstreamProcess, model: str, user: str
) -> None:
    key = gateway.make_key()
    script = {"text": "one two three " * 200, "chunk_ms": 20}
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        stream = await client.chat.completions.create(**question(model, user, script), stream=True)
        said = ""
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if said.count(" ") >= 5:
                break
        await stream.close()
    await asyncio.to_thread(until, lambda: upstream.calls(user)[0]["is_client_gone"], "the upstream saw us leave")
    (call,) = upstream.calls(user)
    assert call["is_complete"] is False
    assert call["events_sent"] < 600
    entry = await entry_of(gateway, key["id"])
    assert (entry["status"], entry["basis"]) == ("cancelled", "estimated")
    assert len(said.split()) <= entry["output_tokens"] <= call["events_sent"] + 2
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD + entry["output_tokens"] * OUTPUT_NUSD


async def test_usage_that_was_told_before_the_client_left_is_charged_as_reported(
    gateway: Gateway, upstream: UpstreamProcess, model: str, user: str
) -> None:
    key = gateway.make_key()
    script = {"text": "one two three " * 200, "chunk_ms": 20, "continuous_usage": True}
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        stream = await client.chat.completions.create(**question(model, user, script), stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
    await asyncio.to_thread(until, lambda: upstream.calls(user)[0]["is_client_gone"], "the upstream saw us leave")
    entry = await entry_of(gateway, key["id"])
    assert (entry["status"], entry["basis"], entry["input_tokens"]) == ("cancelled", "reported", 9)
    assert entry["output_tokens"] >= 1


def test_a_client_that_leaves_before_its_body_is_complete_calls_nobody(
    gateway: Gateway, upstream: UpstreamProcess, model: str, user: str, client: openai.OpenAI
) -> None:
    key = gateway.make_key()
    body = json.dumps(question(model, user)).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key['key']}\r\n"
        raw.sendall(f"{head}Content-Length: {len(body) + 10}\r\n\r\n".encode() + body)
    client.models.list()
    assert upstream.calls(user) == []
    assert gateway.ledger(key=key["id"]) == []


async def test_a_hundred_leavers_leave_nothing_behind(
    gateway: Gateway, upstream: UpstreamProcess, model: str, user: str
) -> None:
    key = gateway.make_key()
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        asked = question(model, user, {"delay_ms": 60_000})
        calls = [asyncio.create_task(client.chat.completions.create(**asked)) for _ in range(100)]
        await asyncio.to_thread(until, lambda: len(upstream.calls(user)) == 100, "all are with the upstream")
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await asyncio.to_thread(
        until, lambda: all(call["is_client_gone"] for call in upstream.calls(user)), "the upstream saw all leave"
    )
    await asyncio.to_thread(until, lambda: len(gateway.ledger(key=key["id"])) == 100, "all were charged")
    assert {entry["status"] for entry in gateway.ledger(key=key["id"])} == {"cancelled"}
