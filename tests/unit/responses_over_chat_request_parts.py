"""What the tests of requests of the Responses API over chat share: deployments, items, and what becomes of them."""

from __future__ import annotations

import json

import pytest

from gateway.api.wire import parse_body
from gateway.domain import Deployment, Endpoint, Provider
from gateway.errors import BadRequest
from gateway.translation.responses_over_chat import RESPONSES_OVER_CHAT

COMPATIBLE = Deployment("d", Provider("p", "openai_compatible"), "m")
OPENAI = Deployment("d", Provider("p", "openai"), "m")
ANTHROPIC = Deployment("d", Provider("p", "anthropic"), "m", speaks=frozenset({Endpoint.MESSAGES}))
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"\n'},
}
GIT = {"type": "namespace", "name": "mcp__git", "description": "About git.", "tools": [{**FUNCTION, "name": "log"}]}


def translated(deployment=COMPATIBLE, **fields):
    asked = {"model": "m", "input": "Hi", **fields}
    body = RESPONSES_OVER_CHAT.request(parse_body(json.dumps(asked, indent=1).encode()), deployment)
    return json.loads(body.encoded_with({}))


def messages(*items, deployment=COMPATIBLE, **fields):
    return translated(deployment, input=list(items), **fields)["messages"]


def user(*parts):
    return {"type": "message", "role": "user", "content": list(parts)}


def said(text):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(call_id, name="f", **more):
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": '{"a":1}', **more}


def output(call_id, value="done", kind="function"):
    return {"type": f"{kind}_call_output", "call_id": call_id, "output": value}


def refusal(**fields):
    with pytest.raises(BadRequest) as caught:
        translated(**fields)
    return caught.value
