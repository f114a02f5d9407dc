"""Whatever an upstream does becomes an answer or a clear error in OpenAI's form, and is on the ledger."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess
from spec_parts import INPUT_TOKENS, TEXT, Books, error_of, question

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("preset", "status", "code", "kind"),
    [
        ("error-400", 400, "context_length_exceeded", openai.BadRequestError),
        ("error-401", 502, "upstream_authentication", openai.InternalServerError),
        ("error-404", 404, "model_not_found", openai.NotFoundError),
        ("error-429", 429, "rate_limit_exceeded", openai.RateLimitError),
        ("error-quota", 429, "insufficient_quota", openai.RateLimitError),
        ("error-500", 500, "upstream_error", openai.InternalServerError),
        ("error-503", 503, "upstream_error", openai.InternalServerError),
        ("html-200", 502, "upstream_bad_response", openai.InternalServerError),
        ("empty-200", 502, "upstream_bad_response", openai.InternalServerError),
        ("drop", 502, "upstream_bad_response", openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_upstream_that_fails_before_its_first_byte_becomes_a_status(
    client: openai.OpenAI, books: Books, preset: str, status: int, code: str, kind: type[Exception], is_stream: bool
) -> None:
    letter = "e" if is_stream else "f"
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**question(f"{letter}/{preset}"), stream=is_stream)
    error = caught.value
    assert isinstance(error, openai.APIStatusError)
    assert (error.status_code, error.code) == (status, code)
    error_of(error.response)
    entries = books.entries(error.request_id)
    assert entries
    for entry in entries:
        assert (entry["basis"], entry["status"], entry["cost_nusd"]) == ("unbilled", "failed", 0)
        assert entry["baseline_nusd"] == 0
    assert entries[-1]["error_code"] == code


@pytest.mark.parametrize("connection", [{}, {"content_length_excess": 50}])
def test_truncated_json_is_a_502_and_what_was_generated_is_charged(
    http: httpx.Client, books: Books, model: str, connection: dict[str, int]
) -> None:
    answer = http.post(CHAT, json={**question(model), "script": {"drop_last_bytes": 9, **connection}})
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_bad_response"
    (entry,) = books.entries(answer.headers["x-request-id"])
    assert (entry["status"], entry["basis"]) == ("failed", "estimated")
    assert entry["output_tokens"] > 4


def test_an_answer_that_is_complete_counts_though_its_length_was_stated_wrong(
    client: openai.OpenAI, books: Books
) -> None:
    answer = client.chat.completions.create(**question("f/wrong-length"))
    assert answer.choices[0].message.content == TEXT
    assert books.entry(answer._request_id)["basis"] == "reported"


def test_json_that_is_no_answer_is_a_502(http: httpx.Client, books: Books, model: str) -> None:
    for number, body in enumerate(({}, {"choices": None}, [], "7", "null")):
        answer = http.post(CHAT, json={**question(f"{model}-{number}"), "script": {"body": body}})
        assert answer.status_code == 502, body
        assert error_of(answer)["code"] == "upstream_bad_response"
        assert books.entry(answer.headers["x-request-id"])["status"] == "failed"


def test_an_error_object_with_status_200_is_an_error(http: httpx.Client, books: Books, model: str) -> None:
    body = {"error": {"message": "engine overloaded", "type": "overloaded", "code": "engine_overloaded"}}
    answer = http.post(CHAT, json={**question(model), "script": {"body": body}})
    assert answer.status_code == 502
    error = error_of(answer)
    assert (error["message"], error["code"]) == ("engine overloaded", "engine_overloaded")
    assert books.entry(answer.headers["x-request-id"])["basis"] == "unbilled"


def test_html_of_a_proxy_is_not_shown_to_clients(http: httpx.Client) -> None:
    answer = http.post(CHAT, json=question("i/error-503"))
    assert "secret-proxy-7" not in answer.text
    assert "<" not in error_of(answer)["message"]


def test_number_codes_of_an_upstream_are_no_codes(http: httpx.Client, books: Books) -> None:
    answer = http.post(CHAT, json=question("j/error-404"))
    assert error_of(answer)["code"] == "model_not_found"
    assert error_of(answer)["message"] == "no such model"
    assert books.entry(answer.headers["x-request-id"])["http_status"] == 404


def test_message_type_code_and_param_of_the_upstream_are_kept(http: httpx.Client, books: Books) -> None:
    answer = http.post(CHAT, json=question("j/error-400"))
    assert error_of(answer) == {
        "message": "too long",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    assert books.entry(answer.headers["x-request-id"])["error_code"] == "context_length_exceeded"


def test_retry_after_is_passed_on(http: httpx.Client, upstream: UpstreamProcess, model: str, user: str) -> None:
    headers = {"retry-after": "33", "retry-after-ms": "33000"}
    body = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
    script = {"status": 429, "headers": headers, "body": body}
    answer = http.post(CHAT, json={**question(model, user), "script": script})
    assert answer.status_code == 429
    assert {name: answer.headers[name] for name in headers} == headers
    assert "x-should-retry" not in answer.headers  # the SDKs' own rule is right
    assert len(upstream.calls(user)) == 1


@pytest.mark.parametrize("wish", ["true", "false"])
def test_the_upstreams_word_on_retrying_is_passed_on(http: httpx.Client, model: str, wish: str) -> None:
    script = {"status": 409, "headers": {"x-should-retry": wish}, "body": {"error": {"message": "no"}}}
    answer = http.post(CHAT, json={**question(model), "script": script})
    assert answer.headers.get_list("x-should-retry") == [wish]


@pytest.mark.parametrize("preset", ["error-quota", "error-401"])
def test_what_will_not_get_better_is_asked_once_and_says_so(
    gateway: Gateway, upstream: UpstreamProcess, books: Books, user: str, preset: str
) -> None:
    with (
        openai.OpenAI(base_url=gateway.base_url, api_key=gateway.first_key, max_retries=2) as persistent,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        persistent.chat.completions.create(**question(f"k/{preset}", user))
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(upstream.calls(user)) == 1
    assert books.entry(caught.value.request_id)["basis"] == "unbilled"


def test_an_upstream_that_hangs_is_a_504(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = http.post(CHAT, json=question("slow/hang", user))
    assert answer.status_code == 504
    assert error_of(answer)["code"] == "upstream_timeout"
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["basis"], entry["error_code"]) == ("unbilled", "upstream_timeout")
    assert [call["is_client_gone"] for call in upstream.calls(user)] == [True]


@pytest.mark.parametrize("preset", ["hang", "hang-after-headers"])
def test_a_stream_that_never_begins_is_a_504(http: httpx.Client, books: Books, preset: str) -> None:
    answer = http.post(CHAT, json={**question(f"slow/{preset}"), "stream": True})
    assert answer.status_code == 504
    assert error_of(answer)["code"] == "upstream_timeout"
    assert books.entry(answer.headers["x-request-id"])["status"] == "failed"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"cut_after": 4}, "upstream_interrupted"),
        ({"cut_after": 4, "cut_by": "close"}, "upstream_interrupted"),
        ({"cut_after": 4, "error_event": {"message": "gpu on fire", "type": "server_error", "code": "fire"}}, "fire"),
        ({"cut_after": 4, "hang": "mid_stream"}, "upstream_timeout"),
    ],
)
def test_a_stream_that_breaks_off_ends_with_an_error_that_the_sdk_raises(
    client: openai.OpenAI, http: httpx.Client, books: Books, user: str, script: dict[str, Any], code: str
) -> None:
    model = f"slow/{user}"
    raw = http.post(CHAT, json={**question(model), "script": script, "stream": True})
    assert raw.status_code == 200
    assert "[DONE]" not in raw.text
    last = json.loads(raw.text.rstrip().rpartition("data: ")[2])
    assert last["error"].keys() == {"message", "type", "param", "code"}
    assert last["error"]["code"] == code
    entry = books.entry(raw.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["error_code"]) == ("interrupted", "estimated", code)
    # Three words were said; the upstream's own count was lost with it. The question counts in full.
    assert 2 <= entry["output_tokens"] <= 4
    assert entry["cost_nusd"] == entry["input_tokens"] * 1000 + entry["output_tokens"] * 2000 > 0

    stream = client.chat.completions.create(**question(model, script=script), stream=True)
    said: list[str | None] = []
    with pytest.raises(openai.APIError):
        said.extend(chunk.choices[0].delta.content for chunk in stream)
    assert "".join(filter(None, said)) == " ".join(TEXT.split()[:3])


def test_a_stream_cut_after_its_finish_reason_but_before_its_usage_is_no_error(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    events = 1 + len(TEXT.split()) + 1
    script = {"cut_after": events, "cut_by": "close"}
    stream = client.chat.completions.create(**question(model, script=script), stream=True)
    try:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    except openai.APIError:
        text = TEXT  # to say so is right as well: the connection broke
    assert text == TEXT
    entry = books.entry(stream.response.headers["x-request-id"])
    assert entry["basis"] == "estimated"
    assert entry["output_tokens"] >= len(TEXT.split())


def test_an_upstream_nobody_can_reach_is_a_502(http: httpx.Client, books: Books, model: str) -> None:
    answer = http.post(CHAT, json=question(f"gone/{model}"))
    assert answer.status_code == 502
    assert error_of(answer)["code"] == "upstream_unreachable"
    assert {entry["status"] for entry in books.entries(answer.headers["x-request-id"])} == {"failed"}


def test_usage_that_comes_with_a_failure_is_not_lost(http: httpx.Client, books: Books, model: str) -> None:
    script = {"usage": {"prompt_tokens": INPUT_TOKENS, "completion_tokens": 3, "total_tokens": 12}, "cut_after": 5}
    answer = http.post(CHAT, json={**question(model), "script": {**script, "continuous_usage": True}, "stream": True})
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("interrupted", "reported", 4)


@pytest.mark.parametrize("path", ["chat/completions", "responses", "messages"])
@pytest.mark.parametrize(
    "events",
    [
        [{"type": "message_start", "message": {"id": "m"}}, {"type": "message_stop"}],
        [{"type": "response.created", "response": {"id": "r"}}, {"type": "response.completed"}],
        [{"foo": 1}],
    ],
    ids=["messages", "responses", "nobody's"],
)
def test_a_chat_upstream_that_streams_another_api_is_broken(
    http: httpx.Client, books: Books, model: str, path: str, events: list[dict[str, Any]]
) -> None:
    asked = {"input": "Hi"} if path == "responses" else {"messages": [{"role": "user", "content": "Hi"}]}
    body = {"model": model, "stream": True, "max_tokens": 9, "script": {"events": events}, **asked}
    answer = http.post(f"/v1/{path}", json=body)

    assert answer.status_code == 502
    entries = books.entries(answer.headers["x-request-id"])
    assert {entry["status"] for entry in entries} == {"failed"}
