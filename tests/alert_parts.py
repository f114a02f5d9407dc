"""What tests of alerts share: alerts as the journal's scripts write them, and a receiver that keeps what it got."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes, roughly").decode()
CROSSED_AT_MS = 1_790_000_000_000
_numbers = itertools.count()


def crossing(pct: int = 80, **fields: object) -> dict[str, Any]:
    """An alert in the form in which lua/books.lua writes it."""
    number = next(_numbers)
    balance = f"budget_{number}:1788220800000"
    return {
        "id": f"{balance}:{pct}:10000000000",
        "kind": "budget_soft_limit",
        "budget": f"budget_{number}",
        "balance": balance,
        "pct": pct,
        "spent_nusd": "8000000001",
        "held_nusd": "0",
        "limit_nusd": "10000000000",
        "at_ms": str(CROSSED_AT_MS + number),
    } | fields


@dataclass
class Message:
    """One request of the sender's."""

    id: str
    timestamp: str
    signature: str
    body: bytes
    status: int

    @property
    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded

    def is_signed_with(self, key: bytes) -> bool:
        """Computed here from the specification, not by the code under test."""
        mac = hmac.HMAC(key, digestmod=hashlib.sha256)
        mac.update(self.id.encode() + b"." + self.timestamp.encode() + b"." + self.body)
        return self.signature == "v1," + base64.standard_b64encode(mac.digest()).decode()


@dataclass
class HttpReceiver:
    """Answers with ``statuses`` in order, then with 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[Message] = field(default_factory=list)
    answers_when: Any = None  # an asyncio.Event to wait for

    async def receive(self, request: web.Request) -> web.Response:
        status = self.statuses.pop(0) if self.statuses else 204
        named = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        self.got.append(
            Message(named["webhook-id"], named["webhook-timestamp"], named["webhook-signature"], body, status)
        )
        if self.answers_when is not None:
            await self.answers_when.wait()
        return web.Response(status=status, headers={"location": f"{self.url}/elsewhere"} if status // 100 == 3 else {})

    @property
    def taken(self) -> list[Message]:
        return [message for message in self.got if 200 <= message.status < 300]


@asynccontextmanager
async def http_receiver(*statuses: int) -> AsyncIterator[HttpReceiver]:
    receiver = HttpReceiver(statuses=list(statuses))
    application = web.Application()
    application.router.add_post("/hook", receiver.receive)
    application.router.add_route("*", "/hook/elsewhere", receiver.receive)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
