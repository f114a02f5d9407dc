"""Texts of transcripts: taken out, put back, and how one ends that a guard stops."""

from __future__ import annotations

import json
from dataclasses import replace

from answer_texts_parts import as_it_is, louder, payloads, reading, told_with
from telling_parts import asked

from gateway.api.answer_texts.registry import answer_texts_of
from gateway.domain import AnswerForm, Endpoint

TRANSCRIPTIONS = Endpoint.TRANSCRIPTIONS
USAGE = {"type": "tokens", "input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def event(**fields):
    return f"data: {json.dumps(fields)}\n\n".encode()


STREAM = (
    event(type="transcript.text.delta", delta="my na", logprobs=[{"token": "my na"}])
    + event(type="transcript.text.delta", delta="me is", logprobs=[])
    + event(type="transcript.text.done", text="my name is", logprobs=[{"token": "my"}], usage=USAGE)
)


def test_a_stream_is_read_and_changed():
    assert as_it_is(reading(TRANSCRIPTIONS), STREAM) == STREAM
    told = payloads(told_with(reading(TRANSCRIPTIONS), STREAM, louder, kept_back=3))
    assert "".join(one.get("delta", "") for one in told) == "MY NAME IS"
    assert told[-1] == {"type": "transcript.text.done", "text": "MY NAME IS", "usage": USAGE}
    assert not any(one.get("logprobs") for one in told)


def test_a_stream_that_is_stopped_ends_with_what_was_told():
    texts = reading(TRANSCRIPTIONS)
    first, *_ = texts.read(STREAM)
    told = payloads(first.encoded(["my"]) + texts.stopped(None, 0))
    assert told == [
        {"type": "transcript.text.delta", "delta": "my"},
        {"type": "transcript.text.done", "text": "my"},
    ]


def test_a_whole_transcript_is_read_changed_and_emptied():
    whole = {"text": "my name", "segments": [{"id": 0, "text": "my name"}], "words": [{"word": "my"}], "usage": USAGE}
    data = json.dumps(whole).encode()
    for is_stream in (False, True):  # some models cannot stream
        assert as_it_is(reading(TRANSCRIPTIONS, is_stream=is_stream), data) == data
        texts = reading(TRANSCRIPTIONS, is_stream=is_stream)
        [one] = texts.read(data)
        assert [slot.text for slot in one.slots] == ["my name", "my name"]
        assert json.loads(one.encoded(["MY", "MY"])) == {"text": "MY", "usage": USAGE}
        assert json.loads(texts.stopped(None, 0)) == {"text": "", "usage": USAGE}


def test_plain_text_and_subtitles_are_read_changed_and_emptied():
    subtitles = "1\n00:00 --> 00:01\ncaf\u00e9\n\n".encode()
    texts = answer_texts_of(replace(asked(TRANSCRIPTIONS), form=AnswerForm.TEXT))
    [one] = texts.read(subtitles)
    assert one.encoded() == one.encoded([one.slots[0].text]) == subtitles
    assert one.encoded(["\u00e9"]) == "\u00e9".encode()
    assert texts.stopped(None, 0) == b""
