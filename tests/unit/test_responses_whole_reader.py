"""What the readers of whole responses, of responses in the background and of counts of tokens learn."""

from __future__ import annotations

import json

import pytest
from responses_reader_parts import (
    CREATED,
    DEPLOYMENT,
    MESSAGE,
    METERED,
    USAGE,
    completed,
    delta,
    events,
    good,
    is_gapless,
    read,
    response,
    stream,
)

from gateway.api.responses_reader import ResponseStreamReader, WholeResponseReader
from gateway.api.whole_answer import TokenCountReader
from gateway.domain import Usage
from gateway.errors import UpstreamBroken, UpstreamInterrupted

TOOLS = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
    {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": {"type": "open_page", "url": "u"}},
    {"type": "web_search_call", "id": "ws_3", "status": "completed", "action": {"type": "find_in_page", "url": "u"}},
    {"type": "web_search_call", "id": "ws_4", "status": "failed", "action": {"type": "search", "query": "y"}},
    {"type": "web_search_call", "id": "ws_5", "status": "completed"},
    {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1", "status": "completed"},
    {"type": "code_interpreter_call", "id": "ci_2", "container_id": "cntr_1", "status": "completed"},
    {"type": "code_interpreter_call", "id": "ci_3", "container_id": "cntr_2", "status": "completed"},
    {"type": "function_call", "name": "web_search_call", "arguments": "{}"},
    MESSAGE,
]


def test_searches_that_searched_and_distinct_containers_are_metered_whole_and_streamed():
    ended = completed(output=TOOLS)
    streamed, _ = read(stream(CREATED, delta("x"), ("response.completed", {"response": ended})))
    whole = WholeResponseReader(DEPLOYMENT)
    whole.feed(json.dumps(ended).encode())
    for usage in (streamed.usage, whole.usage):
        assert usage is not None
        assert (usage.web_searches, usage.code_sessions) == (2, 2)


def test_reasoning_that_an_upstream_leaves_out_of_its_output_is_in_the_total():
    reader = WholeResponseReader(DEPLOYMENT)
    reader.feed(json.dumps(completed(usage={"input_tokens": 5, "output_tokens": 2, "total_tokens": 17})).encode())
    assert reader.usage == Usage(input_tokens=5, output_tokens=12, reasoning_tokens=10)


def test_a_whole_answer_passes_to_the_byte():
    body = json.dumps({**completed(), "vendor": {"b": 1.0, "a": None}}, indent=1).encode()
    reader = WholeResponseReader(DEPLOYMENT)
    assert reader.feed(body) == body
    assert (reader.usage, reader.finish_reason, reader.is_complete) == (METERED, "completed", True)
    assert reader.closing(5) == b""


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"choices": [], "id": "c"}', b'{"output": "text"}', b'{"output": null}']
)
def test_a_whole_answer_of_another_kind_is_broken(body):
    reader = WholeResponseReader(DEPLOYMENT)
    assert reader.feed(body) == b""
    assert isinstance(reader.error, UpstreamBroken)


def test_a_whole_answer_that_failed_is_an_error_with_its_usage():
    reader = WholeResponseReader(DEPLOYMENT)
    failed = response("failed", error={"code": "server_error", "message": "oops"}, usage=USAGE)
    assert reader.feed(json.dumps(failed).encode()) == b""
    assert reader.error is not None
    assert (reader.error.code, reader.usage, reader.is_complete) == ("server_error", METERED, False)


def test_text_of_a_truncated_answer_is_there_for_counting():
    reader = WholeResponseReader(DEPLOYMENT)
    reader.feed(json.dumps(completed()).encode()[:-40])
    assert "Hello there" in reader.output_text()


@pytest.mark.parametrize(
    ("asked", "said", "stored"), [(True, {}, "resp_1"), (False, {}, None), (True, {"store": False}, None)]
)
def test_the_id_of_a_response_is_known_unless_it_is_not_stored(asked, said, stored):
    whole = WholeResponseReader(DEPLOYMENT, is_stored=asked)
    whole.feed(json.dumps(completed(**said)).encode())
    streamed, _ = read(stream(("response.created", {"response": response(**said)}), delta("x")), is_stored=asked)
    assert (whole.stored_id, streamed.stored_id) == (stored, stored)


def test_a_response_in_the_background_can_be_asked_after():
    reader = WholeResponseReader(DEPLOYMENT)
    reader.feed(json.dumps(response("queued")).encode())
    assert reader.is_complete
    assert reader.pending is not None
    assert (reader.pending.call.method, reader.pending.call.item) == ("GET", ("resp_1",))
    later = reader.pending.reader()
    later.feed(json.dumps(completed()).encode())
    assert (later.usage, later.pending) == (METERED, None)


def test_in_the_background_an_announced_response_is_shown_at_once_and_goes_on_without_us():
    reader = ResponseStreamReader(DEPLOYMENT, is_background=True)
    assert events(reader.feed(stream(CREATED)))
    assert reader.has_data
    assert reader.pending is not None
    (told,) = events(reader.failing(UpstreamInterrupted("cut")))
    assert (told["type"], told["sequence_number"], told["code"]) == ("error", 1, "upstream_interrupted")


def test_in_the_background_a_response_that_has_ended_is_not_asked_after():
    reader, shown = read(good(), is_background=True)
    assert reader.pending is None
    assert is_gapless(events(shown))


@pytest.mark.parametrize("body", [b"{}", b'{"input_tokens": "9"}', b"["])
def test_a_count_without_a_number_is_broken(body):
    reader = TokenCountReader()
    reader.feed(body)
    assert isinstance(reader.error, UpstreamBroken)


def test_a_count_passes_and_costs_nothing():
    reader = TokenCountReader()
    body = b'{"object": "response.input_tokens", "input_tokens": 9}'
    assert reader.feed(body) == body
    assert (reader.usage, reader.is_complete) == (Usage(), True)


@pytest.mark.parametrize("status", [[], {}, 5, None])
def test_a_whole_answer_without_a_status_that_can_be_read_is_not_under_way(status):
    reader = WholeResponseReader(DEPLOYMENT)
    reader.feed(json.dumps(completed(status=status)).encode())
    assert (reader.is_complete, reader.pending, reader.finish_reason, reader.usage) == (True, None, None, METERED)
