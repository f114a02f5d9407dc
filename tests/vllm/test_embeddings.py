"""Embeddings of a real vLLM pooling server through the official SDK: exact numbers, exact tokens."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from books import PROMPT
from gateway_under_test import EMBED_NUSD, MTOK, Gateway, tokens_of
from openai import AsyncOpenAI, OpenAI
from vllm_server import Tokens, VllmServer

pytestmark = pytest.mark.vllm


def assert_billed(gateway: Gateway, request_id: str | None, counted: Tokens) -> None:
    entry = gateway.entry(str(request_id))
    assert tokens_of(entry) == counted
    assert (entry["endpoint"], entry["basis"], entry["status"]) == ("embeddings", "reported", "succeeded")
    assert entry["deployment"] == "tiny-vectors"
    assert entry["cost_nusd"] == -(-counted.input * EMBED_NUSD // MTOK)


def test_embedding_comes_as_base64_and_equals_the_floats(client: OpenAI, gateway: Gateway, pool: VllmServer) -> None:
    before = pool.tokens()
    packed = client.embeddings.create(model="tiny-vectors", input=PROMPT)  # the SDK asks for base64 on its own
    counted = pool.tokens() - before
    plain = client.embeddings.create(model="tiny-vectors", input=PROMPT, encoding_format="float")

    assert len(packed.data[0].embedding) == 128
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert counted == Tokens(input=packed.usage.prompt_tokens)
    assert_billed(gateway, packed._request_id, counted)  # type: ignore[attr-defined]


async def test_embedding_of_several_texts_is_billed_together(
    async_client: AsyncOpenAI, gateway: Gateway, pool: VllmServer
) -> None:
    before = pool.tokens()
    answer = await async_client.embeddings.create(model="tiny-vectors", input=[PROMPT, "Hello", "street"])

    assert [one.index for one in answer.data] == [0, 1, 2]
    assert_billed(gateway, answer._request_id, pool.tokens() - before)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "tokens"), [([5, 6, 7], 3), ([[5, 6, 7], [8, 9]], 5)], ids=["one list of ids", "two lists of ids"]
)
def test_embedding_of_token_ids_is_billed_by_their_number(
    client: OpenAI, gateway: Gateway, pool: VllmServer, given: Any, tokens: int
) -> None:
    before = pool.tokens()
    answer = client.embeddings.create(model="tiny-vectors", input=given)

    assert pool.tokens() - before == Tokens(input=tokens)
    assert_billed(gateway, answer._request_id, Tokens(input=tokens))  # type: ignore[attr-defined]


def test_endpoint_that_the_server_lacks_is_an_error_object_and_billed_nothing(
    client: OpenAI, gateway: Gateway, vllm: VllmServer
) -> None:
    before = vllm.tokens()
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(model="tiny-llama", input=PROMPT)

    assert set(refused.value.response.json()) == {"error"}
    assert refused.value.response.json()["error"].keys() >= {"message", "type", "param", "code"}
    assert vllm.tokens() == before
    assert sum(entry["cost_nusd"] for entry in gateway.entries(refused.value.response.headers["x-request-id"])) == 0
