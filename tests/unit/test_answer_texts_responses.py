"""Texts of responses: taken out, put back in every place that repeats them, and how a response ends that is stopped."""

from __future__ import annotations

import json

import pytest
from answer_texts_parts import as_it_is, louder, openai_client, payloads, reading, said, told_with
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_reader_parts import EVENT, RECORDED, is_gapless, stream
from telling_parts import asked, kept

from gateway.answers.telling_responses import told_again
from gateway.domain import Endpoint, Usage

RESPONSES = Endpoint.RESPONSES
USAGE = Usage(input_tokens=3, output_tokens=2)
SOURCE = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "x", "url": "https://x"}
LIKELY = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}
texts = st.text("abX \n\u00e9\u4e2d", min_size=1, max_size=12)

summaries = st.fixed_dictionaries({"type": st.just("summary_text"), "text": texts})
thoughts = st.fixed_dictionaries({"type": st.just("reasoning_text"), "text": texts})
parts = st.fixed_dictionaries(
    {
        "type": st.just("output_text"),
        "text": texts,
        "annotations": st.lists(st.just(SOURCE), max_size=1),
        "logprobs": st.lists(st.just(LIKELY), max_size=1),
    }
)
outputs = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "type": st.just("message"),
                "role": st.just("assistant"),
                "status": st.just("completed"),
                "content": st.lists(parts, min_size=1, max_size=2),
            }
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("reasoning"),
                "summary": st.lists(
                    st.fixed_dictionaries({"type": st.just("summary_text"), "text": texts}), max_size=2
                ),
                "content": st.lists(
                    st.fixed_dictionaries({"type": st.just("reasoning_text"), "text": texts}), max_size=1
                ),
            }
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("function_call"),
                "call_id": st.just("c"),
                "name": st.just("f"),
                "arguments": texts,
                "status": st.just("completed"),
            }
        ),
        st.fixed_dictionaries(
            {"type": st.just("custom_tool_call"), "call_id": st.just("c"), "name": st.just("f"), "input": texts}
        ),
    ),
    max_size=4,
).map(lambda items: [{"id": f"item_{number}", **item} for number, item in enumerate(items)])


def response(output, **more):
    usage = {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }
    told = {"id": "resp_1", "object": "response", "created_at": 7, "status": "completed", "error": None, "model": "m"}
    echoed = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "incomplete_details": None}
    return {**told, **echoed, "output": output, "usage": usage, **more}


def cut(data, length):
    """The stream with its pieces cut smaller, numbered anew."""
    made = []
    for one in payloads(data):
        delta = one.get("delta")
        pieces = [delta[at : at + length] for at in range(0, len(delta), length)] if delta else [delta]
        for piece in pieces:
            fields = {name: value for name, value in one.items() if name not in ("type", "sequence_number")}
            made.append((one["type"], {**fields, "delta": piece} if delta else fields))
    return stream(*made)


@st.composite
def streams(draw):
    output = draw(outputs)
    whole = told_again(kept(response(output)), asked(RESPONSES, is_stream=True))
    return output, cut(whole, draw(st.integers(1, 6)))


def recorded():
    events = json.loads((RECORDED / "agent_turn.json").read_text())
    return stream(*((one["type"], one) for one in events))


def louder_output(value):
    """The output as it is expected: louder texts, and nothing that told them, or places in them, once more."""
    if isinstance(value, list):
        return [louder_output(one) for one in value]
    if not isinstance(value, dict):
        return value
    changed = {name: louder(value[name]) for name in ("text", "refusal", "arguments", "input") if name in value}
    if any(changed[name] != value[name] for name in changed):
        changed |= {name: [] for name in ("annotations", "logprobs") if name in value}
    titles = {name: louder(value[name]) for name in ("title", "url") if name in value}
    return {name: louder_output(one) for name, one in value.items()} | changed | titles


def deltas(events):
    """The pieces of each text put together, by where it stands."""
    found = {}
    for one in events:
        if "delta" in one:
            place = (one["output_index"], one.get("content_index"), one.get("summary_index"), one["type"])
            found[place] = found.get(place, "") + one["delta"]
    return found


@given(streams())
@settings(deadline=None, max_examples=40)
def test_a_stream_that_nobody_changes_stays_as_it_is(made):
    _, data = made
    assert as_it_is(reading(RESPONSES), data) == data
    assert b"".join(one.encoded([s.text for s in one.slots]) for one in reading(RESPONSES).read(data)) == data


def test_a_recorded_stream_that_nobody_changes_stays_as_it_is():
    assert as_it_is(reading(RESPONSES), recorded()) == recorded()


@given(streams(), st.integers(0, 9))
@settings(deadline=None, max_examples=25)
def test_a_text_is_changed_wherever_it_is_told(made, kept_back):
    output, data = made
    answer = told_with(reading(RESPONSES), data, louder, kept_back=kept_back)
    events = payloads(answer)
    assert is_gapless(events)
    for one in events:
        EVENT.validate_python(one)
    assert events[-1]["response"]["output"] == louder_output(output)
    assert [one["item"] for one in events if one["type"] == "response.output_item.done"] == louder_output(output)
    assert deltas(events) == {place: louder(text) for place, text in deltas(payloads(data)).items()}
    with openai_client(answer).responses.stream(model="m", input="x") as read:
        final = read.get_final_response()
    assert [louder(one.to_dict()["id"]) for one in final.output] == [louder(one["id"]) for one in output]


def test_every_text_of_a_recorded_stream_is_seen_once_and_then_repeated():
    texts = reading(RESPONSES)
    events = texts.read(recorded())
    found = said(events)
    assert found == {
        "0.summary.0.text": "**Looking it up**",
        "1.action.query": "asyncio timeout python 3.11",
        "2.content.0.text": "I will edit the caf\u00e9 \U0001f600 file.",
        "2.content.0.annotations.0.url": "https://docs.python.org/3.11/library/asyncio-task.html",
        "2.content.0.annotations.0.title": "Coroutines and tasks",
        "3.arguments": '{"command":["ls","-la"]}',
        "4.input": "*** Begin Patch\n*** Update File: a.py\n@@\n-x = 1\n+x = 2\n*** End Patch\n",
    }
    assert {s.channel for one in events for s in one.slots if s.is_json} == {"3.arguments"}
    assert {s.channel for one in events for s in one.slots if s.is_whole and s.text != found[s.channel]} == set()
    ended = [channel for one in events for channel in one.ends]
    assert sorted(ended) == sorted(found)


@given(streams(), st.data())
@settings(deadline=None, max_examples=25)
def test_a_stream_that_is_stopped_is_read_as_filtered(made, data):
    _, whole = made
    texts = reading(RESPONSES)
    events = texts.read(whole)
    shown = data.draw(st.integers(0, len(events) - 1))
    answer = b"".join(one.encoded() for one in events[:shown]) + texts.stopped(USAGE, 1_500_000_000)
    told = payloads(answer)
    assert is_gapless(told)
    for one in told:
        EVENT.validate_python(one)
    last = told[-1]["response"]
    assert (told[-1]["type"], last["status"]) == ("response.incomplete", "incomplete")
    assert (last["incomplete_details"], last["usage"]["cost"]) == ({"reason": "content_filter"}, 1.5)
    for kind, opened, closed in (
        ("item", "output_item.added", "output_item.done"),
        ("part", "content_part.added", "content_part.done"),
        ("part", "reasoning_summary_part.added", "reasoning_summary_part.done"),
    ):
        begun = [one for one in told if one["type"] == f"response.{opened}"]
        ended = [one for one in told if one["type"] == f"response.{closed}"]
        assert len(begun) == len(ended), kind
    assert last["output"] == [one["item"] for one in told if one["type"] == "response.output_item.done"]
    with openai_client(answer).responses.stream(model="m", input="x") as read:
        assert [one.type for one in read][-1] == "response.incomplete"
    pieces = {place: text for place, text in deltas(told).items() if place[3] == "response.output_text.delta"}
    for (index, content, _, _), text in pieces.items():
        assert last["output"][index]["content"][content]["text"] == text


def test_a_refusal_is_seen_goes_on_and_is_ended_as_one():
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "in_progress", "content": []}
    data = stream(
        ("response.created", {"response": response([], status="in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": item}),
        ("response.content_part.added", {**place, "part": {"type": "refusal", "refusal": ""}}),
        ("response.refusal.delta", {**place, "delta": "no"}),
    )
    texts = reading(RESPONSES)
    answer = as_it_is(texts, data) + texts.more("0.content.0.refusal", "!") + texts.stopped(None, 0)
    told = payloads(answer)
    for one in told:
        EVENT.validate_python(one)
    assert is_gapless(told)
    assert [one["type"].removeprefix("response.") for one in told[4:]] == [
        *("refusal.delta", "refusal.done", "content_part.done", "output_item.done", "incomplete")
    ]
    assert told[-1]["response"]["output"][0]["content"] == [{"type": "refusal", "refusal": "no!"}]


def test_a_stream_that_is_stopped_before_anything_came_is_begun_and_ended():
    told = payloads(reading(RESPONSES).stopped(None, 0))
    assert [one["type"] for one in told] == ["response.created", "response.incomplete"]
    assert is_gapless(told)


@pytest.mark.parametrize("is_changed", [True, False])
def test_sources_are_named_only_of_the_text_that_they_belong_to(is_changed):
    def edit(text):
        return louder(text) if is_changed and not text.startswith("http") else text

    events = payloads(told_with(reading(RESPONSES), recorded(), edit, kept_back=3))
    assert is_gapless(events)
    named = [one for one in events if one["type"] == "response.output_text.annotation.added"]
    assert len(named) == (0 if is_changed else 1)
    assert len(events[-1]["response"]["output"][2]["content"][0]["annotations"]) == (0 if is_changed else 1)


def test_events_without_numbers_and_names_stay_without():
    data = b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"ab"}\n\n'
    texts = reading(RESPONSES)
    [one] = texts.read(data)
    more = one.encoded(["a"]) + texts.more("0.content.0.text", "c")
    assert more == data.replace(b'"ab"', b'"a"') + data.replace(b'"ab"', b'"c"')


def test_a_text_that_only_the_end_tells_is_new_and_one_that_stands_elsewhere_is_not():
    item = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "said"}]}
    delta = {"item_id": "m", "output_index": 3, "content_index": 0, "delta": "said"}
    late = {"type": "message", "id": "n", "content": [{"type": "output_text", "text": "late"}]}
    data = stream(("response.output_text.delta", delta), ("response.completed", {"response": response([item, late])}))
    _, last = reading(RESPONSES).read(data)
    assert [(s.channel, s.is_whole) for s in last.slots] == [("3.content.0.text", True), ("1.content.0.text", False)]
    assert sorted(last.ends) == ["1.content.0.text", "3.content.0.text"]


def test_text_that_was_asked_for_as_json_is_json_in_its_source():
    asks_json = {"text": {"format": {"type": "json_schema", "name": "x", "schema": {}}}}
    for one in reading(RESPONSES, **asks_json).read(recorded()):
        for slot in one.slots:
            if slot.channel == "2.content.0.text":
                assert slot.is_json
            elif slot.channel in ("4.input", "0.summary.0.text", "1.action.query"):
                assert not slot.is_json


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_client_is_told_its_own_words_where_a_response_repeats_them(is_stream):
    own = {"instructions": "Ask Ann.", "metadata": {"who": "Ann"}, "user": "ann"}
    echoed = response([], instructions="Ask [NAME_1].", metadata={"who": "[NAME_1]"}, user=None)
    data = stream(("response.completed", {"response": echoed})) if is_stream else json.dumps(echoed).encode()
    texts = reading(RESPONSES, is_stream=is_stream, **own)
    told = as_it_is(texts, data)
    told = payloads(told)[0]["response"] if is_stream else json.loads(told)
    assert told == {**echoed, **own, "user": None}
    if not is_stream:
        assert json.loads(texts.stopped(None, 0))["instructions"] == "Ask Ann."


def test_pictures_and_sound_are_no_texts():
    picture = {"type": "image_generation_call", "id": "i", "result": "aGk=", "revised_prompt": "a cat"}
    data = stream(
        ("response.audio.delta", {"delta": "aGk="}),
        ("response.image_generation_call.partial_image", {"item_id": "i", "partial_image_b64": "aGk="}),
        ("response.output_item.done", {"output_index": 0, "item": picture}),
    )
    assert said(reading(RESPONSES).read(data)) == {"0.revised_prompt": "a cat"}


def test_a_whole_response_is_read_changed_and_emptied():
    part = {"type": "output_text", "text": "ab", "annotations": [SOURCE], "logprobs": [LIKELY]}
    call = {
        "type": "function_call",
        "id": "f",
        "call_id": "c",
        "name": "f",
        "arguments": '{"a":"b"}',
        "status": "completed",
    }
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    answer = response([message, call], usage={**response([])["usage"], "cost": 0.5})
    whole = json.dumps(answer).encode()
    assert as_it_is(reading(RESPONSES, is_stream=False), whole) == whole
    texts = reading(RESPONSES, is_stream=False)
    [one] = texts.read(whole)
    assert {s.text for s in one.slots} == {"ab", "x", "https://x", '{"a":"b"}'}
    assert not any(s.is_whole for s in one.slots)
    changed = openai_client(one.encoded([louder(s.text) for s in one.slots]), is_stream=False)
    read = changed.responses.create(model="m", input="x")
    assert (read.output_text, read.output[1].arguments) == ("AB", '{"A":"B"}')
    assert (read.output[0].content[0].annotations, read.output[0].content[0].logprobs) == ([], [])
    emptied = openai_client(texts.stopped(USAGE, 9), is_stream=False).responses.create(model="m", input="x")
    assert (emptied.status, emptied.incomplete_details.reason, emptied.output) == ("incomplete", "content_filter", [])
    assert emptied.usage.to_dict() == answer["usage"]
