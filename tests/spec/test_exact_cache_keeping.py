"""Which answers a route with a cache keeps: whole ones that ended by themselves, and no others."""

from __future__ import annotations

import openai
import pytest
from spec_parts import chunks


@pytest.mark.parametrize(
    "script",
    [
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"tool_calls": [{"name": "f", "arguments": "{}"}]},
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_only_what_ended_by_itself_is_kept(asker, script, is_stream):
    asker.status(script=script, stream=is_stream)
    assert asker.status(script=script, stream=is_stream) == "miss"
    assert asker.calls() == 2


def test_a_stream_that_was_cut_is_not_kept(asker):
    cut = asker.ask(script={"cut_after": 3, "cut_by": "close"}, stream=True)
    assert "error" in cut.text
    again = asker.ask(script={"cut_after": 3, "cut_by": "close"}, stream=True)
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


def test_what_is_too_large_is_not_kept(asker):
    script = {"text": "word " * 400}
    assert [asker.status("small", script=script, stream=is_stream) for is_stream in (False, True)] == ["miss", "miss"]
