"""What the tests of the OpenAI-compatible backend share: calls to an upstream, and reading what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from scripted_upstream import ScriptedUpstream

from backends.openai_compatible import OpenAICompatible
from gateway.domain import Call, Deployment, Endpoint, Provider, Timeouts
from gateway.errors import UpstreamRefused

KEY = "sk-upstream-secret"
QUICK = Timeouts(connect_s=2, first_token_s=0.1, between_tokens_s=0.1, total_s=0.3)


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


async def refused(backend: OpenAICompatible, call: Call) -> UpstreamRefused:
    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call)
    return caught.value
