"""Messages of Anthropic's API as one object: what was streamed comes out the same, and is told as a stream again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telling_parts import asked, kept, texts

from gateway.answers.telling_messages import is_worth_keeping, told_again, whole_of
from gateway.api.messages_reader import MessageStreamReader
from gateway.domain import Endpoint

blocks = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries(
        {"type": st.just("text"), "text": texts, "citations": st.lists(st.just({"cited_text": "x"}), min_size=1)}
    ),
    st.fixed_dictionaries(
        {"type": st.just("thinking"), "thinking": texts, "signature": st.text("abc", min_size=1, max_size=5)}
    ),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
    st.fixed_dictionaries(
        {"type": st.just("tool_use"), "id": texts, "name": texts, "input": st.dictionaries(texts, texts, max_size=2)}
    ),
)
USAGE = {"input_tokens": 9, "output_tokens": 8, "cache_read_input_tokens": 2, "of_a_vendor": {"a": 1}}


def message(*content, stop_reason="end_turn", **more):
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(content)}
    return {**whole, "stop_reason": stop_reason, "stop_sequence": None, "usage": USAGE, **more}


def told(whole):
    return told_again(kept(whole), asked(Endpoint.MESSAGES, is_stream=True))


@given(st.lists(blocks, max_size=4))
def test_what_is_told_as_a_stream_is_the_same_message_when_it_is_put_together(content):
    whole = message(*content)
    stream = told(whole)
    assert json.loads(whole_of(stream, is_stream=True, usage=None)) == whole
    reader = MessageStreamReader()
    reader.feed(stream)
    assert (reader.is_ended, reader.error, reader.finish_reason) == (True, None, "end_turn")
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (11, 8)


def test_the_cost_that_we_told_is_no_part_of_a_message():
    stream = told(message({"type": "text", "text": "x"}))
    assert b'"cost":0' in stream
    assert "cost" not in json.loads(whole_of(stream, is_stream=True, usage=None))["usage"]


@pytest.mark.parametrize("end", range(1, 7))
def test_a_message_that_does_not_end_or_lacks_an_event_is_none(end):
    events = told(message({"type": "text", "text": "x"})).split(b"\n\n")[:-1]
    assert len(events) == 6
    assert whole_of(b"\n\n".join(events[: end - 1]), is_stream=True, usage=None) is None
    if end == 1 or 2 < end < 6:  # without its opening or a block's, or with a delta of nothing
        broken = [*events[: end - 1], b'data: {"type": "error"}', *events[end:]]
        assert whole_of(b"\n\n".join(broken), is_stream=True, usage=None) is None


@pytest.mark.parametrize(
    ("whole", "is_kept", "is_kept_with_tools"),
    [
        (message({"type": "text", "text": "x"}), True, True),
        (message({"type": "text", "text": "x"}, stop_reason="stop_sequence"), True, True),
        (message({"type": "text", "text": "x"}, stop_reason="max_tokens"), False, False),
        (message({"type": "text", "text": "x"}, stop_reason="refusal"), False, False),
        (message({"type": "text", "text": "x"}, stop_reason=None), False, False),
        (message({"type": "tool_use", "input": {}}, stop_reason="tool_use"), False, True),
        (message({"type": "tool_use", "input": {}}), False, True),
        (message({"type": "server_tool_use", "input": {}}), False, False),
        ({"content": "x"}, False, False),
        ([], False, False),
    ],
)
def test_only_messages_that_ended_by_themselves_are_worth_keeping(whole, is_kept, is_kept_with_tools):
    raw = json.dumps(whole).encode()
    assert is_worth_keeping(raw, asked(Endpoint.MESSAGES), keeps_tool_calls=False) is is_kept
    assert is_worth_keeping(raw, asked(Endpoint.MESSAGES), keeps_tool_calls=True) is is_kept_with_tools
