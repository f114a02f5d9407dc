"""Whoever guards ask, in one process: a chat model, a judge, a moderation API, a classifier and a webhook.

``python tests/guard_server.py`` prints ``{"port": 12345}``. What they say is chosen by words in the texts that they are
given: ADVERSE, NONSENSE, HANG, DIE and REFUSE; anything else is harmless. About AFTER they say nothing until the chat
model was asked too, with the same mark of 32 hexadecimal digits in its text. The chat model ``mini`` says what follows
"say " in its last message. ``GET /_calls`` gives ``{"calls": [{"path", "body", "headers"}]}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from aiohttp import web

calls: list[dict[str, Any]] = []
mini_was_asked: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)  # by mark
USAGE = {"prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103}


def chat(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": USAGE,
    }


def judge(_: dict[str, Any], *, is_adverse: bool) -> dict[str, Any]:
    return chat("unsafe\nS1,S9" if is_adverse else "safe")


def moderation(body: dict[str, Any], *, is_adverse: bool) -> dict[str, Any]:
    score = 0.9 if is_adverse else 0.01
    result = {"flagged": is_adverse, "categories": {"violence": is_adverse}, "category_scores": {"violence": score}}
    return {"id": "modr-1", "model": "m", "results": [result] * len(body["input"])}


def classification(body: dict[str, Any], *, is_adverse: bool) -> dict[str, Any]:
    one = {"label": "LABEL_1" if is_adverse else "LABEL_0", "probs": [0.1, 0.9] if is_adverse else [0.9, 0.1]}
    data = [{"index": index, **one, "num_classes": 2} for index in range(len(body["input"]))]
    return {
        "id": "classify-1",
        "object": "list",
        "model": "m",
        "data": data,
        "usage": {**USAGE, "completion_tokens": 0},
    }


def hook(body: dict[str, Any], *, is_adverse: bool) -> dict[str, Any]:
    if not is_adverse:
        return {"verdict": "pass"}
    found = [(number, text.find("ADVERSE")) for number, text in enumerate(body["texts"])]
    spans = [{"text": n, "start": at, "end": at + 7, "category": "our words"} for n, at in found if at >= 0]
    return {"verdict": "block", "score": 0.9, "spans": spans}


async def mini(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    said = json.dumps(body["messages"][-1]["content"]).partition("say ")[2].rstrip('"') or "Fine."
    if not body.get("stream"):
        return web.json_response(chat(said))
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": said[start : start + 3]} for start in range(0, len(said), 3)]
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices += [[{"index": 0, "delta": {}, "finish_reason": "stop"}], []]
    for one in choices:
        usage = {} if one else {"usage": USAGE}
        await response.write(b"data: " + json.dumps({**head, "choices": one, **usage}).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


def answering(say: Callable[..., dict[str, Any]]) -> Callable[[web.Request], Any]:
    async def answer(request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        body = json.loads(raw)
        calls.append(
            {"path": request.path, "body": body, "headers": {k.lower(): v for k, v in request.headers.items()}}
        )
        mark = "".join(re.findall("[0-9a-f]{32}", raw)[-1:])
        if body.get("model") == "mini" and say is judge:
            mini_was_asked[mark].set()
            return await mini(request, body)
        if "AFTER" in raw:
            await mini_was_asked[mark].wait()
        if "HANG" in raw:
            await asyncio.Event().wait()
        if "DIE" in raw and request.transport is not None:
            request.transport.abort()
        if "NONSENSE" in raw:
            return web.json_response({"nonsense": True})
        if "REFUSE" in raw:
            return web.json_response({"error": {"message": "I would rather not.", "type": "x"}}, status=400)
        return web.json_response(say(body, is_adverse="ADVERSE" in raw))

    return answer


async def serve() -> None:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", answering(judge))
    app.router.add_post("/v1/moderations", answering(moderation))
    app.router.add_post("/classify", answering(classification))
    app.router.add_post("/hook", answering(hook))

    async def show(_: web.Request) -> web.Response:
        return web.json_response({"calls": calls})

    async def be_well(_: web.Request) -> web.Response:
        return web.Response()

    app.router.add_get("/_calls", show)
    app.router.add_get("/health", be_well)  # a vLLM server that says nothing here is left alone
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)  # noqa: T201 - for whoever started it
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
