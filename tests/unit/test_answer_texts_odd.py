"""Answers of odd upstreams: whatever their JSON holds passes as it is, and what is changed in it is JSON again."""

from __future__ import annotations

import json

import pytest
from answer_texts_parts import as_it_is, reading, told_with
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import Endpoint

DIALECTS = (Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES, Endpoint.MESSAGES, Endpoint.TRANSCRIPTIONS)
WORDS = (
    *(
        "choices",
        "index",
        "delta",
        "message",
        "content",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "refusal",
        "type",
    ),
    *(
        "finish_reason",
        "logprobs",
        "annotations",
        "usage",
        "item",
        "part",
        "response",
        "output",
        "output_index",
        "summary",
    ),
    *("content_index", "sequence_number", "annotation", "content_block", "input", "partial_json", "audio", "own"),
)
KINDS = (
    *(
        "text",
        "message",
        "text_delta",
        "tool_use",
        "message_start",
        "message_delta",
        "content_block_start",
        "message_stop",
    ),
    *("content_block_delta", "content_block_stop", "response.output_text.delta", "response.output_text.done"),
    *("response.output_item.added", "response.output_item.done", "response.content_part.added", "response.completed"),
    *("response.output_text.annotation.added", "response.created", "function_call", "output_text", "stop"),
    *("transcript.text.delta", "transcript.text.done", "transcript.text.segment"),
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from(KINDS)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=20,
)
answers = st.dictionaries(st.sampled_from(WORDS), values, max_size=6)


def streamed(parts):
    return b"".join(b"event: x\ndata: " + json.dumps(one).encode() + b"\n\n" for one in parts)


@pytest.mark.parametrize("endpoint", DIALECTS)
@given(st.lists(answers, max_size=4))
@settings(deadline=None, max_examples=40)
def test_whatever_comes_passes_as_it_is(endpoint, parts):
    stream = streamed(parts)
    assert as_it_is(reading(endpoint), stream) == stream
    for one in parts:
        whole = json.dumps(one).encode()
        texts = reading(endpoint, is_stream=False)
        assert as_it_is(texts, whole) == whole
        assert json.loads(texts.stopped(None, 0))


@pytest.mark.parametrize("endpoint", DIALECTS)
@given(st.lists(answers, max_size=4))
@settings(deadline=None, max_examples=40)
def test_whatever_comes_can_be_changed_and_stopped(endpoint, parts):
    texts = reading(endpoint)
    events = texts.read(streamed(parts))
    out = b"".join(one.encoded([slot.text + "!" for slot in one.slots]) for one in events)
    out += texts.stopped(None, 0)
    for line in out.split(b"\n"):
        assert not line.startswith(b"data: ") or line == b"data: [DONE]" or isinstance(json.loads(line[6:]), dict)


@pytest.mark.parametrize("endpoint", DIALECTS)
@given(st.lists(answers, max_size=4), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_what_is_kept_back_can_always_be_told_later(endpoint, parts, kept_back):
    stream = streamed(parts) + b"data: [DONE]\n\n"
    told_with(reading(endpoint), stream, str, kept_back=kept_back)


@pytest.mark.parametrize("endpoint", DIALECTS)
def test_an_answer_of_megabytes_is_read_in_one_go(endpoint):
    text = "word " * 400_000
    whole = {
        Endpoint.CHAT: {"choices": [{"index": 0, "message": {"content": text}}]},
        Endpoint.COMPLETIONS: {"choices": [{"index": 0, "text": text}]},
        Endpoint.RESPONSES: {"output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}]},
        Endpoint.MESSAGES: {"content": [{"type": "text", "text": text}]},
        Endpoint.TRANSCRIPTIONS: {"text": text},
    }[endpoint]
    [one] = reading(endpoint, is_stream=False).read(json.dumps(whole).encode())
    assert [slot.text for slot in one.slots] == [text]
