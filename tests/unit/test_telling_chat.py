"""Chat answers as one object: whatever was streamed comes out the same, and what is told of it is a stream again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipeline_parts import ANSWER, event
from telling_parts import USAGE, asked, kept, texts

from gateway.answers.telling_chat import is_worth_keeping, told_again, whole_of
from gateway.api.replies import StreamReader


def whole_from(*events, usage=None):
    return json.loads(whole_of(b"".join(events), is_stream=True, usage=usage))


def told(answer, *, wants_usage=False):
    stream = told_again(kept(answer), asked(is_stream=True, wants_usage=wants_usage))
    *events, end = stream.decode().split("\n\n")[:-1]
    assert end == "data: [DONE]"
    return stream, [json.loads(one.removeprefix("data: ")) for one in events]


def chunk(delta, finish_reason=None, index=0, **more):
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason, **more}
    return event({"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]})


@given(
    texts,
    st.none() | texts,
    st.lists(st.fixed_dictionaries({"name": texts, "arguments": texts}), max_size=3),
    st.integers(1, 3),
    st.booleans(),
)
def test_what_is_told_as_a_stream_is_the_same_object_when_it_is_put_together(text, thought, functions, n, wants_usage):
    message = {"role": "assistant", "content": text}
    if thought:
        message["reasoning_content"] = thought
    if functions:
        message["tool_calls"] = [
            {"id": f"call_{place}", "type": "function", "function": one} for place, one in enumerate(functions)
        ]
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": 5}
        for index in range(n)
    ]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "of_a_vendor": 1}
    answer = {"id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": choices, "usage": usage}
    stream, chunks = told(answer, wants_usage=wants_usage)
    reader = StreamReader(wants_usage=wants_usage, choices_per_prompt=n)
    reader.feed(stream)
    assert (reader.is_complete, reader.error, reader.finish_reason) == (True, None, "stop")
    assert all(one["object"] == "chat.completion.chunk" and one["id"] == "c" for one in chunks)
    again = json.loads(whole_of(stream, is_stream=True, usage=None))
    assert {**again, "usage": usage} == answer
    assert again.get("usage") == (usage if wants_usage else None)


def test_pieces_of_texts_calls_and_probabilities_are_joined():
    whole = whole_from(
        chunk({"role": "assistant", "content": ""}, obfuscation="x"),
        chunk({"content": "he"}, logprobs={"content": [{"token": "he"}], "refusal": None}),
        chunk({"content": "llo"}, logprobs={"content": [{"token": "llo"}], "refusal": None}),
        chunk(
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        b": a comment\n\n",
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}, {"index": 1, "id": "b"}]}),
        chunk({}, "tool_calls"),
        b"data: [DONE]\n\n",
        usage=USAGE,
    )
    (choice,) = whole["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "hello",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "b"},
        ],
    }
    assert choice["logprobs"] == {"content": [{"token": "he"}, {"token": "llo"}], "refusal": None}
    assert (whole["object"], whole["created"], whole["usage"]["total_tokens"]) == ("chat.completion", 7, 5)


def test_the_usage_that_a_client_saw_is_kept_without_the_cost_that_we_told():
    whole = whole_from(
        chunk({"content": "x"}, "stop"),
        event({"choices": [], "usage": {"prompt_tokens": 4, "of_a_vendor": 1, "cost": 0.5}}),
        usage=USAGE,
    )
    assert whole["usage"] == {"prompt_tokens": 4, "of_a_vendor": 1}


def test_probabilities_are_told_with_what_they_are_of():
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "hi"},
        "logprobs": {"content": [{"token": "hi"}]},
        "finish_reason": "stop",
    }
    _, chunks = told({**ANSWER, "choices": [choice]})
    assert [one["choices"][0]["logprobs"] for one in chunks] == [None, {"content": [{"token": "hi"}]}, None]


def test_an_answer_without_usage_tells_none():
    answer = {name: value for name, value in ANSWER.items() if name != "usage"}
    _, chunks = told(answer, wants_usage=True)
    assert all(one["choices"] for one in chunks)


def choice(finish_reason="stop", **message):
    return {"index": 0, "message": {"content": "x", **message}, "finish_reason": finish_reason}


@pytest.mark.parametrize(
    ("choices", "n", "is_kept", "is_kept_with_tools"),
    [
        ([choice()], 1, True, True),
        ([choice(), choice()], 2, True, True),
        ([choice()], 2, False, False),
        ([choice(), choice("length")], 2, False, False),
        ([choice("content_filter")], 1, False, False),
        ([choice("stop", refusal="No.")], 1, False, False),
        ([choice("stop", refusal=None)], 1, True, True),
        ([choice(None)], 1, False, False),
        ([choice("tool_calls", tool_calls=[{}])], 1, False, True),
        ([choice("stop", tool_calls=[{}])], 1, False, True),
        ([choice("stop", tool_calls=[])], 1, True, True),
        ([], 1, False, False),
        (None, 1, False, False),
        ([5], 1, False, False),
    ],
)
def test_only_answers_that_ended_by_themselves_are_worth_keeping(choices, n, is_kept, is_kept_with_tools):
    whole = json.dumps({"choices": choices}).encode()
    assert is_worth_keeping(whole, asked(choices=n), keeps_tool_calls=False) is is_kept
    assert is_worth_keeping(whole, asked(choices=n), keeps_tool_calls=True) is is_kept_with_tools


@pytest.mark.parametrize("shown", [b"data: {\n\n", b"data: 5\n\n", b'data: {"choices": [5]}\n\n'])
def test_what_cannot_be_put_together_is_nothing(shown):
    assert whole_of(shown, is_stream=True, usage=USAGE) is None


def test_a_call_that_was_left_out_makes_no_answer():
    broken = chunk({"tool_calls": [{"index": 3, "function": {"arguments": "x"}}]})
    assert whole_of(broken, is_stream=True, usage=USAGE) is None
