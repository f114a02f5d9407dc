"""Whole answers of the Messages API and counts of tokens; and how the API's usage is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.messages_reader import WholeMessageReader
from gateway.api.messages_usage import parse_usage
from gateway.api.whole_answer import TokenCountReader
from gateway.domain import Usage
from gateway.errors import UpstreamBroken


def test_a_whole_answer_passes_as_it_is_with_all_its_usage():
    answer = {
        "id": "msg_1", "type": "message", "model": "claude-x", "stop_reason": "max_tokens", "vendor": 1.0,
        "content": [
            {"type": "thinking", "thinking": "Hm. ", "signature": "abc"},
            {"type": "text", "text": "Words. "},
            {"type": "tool_use", "id": "t", "name": "look", "input": {"at": 1}},
            {"type": "web_search_tool_result", "content": [{"title": "not generated"}]},
        ],
        "usage": {
            "input_tokens": 1, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 9},
            "server_tool_use": {"web_search_requests": 2, "code_execution_requests": 4}, "service_tier": "batch",
        },
    }  # fmt: skip
    body, reader = json.dumps(answer).encode(), WholeMessageReader()

    assert reader.feed(body) == body

    assert reader.usage == Usage(
        input_tokens=321, cached_input_tokens=20, cache_write_tokens=100, cache_write_long_tokens=200,
        output_tokens=50, reasoning_tokens=9, web_searches=2, code_sessions=4,
    )  # fmt: skip
    assert (reader.finish_reason, reader.model_answered, reader.service_tier) == ("max_tokens", "claude-x", "batch")
    assert reader.output_text() == 'Hm. Words. look{"at":1}'
    assert reader.is_complete


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"c","object":"chat.completion","choices":[{"message":{"content":"x"}}]}',
        b'{"id":"r","object":"response","output":[]}',
        b'{"type":"message","content":null}',
        b'{"type":"message","content":"text"}',
        b'{"content":[',
        b"[]",
    ],
)
def test_a_whole_answer_of_another_kind_is_a_broken_one(body):
    reader = WholeMessageReader()
    assert reader.feed(body) == b""
    assert isinstance(reader.error, UpstreamBroken)
    assert not reader.is_complete


def test_a_whole_answer_that_was_cut_is_counted_by_what_text_is_in_it():
    reader = WholeMessageReader()
    reader.feed(b'{"content":[{"type":"thinking","thinking":"Hm."},{"type":"text","text":"Wor')
    assert reader.output_text() == "Hm.\nWor"


def test_an_error_object_in_a_good_answer_is_an_error():
    reader = WholeMessageReader()
    reader.feed(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
    assert (reader.error.status, reader.error.type) == (503, "overloaded_error")


def test_counting_tokens_costs_nothing():
    reader = TokenCountReader()
    body = b'{"input_tokens": 2095, "context_management": {"original_input_tokens": 2095}}'
    assert (reader.feed(body), reader.usage, reader.is_complete) == (body, Usage(), True)


@pytest.mark.parametrize("body", [b'{"input_tokens": null}', b'{"tokens": 1}', b"[]", b"{"])
def test_a_count_without_a_number_is_a_broken_answer(body):
    reader = TokenCountReader()
    reader.feed(body)
    assert isinstance(reader.error, UpstreamBroken)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": 0, "output_tokens": 0}, None),
        ({"input_tokens": -1, "output_tokens": 5}, None),
        ({"input_tokens": 5, "cache_read_input_tokens": -1}, None),
        ({"input_tokens": 10**12}, None),
        ({"input_tokens": "9"}, None),
        ({"input_tokens": 5}, Usage(input_tokens=5)),
        ({"cache_read_input_tokens": 5, "output_tokens": 1}, Usage(5, cached_input_tokens=5, output_tokens=1)),
        (
            {"input_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 4}},
            Usage(7, cache_write_tokens=2, cache_write_long_tokens=4),
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 10,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 4},
            },
            Usage(11, cache_write_tokens=6, cache_write_long_tokens=4),
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 3,
                "cache_creation": {"ephemeral_1h_input_tokens": 4},
            },
            Usage(4, cache_write_long_tokens=3),
        ),
        (
            {"input_tokens": 1, "output_tokens": 2, "iterations": [{"type": "advisor_message", "input_tokens": 8}]},
            Usage(9, output_tokens=2),
        ),
    ],
)
def test_usage_is_read_as_the_bill_counts_it(reported, expected):
    assert parse_usage(json.dumps(reported).encode()) == expected


counts = st.integers(0, 10**6)


@given(plain=counts, cached=counts, minutes=counts, hour=counts, output=counts)
def test_the_meters_of_the_input_add_up_to_all_of_it(plain, cached, minutes, hour, output):
    usage = parse_usage(
        json.dumps(
            {
                "input_tokens": plain + 1,
                "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": minutes + hour,
                "cache_creation": {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour},
                "output_tokens": output,
            }
        ).encode()
    )
    assert usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens == plain + 1 + hour
    assert (usage.cache_write_tokens, usage.cache_write_long_tokens, usage.output_tokens) == (minutes, hour, output)


@pytest.mark.parametrize("kind", [{}, [], 5, None])
def test_a_sampling_of_no_known_type_is_not_counted_beside_the_answer(kind):
    report = {"input_tokens": 5, "output_tokens": 2, "iterations": [{"type": kind, "input_tokens": 90}]}
    assert parse_usage(json.dumps(report).encode()) == Usage(input_tokens=5, output_tokens=2)
