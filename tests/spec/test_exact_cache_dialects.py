"""Kept answers in every dialect that has them, whatever the upstream speaks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anthropic
import openai
import pytest
from caching_parts import entry_of
from spec_parts import TEXT, chunks


def test_an_answer_of_another_dialect_is_kept_as_the_client_read_it(asker):
    first = asker.ask("over-messages", stream=True)
    again = asker.ask("over-messages")
    assert (first.headers["x-obol-cache"], again.headers["x-obol-cache"]) == ("miss", "hit-exact")
    assert again.json()["choices"][0]["message"]["content"] == TEXT


def test_messages_are_given_again_whole_and_streamed_in_their_own_dialect(caching, caching_key, prompt, asker):
    with anthropic.Anthropic(base_url=caching.url, api_key=caching_key, max_retries=0) as claude:
        asked: dict[str, Any] = {
            "model": "over-messages",
            "max_tokens": 100,
            "extra_body": {"temperature": 0},
            "messages": [{"role": "user", "content": prompt}],
        }
        first = claude.messages.create(**asked)
        raw = claude.messages.with_raw_response.create(**asked)
        assert raw.headers["x-obol-cache"] == "hit-exact"
        assert raw.parse() == first
        with claude.messages.stream(**asked) as stream:
            assert "".join(stream.text_stream) == TEXT
            assert stream.response.headers["x-obol-cache"] == "hit-exact"
            final = stream.get_final_message()
        assert (final.content[0].text, final.stop_reason, final.id) == (TEXT, "end_turn", first.id)
        assert final.usage.output_tokens == first.usage.output_tokens

        asked["system"] = "Be short."
        with claude.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        told = claude.messages.with_raw_response.create(**asked)
        assert told.headers["x-obol-cache"] == "hit-exact"
        assert told.parse().content[0].text == streamed.content[0].text == TEXT
        (entry,) = caching.ledger(request=told.headers["x-request-id"])
        assert (entry["source"], entry["cost_nusd"], entry["endpoint"]) == ("cache_exact", 0, "messages")
    assert asker.calls() == 2
    assert asker.status("over-messages") == "miss"  # in another dialect it is another request


def test_messages_over_an_upstream_that_speaks_chat_are_given_again_too(caching, caching_key, prompt):
    with anthropic.Anthropic(base_url=caching.url, api_key=caching_key, max_retries=0) as claude:
        asked: dict[str, Any] = {"model": "cached", "max_tokens": 100, "extra_body": {"temperature": 0}}
        asked["messages"] = [{"role": "user", "content": prompt}]
        with claude.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        told = claude.messages.with_raw_response.create(**asked)
    assert told.headers["x-obol-cache"] == "hit-exact"
    assert told.parse().content[0].text == streamed.content[0].text == TEXT


@pytest.mark.parametrize(
    ("endpoint", "route"), [("messages", "over-messages"), ("responses", "over-responses"), ("responses", "cached")]
)
def test_images_and_files_in_a_request_count_as_their_content_in_every_dialect(asker, endpoint, route):

    def asked(data: str) -> dict[str, Any]:
        address = f"data:image/png;base64,{data}"
        if endpoint == "messages":
            source = {"type": "base64", "media_type": "image/png", "data": data}
            return {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
        parts = [{"type": "input_image", "image_url": address}, {"type": "input_file", "file_data": address}]
        return {"input": [{"role": "user", "content": parts}]}

    one = asker.at(endpoint)
    assert [one.status(route, **asked(data)) for data in ("aaaa", "aaaa", "aaab")] == ["miss", "hit-exact", "miss"]


def test_completions_are_given_again_whole_and_streamed(caching, caching_key, asker):
    one = asker.at("completions")
    first, again = one.ask(n=2), one.ask(n=2)
    assert (first.headers["x-obol-cache"], again.headers["x-obol-cache"]) == ("miss", "hit-exact")
    assert again.content == first.content
    told = chunks(one.ask(n=2, stream=True).text)
    for index in (0, 1):
        of_choice = [one["choices"][0] for one in told if one["choices"][0]["index"] == index]
        assert "".join(choice["text"] for choice in of_choice) == TEXT
        assert of_choice[-1]["finish_reason"] == "stop"
    with openai.OpenAI(base_url=caching.base_url, api_key=caching_key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": "cached", "prompt": first.request.content.decode(), "temperature": 0}
        streamed = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
        whole = client.completions.with_raw_response.create(**asked)
    assert whole.headers["x-obol-cache"] == "hit-exact"
    assert "".join(one.choices[0].text for one in streamed if one.choices) == whole.parse().choices[0].text == TEXT
    entry = entry_of(caching, again)
    assert (entry["source"], entry["cost_nusd"], entry["endpoint"]) == ("cache_exact", 0, "completions")
    for _ in range(2):
        assert one.status(n=2, script={"finish_reason": "length"}) == "miss"


def test_embeddings_are_given_again_at_no_temperature_and_in_the_same_encoding_alone(caching, caching_key):
    with openai.OpenAI(base_url=caching.base_url, api_key=caching_key, max_retries=0) as client:
        asked = {"model": "cached", "input": [str(uuid4()), "another"]}
        first = client.embeddings.with_raw_response.create(**asked)
        again = client.embeddings.with_raw_response.create(**asked)
        assert (first.headers["x-obol-cache"], again.headers["x-obol-cache"]) == ("miss", "hit-exact")
        assert again.content == first.content
        assert again.parse().data == first.parse().data
        plain = client.embeddings.with_raw_response.create(**asked, encoding_format="float")
        assert plain.headers["x-obol-cache"] == "miss"
        fewer = client.embeddings.with_raw_response.create(**{**asked, "input": asked["input"][:1]})
        assert fewer.headers["x-obol-cache"] == "miss"
    entry = entry_of(caching, again)
    assert (entry["source"], entry["basis"], entry["cost_nusd"], entry["input_tokens"]) == ("cache_exact", "none", 0, 0)
    assert entry["baseline_nusd"] == entry_of(caching, first)["baseline_nusd"] > 0
