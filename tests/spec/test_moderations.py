"""POST /v1/moderations."""

from __future__ import annotations

import openai
from running_gateway import UpstreamProcess
from spec_parts import Books


def test_a_model_left_out_is_the_catalogs_default(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    raw = client.moderations.with_raw_response.create(input="is it harmful?", extra_body={"user": user})
    assert raw.parse().results[0].flagged is False
    (call,) = upstream.calls(user)
    assert call["body"]["model"] == "omni-moderation"
    assert call["path"] == "/v1/moderations"
    entry = books.entry(raw.request_id)
    assert (entry["deployment"], entry["endpoint"], entry["cost_nusd"]) == ("guard-model", "moderations", 0)
    assert entry["status"] == "succeeded"


def test_a_named_model_is_asked(client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str) -> None:
    raw = client.moderations.with_raw_response.create(
        model="guard-model", input=["one", "two"], extra_body={"user": user}
    )
    (call,) = upstream.calls(user)
    assert call["body"]["input"] == ["one", "two"]
    assert books.entry(raw.request_id)["model_asked"] == "guard-model"
