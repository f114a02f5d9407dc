"""What clients of Messages get of a whole answer in chat completions."""

from __future__ import annotations

import json

import pytest
from chat_answer_parts import DONE, USAGE, call, chunk, deltas, told, translator, usage_chunk, whole

from gateway.errors import UpstreamBroken
from gateway.translation.messages_over_chat.names import chat_name


def test_a_whole_answer_becomes_a_message():
    assert whole({"content": "Hello."}) == {
        "id": "msg_7",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 8,
        },
    }


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_a_thinking_block_in_front(name):
    message = whole({name: "Hm.", "content": "Hello."})

    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Hello."},
    ]


def test_content_in_parts_is_told_part_by_part():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Hello."}]
    expected = [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "Hello."}]

    assert whole({"content": parts})["content"] == expected
    assert [delta["type"] for delta in deltas(told(chunk(content=parts), DONE))] == ["thinking_delta", "text_delta"]


def test_a_refusal_is_text_that_stops_as_one():
    message = whole({"content": None, "refusal": "I won't."})

    assert message["content"] == [{"type": "text", "text": "I won't."}]
    assert message["stop_reason"] == "refusal"


def test_tool_calls_become_tool_use_with_their_input_untouched():
    calls = [call(call_id="call_a", name="f", arguments='{"b": 1.0, "a": "é"}'), call(1, "call_b", "g")]

    message = whole({"content": None, "tool_calls": calls}, "tool_calls")

    assert message["content"] == [
        {"type": "tool_use", "id": "call_a", "name": "f", "input": {"b": 1.0, "a": "é"}},
        {"type": "tool_use", "id": "call_b", "name": "g", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"


def test_nothing_said_is_empty_content():
    assert whole({"content": ""})["content"] == []


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("something_new", "end_turn"),
        (None, "end_turn"),
    ],
)
def test_stop_reasons(finish_reason, stop_reason):
    events = told(chunk(content="x"), chunk(finish_reason=finish_reason), DONE)

    assert whole({"content": "x"}, finish_reason)["stop_reason"] == stop_reason
    assert events[-2][1]["delta"] == {"stop_reason": stop_reason, "stop_sequence": None}


def test_a_forced_tool_call_that_chat_calls_a_stop_is_tool_use():
    assert whole({"tool_calls": [call(call_id="c", name="f", arguments="{}")]}, "stop")["stop_reason"] == "tool_use"


def test_arguments_may_come_as_the_object_itself():
    (block,) = whole({"tool_calls": [call(call_id="c", name="f", arguments={"a": "é"})]}, "stop")["content"]
    assert block["input"] == {"a": "é"}


def test_the_stop_sequence_is_named_where_the_server_names_it():
    events = told(chunk(content="x"), chunk(finish_reason="stop", stop_reason="END"), DONE)

    assert events[-2][1]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 6}}, {"input_tokens": 3, "cache_read_input_tokens": 6}),
        (
            {"prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 4}},
            {"input_tokens": 3, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 4},
        ),
        (
            {"prompt_tokens_details": {"cache_write_tokens": 1, "cache_write_long_tokens": 4}},
            {
                "input_tokens": 4,
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 4},
            },
        ),
        ({"prompt_cache_hit_tokens": 5}, {"input_tokens": 4, "cache_read_input_tokens": 5}),
        ({"completion_tokens_details": {"reasoning_tokens": 3}}, {"output_tokens_details": {"thinking_tokens": 3}}),
        ({"total_tokens": 27}, {"output_tokens": 18, "output_tokens_details": {"thinking_tokens": 10}}),
        ({"cost": 0.25}, {"cost": 0.25}),
        (
            {"server_tool_use": {"web_search_requests": 2}},
            {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}},
        ),
    ],
)
def test_usage_counts_as_anthropic_does(reported, expected):
    usage = {**USAGE, **reported}
    plain = {"input_tokens": 9, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 8}

    assert whole({"content": "x"}, usage=usage)["usage"] == {**plain, **expected}
    assert told(chunk(content="x"), usage_chunk(usage), DONE)[-2][1]["usage"] == {**plain, **expected}


@pytest.mark.parametrize("usage", ["null", "{}", '"x"', '{"prompt_tokens":"9"}'])
def test_usage_that_nobody_reported_is_zero(usage):
    answer = b'{"id":"chatcmpl-7","model":"m","choices":[{"message":{"content":"x"}}],"usage":%b}' % usage.encode()

    assert json.loads(translator().whole(answer))["usage"]["output_tokens"] == 0


def test_a_long_name_of_a_tool_comes_back_as_the_client_gave_it():
    name = "mcp__" + "x" * 100
    answer = translator(tools=[{"name": "short"}, {"name": name}])

    events = told(chunk(tool_calls=[call(0, "c", chat_name(name), "{}")]), answer=answer)

    assert events[1][1]["content_block"]["name"] == name


def test_an_answer_without_a_model_has_the_one_that_was_asked_for():
    answer = translator()

    assert json.loads(answer.whole(b'{"choices":[{"message":{"content":"x"}}]}'))["model"] == "asked"


def test_answers_without_an_id_get_one_of_their_own():
    first, other = (
        json.loads(translator().whole(b'{"choices":[{"message":{"content":"%b"}}]}' % text))["id"]
        for text in (b"x", b"y")
    )

    assert first.startswith("msg_")
    assert first != other


@pytest.mark.parametrize(
    "answer",
    [
        b"not JSON",
        b"[]",
        b'{"choices":[]}',
        b'{"choices":[{"message":{"content":{}}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"arguments":"{}"}}]}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"oops"}}]}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"[1]"}}]}}]}',
    ],
)
def test_an_answer_that_is_none_is_a_broken_upstream(answer):
    with pytest.raises(UpstreamBroken):
        translator().whole(answer)


def test_a_call_that_the_limit_cut_off_is_left_out():
    calls = [call(0, "a", "f", '{"x": 1}'), call(1, "b", "f", '{"x": "unfin')]

    message = whole({"content": "I look.", "tool_calls": calls}, "length")

    assert [block["type"] for block in message["content"]] == ["text", "tool_use"]
    assert message["stop_reason"] == "max_tokens"
