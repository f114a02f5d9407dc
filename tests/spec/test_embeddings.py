"""POST /v1/embeddings."""

from __future__ import annotations

import base64
import struct
from typing import Any

import httpx
import openai
import pytest
from running_gateway import UpstreamProcess
from spec_parts import INPUT_NUSD, INPUT_TOKENS, Books


def test_the_sdks_default_of_base64_reaches_the_upstream(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, model: str, user: str
) -> None:
    answer = client.embeddings.create(model=model, input="text", user=user)
    (call,) = upstream.calls(user)
    assert call["body"]["encoding_format"] == "base64"
    assert answer.data[0].embedding == [0.5, -0.5]
    entry = books.entry(answer._request_id)
    assert (entry["endpoint"], entry["input_tokens"], entry["output_tokens"]) == ("embeddings", INPUT_TOKENS, 0)
    assert entry["cost_nusd"] == INPUT_TOKENS * INPUT_NUSD


def test_base64_vectors_arrive_as_floats_in_the_sdk(client: openai.OpenAI, books: Books, model: str) -> None:
    vector = base64.b64encode(struct.pack("<3f", 0.25, -1.0, 3.5)).decode()
    body = {
        "object": "list",
        "model": "x",
        "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    raw = client.embeddings.with_raw_response.create(model=model, input="t", extra_body={"script": {"body": body}})
    assert raw.parse().data[0].embedding == [0.25, -1.0, 3.5]
    assert books.entry(raw.request_id)["cost_nusd"] == 3 * INPUT_NUSD


@pytest.mark.parametrize("asked", ["text", ["one", "two"], [1, 2, 3], [[1, 2], [3]]])
def test_every_form_of_input_travels(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, model: str, user: str, asked: Any
) -> None:
    raw = client.embeddings.with_raw_response.create(
        model=model, input=asked, user=user, dimensions=2, encoding_format="float"
    )
    assert len(raw.parse().data) == (len(asked) if isinstance(asked, list) else 1)
    (call,) = upstream.calls(user)
    assert (call["body"]["input"], call["body"]["dimensions"]) == (asked, 2)
    assert call["body"]["encoding_format"] == "float"
    assert books.entry(raw.request_id)["status"] == "succeeded"


def test_an_embedding_model_does_not_chat(http: httpx.Client) -> None:
    answer = http.post("/v1/chat/completions", json={"model": "guard-model", "messages": []})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_model", "model")
    assert "serves moderation" in error["message"]
