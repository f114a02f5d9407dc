"""What the tests of chat answers as messages share: answers and chunks of them, and what becomes of them."""

from __future__ import annotations

import json

import msgspec

from gateway.domain import Body
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}


def translator(**asked):
    body = json.dumps({"model": "asked", **asked}).encode()
    return MESSAGES_OVER_CHAT.answer(Body(msgspec.json.decode(body, type=dict[str, msgspec.Raw])))


def whole(message=None, finish_reason="stop", usage=None, **more):
    """The message that becomes of a whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", **(message or {})}, "finish_reason": finish_reason}
    answer = {"id": "chatcmpl-7", "object": "chat.completion", "model": "m-1", "choices": [choice], **more}
    return json.loads(translator().whole(json.dumps({**answer, "usage": usage or USAGE}).encode()))


def event(**fields):
    return b"data: " + json.dumps({"id": "chatcmpl-7", "model": "m-1", **fields}).encode() + b"\n\n"


def chunk(finish_reason=None, index=0, stop_reason=None, **delta):
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason, "stop_reason": stop_reason}
    return event(choices=[choice], usage=None)


def call(index=0, call_id=None, name=None, arguments=""):
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    opener = {"id": call_id, "type": "function"} if call_id else {}
    return {"index": index, **opener, "function": function}


def usage_chunk(usage):
    return event(choices=[], usage=usage)


def told(*blocks, answer=None):
    """All events of a stream, as name and data."""
    answer = answer or translator()
    shown = b"".join(answer.feed(block) for block in blocks).decode()
    events = [one.split("\n") for one in shown.split("\n\n") if one]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]


def deltas(events):
    return [data["delta"] for name, data in events if name == "content_block_delta"]
