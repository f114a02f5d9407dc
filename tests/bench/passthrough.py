"""The floor: a raw-ASGI pass-through with aiohttp that does nothing else. It serves on PORT what UPSTREAM answers.

`python -m tests.bench.passthrough PORT UPSTREAM`, on the same server, event loop and HTTP client as the gateway.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Message = MutableMapping[str, Any]


class PassThrough:
    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
            )
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        async with self._session.post(self._upstream + scope["path"], data=body, headers=headers) as answer:
            kind = answer.headers["content-type"].encode()
            if kind.startswith(b"text/event-stream"):
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
                while block := await answer.content.readany():
                    await send({"type": "http.response.body", "body": block, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            whole = await answer.read()
            headers_out = [(b"content-type", kind), (b"content-length", b"%d" % len(whole))]
            await send({"type": "http.response.start", "status": answer.status, "headers": headers_out})
            await send({"type": "http.response.body", "body": whole, "more_body": False})


if __name__ == "__main__":
    uvicorn.run(
        PassThrough(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
