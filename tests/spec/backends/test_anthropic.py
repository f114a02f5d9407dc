"""What the Anthropic backend sends to a real server, and how it reads Anthropic's refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted_upstream import ScriptedUpstream

from backends.anthropic import Anthropic
from gateway.domain import Call, Deployment, Endpoint, Provider
from gateway.errors import UpstreamRefused

KEY = "sk-ant-upstream-secret"


@pytest.fixture
def backend(transport):
    return Anthropic(transport)


def call_to(
    upstream: ScriptedUpstream,
    script: dict[str, Any] | None = None,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    endpoint: Endpoint = Endpoint.MESSAGES,
    provider: dict[str, Any] | None = None,
) -> Call:
    owner = Provider("p", "anthropic", upstream.base_url, **{"api_key": KEY, **(provider or {})})
    # The body of an answer is of no matter here.
    body = {"model": "claude", "messages": [], "script": {"body": {"content": []}, **(script or {})}}
    deployment = Deployment("d", owner, "claude", speaks=frozenset({Endpoint.MESSAGES}))
    return Call(deployment, endpoint, json.dumps(body).encode(), False, headers or {}, query or {})


@pytest.mark.parametrize("endpoint", [Endpoint.MESSAGES, Endpoint.COUNT_TOKENS])
async def test_it_is_asked_with_its_own_key_header_and_the_version_that_it_has(upstream, backend, endpoint):
    await backend.open(call_to(upstream, endpoint=endpoint, headers={"authorization": "Bearer sk-client"}))

    (sent,) = upstream.calls
    assert (sent.path, sent.query) == (f"/v1/{endpoint}", {})
    assert (sent.headers["x-api-key"], sent.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert not {"authorization", "anthropic-beta"} & sent.headers.keys()


async def test_the_clients_version_and_betas_go_up_unchanged(upstream, backend):
    chosen = {"anthropic-version": "2030-01-01", "anthropic-beta": "one-2025-01-01,two-2025-02-02"}

    await backend.open(call_to(upstream, headers=chosen, query={"beta": "true"}))

    (sent,) = upstream.calls
    assert sent.query == {"beta": "true"}
    assert {name: sent.headers[name] for name in chosen} == chosen


async def test_the_operators_headers_and_query_win(upstream, backend):
    provider = {"headers": {"anthropic-version": "2029-09-09"}, "query": {"beta": "no"}}

    await backend.open(call_to(upstream, headers={"anthropic-version": "c"}, query={"beta": "true"}, provider=provider))

    (sent,) = upstream.calls
    assert (sent.headers["anthropic-version"], sent.query) == ("2029-09-09", {"beta": "no"})


async def test_a_provider_without_a_key_gets_none(upstream, backend):
    await backend.open(call_to(upstream, provider={"api_key": ""}))
    assert not {"x-api-key", "authorization"} & upstream.calls[0].headers.keys()


async def test_its_request_id_is_the_upstreams(upstream, backend):
    reply = await backend.open(call_to(upstream, {"headers": {"x-request-id": "", "request-id": "req_011CS"}}))
    assert reply.upstream_request_id == "req_011CS"


@pytest.mark.parametrize(
    ("upstream_status", "kind", "status", "can_retry", "can_fall_back"),
    [
        (400, "invalid_request_error", 400, False, False),
        (402, "billing_error", 429, False, True),
        (404, "not_found_error", 404, False, True),
        (413, "request_too_large", 413, False, False),
        (429, "rate_limit_error", 429, False, True),
        (500, "api_error", 500, True, True),
        (504, "timeout_error", 504, True, True),
        (529, "overloaded_error", 503, False, True),
    ],
)
async def test_its_refusals_keep_their_words_and_their_type(
    upstream, backend, upstream_status, kind, status, can_retry, can_fall_back
):
    said = {"type": "error", "error": {"type": kind, "message": "Its own words"}, "request_id": "req_011CS"}

    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call_to(upstream, {"status": upstream_status, "body": said}))

    error = caught.value
    assert (error.status, error.http_status, error.type) == (status, upstream_status, kind)
    assert (error.message, error.can_retry, error.can_fall_back) == ("Its own words", can_retry, can_fall_back)


async def test_a_spent_balance_is_a_quota_and_not_the_clients_mistake(upstream, backend):
    message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}

    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call_to(upstream, {"status": 400, "body": said}))

    error = caught.value
    assert (error.status, error.http_status) == (429, 400)
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert (error.can_retry, error.can_fall_back, error.should_retry) == (False, True, False)


async def test_a_spend_limit_is_never_asked_again_and_keeps_its_code(upstream, backend):
    details = {"error_code": "enforced_spend_limit_reached"}
    said = {"type": "error", "error": {"type": "rate_limit_error", "message": "Spent.", "details": details}}

    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call_to(upstream, {"status": 429, "body": said, "headers": {"retry-after": "1"}}))

    assert (caught.value.code, caught.value.type) == ("enforced_spend_limit_reached", "rate_limit_error")
    assert (caught.value.can_retry, caught.value.should_retry) == (False, False)


async def test_a_prompt_that_is_too_long_has_the_code_that_clients_look_for(upstream, backend):
    message = "prompt is too long: 210000 tokens > 200000 maximum"
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}

    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call_to(upstream, {"status": 400, "body": said}))

    assert (caught.value.code, caught.value.message) == ("context_length_exceeded", message)


@pytest.mark.parametrize(("status", "kind"), [(401, "authentication_error"), (403, "permission_error")])
async def test_our_own_key_being_refused_is_not_the_clients_fault(upstream, backend, status, kind):
    said = {"type": "error", "error": {"type": kind, "message": "invalid x-api-key sk-ant-up..."}}

    with pytest.raises(UpstreamRefused) as caught:
        await backend.open(call_to(upstream, {"status": status, "body": said}))

    assert (caught.value.status, caught.value.code) == (502, "upstream_authentication")
    assert "sk-ant" not in caught.value.message
