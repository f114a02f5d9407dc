"""Which answers a route with a cache keeps: whole ones that ended by themselves, and no others."""

from __future__ import annotations

import openai
import pytest
from spec_parts import TEXT, chunks


@pytest.mark.parametrize(
    "script",
    [
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"refusal": "I cannot help with that."},
        {"tool_calls": [{"name": "f", "arguments": "{}"}]},
        {"tool_calls": [{"name": "f", "arguments": "{}"}], "finish_reason": "stop"},
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_only_what_ended_by_itself_is_kept(asker, script, is_stream):
    asker.status(script=script, stream=is_stream)
    assert asker.status(script=script, stream=is_stream) == "miss"
    assert asker.calls() == 2


def test_a_stream_that_was_cut_is_not_kept(asker):
    cut = asker.ask("any-fails-0", script={"cut_after": 3, "cut_by": "close"}, stream=True)
    assert "error" in cut.text
    again = asker.ask("any-fails-0", script={"cut_after": 3, "cut_by": "close"}, stream=True)
    assert again.headers["x-obol-cache"] == "miss"
    assert asker.calls() == 2


def test_a_stream_whose_client_left_is_not_kept(caching, asker, caching_key, prompt):
    with openai.OpenAI(base_url=caching.base_url, api_key=caching_key, max_retries=0) as client:
        messages = [{"role": "user", "content": prompt}]
        script = {"script": {"chunk_ms": 50}}
        stream = client.chat.completions.create(
            model="cached", messages=messages, temperature=0, stream=True, extra_body=script
        )
        next(iter(stream))
        stream.response.close()
    assert asker.status(script={"chunk_ms": 50}) == "miss"
    assert asker.calls() == 2


def test_tool_calls_are_kept_where_the_route_says_so(asker):
    script = {"tool_calls": [{"name": "f", "arguments": '{"a": "long enough"}'}, {"name": "g", "arguments": "{}"}]}
    asker.status("with-tools", script=script, stream=True)
    again = asker.ask("with-tools", script=script)
    assert again.headers["x-obol-cache"] == "hit-exact"
    calls = again.json()["choices"][0]["message"]["tool_calls"]
    assert [call["function"] for call in calls] == script["tool_calls"]
    told = chunks(asker.ask("with-tools", script=script, stream=True).text)
    streamed = [call for one in told for call in one["choices"][0]["delta"].get("tool_calls", ())]
    assert [(call["index"], call["function"]["arguments"]) for call in streamed] == [
        (0, '{"a": "long enough"}'),
        (1, "{}"),
    ]
    assert told[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_call_of_a_tool_that_one_route_keeps_is_not_given_on_another(asker):
    script = {"tool_calls": [{"name": "f", "arguments": "{}"}]}
    assert [asker.status("with-tools", script=script) for _ in range(2)] == ["miss", "hit-exact"]
    assert asker.status(script=script) == "miss"


@pytest.mark.parametrize(
    ("route", "script"),
    [
        ("any-fails-1", {"drop_last_bytes": 9}),
        ("any-fails-2", {"drop_last_bytes": 9, "content_length_excess": 50}),
    ],
)
def test_an_answer_that_lacks_its_last_bytes_is_not_kept(asker, route, script):
    for _ in range(2):
        assert asker.ask(route, script=script).status_code >= 500
    assert asker.ask(route, headers={"cache-control": "only-if-cached"}, script=script).status_code == 504


@pytest.mark.parametrize(
    ("route", "script"),
    [
        ("any-fails-3", {"error_event": {"message": "overloaded"}, "cut_after": 9}),
        ("any-fails-4", {"omit_done": True, "cut_after": 5}),
    ],
)
def test_a_stream_that_ends_in_an_error_is_not_kept(asker, route, script):
    for _ in range(2):
        assert asker.ask(route, script=script, stream=True).headers["x-obol-cache"] == "miss"
    assert asker.calls() == 2


@pytest.mark.parametrize("script", [{"crlf": True}, {"split_events": True}, {"comments": True, "join_events": True}])
def test_however_its_events_came_a_stream_is_told_again_whole(asker, script):
    assert asker.status(script=script, stream=True) == "miss"
    again = asker.ask(script=script)
    assert again.headers["x-obol-cache"] == "hit-exact"
    assert again.json()["choices"][0]["message"]["content"] == TEXT


def test_what_is_too_large_is_not_kept(asker):
    script = {"text": "word " * 400}
    assert [asker.status("small", script=script, stream=is_stream) for is_stream in (False, True)] == ["miss", "miss"]


@pytest.mark.parametrize(
    ("endpoint", "route", "script"),
    [
        ("messages", "over-messages", {"finish_reason": "max_tokens"}),
        ("messages", "over-messages", {"finish_reason": "refusal"}),
        ("messages", "over-messages", {"finish_reason": "pause_turn"}),
        ("messages", "over-messages", {"tool_calls": [{"name": "f", "arguments": "{}"}]}),
        ("messages", "cached", {"finish_reason": "content_filter"}),
        ("messages", "cached", {"refusal": "I cannot help with that."}),
        ("chat/completions", "over-messages", {"finish_reason": "refusal"}),
        ("chat/completions", "over-messages", {"finish_reason": "max_tokens"}),
        ("responses", "over-messages", {"finish_reason": "refusal"}),
        ("responses", "over-messages", {"finish_reason": "max_tokens"}),
        ("completions", "cached", {"finish_reason": "content_filter"}),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_in_no_dialect_is_kept_what_was_cut_or_refused_or_calls(asker, endpoint, route, script, is_stream):
    one = asker.at(endpoint)
    assert [one.status(route, script=script, stream=is_stream) for _ in range(2)] == ["miss", "miss"]
    assert one.calls() == 2
