"""What a client sees of a streamed response, and what the ledger learns from it, however the bytes are cut."""

from __future__ import annotations

import json

import openai.types.responses as sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_reader_parts import (
    COMPLETED,
    CREATED,
    DEPLOYMENT,
    EVENT,
    IN_PROGRESS,
    METERED,
    RECORDED,
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

from gateway.api.responses_reader import ResponseStreamReader
from gateway.domain import Usage
from gateway.errors import UpstreamBroken, UpstreamInterrupted, UpstreamRefused

texts = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6)
cuts = st.lists(st.integers(0, 3500), max_size=12)


@given(texts=texts, cuts=cuts, crlf=st.booleans())
@settings(deadline=None)
def test_every_event_is_shown_once_and_in_order_however_the_bytes_are_cut(texts, cuts, crlf):
    data = good(texts)
    reader, shown = read(data.replace(b"\n", b"\r\n") if crlf else data, cuts, cost_nusd=12_345)
    found = events(shown)
    assert is_gapless(found)
    assert [one["type"] for one in found[:2]] == ["response.created", "response.in_progress"]
    assert [one["delta"] for one in found[2:-1]] == texts
    assert found[-1]["response"] == completed(usage={**USAGE, "cost": 0.000012345})
    assert reader.usage == METERED
    assert (reader.finish_reason, reader.model_answered, reader.service_tier) == ("completed", "m-2026", "default")


def test_what_is_shown_before_the_end_is_the_upstreams_own_bytes():
    data = good()
    reader = ResponseStreamReader(DEPLOYMENT)
    shown = reader.feed(data)
    assert data.startswith(shown)
    assert events(shown)[-1]["type"] == "response.output_text.delta"


def test_the_end_is_not_shown_before_the_charge_is_known():
    reader = ResponseStreamReader(DEPLOYMENT)
    shown = reader.feed(good())
    assert reader.is_ended
    assert b"response.completed" not in shown


def test_an_answer_that_is_only_announced_is_not_shown_yet():
    reader = ResponseStreamReader(DEPLOYMENT)
    assert reader.feed(stream(CREATED, IN_PROGRESS)) == b""
    assert not reader.has_data
    shown = reader.feed(stream(delta("Hello"), first=2))
    assert [one["type"] for one in events(shown)][-1] == "response.output_text.delta"
    assert is_gapless(events(shown))
    assert reader.has_data


@pytest.mark.parametrize(
    ("code", "status", "can_fall_back"),
    [("server_error", 500, True), ("rate_limit_exceeded", 429, True), ("invalid_prompt", 400, False),
     ("image_too_large", 400, False), ("something_new", 502, True)],
)  # fmt: skip
def test_an_upstream_that_announces_an_answer_and_fails_is_an_error_and_nothing_is_shown(code, status, can_fall_back):
    failed = response("failed", error={"code": code, "message": "oops"})
    reader, shown = read(stream(CREATED, IN_PROGRESS, ("response.failed", {"response": failed})))
    assert (shown, reader.has_data) == (b"", False)
    assert isinstance(reader.error, UpstreamRefused)
    assert (reader.error.message, reader.error.code, reader.error.status) == ("oops", code, status)
    assert reader.error.can_fall_back is can_fall_back


@pytest.mark.parametrize(
    "event",
    [
        ("response.failed", {"response": response("failed", error={"code": "server_error", "message": "oops"})}),
        ("error", {"code": "server_error", "message": "oops", "param": None}),
        ("error", {"error": {"type": "server_error", "code": "server_error", "message": "oops", "param": None}}),
    ],
    ids=["failed", "error", "error with an object"],
)
def test_a_failure_in_the_middle_ends_the_stream_with_exactly_one_failed_event(event):
    reader, shown = read(stream(CREATED, delta("Hello"), event, CREATED))
    assert reader.error is not None
    assert not reader.is_complete
    found = events(shown + reader.failing(reader.error))
    assert is_gapless(found)
    assert [one["type"] for one in found] == ["response.created", "response.output_text.delta", "response.failed"]
    last = found[-1]["response"]
    assert (last["id"], last["status"], last["error"]) == (
        "resp_1",
        "failed",
        {"code": "server_error", "message": "oops"},
    )


@given(count=st.integers(1, 5), cut=st.integers(0, 60), named=st.booleans())
@settings(deadline=None)
def test_a_stream_that_was_cut_ends_as_failed_with_the_next_number_and_the_same_id(count, cut, named):
    data = stream(CREATED, IN_PROGRESS, *[delta("x")] * count, COMPLETED, named=named)
    data = data[: data.rfind(b"\n\n", 0, -2) + 2 + cut]  # somewhere in its last event
    reader, shown = read(data)
    assert not reader.is_complete
    failed = events(reader.failing(UpstreamInterrupted("The upstream broke off.")))
    shown_numbers = [json.loads(line[6:])["sequence_number"] for line in shown.decode().split("\n") if line[:1] == "d"]
    assert [*shown_numbers, failed[0]["sequence_number"]] == list(range(len(shown_numbers) + 1))
    assert failed[0]["type"] == "response.failed"
    assert failed[0]["response"]["id"] == "resp_1"
    assert failed[0]["response"]["error"] == {"code": "upstream_interrupted", "message": "The upstream broke off."}


def test_what_the_official_sdk_reads_of_a_failure_is_a_response():
    reader, _ = read(stream(("response.created", {"response": full_response()}), delta("Hello")))
    (failed,) = events(reader.failing(UpstreamInterrupted("cut")))
    parsed = EVENT.validate_python({**failed, "response": {**failed["response"], "error": None}})
    assert isinstance(parsed, sdk.ResponseFailedEvent)


def full_response():
    return response(parallel_tool_calls=True, tool_choice="auto", tools=[], temperature=1.0, top_p=1.0, metadata={})


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_an_incomplete_answer_is_a_good_one_and_says_why_it_ended(reason):
    ended = completed(status="incomplete", incomplete_details={"reason": reason})
    reader, shown = read(stream(CREATED, delta("Hello"), ("response.incomplete", {"response": ended})))
    assert events(shown)[-1]["type"] == "response.incomplete"
    assert (reader.finish_reason, reader.error) == (reason, None)


def test_events_that_nobody_knows_pass_to_the_byte():
    unknown = stream(("response.hologram.delta", {"x": [1.0, 1e3], "delta": {"y": "é"}}), first=1)
    _, shown = read(stream(CREATED) + unknown + stream(COMPLETED, first=2))
    assert unknown in shown


def test_comments_pass_and_are_no_answer():
    reader = ResponseStreamReader(DEPLOYMENT)
    assert reader.feed(b": keep-alive\n\n") == b": keep-alive\n\n"
    assert not reader.has_data


def test_the_end_mark_of_chat_is_tolerated_and_not_passed_on():
    reader, shown = read(good() + b"data: [DONE]\n\n")
    assert reader.error is None
    assert b"[DONE]" not in shown
    reader, _ = read(stream(CREATED, delta("Hello")) + b"data: [DONE]\n\n")
    assert not reader.is_complete, "it says nothing about a response that has not ended"


@pytest.mark.parametrize(
    "event",
    [b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n',
     b"data: {broken\n\n", b"data: 7\n\n"],
    ids=["chat", "no JSON", "no object"],
)  # fmt: skip
def test_an_upstream_that_speaks_otherwise_is_broken(event):
    reader, shown = read(event)
    assert isinstance(reader.error, UpstreamBroken)
    assert shown == b""


def test_an_error_object_of_chat_in_a_stream_keeps_its_words():
    reader, _ = read(stream(CREATED) + b'data: {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}\n\n')
    assert reader.error is not None
    assert (reader.error.message, reader.error.code, reader.error.status) == ("slow down", "rate_limit_exceeded", 429)


def test_an_end_without_a_response_is_broken():
    reader, _ = read(stream(CREATED, delta("Hello"), ("response.completed", {})))
    assert isinstance(reader.error, UpstreamBroken)


def test_all_generated_text_is_there_for_counting():
    deltas = [
        ("response.reasoning_summary_text.delta", {"delta": "Think. "}),
        ("response.reasoning_text.delta", {"delta": "Deep. "}),
        ("response.output_text.delta", {"delta": "Say. "}),
        ("response.refusal.delta", {"delta": "No. "}),
        ("response.function_call_arguments.delta", {"delta": '{"a":1} '}),
        ("response.custom_tool_call_input.delta", {"delta": "*** Begin"}),
    ]
    reader, _ = read(stream(CREATED, *deltas))
    assert reader.output_text() == 'Think. Deep. Say. No. {"a":1} *** Begin'


def test_the_text_of_the_final_response_counts_where_no_piece_of_it_came():
    reader, _ = read(stream(CREATED, ("response.completed", {"response": completed(usage=None)})))
    assert (reader.usage, reader.output_text()) == (None, "Hello there")


@pytest.mark.parametrize("usage", [None, [], "?", {"input_tokens": -1, "output_tokens": 2}])
def test_where_no_usable_usage_is_reported_the_counted_one_is_shown_with_its_cost(usage):
    reader, _ = read(stream(CREATED, delta("Hello"), ("response.completed", {"response": completed(usage=usage)})))
    assert reader.usage is None
    reader.usage = Usage(input_tokens=5, output_tokens=2)
    shown = events(reader.closing(1000))[-1]["response"]["usage"]
    assert shown["cost"] == 0.000001
    if not isinstance(usage, dict):
        assert (shown["input_tokens"], shown["output_tokens"], shown["total_tokens"]) == (5, 2, 7)


@given(junk=st.binary(max_size=300), cuts=cuts)
@settings(deadline=None)
def test_no_bytes_of_an_upstream_break_the_reader(junk, cuts):
    reader, _ = read(stream(CREATED, delta("x")) + junk + b"\n\n" + good(), cuts)
    reader.output_text()
    assert events(reader.failing(UpstreamInterrupted("cut")))[0]["response"]["id"]


def recorded():
    """A turn of an agent: encrypted reasoning, a search, a message, a function call, a patch, and an unknown event."""
    turn = json.loads((RECORDED / "agent_turn.json").read_text())
    return turn, "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in turn).encode()


@given(cuts=st.lists(st.integers(0, 20_000), max_size=12))
@settings(deadline=None)
def test_a_turn_of_an_agent_reaches_it_whole_and_is_metered(cuts):
    turn, data = recorded()
    reader, shown = read(data, cuts, cost_nusd=7)
    found = events(shown)
    assert found[-1]["response"]["usage"].pop("cost") == 0.000000007
    assert found == turn
    assert reader.usage == Usage(
        input_tokens=12_345, cached_input_tokens=11_904, output_tokens=187, reasoning_tokens=128, web_searches=1
    )
    assert (reader.stored_id, reader.finish_reason) == (None, "completed")


def test_the_official_types_fit_the_end_with_its_cost():
    _, shown = read(recorded()[1], cost_nusd=7)
    ended = EVENT.validate_python(events(shown)[-1])
    assert ended.response.usage.model_extra == {"cost": 0.000000007}


def test_an_agents_text_reasoning_and_tool_calls_count_when_its_stream_is_cut():
    data = recorded()[1]
    reader, _ = read(data[: data.rfind(b"event: response.completed")])
    text = reader.output_text()
    for piece in ("**Looking it up**", "café 😀 file.", '{"command":["ls","-la"]}', "*** End Patch"):
        assert piece in text


def test_half_a_character_in_the_usage_does_not_keep_the_end_from_the_client():
    ended = stream(("response.completed", {"response": completed(usage={**USAGE, "?": 1})}))
    _, shown = read(ended.replace(b'"?"', rb'"\ud83d"'), cost_nusd=5)
    assert events(shown)[-1]["response"]["usage"]["output_tokens"] == USAGE["output_tokens"]


def test_what_an_opening_event_says_of_the_usage_is_no_report():
    zeros = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    opening = ("response.created", {"response": response(usage=zeros)})
    reader, _ = read(stream(opening, delta("many words")))
    assert (reader.usage, reader.output_text()) == (None, "many words")
