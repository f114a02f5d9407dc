"""What chat clients get of the streams of an upstream that speaks Anthropic's Messages API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_answers import (
    USAGE,
    chunks,
    cited,
    deltas,
    event,
    events,
    message,
    streamed,
    text,
    translator,
    use,
    whole,
)
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from gateway.errors import UpstreamBroken, UpstreamInterrupted


class TestStreams:
    def test_a_text_begins_with_the_role_and_ends_with_its_usage(self):
        found = streamed(message(text("Hi you")))
        assert [chunk["choices"] for chunk in found] == [
            [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]
            for delta, reason in (
                ({"role": "assistant", "content": "", "refusal": None}, None),
                ({"content": "Hi y"}, None),
                ({"content": "ou"}, None),
                ({}, "stop"),
            )
        ] + [[]]
        assert [chunk["usage"] for chunk in found[:-1]] == [None] * 4
        assert found[-1]["usage"]["total_tokens"] == 17

    @pytest.mark.parametrize("wants_usage", [False, None])
    def test_usage_is_for_clients_that_asked_for_it(self, wants_usage):
        found = streamed(message(text("Hi")), wants_usage=wants_usage)
        assert not any("usage" in chunk for chunk in found)
        assert all(chunk["choices"] for chunk in found)

    def test_each_call_opens_once_and_grows_by_fragments(self):
        asked = message(text("A"), use(path="/x"), use("g", "toolu_2"), stop_reason="tool_use")
        calls = [one for delta in deltas(asked) for one in delta.get("tool_calls", ())]
        openers = [one for one in calls if "id" in one]
        assert openers == [
            {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]
        fragments = [(one["index"], one["function"]["arguments"]) for one in calls if "id" not in one]
        assert "".join(part for index, part in fragments if index == 0) == '{"path":"/x"}'
        assert [part for index, part in fragments if index == 1] == ["{}"]

    def test_arguments_that_come_with_the_opening_are_not_lost(self):
        answer = translator()
        shown = b"".join(
            [
                answer.feed(event("message_start", message=message())),
                answer.feed(event("content_block_start", index=0, content_block=use(a=1))),
                answer.feed(event("content_block_stop", index=0)),
                answer.feed(event("message_stop")),
            ]
        )
        calls = [one for chunk in chunks(shown)[:-1] for one in chunk["choices"][0]["delta"].get("tool_calls", ())]
        assert calls[1] == {"index": 0, "function": {"arguments": '{"a": 1}'}}

    def test_a_message_delta_that_is_not_the_last_ends_nothing(self):
        asked = list(events(message(text("Hi"), stop_reason="max_tokens")))
        pause = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 3})
        for place in (3, -1):
            answer = translator()
            found = chunks(b"".join(answer.feed(one) for one in [*asked[:place], pause, *asked[place:]]))
            assert [chunk["choices"][0]["finish_reason"] for chunk in found[:-1]] == [None, None, "length"]

    def test_the_input_side_of_the_usage_may_be_told_at_the_start_only(self):
        answer = translator()
        start = {**USAGE, "cache_read_input_tokens": 100, "output_tokens": 1}
        shown = answer.feed(event("message_start", message=message(usage=start)))
        shown += answer.feed(event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 8}))
        shown += answer.feed(event("message_stop"))
        assert chunks(shown)[-1]["usage"]["prompt_tokens"] == 109
        assert chunks(shown)[-1]["usage"]["completion_tokens"] == 8

    def test_unknown_events_blocks_and_deltas_say_nothing(self):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        for unknown in (
            event("news", x=1),
            event("content_block_start", index=0, content_block={"type": "news"}),
            event("content_block_delta", index=0, delta={"type": "news_delta", "text": "x"}),
            event("content_block_stop", index=0),
            event("content_block_stop", index=7),
        ):
            assert answer.feed(unknown) == b""

    def test_a_ping_is_a_comment_so_that_nobody_takes_a_thinking_model_for_dead(self):
        assert translator().feed(event("ping")) == b": ping\n\n"

    def test_half_an_emoji_is_shown_as_it_came(self):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        shown = b""
        blocks = ("text", "text_delta", "content"), ("thinking", "thinking_delta", "reasoning_content")
        for index, (kind, delta, _) in enumerate(blocks):
            answer.feed(event("content_block_start", index=index, content_block={"type": kind}))
            for half in (rb"\ud83d", rb"\ude00"):
                begun = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % index
                shown += answer.feed(begun + b'{"type":"%b","%b":"%b"}}\n\n' % (delta.encode(), kind.encode(), half))
            shown += answer.feed(event("content_block_stop", index=index))
        for _, _, name in blocks:
            for half in (rb"\ud83d", rb"\ude00"):
                assert b'{"%b":"%b"}' % (name.encode(), half) in shown
        assert rb'"thinking":"\ud83d\ude00"' in shown

    @pytest.mark.parametrize(
        "broken",
        [
            b"data: {\n\n",
            b"data: []\n\n",
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"}),
            b'data: {"choices":[]}\n\n',
        ],
    )
    def test_what_is_no_event_of_messages_is_broken(self, broken):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        with pytest.raises(UpstreamBroken):
            answer.feed(broken)

    def test_an_end_in_the_middle_of_a_call_is_broken(self):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        answer.feed(event("content_block_start", index=0, content_block=use()))
        answer.feed(event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"a'}))
        with pytest.raises(UpstreamBroken):
            answer.feed(event("message_stop"))

    def test_a_stream_that_breaks_off_ends_in_an_error_without_an_end_mark(self):
        answer = translator()
        answer.feed(event("message_start", message=message()))
        shown = answer.failing(UpstreamInterrupted("Cut."))
        error = json.loads(shown.removeprefix(b"data: "))["error"]
        assert (error["message"], error["code"]) == ("Cut.", "upstream_interrupted")
        assert b"[DONE]" not in shown


class TestRecordedStreams:
    """Streams of the forms that Anthropic's API is known to send."""

    def test_thoughts_text_and_a_call(self):
        said = recorded("thinking_and_tool")
        assert said["reasoning_content"]
        assert said["thinking_blocks"][0]["thinking"] == said["reasoning_content"]
        assert said["thinking_blocks"][0]["signature"]
        assert said["content"]
        (call,) = said["tool_calls"]
        json.loads(call["function"]["arguments"])

    def test_a_search_of_the_web_is_cited(self):
        said = recorded("web_search")
        (note,) = said["annotations"]
        assert note["url_citation"]["url"].startswith("https://")
        assert said["content"][note["url_citation"]["start_index"] : note["url_citation"]["end_index"]]
        assert not said.get("tool_calls")


def recorded(name):
    """The assistant's message of a recorded stream, put together by the official SDK."""
    answer, state = translator(), ChatCompletionStreamState()
    shown = answer.feed((Path(__file__).parent / "data" / "messages" / f"{name}.sse").read_bytes())
    for chunk in shown.split(b"\n\n"):
        if chunk.startswith(b"data: {"):
            state.handle_chunk(ChatCompletionChunk.model_validate_json(chunk[6:]))
    return state.current_completion_snapshot.model_dump()["choices"][0]["message"]


TEXTS = st.text(max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
BLOCKS = st.one_of(
    TEXTS.map(text),
    st.builds(lambda said, url: text(said, citations=[cited(url)]), TEXTS, TEXTS),
    st.builds(lambda said, key: {"type": "thinking", "thinking": said, "signature": key}, TEXTS, TEXTS),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, TEXTS),
    st.builds(
        lambda name, number, given: {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given},
        st.text("abc_", min_size=1, max_size=5),
        st.integers(0, 9),
        st.dictionaries(TEXTS, JSON, max_size=3),
    ),
    st.builds(lambda given: {"type": "server_tool_use", "id": "s", "name": "w", "input": given}, st.just({"q": "x"})),
)
COUNTS = st.integers(0, 10**6)


@st.composite
def answers(draw):
    """Any answer of Anthropic's."""
    five_minutes, hour = draw(COUNTS), draw(COUNTS)
    usage = {
        "input_tokens": draw(COUNTS),
        "cache_read_input_tokens": draw(COUNTS),
        "cache_creation_input_tokens": five_minutes + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": hour},
        "output_tokens": draw(COUNTS),
    }
    reasons = st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal"])
    return message(*draw(st.lists(BLOCKS, max_size=5)), stop_reason=draw(reasons), usage=usage)


def meaning(completion):
    """What a client reads in a completion, whole or put together."""
    (choice,) = completion["choices"]
    said = choice["message"]
    return {
        "content": said["content"] or "",
        "reasoning": said.get("reasoning_content") or "",
        "thoughts": [drop(one, "index") for one in said.get("thinking_blocks") or ()],
        "calls": [
            (one["id"], one["function"]["name"], json.loads(one["function"]["arguments"]))
            for one in said.get("tool_calls") or ()
        ],
        "annotations": [drop(one, "index") for one in said.get("annotations") or ()],
        "finish_reason": choice["finish_reason"],
        "usage": {name: value for name, value in completion["usage"].items() if value is not None},
        "id": completion["id"],
    }


def drop(one, name):
    return {key: value for key, value in one.items() if key != name}


@settings(max_examples=50, deadline=None)
@given(answers(), st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_stream_cut_anywhere_says_what_the_whole_answer_says(asked, length, chance):
    stream = list(events(asked, length))
    answer, state, shown = translator(), ChatCompletionStreamState(), b""
    while stream:
        count = chance.randint(1, 4)
        shown += answer.feed(b"".join(stream[:count]))
        del stream[:count]
    for chunk in chunks(shown):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    put_together = state.current_completion_snapshot.model_dump()
    put_together["usage"] = chunks(shown)[-1]["usage"]
    assert meaning(put_together) == meaning(whole(asked))
