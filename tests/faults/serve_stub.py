"""The smallest application that a worker can serve: for tests of the process tree, not of the gateway."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path


def _wait_for(path):
    while not path.exists():
        time.sleep(0.01)


class _Catalog:
    uses_simulator = True

    def names(self):
        return [("auto", "obol")]

    def describe(self):
        return ["catalog stub"]


class _State:
    def catalog(self):
        return _Catalog()


class _App:
    """GET /health/ready answers 200, /pid the worker's process id, /slow begins and ends when the file exists."""

    state = _State()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        if scope["path"] == "/slow":
            await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
            await asyncio.to_thread(_wait_for, Path(os.environ["STUB_RELEASE"]))
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

    async def _live(self, receive, send):
        await receive()
        if os.environ.get("STUB_FAILS"):
            raise OSError("the stub refuses to start")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(_settings):
    return _App()
