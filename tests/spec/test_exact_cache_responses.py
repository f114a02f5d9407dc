"""Responses that are given again: whole and streamed, native and translated, where nobody stores them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from caching_parts import entry_of
from spec_parts import COST_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT

ROUTES = ["over-responses", "cached", "over-messages"]  # whose upstream speaks Responses, chat, Messages
THOUGHT = "Let me see."


@pytest.fixture
def asker(asker):
    return asker.at("responses")


def events(stream: str) -> list[dict[str, Any]]:
    blocks = [one for one in stream.split("\n\n") if one and not one.startswith(":")]
    found = [json.loads(one.partition("\ndata: ")[2]) for one in blocks]
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    return found


@pytest.mark.parametrize("route", ROUTES)
def test_a_whole_response_is_given_again_as_it_is_and_as_a_stream(caching, asker, caching_key, prompt, route):
    with openai.OpenAI(base_url=caching.base_url, api_key=caching_key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": route, "input": prompt, "temperature": 0, "store": False}
        first = client.responses.with_raw_response.create(**asked)
        again = client.responses.with_raw_response.create(**asked)
        assert (first.headers["x-obol-cache"], again.headers["x-obol-cache"]) == ("miss", "hit-exact")
        assert again.content == first.content
        assert again.headers["x-obol-cost-usd"] == "0"
        with client.responses.stream(**asked) as stream:
            seen = list(stream)
            final = stream.get_final_response()
    assert "".join(one.delta for one in seen if one.type == "response.output_text.delta") == TEXT
    parsed = first.parse()
    assert (final.output_text, final.id, final.output[0].id) == (TEXT, parsed.id, parsed.output[0].id)
    assert final.usage.output_tokens == OUTPUT_TOKENS
    assert asker.calls() == 1
    entry = entry_of(caching, again)
    assert (entry["source"], entry["cost_nusd"], entry["endpoint"], entry["finish_reason"]) == (
        ("cache_exact", 0, "responses", entry_of(caching, first)["finish_reason"])
    )


@pytest.mark.parametrize("route", ROUTES)
def test_a_streamed_response_is_given_again_whole_and_as_a_stream(asker, route):
    script = {"reasoning": THOUGHT}
    first = events(asker.ask(route, stream=True, script=script).text)
    again = asker.ask(route, script=script)
    assert again.headers["x-obol-cache"] == "hit-exact"
    ended = first[-1]["response"]
    assert "cost" in ended["usage"]
    assert "cost" not in again.json()["usage"]
    assert again.json() == {**ended, "usage": again.json()["usage"]}
    assert [item["type"] for item in again.json()["output"]] == ["reasoning", "message"]
    streamed = events(asker.ask(route, stream=True, script=script).text)
    assert streamed[-1]["response"] == {**ended, "usage": {**ended["usage"], "cost": 0}}
    spoken = {
        kind: "".join(one["delta"] for one in streamed if one["type"] == f"response.{kind}.delta")
        for kind in ("output_text", "reasoning_summary_text")
    }
    assert spoken == {"output_text": TEXT, "reasoning_summary_text": THOUGHT}
    assert asker.calls() == 1


def test_the_ledger_tells_what_a_response_that_is_given_again_saved(caching, asker):
    first, again = asker.ask("over-responses"), asker.ask("over-responses")
    paid, entry = entry_of(caching, first), entry_of(caching, again)
    assert (paid["source"], paid["cost_nusd"]) == ("upstream", COST_NUSD)
    assert (entry["source"], entry["basis"], entry["cost_nusd"]) == ("cache_exact", "none", 0)
    assert entry["baseline_nusd"] == INPUT_TOKENS * 5000 + OUTPUT_TOKENS * 25_000 == paid["baseline_nusd"]


def test_a_response_that_its_upstream_stores_is_not_given_again_and_where_nobody_stores_it_may_be(asker):
    assert [asker.status("over-responses", store=None) for _ in range(2)] == ["bypass", "bypass"]
    assert [asker.status("over-responses", store=True) for _ in range(2)] == ["bypass", "bypass"]
    assert [asker.status(store=None) for _ in range(2)] == ["miss", "hit-exact"]
    assert [asker.status(store=True) for _ in range(2)] == ["bypass", "bypass"]


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
        {"conversation": {"id": "conv_1"}},
        {"moderation": {"model": "omni"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"id": "msg_1"}]},
    ],
)
def test_what_is_elsewhere_or_may_be_answered_otherwise_is_not_looked_for(asker, fields):
    assert [asker.status("over-responses", **fields) for _ in range(2)] == ["bypass", "bypass"]


@pytest.mark.parametrize(
    ("route", "script"),
    [
        ("over-responses", {"finish_reason": "max_output_tokens"}),
        ("responses-fails-0", {"failure": {"code": "server_error", "message": "no"}}),
        ("cached", {"finish_reason": "length"}),
        *(
            (route, script)
            for route in ("over-responses", "cached")
            for script in (
                {"finish_reason": "content_filter"},
                {"refusal": "I cannot help with that."},
                {"tool_calls": [{"name": "f", "arguments": "{}"}]},
            )
        ),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_only_what_is_completed_is_kept(asker, route, script, is_stream):
    for _ in range(2):
        answer = asker.ask(route, script=script, stream=is_stream)
        assert answer.headers.get("x-obol-cache", "miss") == "miss"
    assert asker.calls() >= 2


@pytest.mark.parametrize(
    ("route", "script"),
    [
        ("responses-fails-1", {"cut_after": 5}),
        ("responses-fails-2", {"cut_after": 5, "error_event": {"message": "no"}}),
        ("responses-fails-3", {"omit_done": True}),
    ],
)
def test_a_stream_that_does_not_end_is_not_kept(asker, route, script):
    for _ in range(2):
        assert "response.failed" in asker.ask(route, script=script, stream=True).text
    assert asker.calls() == 2


@pytest.mark.parametrize("script", [{"crlf": True}, {"split_events": True}, {"comments": True, "join_events": True}])
def test_however_its_events_came_a_response_is_given_again(asker, script):
    asker.ask("over-responses", script=script, stream=True)
    again = asker.ask("over-responses", script=script)
    assert again.headers["x-obol-cache"] == "hit-exact"
    assert again.json()["output"][0]["content"][0]["text"] == TEXT


def test_calls_of_tools_are_kept_where_the_route_says_so(asker):
    script = {"tool_calls": [{"name": "f", "arguments": '{"a": "long enough"}'}, {"name": "g", "input": "free"}]}
    first = asker.ask("over-responses-with-tools", script=script, stream=True)
    again = asker.ask("over-responses-with-tools", script=script, stream=True)
    assert again.headers["x-obol-cache"] == "hit-exact"
    done = [
        [one["item"] for one in events(answer.text) if one["type"] == "response.output_item.done"]
        for answer in (first, again)
    ]
    assert done[0] == done[1]
    assert [item["type"] for item in done[1]] == ["function_call", "custom_tool_call"]


def test_no_client_is_told_what_another_one_wrote_into_its_request(caching, asker):
    stranger = asker.other(caching.make_key()["key"])
    mine = {"metadata": {"note": "mine"}, "user": "me", "safety_identifier": "me", "prompt_cache_key": "mine"}
    assert asker.ask("over-responses-by-all", **mine).json()["metadata"] == {"note": "mine"}
    given = stranger.ask("over-responses-by-all", user="you")
    assert given.headers["x-obol-cache"] == "hit-exact"
    told = given.json()
    assert (told["metadata"], told["user"], told["safety_identifier"]) == ({}, "you", None)
    assert "me" not in {told["prompt_cache_key"], told["user"]}
    streamed = stranger.ask("over-responses-by-all", stream=True)
    assert streamed.headers["x-obol-cache"] == "hit-exact"
    assert '"mine"' not in streamed.text


def test_what_is_sealed_for_the_next_turn_is_given_again_with_its_item(asker):
    fields = {"include": ["reasoning.encrypted_content"], "script": {"reasoning": THOUGHT}}
    first, again = (asker.ask("over-responses", **fields).json() for _ in range(2))
    assert again["output"][0]["encrypted_content"]
    assert again["output"] == first["output"]


def test_in_each_dialect_it_is_another_request(asker):
    assert asker.status() == "miss"
    assert asker.at("chat/completions").status() == "miss"
    assert asker.status() == "hit-exact"
