"""Texts of messages: taken out, put back, and how a message ends that a guard stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from answer_texts_parts import anthropic_client, as_it_is, louder, payloads, reading, said, told_with
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_answers import SEALED, cited, events, message, use

from gateway.domain import Endpoint, Usage

MESSAGES = Endpoint.MESSAGES
USAGE = Usage(input_tokens=3, output_tokens=2)
RECORDED = Path(__file__).parent / "data" / "messages"
texts = st.text("abX \n\u00e9\u4e2d\U0001f600", min_size=1, max_size=12)
inputs = st.dictionaries(st.text("ab", max_size=2), st.text("abc", max_size=9), max_size=3)
blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("thinking"), "thinking": texts, "signature": st.just("c2ln")}),
    st.fixed_dictionaries({"type": st.just("text"), "text": texts, "citations": st.just([cited("https://x")])}),
    inputs.map(lambda given: use(**given)),
    st.just(SEALED),
)
messages = st.lists(blocks, max_size=4).map(lambda content: message(*content))


def louder_block(block):
    changed = {name: louder(block[name]) for name in ("text", "thinking") if name in block}
    if "input" in block:
        changed["input"] = json.loads(louder(json.dumps(block["input"])))
    if "citations" in block:
        loud = ("url", "title", "cited_text")
        changed["citations"] = [
            {name: louder(value) if name in loud else value for name, value in one.items()}
            for one in block["citations"]
        ]
    return {**block, **changed}


def read_by_sdk(answer):
    with anthropic_client(answer).messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        return stream.get_final_message()


def content_of(read):
    return [block.to_dict() for block in read.content]


@given(messages, st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_a_stream_that_nobody_changes_stays_as_it_is(asked, length):
    stream = b"".join(events(asked, length))
    assert as_it_is(reading(MESSAGES), stream) == stream
    assert b"".join(one.encoded([s.text for s in one.slots]) for one in reading(MESSAGES).read(stream)) == stream


@pytest.mark.parametrize("name", ["compaction", "thinking_and_tool", "web_search"])
def test_a_recorded_stream_that_nobody_changes_stays_as_it_is(name):
    stream = (RECORDED / f"{name}.sse").read_bytes()
    assert as_it_is(reading(MESSAGES), stream) == stream


@given(messages, st.integers(1, 6), st.integers(0, 9))
@settings(deadline=None, max_examples=25)
def test_the_official_sdk_reads_the_changed_texts_and_nothing_else(asked, length, kept_back):
    stream = b"".join(events(asked, length))
    read = read_by_sdk(told_with(reading(MESSAGES), stream, louder, kept_back=kept_back))
    expected = read_by_sdk(b"".join(events({**asked, "content": [louder_block(one) for one in asked["content"]]})))
    assert content_of(read) == content_of(expected)
    assert read.stop_reason == "end_turn"


@given(messages, st.data())
@settings(deadline=None, max_examples=25)
def test_a_stream_that_is_stopped_is_read_as_refused(asked, data):
    texts = reading(MESSAGES)
    came = texts.read(b"".join(events(asked)))
    shown = data.draw(st.integers(0, len(came) - 2))
    answer = b"".join(one.encoded() for one in came[:shown]) + texts.stopped(USAGE, 1_500_000_000)
    read = read_by_sdk(answer)
    assert (read.stop_reason, read.stop_details.type, read.usage.output_tokens) == ("refusal", "refusal", 2)
    told = payloads(answer)
    assert told[-2]["usage"]["cost"] == 1.5
    kinds = [one["type"] for one in told]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")
    assert (kinds.count("message_start"), kinds[0]) == (1, "message_start")
    assert kinds[-1] == "message_stop"


def test_a_stream_that_is_stopped_before_anything_came_is_begun_and_ended():
    read = read_by_sdk(reading(MESSAGES).stopped(None, 0))
    assert (read.content, read.stop_reason, read.usage.output_tokens) == ([], "refusal", 0)


def test_what_a_tool_is_called_with_is_json_in_its_source_and_so_is_text_that_was_asked_for_as_json():
    stream = b"".join(events(message({"type": "text", "text": "a"}, use(place="b"))))
    kinds = {s.channel: s.is_json for one in reading(MESSAGES).read(stream) for s in one.slots}
    assert kinds == {"0.text": False, "1.input": True}
    asks_json = {"output_config": {"format": {"type": "json_schema", "schema": {}}}}
    kinds = {s.channel: s.is_json for one in reading(MESSAGES, **asks_json).read(stream) for s in one.slots}
    assert kinds == {"0.text": True, "1.input": True}


def test_what_tools_of_the_upstream_found_is_seen():
    found = said(reading(MESSAGES).read((RECORDED / "web_search.sse").read_bytes()))
    assert found["0.input"] == '{"query": "weather NYC today"}'
    assert found["1.content.0.title"] == "Weather in New York"
    assert "Ev0DCioIAxgCIiQ3NmU4ZmI4OC1k" not in found.values()


def test_the_end_of_a_block_ends_its_texts():
    came = reading(MESSAGES).read(b"".join(events(message({"type": "text", "text": "abcdefgh"}, use(a="b")))))
    ended = [(payloads(one.encoded())[0]["type"], list(one.ends)) for one in came if one.ends]
    assert ended == [("content_block_stop", ["0.text"]), ("content_block_stop", ["1.input"])]


def test_a_whole_message_is_read_changed_and_emptied():
    usage = {"input_tokens": 3, "output_tokens": 2, "cost": 0.5}
    asked = message({"type": "text", "text": "ab"}, use(place="x y"), stop_reason="tool_use", usage=usage)
    whole = json.dumps(asked).encode()
    assert as_it_is(reading(MESSAGES, is_stream=False), whole) == whole
    texts = reading(MESSAGES, is_stream=False)
    [one] = texts.read(whole)
    assert [(s.channel, s.text) for s in one.slots] == [("0.text", "ab"), ("1.input", '{"place":"x y"}')]
    assert sorted(one.ends) == ["0.text", "1.input"]
    client = anthropic_client(one.encoded([louder(s.text) for s in one.slots]), is_stream=False)
    read = client.messages.create(model="m", max_tokens=1, messages=[])
    assert (read.content[0].text, read.content[1].input) == ("AB", {"PLACE": "X Y"})
    client = anthropic_client(texts.stopped(USAGE, 9), is_stream=False)
    read = client.messages.create(model="m", max_tokens=1, messages=[])
    assert (read.stop_reason, read.content, read.usage.to_dict()) == ("refusal", [], usage)


def test_a_source_of_json_that_is_none_any_more_calls_the_tool_with_nothing():
    [one] = reading(MESSAGES, is_stream=False).read(json.dumps(message(use(place="x"))).encode())
    assert json.loads(one.encoded(["[X]"]))["content"][0]["input"] == {}


def test_halves_of_an_emoji_that_came_in_two_deltas_stay_what_they_are():
    stream = b"".join(
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"%s"}}\n\n' % text
        for text in (rb"a\ud83d", rb"\ude00b")
    )
    assert as_it_is(reading(MESSAGES), stream) == stream
    texts = reading(MESSAGES)
    first, second = texts.read(stream)
    whole = first.slots[0].text + second.slots[0].text
    out = payloads(first.encoded([whole[:2]]) + second.encoded([whole[2:] + "!"]))
    assert [one["delta"]["text"] for one in out] == ["a\ud83d", "\ude00b!"]
