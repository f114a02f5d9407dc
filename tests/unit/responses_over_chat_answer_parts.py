"""What the tests of answers of the Responses API over chat share: chunks of chat, and reading what became of them."""

from __future__ import annotations

import json

import pydantic
from openai.types.responses import ResponseStreamEvent

from gateway.api.wire import parse_body
from gateway.translation.responses_over_chat.answer import ResponseWriter

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
GIT = {"type": "namespace", "name": "mcp__git", "description": "About git.", "tools": [{**FUNCTION, "name": "log"}]}
SEARCH = {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}
REQUEST = {"model": "m", "input": "Hi", "tools": [FUNCTION, PATCH, GIT, SEARCH], "instructions": "Be\nbrief."}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 3},
    "cost": 0.000012,
}
EVENT = pydantic.TypeAdapter(ResponseStreamEvent)


def writer(**fields):
    return ResponseWriter(parse_body(json.dumps({**REQUEST, **fields}, indent=1).encode()), "0123")


def chunk(delta=None, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    made = {"id": "c", "object": "chat.completion.chunk", "created": 17, "model": "m-1", "choices": choices, **more}
    return b"data: " + json.dumps(made).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
END = chunk(usage=USAGE) + DONE


def whole_answer(message, finish="stop", **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    made = {"id": "c", "object": "chat.completion", "created": 17, "model": "m-1", "choices": [choice], "usage": USAGE}
    return json.dumps({**made, **more}).encode()


def events(shown):
    """The events of a run, checked for what holds of every one."""
    found = []
    for event in shown.decode().split("\n\n")[:-1]:
        name, _, data = event.partition("\n")
        assert data.startswith("data: ")
        assert "\n" not in data
        found.append(json.loads(data[6:]))
        assert name == f"event: {found[-1]['type']}"
    return found


def streamed(*chunks, **fields):
    made = writer(**fields)
    return events(b"".join(made.feed(one) for one in chunks))


def final(found):
    return found[-1]["response"]


def kinds(found):
    return [event["type"].removeprefix("response.") for event in found]


def call(name, arguments, index=0, call_id="call_1"):
    return {"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}]}


def more(arguments, index=0):
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}
