"""What answers with sound, images and transcripts show, hold back and cost."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.gauges import ImageGauge, RerankGauge, SpeechGauge, TranscriptGauge
from gateway.api.media_readers import BytesReader, EventReader, ObjectReader, TextReader
from gateway.chat_usage import parse_usage
from gateway.domain import Deployment, Meter, Provider, Tariff, Usage
from gateway.errors import UpstreamInterrupted
from policies.pricing import make_rate_card

DONE = {"type": "transcript.text.done", "text": "Hello.", "usage": {"type": "duration", "seconds": 4.2}}


def priced(*meters: Meter, **tiers: int) -> Deployment:
    standard = make_rate_card(dict.fromkeys(meters, 1000))
    sizes = {size: make_rate_card({Meter.IMAGE_GENERATED: rate}, {}, standard) for size, rate in tiers.items()}
    return Deployment("m", Provider("p", "openai"), "m", Tariff({"standard": standard, **sizes}))


BY_SECOND = priced(Meter.SECOND)
BY_TOKEN = priced(Meter.INPUT, Meter.OUTPUT)
BY_IMAGE = priced(Meter.IMAGE_GENERATED)
UNPRICED = Deployment("m", Provider("p", "openai"), "m", None, is_unpriced_allowed=True)


def transcript(deployment: Deployment = BY_SECOND) -> TranscriptGauge:
    return TranscriptGauge(Usage(seconds=10), deployment)


def event(data: object, name: str | None = None, end: str = "\n") -> bytes:
    named = f"event: {name}{end}" if name else ""
    return f"{named}data: {json.dumps(data)}{end}{end}".encode()


def whole(gauge, answer: object, *required: str) -> ObjectReader:
    reader = ObjectReader(gauge, required or ("text",))
    reader.feed(json.dumps(answer).encode())
    return reader


def read(reader: EventReader, data: bytes, size: int = 10**9) -> bytes:
    shown = b"".join(reader.feed(data[at : at + size]) for at in range(0, len(data), size))
    return shown + reader.flush()


# Events

PIECES = [event({"type": "transcript.text.delta", "delta": delta}) for delta in ("Hel", "lo\n\n", ".")]


@given(st.integers(1, 200), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_events_pass_as_they_came_and_the_last_waits_for_its_charge(size, end, has_done):
    kinds = [{"type": "image_generation.partial_image", "b64_json": "A" * 300}, {"type": "something.new"}]
    said = b": hello" + (end * 2).encode() + b"".join(event(kind, kind["type"], end) for kind in kinds)
    last = event(DONE, None, end) + (f"data: [DONE]{end}{end}".encode() if has_done else b"")
    reader = EventReader(transcript())
    assert read(reader, said + last, size) == said
    assert reader.is_complete
    assert reader.is_ended is has_done
    assert reader.closing(1) == last
    assert reader.usage == Usage(seconds=5)


def test_a_last_event_without_its_blank_line_is_the_last_all_the_same():
    reader = EventReader(transcript())
    assert read(reader, b"".join(PIECES) + event(DONE).rstrip()) == b"".join(PIECES)
    assert (reader.is_complete, reader.closing(1)) == (True, event(DONE))


def test_a_stream_without_its_last_event_is_not_complete_and_says_so():
    reader = EventReader(transcript())
    assert read(reader, b"".join(PIECES)) == b"".join(PIECES)
    assert not reader.is_complete
    assert json.loads(reader.failing(UpstreamInterrupted("cut"))[6:])["error"]["message"] == "cut"
    assert reader.usage == Usage(seconds=10, is_estimated=True)


def test_of_several_last_events_only_the_last_waits():
    made = {"type": "image_generation.completed", "usage": {"input_tokens": 1, "output_tokens": 2}}
    reader = EventReader(ImageGauge(Usage(images=2), BY_TOKEN, None, None))
    assert read(reader, event(made) + event(made)) == event(made)
    assert reader.closing(1) == event(made)
    assert reader.usage == Usage(input_tokens=2, output_tokens=4, image_output_tokens=4)


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 1\n\n", event({"error": {"message": "no", "code": "x"}})])
def test_an_event_that_is_an_error_or_none_ends_the_stream(data):
    reader = EventReader(transcript())
    assert reader.feed(PIECES[0] + data + PIECES[1]) == PIECES[0]
    assert reader.error is not None
    assert reader.feed(PIECES[2]) == reader.flush() == b""


def test_an_error_before_anything_else_costs_nothing():
    reader = EventReader(transcript())
    reader.feed(b": hello\n\n" + event({"type": "error", "error": {"message": "no"}}))
    assert (reader.has_data, reader.usage) == (False, None)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_one_object_in_place_of_events_is_shown_when_it_is_whole(size):
    answer = b'{"text": "Hello",\n\n "usage": {"seconds": 3}}\n'
    reader = EventReader(transcript())
    assert read(reader, answer, size) == answer
    assert (reader.is_ended, reader.closing(1), reader.usage) == (True, b"", Usage(seconds=3))


def test_one_object_that_is_cut_is_an_error_and_costs_nothing():
    reader = EventReader(transcript())
    assert read(reader, b'{"text": "Hel') == b""
    assert (reader.error is not None, reader.usage) == (True, None)


def test_comments_are_no_answer_yet():
    reader = EventReader(transcript())
    assert reader.feed(b": wait\n\n") == b": wait\n\n"
    assert not reader.has_data


def test_the_text_is_kept_where_content_is_logged():
    reader = EventReader(transcript(), keeps_text=True)
    read(reader, b"".join(PIECES) + event(DONE))
    assert reader.output_text() == "Hello\n\n."


# Sound and plain text


def test_sound_passes_untouched_and_has_nothing_to_say_of_a_failure():
    reader = BytesReader(SpeechGauge(Usage(characters=7), priced(Meter.CHARACTER)))
    assert reader.feed(b"") == b""
    assert (reader.usage, reader.is_complete) == (None, False)
    assert reader.feed(b'{"error": \xff') == b'{"error": \xff'
    assert (reader.is_complete, reader.usage) == (True, Usage(characters=7))
    assert reader.failing(UpstreamInterrupted("cut")) == reader.closing(1) == b""


def test_plain_text_is_whole_at_once():
    reader = TextReader(transcript(BY_TOKEN), keeps_text=True)
    assert reader.feed("Grüß Gott".encode()) == "Grüß Gott".encode()
    assert (reader.is_ended, reader.output_text()) == (True, "Grüß Gott")
    assert reader.usage == Usage(input_tokens=100, audio_input_tokens=100, output_tokens=3, is_estimated=True)


# What it costs


@pytest.mark.parametrize(
    ("deployment", "answer", "usage"),
    [
        (BY_SECOND, {"usage": {"type": "duration", "seconds": 8.01}}, Usage(seconds=9)),
        (BY_SECOND, {"duration": 8.47}, Usage(seconds=9)),
        (BY_SECOND, {"duration": "8.47"}, Usage(seconds=9)),
        (BY_SECOND, {"usage": {"prompt_audio_seconds": 5, "prompt_tokens": 4}}, Usage(seconds=5)),
        (BY_SECOND, {"usage": {"type": "tokens", "input_tokens": 4}}, Usage(seconds=10, is_estimated=True)),
        (BY_SECOND, {}, Usage(seconds=10, is_estimated=True)),
        (BY_SECOND, {"usage": "?", "duration": "long"}, Usage(seconds=10, is_estimated=True)),
        (BY_SECOND, {"usage": {"seconds": -1}}, Usage(seconds=10, is_estimated=True)),
        (BY_SECOND, {"usage": {"seconds": 1e300}}, Usage(seconds=10, is_estimated=True)),
        (UNPRICED, {"usage": {"seconds": 2}}, Usage(seconds=2)),
        (BY_TOKEN, {"usage": {"input_tokens": 4, "output_tokens": 1}}, Usage(4, 0, 0, 0, 4, output_tokens=1)),
        (
            BY_TOKEN,
            {"usage": {"input_tokens": 4, "output_tokens": 1, "input_token_details": {"audio_tokens": 3}}},
            Usage(input_tokens=4, audio_input_tokens=3, output_tokens=1),
        ),
        (
            BY_TOKEN,
            {"usage": {"seconds": 2}, "text": "12345"},
            Usage(input_tokens=20, audio_input_tokens=20, output_tokens=2, is_estimated=True),
        ),
    ],
)
def test_a_transcript_costs_what_is_reported_in_the_unit_of_its_price(deployment, answer, usage):
    assert whole(transcript(deployment), {"text": "", **answer}).usage == usage


@pytest.mark.parametrize(
    ("deployment", "used", "usage"),
    [
        (priced(Meter.CHARACTER), None, Usage(characters=10)),
        (UNPRICED, None, Usage(characters=10)),
        (
            BY_TOKEN,
            None,
            Usage(input_tokens=3, output_tokens=14, audio_output_tokens=14, characters=10, is_estimated=True),
        ),
        (
            BY_TOKEN,
            {"input_tokens": 5, "output_tokens": 50},
            Usage(input_tokens=5, output_tokens=50, audio_output_tokens=50, characters=10),
        ),
    ],
)
def test_speech_costs_its_characters_or_its_tokens(deployment, used, usage):
    reader = EventReader(SpeechGauge(Usage(characters=10, input_tokens=3), deployment))
    read(reader, event({"type": "speech.audio.done", "usage": used}))
    assert reader.usage == usage


@pytest.mark.parametrize(
    ("deployment", "used", "usage"),
    [
        (BY_IMAGE, None, Usage(images=2)),
        (UNPRICED, None, Usage(images=2)),
        (
            BY_IMAGE,
            {"input_tokens": 1, "output_tokens": 2},
            Usage(input_tokens=1, output_tokens=2, image_output_tokens=2, images=2),
        ),
        (
            BY_TOKEN,
            {"input_tokens": 1, "output_tokens": 3, "output_tokens_details": {"image_tokens": 2}},
            Usage(input_tokens=1, output_tokens=3, image_output_tokens=2),
        ),
        (BY_TOKEN, None, Usage(input_tokens=9, images=2, is_estimated=True)),
    ],
)
def test_images_cost_their_tokens_or_their_number(deployment, used, usage):
    gauge = ImageGauge(Usage(images=4, input_tokens=9), deployment, None, None)
    assert whole(gauge, {"data": [{}, {}], "usage": used}, "data").usage == usage


@pytest.mark.parametrize(
    ("asked", "answered", "tier"),
    [
        ((None, None), {}, "standard/1024x1024"),
        (("auto", "auto"), {}, "standard/1024x1024"),
        (("256x256", "hd"), {}, "256x256"),
        (("auto", "auto"), {"size": "1024x1536", "quality": "high"}, "high/1024x1536"),
        (("999x999", "hd"), {}, None),
    ],
)
def test_the_answer_says_better_than_the_request_which_size_it_has(asked, answered, tier):
    sizes = {"standard/1024x1024": 1, "256x256": 2, "high/1024x1536": 3}
    gauge = ImageGauge(Usage(images=1), priced(Meter.IMAGE_GENERATED, **sizes), *asked)
    assert whole(gauge, {"data": [{}], **answered}, "data").service_tier == tier


def test_images_that_a_chat_answers_with_are_tokens_of_their_own():
    told = {"prompt_tokens": 5, "completion_tokens": 1300, "completion_tokens_details": {"image_tokens": 1290}}
    assert parse_usage(json.dumps(told).encode()) == Usage(input_tokens=5, output_tokens=1300, image_output_tokens=1290)


def test_images_charged_by_their_tokens_have_no_tier_of_their_size():
    gauge = ImageGauge(Usage(images=1), priced(Meter.INPUT, Meter.OUTPUT, **{"1024x1024": 9}), None, None)
    assert whole(gauge, {"data": [{}], "usage": {"output_tokens": 3}}, "data").service_tier is None


@pytest.mark.parametrize(
    ("deployment", "answer", "usage"),
    [
        (priced(Meter.QUERY), {"meta": {"billed_units": {"search_units": 3}}}, Usage(queries=3)),
        (priced(Meter.QUERY), {"meta": "?"}, Usage(queries=2, is_estimated=True)),
        (priced(Meter.QUERY), {"usage": {"total_tokens": 7}}, Usage(input_tokens=7, queries=2, is_estimated=True)),
        (BY_TOKEN, {"usage": {"total_tokens": 7}}, Usage(input_tokens=7, queries=2)),
        (BY_TOKEN, {}, Usage(input_tokens=50, queries=2, is_estimated=True)),
        (UNPRICED, {}, Usage(queries=2)),
    ],
)
def test_reranking_costs_units_or_tokens(deployment, answer, usage):
    gauge = RerankGauge(Usage(queries=2, input_tokens=50), deployment)
    assert whole(gauge, {"results": [{}], **answer}, "results", "data").usage == usage


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        st.lists,
        max_leaves=5,
    )
)
def test_whatever_stands_for_usage_breaks_nothing_and_is_never_negative(value):
    for name in ("seconds", "input_tokens", "output_tokens", "total_tokens", "input_token_details"):
        reader = whole(transcript(BY_TOKEN), {"text": "x", "usage": {name: value}, "duration": value})
        assert min(msgspec.structs.astuple(reader.usage)) >= 0


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b'{"text": null}', b'{"error": {"message": "no"}}', b'{"x": 1}'])
def test_an_answer_that_is_none_is_an_error_and_costs_nothing(answer):
    reader = ObjectReader(transcript(), ("text",))
    assert reader.feed(answer) == b""
    assert reader.error is not None
    assert (reader.usage, reader.service_tier, reader.has_data) == (None, None, False)
