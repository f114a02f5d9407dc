"""What the tests of the readers of responses share: responses, their streams, and reading what is shown of them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import openai.types.responses as sdk
from pydantic import TypeAdapter

from gateway.api.responses_reader import ResponseStreamReader
from gateway.domain import Deployment, Endpoint, Provider, Usage

DEPLOYMENT = Deployment("d", Provider("p", "openai"), "m", speaks=frozenset({Endpoint.RESPONSES}))
RECORDED = Path(__file__).parent / "data" / "responses"
EVENT = TypeAdapter(sdk.ResponseStreamEvent)
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 27,
}
METERED = Usage(input_tokens=20, cached_input_tokens=16, cache_write_tokens=2, output_tokens=7, reasoning_tokens=3)
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello there"}]}


def response(status="in_progress", **fields):
    made = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m-2026", "output": []}
    return {**made, "service_tier": "default", "error": None, "incomplete_details": None, "usage": None, **fields}


def completed(**fields):
    return response(**{"status": "completed", "output": [MESSAGE], "usage": USAGE, **fields})


def stream(*events, first=0, named=True):
    """Events as an upstream sends them, each ``(type, fields)``."""
    made = []
    for number, (kind, fields) in enumerate(events, first):
        data = json.dumps({"type": kind, "sequence_number": number, **fields}, separators=(",", ":"))
        made.append((f"event: {kind}\n" if named else "") + f"data: {data}\n\n")
    return "".join(made).encode()


CREATED = ("response.created", {"response": response()})
IN_PROGRESS = ("response.in_progress", {"response": response()})
COMPLETED = ("response.completed", {"response": completed()})


def delta(text):
    return ("response.output_text.delta", {"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text})


def good(texts=("Hello", " there")):
    return stream(CREATED, IN_PROGRESS, *map(delta, texts), COMPLETED)


def read(data, cuts=(), *, cost_nusd=0, **options):
    reader = ResponseStreamReader(DEPLOYMENT, **options)
    edges = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    shown = b""
    for start, end in pairwise(edges):
        if start != end and not reader.is_ended:
            shown += reader.feed(data[start:end])
    shown += reader.flush()
    return reader, shown + (reader.closing(cost_nusd) if reader.is_complete else b"")


def events(shown):
    """The events that were shown, each of which is named like its type."""
    if not shown:
        return []
    assert shown.endswith(b"\n\n")
    assert b"\r" not in shown
    found = []
    for block in shown.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        fields = json.loads(data.removeprefix("data: "))
        assert name == f"event: {fields['type']}"
        found.append(fields)
    return found


def is_gapless(found):
    return [one["sequence_number"] for one in found] == list(range(len(found)))
