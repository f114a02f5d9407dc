"""An error object that comes with status 200, or in a stream, means what it would mean with a status of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.api.replies import StreamReader, WholeReader, parse_error
from gateway.domain import Endpoint
from gateway.errors import UpstreamError

TOO_LONG = "This model's maximum context length is 4096 tokens."


def reported(error: Any) -> UpstreamError:
    return parse_error(json.dumps(error).encode(), 200)


@pytest.mark.parametrize(
    ("error", "status", "code", "can_fall_back", "blames_deployment"),
    [
        ({"message": TOO_LONG, "type": "BadRequestError", "code": 400}, 400, "context_length_exceeded", False, False),
        ({"message": TOO_LONG, "type": "BadRequestError"}, 400, "context_length_exceeded", False, False),
        ({"message": "m", "code": "context_length_exceeded"}, 400, "context_length_exceeded", False, False),
        ({"message": "m", "code": "400"}, 400, None, False, False),
        ({"message": "m", "type": "invalid_request_error"}, 400, None, False, False),
        ({"message": "m", "type": "invalid_request_error", "code": "unknown"}, 400, "unknown", False, False),
        ({"message": "m", "code": "rate_limit_exceeded"}, 429, "rate_limit_exceeded", True, False),
        ({"message": "m", "code": 429}, 429, "rate_limit_exceeded", True, False),
        ({"message": "m", "code": "insufficient_quota"}, 429, "insufficient_quota", True, False),
        ({"message": "m", "code": 404}, 404, "model_not_found", True, False),
        ({"message": "m", "code": 500, "type": "InternalServerError"}, 500, "upstream_error", True, True),
        ({"message": "m", "code": 503}, 503, "upstream_error", True, True),
        ({"message": "m", "type": "overloaded_error"}, 503, "upstream_overloaded", True, True),
        ({"message": "m", "code": "engine_overloaded", "type": "overloaded"}, 502, "engine_overloaded", True, True),
        ({"message": "m", "code": 7}, 502, "upstream_error", True, True),
        ({"message": "m", "code": 200}, 502, "upstream_error", True, True),
        ({"message": "m", "code": True}, 502, "upstream_error", True, True),
        ({}, 502, "upstream_error", True, True),
        ("words", 502, "upstream_error", True, True),
        ([1], 502, "upstream_error", True, True),
    ],
)
def test_it_has_the_status_that_it_names(error, status, code, can_fall_back, blames_deployment):
    found = reported(error)
    assert (found.status, found.code, found.http_status) == (status, code, 200)
    assert (found.can_fall_back, found.blames_deployment) == (can_fall_back, blames_deployment)


def test_its_words_are_kept():
    found = reported({"message": "m", "type": "t", "param": "messages", "code": "c"})
    assert (found.message, found.type, found.param, found.code) == ("m", "t", "messages", "c")
    assert reported("words").message == "words"
    assert reported({"detail": "other words"}).message == "other words"
    assert reported({"code": 500}).message == "The upstream reported an error."


def test_credentials_of_ours_that_were_refused_are_not_quoted():
    found = reported({"message": "Incorrect API key: sk-up...", "type": "authentication_error", "code": 401})
    assert (found.status, found.code, "sk-up" in found.message) == (502, "upstream_authentication", False)


def test_an_exhausted_quota_is_never_asked_again():
    found = reported({"message": "m", "code": "insufficient_quota"})
    assert (found.can_retry, found.should_retry) == (False, False)


def test_only_an_error_that_says_it_would_pass_is_asked_again():
    assert reported({"message": "m", "code": 503}).can_retry
    assert not reported({"message": "m", "code": "engine_failed"}).can_retry
    assert not reported({"message": "m", "code": 400}).can_retry


def test_whole_answers_and_streams_are_read_alike():
    body = json.dumps({"error": {"message": TOO_LONG, "type": "BadRequestError", "code": 400}}).encode()
    whole, stream = WholeReader(Endpoint.CHAT), StreamReader(wants_usage=False)

    assert (whole.feed(body), stream.feed(b"data: " + body + b"\n\n")) == (b"", b"")

    for error in (whole.error, stream.error):
        assert isinstance(error, UpstreamError)
        assert (error.status, error.blames_deployment, error.can_fall_back) == (400, False, False)
