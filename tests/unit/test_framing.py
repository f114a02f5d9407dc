"""Events are cut out of a stream the same way wherever the network cuts it, and none may fill our memory."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from responses_reader_parts import DEPLOYMENT

from gateway.api.framing import EVENT_BYTES_MAX, EventFrames
from gateway.api.gauges import SpeechGauge
from gateway.api.media_readers import EventReader
from gateway.api.messages_reader import MessageStreamReader
from gateway.api.replies import StreamReader
from gateway.api.responses_reader import ResponseStreamReader
from gateway.domain import Usage
from gateway.errors import UpstreamBroken

lines = st.lists(st.sampled_from([b"data: x", b": c", b"event: e", b"data:", b""]), max_size=12)
breaks = st.sampled_from([b"\n", b"\r\n", b"\r"])
MEGABYTE = 1024 * 1024


@given(lines=lines, line_break=breaks, cuts=st.lists(st.integers(0, 120), max_size=12))
def test_events_are_the_same_wherever_the_stream_is_cut(lines, line_break, cuts):
    stream = b"".join(line + line_break for line in lines)
    frames, found = EventFrames(), []
    for start, end in pairwise([0, *sorted({min(cut, len(stream)) for cut in cuts}), len(stream)]):
        found += frames.split(stream[start:end])
    text = b"".join(line + b"\n" for line in lines)
    *events, rest = text.split(b"\n\n")
    if line_break == b"\r" and text.endswith(b"\n\n"):  # its last break may be half of one until the body ends
        *events, rest = text[:-1].split(b"\n\n")
    assert (found, frames.rest()) == (events, rest.strip(b"\n"))


def test_what_is_left_is_given_once():
    frames = EventFrames()
    frames.split(b"data: x\r")
    assert (frames.rest(), frames.rest()) == (b"data: x", b"")


@pytest.mark.parametrize(
    "make",
    [
        lambda: StreamReader(wants_usage=False),
        MessageStreamReader,
        lambda: ResponseStreamReader(DEPLOYMENT),
        lambda: EventReader(SpeechGauge(Usage(), DEPLOYMENT)),
    ],
    ids=["chat", "messages", "responses", "media"],
)
def test_an_event_that_does_not_end_breaks_the_stream_before_it_fills_our_memory(make):
    reader = make()
    reader.feed(b"data: ")
    for _ in range(EVENT_BYTES_MAX // MEGABYTE - 1):
        reader.feed(b"x" * MEGABYTE)
    assert reader.error is None
    reader.feed(b"x" * MEGABYTE)
    assert isinstance(reader.error, UpstreamBroken)
    assert not reader.is_complete
