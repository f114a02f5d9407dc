"""A client that costs little, so that hundreds at once load the gateways and not the test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``is_whole``: a whole body, or a stream that ended as it should."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool

    @property
    def error(self) -> dict[str, Any]:
        """What a refusal says."""
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


@asynccontextmanager
async def clients() -> AsyncIterator[aiohttp.ClientSession]:
    """As many connections as are asked for."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield session


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    key: Mapping[str, Any],
    body: Mapping[str, Any],
    endpoint: str = "chat/completions",
) -> Answer:
    """One question. Raises aiohttp.ClientError where no answer began."""
    headers = {"authorization": f"Bearer {key['key']}", "content-type": "application/json"}
    raw = b""
    async with session.post(f"{url}/v1/{endpoint}", data=json.dumps(body), headers=headers) as answer:
        try:
            async for block in answer.content.iter_any():
                raw += block
            is_cut = False
        except aiohttp.ClientError:
            is_cut = True
        is_stream = answer.content_type == "text/event-stream"
        is_ended = raw.rstrip().endswith(b"data: [DONE]") or b"event: response.completed\n" in raw
        is_whole = is_ended if is_stream else not is_cut
        return Answer(answer.status, answer.headers, raw, is_whole and not is_cut)


def text_of(answer: Answer) -> str | None:
    """What a whole answer says; ``None`` for one that tells its client that it is not whole."""
    if answer.status != 200 or not answer.is_whole:
        return None
    if answer.headers["content-type"] == "application/json":
        (choice,) = json.loads(answer.body)["choices"]
        return choice["message"].get("content") if choice["finish_reason"] == "stop" else None
    text, reason = "", None
    for event in answer.body.decode().split("\n\n"):
        if not event.startswith("data: ") or event == "data: [DONE]":
            continue
        told = json.loads(event.removeprefix("data: "))
        if "error" in told:
            return None
        for choice in told["choices"]:
            text += choice["delta"].get("content") or ""
            reason = choice["finish_reason"] or reason
    return text if reason == "stop" else None
