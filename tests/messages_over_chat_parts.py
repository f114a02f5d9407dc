"""What the tests of Messages over chat share: requests and answers, and what becomes of them."""

from __future__ import annotations

import json

import msgspec
import pytest

from gateway.domain import Body, Deployment, Provider
from gateway.errors import BadRequest
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT

PDF = "JVBERi0xLjQK"


def deployment(kind="openai_compatible", output_tokens_max=None):
    return Deployment("d", Provider("p", kind), "m", output_tokens_max=output_tokens_max)


def translated(asked, kind="openai_compatible", output_tokens_max=None):
    data = asked if isinstance(asked, bytes) else json.dumps({"messages": [], **asked}).encode()
    body = Body(msgspec.json.decode(data, type=dict[str, msgspec.Raw]))
    return json.loads(MESSAGES_OVER_CHAT.request(body, deployment(kind, output_tokens_max)).encoded_with({}))


def conversation(*messages, kind="openai_compatible", **asked):
    return translated({"messages": list(messages), **asked}, kind)["messages"]


def user(*blocks):
    return {"role": "user", "content": blocks[0] if isinstance(blocks[0], str) else list(blocks)}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def text(said):
    return {"type": "text", "text": said, "cache_control": {"type": "ephemeral"}}


def tool_use(call_id="toolu_1", name="f", **arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def tool_result(content=None, call_id="toolu_1", **more):
    block = {"type": "tool_result", "tool_use_id": call_id, **more}
    return block if content is None else {**block, "content": content}


def image(data="aGk=", media_type="image/png"):
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def image_part(url="data:image/png;base64,aGk="):
    return {"type": "image_url", "image_url": {"url": url}}


def said(content):
    return {"role": "user", "content": content}


def refused(asked, kind="openai_compatible"):
    with pytest.raises(BadRequest) as caught:
        translated(asked, kind)
    return caught.value


def document(source, **more):
    return {"type": "document", "source": source, **more}
