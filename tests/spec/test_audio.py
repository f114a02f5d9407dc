"""Sound: spoken and heard with the official SDK, verbatim and metered, also where somebody breaks off."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from typing import Any

import httpx
import openai
import pytest
from media_parts import sound
from running_gateway import Gateway, UpstreamProcess, until
from scripted.media import SECONDS, SOUND, SPOKEN
from spec_parts import TEXT, Books, error_of

SPOKEN_BYTES = b"".join(SOUND)
INPUT = "Grüß Gott, what is it?"
INPUT_CHARACTERS = 22
CHARACTER_NUSD, SECOND_NUSD = 15_000, 100_000
SPEECH_NUSD = INPUT_CHARACTERS * CHARACTER_NUSD


def meters(entry: dict[str, Any]) -> dict[str, int]:
    return {reading["meter"]: reading["quantity"] for reading in entry["meters"]}


def speech(model: str, user: str, **script: Any) -> dict[str, Any]:
    """The body of a call for speech."""
    body = {"model": model, "input": INPUT, "voice": "alloy", "user": user}
    return {**body, "script": script} if script else body


# Speaking


def test_speech_comes_as_the_upstream_sends_it_and_every_character_is_charged(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    asked = client.audio.speech.with_streaming_response.create(
        model="speak/tts", input=INPUT, voice="alloy", response_format="mp3", extra_body={"user": user, "later": [1.0]}
    )
    with asked as answer:
        assert answer.headers["content-type"] == "audio/mpeg"
        assert b"".join(answer.iter_bytes(1000)) == SPOKEN_BYTES
        entry = books.entry(answer.headers["x-request-id"])
    assert (entry["endpoint"], entry["basis"], entry["status"]) == ("audio/speech", "reported", "succeeded")
    assert (meters(entry), entry["cost_nusd"]) == ({"character": INPUT_CHARACTERS}, SPEECH_NUSD)
    (call,) = upstream.calls(user)
    assert call["path"] == "/v1/audio/speech"
    assert call["body"] == {
        "model": "tts",
        "input": INPUT,
        "voice": "alloy",
        "response_format": "mp3",
        "user": user,
        "later": [1.0],
    }


def test_speech_begins_before_the_upstream_has_ended_it(gateway: Gateway, upstream: UpstreamProcess, user: str) -> None:
    headers = {"authorization": f"Bearer {gateway.first_key}"}
    body = speech("speak/slow", user, chunk_ms=60_000)
    with httpx.stream("POST", f"{gateway.base_url}/audio/speech", json=body, headers=headers, timeout=30) as answer:
        assert next(answer.iter_raw()) == SOUND[0]
        assert upstream.calls(user)[0]["events_sent"] == 1


def test_speech_as_events_is_charged_by_the_tokens_that_they_report(
    client: openai.OpenAI, books: Books, user: str
) -> None:
    asked = client.audio.speech.with_streaming_response.create(
        model="speak-tokens/mini", input=INPUT, voice="alloy", stream_format="sse", extra_body={"user": user}
    )
    with asked as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
        entry = books.entry(answer.headers["x-request-id"])
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 4 + ["speech.audio.done"]
    assert events[-1]["usage"] == SPOKEN
    assert meters(entry) == {"input": 14, "audio_output": 101, "character": INPUT_CHARACTERS}
    assert (entry["basis"], entry["cost_nusd"]) == ("reported", 14 * 1000 + 101 * 12_000)


def test_speech_priced_by_tokens_that_nobody_reports_is_estimated(http: httpx.Client, books: Books, user: str) -> None:
    answer = http.post("/v1/audio/speech", json=speech("speak-tokens/plain", user))
    entry = books.entry(answer.headers["x-request-id"])
    assert entry["basis"] == "estimated"
    assert meters(entry) == {"input": 6, "audio_output": 31, "character": INPUT_CHARACTERS}


async def test_a_client_that_leaves_amid_speech_pays_for_all_of_it(
    gateway: Gateway, upstream: UpstreamProcess, user: str
) -> None:
    key = gateway.make_key()
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key['key']}"}, timeout=30) as client:
        body = speech("speak/left", user, chunk_ms=60_000)
        async with client.stream("POST", f"{gateway.base_url}/audio/speech", json=body) as answer:
            await anext(answer.aiter_raw())
    await asyncio.to_thread(until, lambda: upstream.calls(user)[0]["is_client_gone"], "the upstream saw us leave")
    await asyncio.to_thread(until, lambda: gateway.ledger(key=key["id"]), "the call was charged")
    (entry,) = gateway.ledger(key=key["id"])
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("cancelled", "reported", SPEECH_NUSD)


async def test_a_client_that_leaves_before_the_first_sound_pays_for_what_was_to_be_spoken(
    gateway: Gateway, upstream: UpstreamProcess, user: str
) -> None:
    key = gateway.make_key()
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key['key']}"}, timeout=30) as client:
        body = speech("speak/left-early", user, delay_ms=60_000)
        call = asyncio.create_task(client.post(f"{gateway.base_url}/audio/speech", json=body))
        await asyncio.to_thread(until, lambda: upstream.calls(user), "the upstream was called")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await asyncio.to_thread(until, lambda: gateway.ledger(key=key["id"]), "the call was charged")
    (entry,) = gateway.ledger(key=key["id"])
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("cancelled", "estimated", SPEECH_NUSD)


@pytest.mark.parametrize("cut_by", ["reset", "close"])
def test_speech_that_the_upstream_cuts_never_looks_like_a_good_end(
    http: httpx.Client, gateway: Gateway, user: str, cut_by: str
) -> None:
    key = gateway.make_key()
    body = speech(f"speak/cut-by-{cut_by}", user, cut_after=3, cut_by=cut_by, chunk_ms=20)
    headers = {"authorization": f"Bearer {key['key']}"}
    with (
        http.stream("POST", "/v1/audio/speech", json=body, headers=headers) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        list(answer.iter_raw())
    assert answer.status_code == 200
    (entry,) = until(lambda: gateway.ledger(key=key["id"]), "the call was charged")
    assert (entry["status"], entry["error_code"]) == ("interrupted", "upstream_interrupted")
    assert (entry["basis"], entry["cost_nusd"]) == ("reported", SPEECH_NUSD)
    assert "ASGI" not in gateway.logged()  # an upstream that breaks off is no fault of the gateway's


def test_speech_that_falls_silent_is_cut_too(http: httpx.Client, gateway: Gateway, user: str) -> None:
    key = gateway.make_key()
    body = speech("speak-slow/silent", user, cut_after=2, hang="mid_stream")
    headers = {"authorization": f"Bearer {key['key']}"}
    with (
        http.stream("POST", "/v1/audio/speech", json=body, headers=headers) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        list(answer.iter_raw())
    (entry,) = until(lambda: gateway.ledger(key=key["id"]), "the call was charged")
    assert (entry["status"], entry["error_code"]) == ("interrupted", "upstream_timeout")
    assert entry["cost_nusd"] == SPEECH_NUSD


@pytest.mark.parametrize(
    "kind", ["application/json", "audio/mpeg"], ids=["that says what it is", "that claims to be sound"]
)
def test_an_error_with_a_good_status_is_an_error_and_costs_nothing(
    http: httpx.Client, books: Books, user: str, kind: str
) -> None:
    error = {"message": "no such voice", "type": "invalid_request_error", "param": "voice", "code": "bad_voice"}
    body = speech(f"speak/{kind[:5]}", user, body={"error": error}, content_type=kind)
    answer = http.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400
    assert error_of(answer) == error
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("failed", "unbilled", 0)


@pytest.mark.parametrize("body", [{"done": True}, "<!DOCTYPE html><html></html>", ""])
def test_what_is_no_sound_is_not_passed_on_as_such(http: httpx.Client, user: str, body: object) -> None:
    kind = "text/html" if isinstance(body, str) else "application/json"
    answer = http.post("/v1/audio/speech", json=speech(f"speak/{user}", user, body=body, content_type=kind))
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_bad_response"


def test_speech_falls_back_before_the_first_sound(http: httpx.Client, books: Books, user: str) -> None:
    answer = http.post("/v1/audio/speech", json=speech("speech-falls-back", user))
    assert answer.content == SPOKEN_BYTES
    entries = books.entries(answer.headers["x-request-id"])
    assert [entry["status"] for entry in entries] == ["failed", "failed", "succeeded"]
    assert [entry["cost_nusd"] for entry in entries] == [0, 0, SPEECH_NUSD]


@pytest.mark.parametrize(
    ("body", "param"),
    [({"model": "speak/x"}, "input"), ({"input": INPUT}, "model"), ({"model": "speak/x", "input": 1}, "input")],
)
def test_speech_that_lacks_something_is_refused_by_its_name(
    http: httpx.Client, body: dict[str, object], param: str
) -> None:
    answer = http.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.parametrize("path", ["audio/speech", "images/generations", "rerank"])
def test_a_model_of_another_kind_is_refused(http: httpx.Client, path: str) -> None:
    body = {"model": "any/chat", "input": INPUT, "prompt": "x", "query": "x", "documents": ["y"]}
    answer = http.post(f"/v1/{path}", json=body)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "unsupported_model"


# Hearing


@pytest.mark.parametrize("path", ["transcriptions", "translations"])
def test_what_is_heard_is_charged_by_the_seconds_that_the_upstream_reports(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str, path: str
) -> None:
    file = sound()
    heard = getattr(client.audio, path).with_raw_response.create(
        file=("word.wav", file, "audio/wav"), model="hear/whisper-1", prompt="a word", extra_body={"user": user}
    )
    assert heard.parse().text == TEXT
    assert heard.headers["x-obol-cost-usd"] == "0.0009"
    entry = books.entry(heard.headers["x-request-id"])
    assert (entry["endpoint"], entry["basis"], entry["end_user"]) == (f"audio/{path}", "reported", user)
    assert (meters(entry), entry["cost_nusd"]) == ({"second": SECONDS}, SECONDS * SECOND_NUSD)
    (call,) = upstream.calls(user)
    assert call["path"] == f"/v1/audio/{path}"
    assert (call["body"]["model"], call["body"]["prompt"]) == ("whisper-1", "a word")
    assert ["file", "word.wav", "audio/wav", len(file), hashlib.sha256(file).hexdigest()] in call["body"]["form"]


def test_a_form_goes_up_byte_for_byte_but_for_the_model(
    http: httpx.Client, upstream: UpstreamProcess, user: str
) -> None:
    boundary = "x'(+_,./:=?)Y"
    raw = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="user"\r\n\r\n{user}\r\n'
        f"--{boundary}\r\ncontent-disposition:form-data;name=later\r\nx-odd: 1\r\n\r\n\r\n"
        f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nhear/b%C3%A4r\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="bär.ogg"\r\n\r\n\0\xff\r\n\r\n'
        f"--{boundary}--\r\n"
    )
    kind = f'Multipart/Form-Data; charset=x; boundary="{boundary}"'
    answer = http.post("/v1/audio/transcriptions", content=raw.encode(), headers={"content-type": kind})
    assert answer.status_code == 200
    (call,) = upstream.calls(user)
    assert call["body"]["raw"].encode("latin-1") == raw.replace("hear/b%C3%A4r", "b%C3%A4r").encode()
    assert call["headers"]["content-type"] == f'multipart/form-data; boundary="{boundary}"'


@pytest.mark.parametrize(
    ("wanted", "kind"), [("text", "text/plain"), ("srt", "application/x-subrip"), ("vtt", "text/vtt")]
)
def test_plain_text_comes_as_it_is_and_is_charged_by_the_length_of_the_sound(
    client: openai.OpenAI, books: Books, user: str, wanted: Any, kind: str
) -> None:
    heard = client.audio.transcriptions.with_raw_response.create(
        file=("word.wav", sound(2.4)), model="hear/whisper-1", response_format=wanted, extra_body={"user": user}
    )
    assert heard.text == TEXT
    assert heard.headers["content-type"].startswith(kind)
    assert heard.headers["x-obol-cost-usd"] == "0.0003"
    entry = books.entry(heard.headers["x-request-id"])
    assert (entry["basis"], meters(entry), entry["cost_nusd"]) == ("estimated", {"second": 3}, 3 * SECOND_NUSD)


def test_a_verbose_transcript_tells_its_duration(client: openai.OpenAI, books: Books) -> None:
    heard = client.audio.transcriptions.with_raw_response.create(
        file=("word.wav", sound(2.4)), model="hear/whisper-1", response_format="verbose_json"
    )
    assert heard.parse().duration == SECONDS - 0.53
    entry = books.entry(heard.headers["x-request-id"])
    assert (entry["basis"], meters(entry)) == ("reported", {"second": SECONDS})


def test_what_is_heard_is_charged_by_tokens_where_the_upstream_reports_them(
    client: openai.OpenAI, books: Books
) -> None:
    used = {
        "type": "tokens",
        "input_tokens": 30,
        "output_tokens": 8,
        "total_tokens": 38,
        "input_token_details": {"audio_tokens": 24, "text_tokens": 6},
    }
    heard = client.audio.transcriptions.with_raw_response.create(
        file=("word.wav", sound()), model="hear-tokens/gpt", extra_body={"script": json.dumps({"usage": used})}
    )
    entry = books.entry(heard.headers["x-request-id"])
    assert (entry["basis"], meters(entry)) == ("reported", {"audio_input": 24, "input": 6, "output": 8})
    assert entry["cost_nusd"] == 24 * 3000 + 6 * 1000 + 8 * 5000


def test_a_streamed_transcript_is_charged_before_its_end_is_shown(
    client: openai.OpenAI, books: Books, user: str
) -> None:
    used = {"type": "tokens", "input_tokens": 30, "output_tokens": 8, "total_tokens": 38}
    with client.audio.transcriptions.with_streaming_response.create(
        file=("word.wav", sound()),
        model="hear-tokens/gpt",
        stream=True,
        extra_body={"user": user, "script": json.dumps({"usage": used})},
    ) as heard:
        lines = heard.iter_lines()
        said = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        entry = books.entry(heard.headers["x-request-id"])
    assert "".join(event["delta"] for event in said[:-1]) == TEXT
    assert (said[-1]["type"], said[-1]["text"]) == ("transcript.text.done", TEXT)
    assert (entry["is_stream"], entry["basis"]) == (True, "reported")
    assert entry["cost_nusd"] == 30 * 3000 + 8 * 5000


def test_the_sdk_reads_a_streamed_transcript_to_its_end(client: openai.OpenAI) -> None:
    heard = client.audio.transcriptions.create(file=("word.wav", sound()), model="hear/gpt", stream=True)
    kinds = [event.type for event in heard]
    assert kinds[-1] == "transcript.text.done"
    assert set(kinds[:-1]) == {"transcript.text.delta"}


def test_a_stream_that_the_upstream_ignores_is_answered_with_what_it_gives(http: httpx.Client, books: Books) -> None:
    given = {"text": TEXT, "usage": {"type": "duration", "seconds": 3}}
    form = {"model": "hear/whisper-1", "stream": "true", "script": json.dumps({"body": given})}
    heard = http.post("/v1/audio/transcriptions", data=form, files={"file": sound()})
    assert heard.json() == given
    assert heard.headers["content-type"] == "application/json"
    entry = books.entry(heard.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("succeeded", "reported", 3 * SECOND_NUSD)


def test_a_streamed_transcript_that_the_upstream_cuts_ends_with_an_error(
    client: openai.OpenAI, gateway: Gateway
) -> None:
    key = gateway.make_key()
    script = json.dumps({"cut_after": 3})
    heard = client.with_options(api_key=key["key"]).audio.transcriptions.create(
        file=("word.wav", sound()), model="hear/cut-stream", stream=True, extra_body={"script": script}
    )
    with pytest.raises(openai.APIError, match="broke off"):
        list(heard)
    (entry,) = until(lambda: gateway.ledger(key=key["id"]), "the call was charged")
    assert (entry["status"], entry["basis"], meters(entry)) == ("interrupted", "estimated", {"second": 3})


def test_hearing_falls_back_with_the_whole_file(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    heard = client.audio.transcriptions.with_raw_response.create(
        file=("word.wav", sound()), model="hearing-falls-back", extra_body={"user": user}
    )
    statuses = [entry["status"] for entry in books.entries(heard.headers["x-request-id"])]
    assert statuses == ["failed", "failed", "succeeded"]
    files = [part for call in upstream.calls(user) for part in call["body"]["form"] if part[0] == "file"]
    assert len(files) == 3
    assert files[0] == files[1] == files[2]


def test_a_text_that_the_upstream_cuts_is_not_taken_for_a_whole_one(http: httpx.Client, books: Books) -> None:
    form = {"model": "hear/cut-text", "response_format": "text", "script": json.dumps({"content_length_excess": 9})}
    answer = http.post("/v1/audio/transcriptions", data=form, files={"file": sound()})
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_bad_response"
    assert all(entry["cost_nusd"] == 0 for entry in books.entries(answer.headers["x-request-id"]))


def test_a_file_of_thirty_megabytes_passes(client: openai.OpenAI, upstream: UpstreamProcess, user: str) -> None:
    file = sound(30 * 1024 * 1024 / 16_000)
    heard = client.audio.transcriptions.create(
        file=io.BytesIO(file), model="hear/large", extra_body={"user": user}, timeout=60
    )
    assert heard.text == TEXT
    ((_, _, _, size, digest),) = [part for part in upstream.calls(user)[0]["body"]["form"] if part[0] == "file"]
    assert (size, digest) == (len(file), hashlib.sha256(file).hexdigest())


@pytest.mark.parametrize(
    ("form", "files", "param"),
    [
        ({}, {"file": b"x"}, "model"),
        ({"model": "hear/x"}, {"image": b"x"}, "file"),
        ({"model": ["hear/x", "hear/y"]}, {"file": b"x"}, "model"),
        ({"model": "hear/x", "stream": "perhaps"}, {"file": b"x"}, "stream"),
        ({}, {"file": b"x", "model": b"hear/x"}, "model"),
    ],
)
def test_a_form_that_lacks_something_is_refused_by_its_name(
    http: httpx.Client, form: dict[str, object], files: dict[str, bytes], param: str
) -> None:
    answer = http.post("/v1/audio/transcriptions", data=form, files=files)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


def test_a_body_that_is_no_form_is_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/audio/transcriptions", json={"model": "hear/x"})
    assert answer.status_code == 400
    assert "multipart/form-data" in error_of(answer)["message"]
