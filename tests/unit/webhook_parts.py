"""What tests of the guard that is a webhook share: real servers that answer as a test says, and the guard."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from backends.guards.hooks import Hooks
from backends.guards.webhook import WebhookGuard
from gateway.domain import GuardRule, WebhookSettings

KEY = b"a key of thirty-two bytes, roughly"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
PASS = {"verdict": "pass"}
TEXTS = ["Mail to ada@example.com", "Hello"]
LONG_S = 30.0  # for looks that shall not end by their deadline
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Got:
    """What the hook was sent, and what it says to it: in turn, the last again and again."""

    answers: list[Answer]
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def receive(self, request: web.Request) -> web.StreamResponse:
        answer = self.answers[min(len(self.bodies), len(self.answers) - 1)]
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(await request.read())
        self.arrived.release()
        return await answer(request)


@asynccontextmanager
async def hook(*answers: Answer) -> AsyncIterator[Got]:
    got = Got(list(answers))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/look", got.receive)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    got.url = f"http://127.0.0.1:{runner.addresses[0][1]}/look"
    try:
        yield got
    finally:
        await runner.cleanup()


def says(answer: object = PASS, status: int = 200, **headers: str) -> Answer:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def answered(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answered


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def dies(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def dies_within_its_answer(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"verdict": "pass"')
    assert request.transport is not None
    request.transport.abort()
    return response


async def never_ends(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


@dataclass
class Clock:
    """Stands still but for pauses, which take no time."""

    now_s: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.now_s += pause_s


@asynccontextmanager
async def hooks_by(clock: Clock) -> AsyncIterator[Hooks]:
    hooks = Hooks(monotonic_s=lambda: clock.now_s, unix_s=lambda: 1_790_000_000 + clock.now_s, sleep=clock.sleep)
    try:
        yield hooks
    finally:
        await hooks.close()


def guard(url: str, hooks: Hooks, *, timeout_s: float = LONG_S, retries: int = 1) -> WebhookGuard:
    settings = WebhookSettings(url, SECRET, retries)
    return WebhookGuard(GuardRule("ours", "webhook", settings, timeout_s=timeout_s), settings, hooks)
