"""What holds for every chat answer that becomes one of the Responses API, whole or streamed."""

from __future__ import annotations

import json
from itertools import pairwise

import httpx
import openai
from hypothesis import given, settings
from hypothesis import strategies as st
from responses_over_chat_answer_parts import (
    DONE,
    END,
    EVENT,
    call,
    chunk,
    events,
    final,
    more,
    streamed,
    whole_answer,
    writer,
)

from gateway.errors import UpstreamBroken

names = st.sampled_from(
    ("choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "index", "id", "usage",
     "finish_reason", "reasoning_content", "thinking_blocks", "logprobs", "annotations", "created", "model", "text",
     "type")
)  # fmt: skip
values = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=5)
anything = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
pieces_of_chat = st.fixed_dictionaries({}, optional={"delta": st.dictionaries(names, anything), "logprobs": anything})
chats = st.dictionaries(names, anything) | st.fixed_dictionaries({"choices": st.lists(pieces_of_chat)})


@settings(deadline=None)
@given(chats)
def test_whatever_an_upstream_sends_is_translated_or_its_fault(chat):
    data = json.dumps(chat).encode()
    made = writer()
    try:
        found = events(made.feed(b"data: " + data + b"\n\n" + DONE))
    except UpstreamBroken as broken:
        found = events(made.failing(broken))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert found[-1]["type"] in {"response.completed", "response.failed"}


texts = st.text(max_size=30)
words = st.text(min_size=1, max_size=30)
calls = st.lists(
    st.one_of(
        st.tuples(st.just("f"), st.dictionaries(texts, texts, max_size=2).map(json.dumps)),
        st.tuples(st.just("apply_patch"), words.map(lambda text: json.dumps({"input": text}))),
        st.tuples(st.just("apply_patch"), words.map(lambda text: json.dumps({"input": text}, ensure_ascii=False))),
        st.tuples(st.just("mcp__git__log"), st.just("{}")),
    ),
    max_size=3,
)
finishes = st.sampled_from(["stop", "length", "content_filter", "tool_calls"])


def cut(text, draw):
    edges = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=4))})
    return [text[start:end] for start, end in pairwise(edges)] or [text]


@st.composite
def answers(draw):
    """A whole answer, and the chunks of a stream that says the same."""
    thought, content, refusal = draw(texts), draw(texts), draw(st.none() | words)
    functions = draw(calls)
    finish = draw(finishes)
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in cut(thought, draw)]
    deltas += [{"content": piece} for piece in cut(content, draw)]
    deltas += [{"refusal": piece} for piece in cut(refusal or "", draw)]
    for index, (name, arguments) in enumerate(functions):
        opener, *pieces = cut(arguments, draw)
        deltas += [call(name, opener, index, f"call_{index}"), *(more(piece, index) for piece in pieces)]
    message = {"content": content, "refusal": refusal, "reasoning_content": thought}
    message["tool_calls"] = [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(functions)
    ]
    stream = b"".join([*(chunk(delta) for delta in deltas), chunk({}, finish), END])
    return whole_answer(message, finish), stream


@settings(max_examples=40, deadline=None)
@given(answers())
def test_a_stream_ends_as_the_whole_answer_reads(answer):
    whole, stream = answer
    found = streamed(*(event + b"\n\n" for event in stream.split(b"\n\n")[:-1]))
    assert final(found) == json.loads(writer().whole(whole))


@settings(max_examples=40, deadline=None)
@given(answers())
def test_every_event_is_one_of_the_api_and_none_is_missing(answer):
    found = streamed(answer[1])
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    for event in found:
        EVENT.validate_python(event)


@settings(max_examples=40, deadline=None)
@given(answers())
def test_what_the_events_tell_of_an_item_is_what_the_response_holds(answer):
    found = streamed(answer[1])
    told = {}
    for event in found:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert event["output_index"] == len(told)
            told[event["output_index"]] = [event["item"]["id"], "", None]
        elif kind.endswith(".delta"):
            assert event["item_id"] == told[event["output_index"]][0]
            told[event["output_index"]][1] += event["delta"]
        elif kind == "response.output_item.done":
            told[event["output_index"]][2] = event["item"]
    assert [item for _, _, item in told.values()] == final(found)["output"]
    for item_id, text, item in told.values():
        assert item["id"] == item_id
        assert text == text_of(item)


def text_of(item):
    match item["type"]:
        case "message":
            return "".join(part.get("text", "") + part.get("refusal", "") for part in item["content"])
        case "reasoning":
            return "".join(part["text"] for part in item["summary"])
        case "custom_tool_call":
            return item["input"]
        case _:
            return item["arguments"]


@settings(max_examples=30, deadline=None)
@given(answers())
def test_the_sdk_gathers_the_response_from_the_stream(answer):
    expected, shown = json.loads(writer().whole(answer[0])), writer().feed(answer[1])
    sse = httpx.Response(200, content=shown, headers={"content-type": "text/event-stream"})
    served = httpx.Client(transport=httpx.MockTransport(lambda _: sse))
    with (
        openai.OpenAI(api_key="x", http_client=served) as client,
        client.responses.stream(model="m", input="Hi") as told,
    ):
        last = list(told)[-1]
        assert last.type == f"response.{expected['status']}"
        gathered = told.get_final_response() if expected["status"] == "completed" else last.response
    assert [item.id for item in gathered.output] == [item["id"] for item in expected["output"]]
    parts = [part for item in expected["output"] for part in item.get("content", ())]
    assert gathered.output_text == "".join(part.get("text", "") for part in parts)
