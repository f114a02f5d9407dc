"""What the OpenAI-compatible backend makes of refusals: whose fault they are, and who may be asked again."""

from __future__ import annotations

import pytest
from openai_calls import KEY, ODD_HEADERS, answering, call_to, refused, scripted
from scripted_upstream import HTML

from backends import upstream_errors


async def test_a_refusal_passes_no_header_on_that_is_no_printable_ascii(backend):
    head = b"HTTP/1.1 503 No\r\n" + ODD_HEADERS + b"x-should-retry: \xff\r\ncontent-length: 2\r\n\r\n"

    async with answering(head + b"{}") as base_url:
        error = await refused(backend, call_to(base_url))

    assert (error.status, dict(error.headers), error.retry_after_s) == (503, {}, None)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_clients_mistake_keeps_its_words_and_goes_nowhere_else(upstream, backend, stream):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-400"}, stream=stream))

    assert (error.status, error.message, error.param) == (400, "too long", "messages")
    assert (error.type, error.code) == ("invalid_request_error", "context_length_exceeded")
    assert (error.can_retry, error.can_fall_back, error.blames_deployment) == (False, False, False)


async def test_our_own_credentials_being_refused_is_not_the_clients_401(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-401"}))

    assert (error.status, error.code, error.http_status) == (502, "upstream_authentication", 401)
    assert "sk-up" not in error.message
    assert (error.can_retry, error.can_fall_back, error.blames_deployment) == (False, True, True)


async def test_a_model_that_is_missing_there_may_be_asked_for_elsewhere(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-404"}))
    # vLLM puts the status number into ``code``; clients look for the code's name.
    assert (error.status, error.code, error.can_fall_back, error.can_retry) == (404, "model_not_found", True, False)


async def test_a_rate_limit_passes_its_pause_on_and_blames_nobody(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-429"}))

    assert (error.status, error.code, error.headers["retry-after"]) == (429, "rate_limit_exceeded", "7")
    assert (error.retry_after_s, error.can_retry, error.can_fall_back) == (7.0, False, True)
    assert not error.blames_deployment


async def test_a_rate_limit_with_a_short_pause_may_be_asked_again(upstream, backend):
    error = await refused(backend, scripted(upstream, status=429, body={}, headers={"retry-after-ms": "1500"}))
    assert (error.retry_after_s, error.can_retry, error.code) == (1.5, True, "rate_limit_exceeded")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
@pytest.mark.parametrize(("wish", "can_retry"), [("1", True), ("3", False), ("86400", False)])
async def test_who_wants_a_long_pause_is_left_for_another_deployment(upstream, backend, status, wish, can_retry):
    error = await refused(backend, scripted(upstream, status=status, body={}, headers={"retry-after": wish}))
    assert (error.can_retry, error.can_fall_back) == (can_retry, True)
    assert (error.retry_after_s, error.headers["retry-after"]) == (float(wish), wish)


async def test_a_pause_that_makes_no_sense_is_not_passed_on(upstream, backend):
    error = await refused(backend, scripted(upstream, status=503, body={}, headers={"retry-after": "nan"}))
    assert (error.retry_after_s, error.can_retry, dict(error.headers)) == (None, True, {})


async def test_an_exhausted_quota_is_never_asked_again(upstream, backend):
    error = await refused(backend, call_to(upstream.base_url, {"model": "error-quota"}))

    assert (error.status, error.type, error.code) == (429, "insufficient_quota", "insufficient_quota")
    assert (error.can_retry, error.can_fall_back, error.should_retry) == (False, True, False)
    assert error.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("upstream_status", "status", "can_retry", "can_fall_back"),
    [
        (402, 429, False, True), (403, 502, False, True), (408, 408, True, True), (409, 409, True, True),
        (413, 413, False, False), (418, 400, False, False), (422, 400, False, False), (500, 500, True, True),
        (502, 502, True, True), (503, 503, True, True), (504, 504, True, True), (529, 503, False, True),
        (599, 502, True, True), (302, 502, False, True),
    ],
)  # fmt: skip
async def test_each_status_has_its_meaning(upstream, backend, upstream_status, status, can_retry, can_fall_back):
    script = {"status": upstream_status, "body": {"error": {"message": "words", "code": None}}}

    error = await refused(backend, scripted(upstream, **script, headers={"location": "http://elsewhere"}))

    assert (error.status, error.can_retry, error.can_fall_back) == (status, can_retry, can_fall_back)
    assert error.http_status == upstream_status
    assert error.code is None or not error.code.isdigit()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_proxys_html_page_is_never_shown(upstream, backend, status):
    error = await refused(backend, scripted(upstream, status=status, body=HTML, content_type="text/html"))
    assert (error.status, error.code) == (502 if status == 500 else status, "upstream_error")
    assert "<" not in error.message
    assert "secret-proxy" not in error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "plain words"}, "plain words"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"object": "error", "message": "vllm's words", "code": 400}, "vllm's words"),
        ([{"error": {"code": 400, "message": "gemini's words", "status": "INVALID_ARGUMENT"}}], "gemini's words"),
        ({"detail": [{"loc": ["n"], "msg": "bad"}]}, '[{"loc":["n"],"msg":"bad"}]'),
    ],
)
async def test_error_objects_of_other_shapes_are_read(upstream, backend, body, message):
    error = await refused(backend, scripted(upstream, status=400, body=body))
    assert (error.message, error.code) == (message, None)


@pytest.mark.parametrize("filling", [4080, 4090, 4096])
async def test_a_long_message_is_cut_between_words_so_that_no_half_credential_is_left(upstream, backend, filling):
    words = ("x" * 15 + " ") * (filling // 16) + "y" * (filling % 16)
    body = {"error": {"message": f"{words} {KEY} and more {KEY}" + " z" * 1000}}

    error = await refused(backend, scripted(upstream, status=400, body=body))

    assert 4000 < len(error.message) <= upstream_errors.MESSAGE_CHARS_MAX
    assert "sk-" not in error.message.replace(KEY, "")


async def test_a_long_message_without_words_is_not_shown(upstream, backend):
    error = await refused(backend, scripted(upstream, status=400, body={"error": {"message": "x" * 5000}}))
    assert error.message == "The upstream answered with status 400 and no error message."


async def test_the_upstreams_wish_not_to_be_asked_again_is_obeyed_and_passed_on(upstream, backend):
    error = await refused(backend, scripted(upstream, status=500, body={}, headers={"x-should-retry": "false"}))
    assert (error.can_retry, error.should_retry, error.headers["x-should-retry"]) == (False, False, "false")
