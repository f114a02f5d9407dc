"""POST /v1/completions: the older endpoint."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from running_gateway import UpstreamProcess
from spec_parts import COST_NUSD, TEXT, Books


@pytest.mark.parametrize("prompt", ["Once", ["Once", "Twice"], [1, 2, 3], [[1, 2], [3]]])
def test_every_form_of_a_prompt_is_answered(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, model: str, user: str, prompt: Any
) -> None:
    answer = client.completions.create(model=model, prompt=prompt, user=user, echo=True, suffix="", best_of=1)
    assert answer.choices[0].text == TEXT
    (call,) = upstream.calls(user)
    assert call["path"] == "/v1/completions"
    body = call["body"]
    assert (body["prompt"], body["echo"], body["suffix"], body["best_of"]) == (prompt, True, "", 1)
    entry = books.entry(answer._request_id)
    assert (entry["endpoint"], entry["cost_nusd"]) == ("completions", COST_NUSD)


def test_a_completion_is_streamed_and_tells_its_cost(client: openai.OpenAI, books: Books, model: str) -> None:
    stream = client.completions.create(model=model, prompt="Once", stream=True, stream_options={"include_usage": True})
    *before, last = list(stream)
    assert "".join(chunk.choices[0].text for chunk in before) == TEXT
    assert last.choices == []
    assert last.usage is not None
    entry = books.entry(stream.response.headers["x-request-id"])
    assert last.usage.model_dump()["cost"] == entry["cost_nusd"] / 1e9
    assert (entry["cost_nusd"], entry["is_stream"]) == (COST_NUSD, True)


def test_usage_is_hidden_in_a_stream_that_did_not_ask(client: openai.OpenAI, books: Books, model: str) -> None:
    stream = client.completions.create(model=model, prompt="Once", stream=True)
    found = list(stream)
    assert all(chunk.usage is None and chunk.choices for chunk in found)
    assert books.entry(stream.response.headers["x-request-id"])["basis"] == "reported"
