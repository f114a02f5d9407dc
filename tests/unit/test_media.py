"""What requests for sound, images and reranking ask for, and what they are worth before anybody has answered."""

from __future__ import annotations

import json

import pytest

from gateway.api import media
from gateway.api.arrival import Arrival
from gateway.domain import AnswerForm, Caller, Deployment, Endpoint, Meter, Provider, Request, Tariff, Usage
from gateway.entries import estimated_input_tokens, intent
from gateway.errors import BadRequest
from policies.pricing import make_rate_card

CALLER = Caller("k", "key", "t", "team", "o")


def asked(endpoint: Endpoint, body: object) -> Request:
    return media.parse(Arrival("req_1", endpoint, json.dumps(body).encode()))


def form(endpoint: Endpoint, *parts: tuple[str, bytes, bool]) -> Request:
    described = (
        b'--B\r\ncontent-disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (name.encode(), b"; filename=f" if is_file else b"", content)
        for name, content, is_file in (("model", b"m", False), *parts)
    )
    data = b"".join(described) + b"--B--\r\n"
    return media.parse(Arrival("req_1", endpoint, data, "multipart/form-data; boundary=B"))


def deployment(meter: Meter) -> Deployment:
    tariff = Tariff({"standard": make_rate_card({meter: 1_000_000})})
    return Deployment("d", Provider("p", "openai"), "theirs", tariff)


SOUND = ("file", bytes(20_000), True)


@pytest.mark.parametrize(
    ("more", "is_stream", "answer_form"),
    [
        ({}, True, AnswerForm.BYTES),
        ({"stream_format": "audio"}, True, AnswerForm.BYTES),
        ({"stream_format": "sse"}, True, AnswerForm.OBJECT),
    ],
)
def test_speech_streams_as_sound_or_as_events(more, is_stream, answer_form):
    request = asked(Endpoint.SPEECH, {"model": "m", "input": "Grüß", "instructions": "slow", **more})
    assert (request.is_stream, request.form) == (is_stream, answer_form)
    assert request.foreseen == Usage(characters=4, input_tokens=2)


@pytest.mark.parametrize(
    ("wanted", "stream", "is_stream", "answer_form"),
    [
        (b"json", b"false", False, AnswerForm.OBJECT),
        (b"verbose_json", b"", False, AnswerForm.OBJECT),
        (b"srt", b"0", False, AnswerForm.TEXT),
        (b"srt", b"True", True, AnswerForm.OBJECT),
    ],
)
def test_a_transcript_is_text_an_object_or_events(wanted, stream, is_stream, answer_form):
    request = form(Endpoint.TRANSCRIPTIONS, SOUND, ("response_format", wanted, False), ("stream", stream, False))
    assert (request.is_stream, request.form) == (is_stream, answer_form)
    assert request.foreseen == Usage(seconds=3)


def test_a_sound_may_be_named_instead_of_sent():
    assert form(Endpoint.TRANSCRIPTIONS, ("file_url", b"https://x/y.wav", False)).foreseen == Usage()


@pytest.mark.parametrize(("n", "images"), [(None, 1), (3, 3), (0, 1), (-5, 1), (10**30, 1000)])
def test_the_number_of_images_is_what_is_asked_within_reason(n, images):
    assert asked(Endpoint.IMAGES, {"model": "m", "prompt": "abcd", "n": n}).foreseen == Usage(
        images=images, input_tokens=1
    )


def test_an_edit_may_be_a_form_or_an_object():
    image = ("image[]", b"\x89PNG", True)
    assert form(Endpoint.IMAGE_EDITS, image, ("n", b"2", False)).foreseen == Usage(images=2)
    assert asked(Endpoint.IMAGE_EDITS, {"model": "m", "prompt": "x", "n": 2}).foreseen == Usage(
        images=2, input_tokens=1
    )


@pytest.mark.parametrize("n", [b"2.0", b"two", b"-1", "²".encode(), b"1" * 10, b""])
def test_a_number_in_a_form_is_digits(n):
    with pytest.raises(BadRequest) as refused:
        form(Endpoint.IMAGE_EDITS, ("image", b"x", True), ("n", n, False))
    assert refused.value.param == "n"


@pytest.mark.parametrize(("documents", "queries"), [(["a"], 1), (["a"] * 101, 2), ([], 1), ({"texts": ["a"]}, 1)])
def test_a_hundred_documents_are_one_query(documents, queries):
    request = asked(Endpoint.RERANK, {"model": "m", "query": "q", "documents": documents})
    assert request.foreseen is not None
    assert request.foreseen.queries == queries


def test_a_form_goes_up_with_its_own_content_type_and_the_upstreams_name_of_the_model():
    request = form(Endpoint.TRANSCRIPTIONS, SOUND)
    call = media.MediaDialect(request).call(deployment(Meter.SECOND))
    assert call.content_type == "multipart/form-data; boundary=B"
    assert b'name="model"\r\n\r\ntheirs\r\n' in call.body


@pytest.mark.parametrize(
    ("request_", "meter", "units"),
    [
        (asked(Endpoint.SPEECH, {"model": "m", "input": "Hello"}), Meter.CHARACTER, 5),
        (form(Endpoint.TRANSCRIPTIONS, SOUND), Meter.SECOND, 3),
        (asked(Endpoint.IMAGES, {"model": "m", "prompt": "x", "n": 2}), Meter.IMAGE_GENERATED, 2),
        (asked(Endpoint.RERANK, {"model": "m", "query": "q", "documents": ["a"]}), Meter.QUERY, 1),
    ],
)
def test_a_call_whose_process_dies_is_charged_what_it_asked_for(request_, meter, units):
    entry = intent(
        entry_id="e", created_at="now", instance="i", number=1, request=request_, caller=CALLER, route=None,
        deployment=deployment(meter), baseline=None,
    )  # fmt: skip
    assert (entry.basis, entry.cost_nusd) == ("orphaned", units)


def test_the_bytes_of_a_sound_are_no_tokens_of_a_providers_limit():
    assert estimated_input_tokens(form(Endpoint.TRANSCRIPTIONS, SOUND)) == 0


def test_the_text_of_a_request_is_known_for_content_logging():
    speech = asked(Endpoint.SPEECH, {"model": "m", "input": "Hello", "instructions": "slow"})
    rerank = asked(Endpoint.RERANK, {"model": "m", "query": "q", "documents": ["a", {"text": "b"}]})
    heard = form(Endpoint.TRANSCRIPTIONS, SOUND, ("prompt", b"names", False))
    texts = [media.MediaDialect(request).input_text() for request in (speech, rerank, heard)]
    assert texts == ["Hello\nslow", "q\na\nb", "names"]
