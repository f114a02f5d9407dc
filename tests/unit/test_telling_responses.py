"""Responses as one object: read off the end of a stream, told again as all the events that lead to it."""

from __future__ import annotations

import json

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_over_chat_answer_parts import END, EVENT, chunk, writer
from telling_parts import asked, kept, texts

from gateway.answers.telling_responses import is_worth_keeping, told_again, whole_of
from gateway.api.responses_reader import ResponseStreamReader
from gateway.domain import Deployment, Endpoint, Provider

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
    "output_tokens": 8,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 17,
}
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "https://x"}
PROBABILITY = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}

parts = st.fixed_dictionaries(
    {
        "type": st.just("output_text"),
        "text": texts,
        "annotations": st.lists(st.just(CITATION), max_size=2),
        "logprobs": st.lists(st.just(PROBABILITY), max_size=2),
    }
)
messages = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "role": st.just("assistant"),
        "status": st.just("completed"),
        "content": st.lists(parts, min_size=1, max_size=2),
    }
)
thoughts = st.fixed_dictionaries(
    {
        "type": st.just("reasoning"),
        "summary": st.lists(st.fixed_dictionaries({"type": st.just("summary_text"), "text": texts}), max_size=2),
    },
    optional={
        "content": st.lists(st.fixed_dictionaries({"type": st.just("reasoning_text"), "text": texts}), max_size=2),
        "encrypted_content": texts,
    },
)
calls = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("function_call"),
            "call_id": texts,
            "name": texts,
            "arguments": texts,
            "status": st.just("completed"),
        }
    ),
    st.fixed_dictionaries({"type": st.just("custom_tool_call"), "call_id": texts, "name": texts, "input": texts}),
)
outputs = st.lists(st.one_of(messages, thoughts, calls), max_size=4).map(
    lambda items: [{"id": f"item_{number}", **item} for number, item in enumerate(items)]
)


def response(*output, **more):
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 7,
        "completed_at": 8,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "m",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "user": None,
        "store": False,
        "usage": USAGE,
        "of_a_vendor": {"a": [1, 2.50]},
        **more,
    }


def message(*content, status="completed", **more):
    parts = [
        one if isinstance(one, dict) else {"type": "output_text", "text": one, "annotations": []} for one in content
    ]
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": parts, **more}


def told(whole, **fields):
    return told_again(kept(whole), asked(Endpoint.RESPONSES, is_stream=True, **fields))


def events(stream):
    """Named like their types, and numbered without a gap."""
    found = []
    for block in stream.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    return found


@given(outputs)
def test_what_is_told_as_a_stream_is_the_same_response_at_its_end(output):
    whole = response(*output)
    stream = told(whole)
    for one in events(stream):
        EVENT.validate_python(one)
    assert json.loads(whole_of(stream, is_stream=True, usage=None)) == whole
    reader = ResponseStreamReader(Deployment("d", Provider("p", "openai"), "m"), is_stored=False)
    reader.feed(stream)
    assert (reader.is_ended, reader.error, reader.finish_reason) == (True, None, "completed")
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (9, 8)


@pytest.fixture(scope="module")
def sdk():
    """The official client, whose server tells whatever a test puts into ``stream``."""

    def answer(request):
        if json.loads(request.content).get("stream"):
            return httpx.Response(200, content=client.stream, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, json=client.whole)

    with openai.OpenAI(api_key="k", http_client=httpx.Client(transport=httpx.MockTransport(answer))) as client:
        yield client


@settings(max_examples=60, deadline=None)
@given(output=outputs)
def test_the_official_client_reads_the_same_of_a_stream_as_of_the_whole(sdk, output):
    sdk.whole = response(*output)
    sdk.stream = told(sdk.whole)
    whole = sdk.responses.create(model="m", input="x")
    with sdk.responses.stream(model="m", input="x") as stream:
        seen = list(stream)
        final = stream.get_final_response().to_dict()
    assert final["usage"].pop("cost") == 0
    assert final == whole.to_dict() | {"output": final["output"]}
    assert _without_parsed(final["output"]) == whole.to_dict()["output"]
    spoken = "".join(one.delta for one in seen if one.type == "response.output_text.delta")
    assert spoken == whole.output_text


def _without_parsed(item):
    """As it came: the client puts what it parses beside it."""
    if isinstance(item, list):
        return [_without_parsed(one) for one in item]
    if not isinstance(item, dict):
        return item
    return {name: _without_parsed(value) for name, value in item.items() if not name.startswith("parsed")}


def test_each_part_of_each_item_has_its_place():
    thought = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    found = events(told(response(thought, message("one", "two"))))
    assert [
        (
            one["type"].removeprefix("response."),
            one.get("output_index"),
            one.get("content_index", one.get("summary_index")),
        )
        for one in found
    ] == [
        ("created", None, None),
        ("in_progress", None, None),
        ("output_item.added", 0, None),
        ("reasoning_summary_part.added", 0, 0),
        ("reasoning_summary_text.delta", 0, 0),
        ("reasoning_summary_text.done", 0, 0),
        ("reasoning_summary_part.done", 0, 0),
        ("output_item.done", 0, None),
        ("output_item.added", 1, None),
        ("content_part.added", 1, 0),
        ("output_text.delta", 1, 0),
        ("output_text.done", 1, 0),
        ("content_part.done", 1, 0),
        ("content_part.added", 1, 1),
        ("output_text.delta", 1, 1),
        ("output_text.done", 1, 1),
        ("content_part.done", 1, 1),
        ("output_item.done", 1, None),
        ("completed", None, None),
    ]
    assert {one["item_id"] for one in found if one.get("output_index") == 1 and "item_id" in one} == {"msg_1"}
    begun = found[0]["response"]
    assert (begun["status"], begun["output"], begun["usage"], begun["completed_at"]) == ("in_progress", [], None, None)


def test_what_a_response_repeats_of_its_request_is_of_the_request_at_hand():
    whole = response(message("x"), metadata={"of": "the first"}, user="first", safety_identifier="f")
    again = json.loads(told_again(kept(whole), asked(Endpoint.RESPONSES, user="second", prompt_cache_key="k")))
    assert again == {**whole, "metadata": {}, "user": "second", "safety_identifier": None}
    *_, end = events(told(whole, metadata={"of": "another"}))
    assert (end["response"]["metadata"], end["response"]["user"]) == ({"of": "another"}, None)
    same = asked(Endpoint.RESPONSES, metadata={"of": "the first"}, user="first", safety_identifier="f")
    assert told_again(kept(whole), same) == kept(whole).whole


def test_a_translated_stream_is_the_response_that_it_ends_in():
    stream = writer().feed(chunk({"content": "he"}) + chunk({"content": "llo"}, "stop") + END)
    whole = json.loads(whole_of(stream, is_stream=True, usage=None))
    assert whole["output"][0]["content"][0]["text"] == "hello"
    assert (whole["usage"]["total_tokens"], "cost" in whole["usage"]) == (27, False)
    *_, before = events(stream)
    *_, again = events(told(whole, user=None))
    assert again["response"] == {**before["response"], "usage": {**whole["usage"], "cost": 0}}


@pytest.mark.parametrize("lost", [-1, -2])
def test_a_stream_whose_end_does_not_come_or_lacks_an_item_is_none(lost):
    stream = events(told(response(message("x"))))
    if lost == -1:
        stream.pop()
    else:
        stream[-1]["response"]["output"] = []
    again = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in stream)
    assert whole_of(again, is_stream=True, usage=None) is None
    assert whole_of(b"data: nonsense\n\n", is_stream=True, usage=None) is None


REFUSAL = {"type": "refusal", "refusal": "No."}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": []}


@pytest.mark.parametrize(
    ("whole", "is_kept", "is_kept_with_tools"),
    [
        (response(message("x")), True, True),
        (response(THOUGHT, message("x")), True, True),
        (response({**THOUGHT, "status": "incomplete"}, message("x")), False, False),
        (response(THOUGHT), False, False),
        (response(), False, False),
        (response(message()), False, False),
        (response(message("x"), status="incomplete"), False, False),
        (response(message("x"), status="in_progress"), False, False),
        (response(message("x"), incomplete_details={"reason": "content_filter"}), False, False),
        (response(message("x"), error={"code": "server_error"}), False, False),
        (response(message("x", status="incomplete")), False, False),
        (response(message("x", REFUSAL)), False, False),
        (response(message("x"), store=True), False, False),
        (response(message("x"), usage=None), False, False),
        (response(message("x", id=None)), False, False),
        (response(CALL), False, True),
        (response(message("x"), {**CALL, "type": "custom_tool_call"}), False, True),
        (response(message("x"), {**CALL, "status": "incomplete"}), False, False),
        (response(message("x"), {"id": "ws_1", "type": "web_search_call", "status": "completed"}), False, False),
        (response(message("x"), {"id": "cmp_1", "type": "compaction"}), False, False),
        ({"status": "completed"}, False, False),
        ([], False, False),
    ],
)
def test_only_responses_that_are_completed_are_worth_keeping(whole, is_kept, is_kept_with_tools):
    raw, request = json.dumps(whole).encode(), asked(Endpoint.RESPONSES)
    assert is_worth_keeping(raw, request, keeps_tool_calls=False) is is_kept
    assert is_worth_keeping(raw, request, keeps_tool_calls=True) is is_kept_with_tools
