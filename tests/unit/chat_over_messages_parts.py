"""What the tests of chat over Messages share: chat requests in few words, and what the upstream gets of them."""

from __future__ import annotations

import json

import msgspec
import pytest

from gateway.domain import Body, Deployment, Endpoint, Provider
from gateway.errors import BadRequest
from gateway.translation.chat_over_messages import CHAT_OVER_MESSAGES

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
PNG = "data:image/png;base64,aGk="
ADAPTIVE, BY_BUDGET = "claude-opus-4-8", "claude-sonnet-4-5-20250929"
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def sent_bytes(data, model=ADAPTIVE, output_tokens_max=None):
    """The body as the upstream gets it."""
    body = Body(msgspec.json.decode(data, type=dict[str, msgspec.Raw]))
    speaks = frozenset({Endpoint.MESSAGES})
    deployment = Deployment("d", Provider("p", "anthropic"), model, output_tokens_max=output_tokens_max, speaks=speaks)
    return CHAT_OVER_MESSAGES.request(body, deployment).encoded_with({})


def translated(asked, model=ADAPTIVE, output_tokens_max=None):
    data = asked if isinstance(asked, bytes) else json.dumps({"messages": [user("Hi")], **asked}).encode()
    return json.loads(sent_bytes(data, model, output_tokens_max))


def turns(*messages):
    return translated({"messages": list(messages)})["messages"]


def refusal(asked, model=ADAPTIVE):
    with pytest.raises(BadRequest) as caught:
        translated(asked, model)
    return caught.value


def refused_message(*messages):
    return refusal({"messages": list(messages)}).param


def user(*content, **more):
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content), **more}


def system(content, **more):
    return {"role": "system", "content": content, **more}


def assistant(content=None, **more):
    return {"role": "assistant", "content": content, **more}


def call(call_id="call_1", name="f", arguments="{}", **more):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def tool(content, call_id="call_1", **more):
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def part(text, **more):
    return {"type": "text", "text": text, **more}


def image(url=PNG, **more):
    return {"type": "image_url", "image_url": {"url": url, "detail": "high"}, **more}


def file(data, name="a.pdf"):
    return {"type": "file", "file": {"file_data": data, "filename": name}}


def result(call_id="call_1", **more):
    return {"type": "tool_result", "tool_use_id": call_id, **more}


def use(call_id="call_1", name="f", **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}
