"""An answer that cannot be translated is a broken one, however well the upstream ended it."""

from __future__ import annotations

import json

import pytest

from gateway.api.replies import StreamReader, WholeReader
from gateway.api.translated import TranslatedReader
from gateway.api.wire import parse_body
from gateway.domain import Endpoint
from gateway.errors import UpstreamBroken, UpstreamInterrupted
from gateway.translation.messages_over_chat import MESSAGES_OVER_CHAT
from gateway.translation.responses_over_chat import RESPONSES_OVER_CHAT

GOOD = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"He"}}]}\n\n'
FOREIGN = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":"He","finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
CALL = b'data: {"id":"c","choices":[{"delta":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":%b}}]}}]}\n\n'


def reader(inner, *, is_stream, translation=RESPONSES_OVER_CHAT):
    body = parse_body(b'{"model":"m","input":"Hi"}')
    return TranslatedReader(inner, [translation.answer(body)], is_stream=is_stream)


def test_a_whole_answer_that_cannot_be_translated_gives_way_to_another_deployment():
    translated = reader(WholeReader(Endpoint.CHAT), is_stream=False)
    shown = translated.feed(json.dumps({"choices": [{"message": "Hello"}]}).encode())
    assert shown == b""
    assert isinstance(translated.error, UpstreamBroken)
    assert [translated.has_data, translated.is_ended, translated.is_complete] == [False, False, False]


def test_a_stream_whose_first_event_cannot_be_translated_gives_way_to_another_deployment():
    translated = reader(StreamReader(wants_usage=True), is_stream=True)
    assert translated.feed(FOREIGN + DONE) == b""
    assert isinstance(translated.error, UpstreamBroken)
    assert [translated.has_data, translated.is_ended, translated.is_complete] == [False, False, False]


def test_a_stream_that_breaks_later_is_no_good_end_though_the_upstream_ends_it():
    translated = reader(StreamReader(wants_usage=True), is_stream=True)
    assert b"response.output_text.delta" in translated.feed(GOOD)
    translated.feed(FOREIGN + DONE)
    assert isinstance(translated.error, UpstreamBroken)
    assert [translated.has_data, translated.is_ended, translated.is_complete] == [True, False, False]
    assert b"event: response.failed" in translated.failing(translated.error)


def test_a_good_stream_is_complete():
    translated = reader(StreamReader(wants_usage=True), is_stream=True)
    translated.feed(GOOD + DONE)
    assert translated.error is None
    assert translated.is_ended
    assert b"event: response.completed" in translated.closing(5)


@pytest.mark.parametrize("translation", [RESPONSES_OVER_CHAT, MESSAGES_OVER_CHAT])
@pytest.mark.parametrize("arguments", [b'""', b'"{"', b'"{\\"path\\": \\"/ho"'])
def test_an_end_mark_in_the_middle_of_a_tool_call_interrupts_the_stream(translation, arguments):
    translated = reader(StreamReader(wants_usage=True), is_stream=True, translation=translation)
    assert translated.feed(CALL % arguments + DONE)
    assert isinstance(translated.error, UpstreamInterrupted)
    assert [translated.has_data, translated.is_ended, translated.is_complete] == [True, False, False]


@pytest.mark.parametrize("translation", [RESPONSES_OVER_CHAT, MESSAGES_OVER_CHAT])
def test_an_end_mark_behind_a_whole_tool_call_ends_the_stream_without_a_reason(translation):
    translated = reader(StreamReader(wants_usage=True), is_stream=True, translation=translation)
    translated.feed(CALL % b'"{}"' + DONE)
    assert translated.error is None
    assert translated.is_complete
    assert translated.closing(5)


def test_a_body_that_ends_in_the_middle_of_a_tool_call_is_not_complete_though_it_said_why_it_ends():
    translated = reader(StreamReader(wants_usage=True), is_stream=True, translation=MESSAGES_OVER_CHAT)
    translated.feed(b'data: {"id":"c","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n' + CALL % b'"{"')
    translated.flush()
    assert not translated.is_complete
