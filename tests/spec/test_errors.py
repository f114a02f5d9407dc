"""Bad input gets a clear error in OpenAI's form, whatever is wrong with it."""

from __future__ import annotations

import gzip
import json
import socket
from typing import Any

import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess
from spec_parts import TEXT, Books, error_of, question

CHAT = "/v1/chat/completions"
GOOD: dict[str, Any] = {"model": "free", "messages": [{"role": "user", "content": "x"}]}


def post(http: httpx.Client, content: bytes | str, **headers: str) -> httpx.Response:
    return http.post(CHAT, content=content, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"model": "free",}',
        b"\xff\xfe",
        b'{"model": "fr\xffee"}',
        b"{}{}",
        b"a=b",
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(http: httpx.Client, books: Books, body: bytes) -> None:
    answer = post(http, body)
    assert answer.status_code == 400
    assert error_of(answer)["type"] == "invalid_request_error"
    assert books.entries(answer.headers["x-request-id"]) == []


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 7}, "model"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": ["free"]}, "model"),
        ({"messages": "hello"}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": None}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"user": 5}, "user"),
        ({"n": "two"}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"service_tier": 3}, "service_tier"),
    ],
)
def test_a_field_of_the_wrong_type_is_a_400_that_names_it(
    http: httpx.Client, books: Books, change: dict[str, Any], param: str
) -> None:
    answer = http.post(CHAT, json={**GOOD, **change})
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param
    assert param in error_of(answer)["message"]
    assert books.entries(answer.headers["x-request-id"]) == []


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("chat/completions", "model"),
        ("chat/completions", "messages"),
        ("completions", "model"),
        ("completions", "prompt"),
        ("embeddings", "model"),
        ("embeddings", "input"),
        ("moderations", "input"),
    ],
)
def test_a_missing_field_is_a_400_and_never_a_silent_default(http: httpx.Client, path: str, missing: str) -> None:
    body = {"model": "free", "messages": [], "prompt": "x", "input": "x"}
    del body[missing]
    answer = http.post(f"/v1/{path}", json=body)
    assert answer.status_code == 400
    error = error_of(answer)
    assert (error["param"], error["code"]) == (missing, "missing_required_parameter")


def test_an_unknown_model_is_a_404_that_the_sdk_knows(client: openai.OpenAI, books: Books) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**question("no-such-model"))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert caught.value.type == "invalid_request_error"
    assert "no-such-model" in caught.value.message
    assert books.entries(caught.value.request_id) == []


def test_a_body_over_the_limit_is_a_413(http: httpx.Client) -> None:
    answer = post(http, b'{"model": "' + b"a" * (33 * 1024 * 1024) + b'"}')
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "request_too_large"


def test_a_body_over_the_limit_that_hides_its_length_is_a_413(http: httpx.Client) -> None:
    def endless() -> Any:
        for _ in range(40):
            yield b"a" * 1024 * 1024

    answer = http.post(CHAT, content=endless())
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "request_too_large"


def test_a_gzip_bomb_is_a_413(http: httpx.Client) -> None:
    answer = post(http, gzip.compress(b" " * 64 * 1024 * 1024), **{"content-encoding": "gzip"})
    assert answer.status_code == 413


def test_a_gzip_body_is_read(http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str) -> None:
    answer = post(http, gzip.compress(json.dumps({**GOOD, "user": user}).encode()), **{"content-encoding": "gzip"})
    assert answer.status_code == 200
    assert len(upstream.calls(user)) == 1
    assert "content-encoding" not in upstream.calls(user)[0]["headers"]
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"no gzip at all", "gzip"),
        (gzip.compress(json.dumps(GOOD).encode(), mtime=0)[:-9], "gzip"),
        (json.dumps(GOOD).encode(), "br"),
        (b"", "gzip"),
    ],
)
def test_a_bad_compression_is_a_400(http: httpx.Client, body: bytes, encoding: str) -> None:
    answer = post(http, body, **{"content-encoding": encoding})
    assert answer.status_code == 400
    assert error_of(answer)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("POST", "/v1/batches", 404, "unknown_url"),
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1/chat/completions/", 404, "unknown_url"),
        ("GET", "/admin/teams/", 404, "unknown_url"),  # and no redirect to whatever host the client named
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/embeddings", 405, "method_not_allowed"),
        ("PATCH", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("PUT", "/health/live", 405, "method_not_allowed"),
    ],
)
def test_unknown_addresses_and_methods_get_the_error_form(
    http: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert error_of(answer)["code"] == code


def test_what_the_http_server_itself_refuses_hurts_nobody_else(gateway: Gateway, client: openai.OpenAI) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(b"THIS IS NO HTTP\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    assert client.chat.completions.create(**GOOD).choices[0].message.content == TEXT


def test_expect_100_continue_is_answered(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    body = json.dumps(GOOD).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.first_key}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(head.encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 100")
        raw.sendall(body)
        assert raw.recv(1000).startswith(b"HTTP/1.1 200")
