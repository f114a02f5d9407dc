"""Kept answers in every dialect that has them, whatever the upstream speaks."""

from __future__ import annotations

from typing import Any

import anthropic
from spec_parts import TEXT


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
