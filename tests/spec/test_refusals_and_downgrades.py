"""What clients meet at spent budgets and reached limits: their own API's words, and what a route still has for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import COST_NUSD, Books, question

Rule = Callable[..., None]


@pytest.fixture
def key(gateway: Gateway) -> dict[str, Any]:
    return gateway.make_key()


@pytest.fixture
def ask(gateway: Gateway, key: dict[str, Any]) -> Callable[..., httpx.Response]:
    def ask(model: str, **fields: Any) -> httpx.Response:
        body = {**question(model), "max_tokens": 10, **fields}
        headers = {"authorization": f"Bearer {key['key']}"}
        return httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers, timeout=30)

    return ask


@pytest.fixture
def budget(gateway: Gateway, key: dict[str, Any]) -> Rule:
    def budget(limit_usd: str, on_exhausted: str = "refuse") -> None:
        rule = {"scope": {"key": key["id"]}, "limit_usd": limit_usd, "window": "month", "on_exhausted": on_exhausted}
        gateway.admin("POST", "budgets", json=rule).raise_for_status()

    return budget


def test_a_spent_budget_is_told_in_fields_and_to_both_sdks_in_their_words(
    gateway: Gateway, upstream: UpstreamProcess, key: dict[str, Any], ask: Callable[..., httpx.Response], budget: Rule
) -> None:
    budget("0.0001")
    refused = until(lambda: (got := ask("any/spent")).status_code == 429 and got, "the budget applies")
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert (error["budget"]["limit_usd"], error["budget"]["on_exhausted"]) == ("0.0001", "refuse")
    assert refused.headers["x-should-retry"] == "false"
    assert gateway.ledger(request=refused.headers["x-request-id"]) == []

    asked = len(upstream.calls())
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"]) as client, pytest.raises(openai.RateLimitError):
        client.chat.completions.create(**question("any/spent"))
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=key["key"]) as claude,
        pytest.raises(anthropic.RateLimitError) as caught,
    ):
        claude.messages.create(model="messages/x", max_tokens=100, messages=[{"role": "user", "content": "x"}])
    assert len(upstream.calls()) == asked
    said: Any = caught.value.body
    assert said["error"]["details"]["error_code"] == "insufficient_quota"
    assert said["error"]["details"]["budget"]["id"] == error["budget"]["id"]


def test_free_answers_of_a_route_still_work_when_its_budget_is_spent(
    ask: Callable[..., httpx.Response], budget: Rule, books: Books
) -> None:
    budget("0.0001")
    until(lambda: ask("any/spent").status_code == 429, "the budget applies")
    answer = ask("dear-to-free")
    assert (answer.status_code, answer.headers["x-obol-deployment"]) == (200, "free")
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["deployment"], entry["cost_nusd"], entry["held_nusd"]) == ("free", 0, 0)


def test_a_budget_that_downgrades_moves_a_route_but_never_a_named_deployment(
    ask: Callable[..., httpx.Response], budget: Rule, books: Books
) -> None:
    budget("0.001", "downgrade")
    until(lambda: ask("dear").status_code == 429, "the budget applies")
    answer = ask("dear-to-free")
    assert (answer.status_code, answer.headers["x-obol-deployment"]) == (200, "a/cheap")
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["deployment"], entry["cost_nusd"]) == ("a/cheap", COST_NUSD)
    assert entry["held_nusd"] > COST_NUSD


def test_limits_are_told_with_answers_and_with_refusals(
    gateway: Gateway, key: dict[str, Any], ask: Callable[..., httpx.Response], model: str
) -> None:
    rule = {"scope": {"key": key["id"]}, "requests_per_minute": 1, "tokens_per_minute": 5000}
    gateway.admin("POST", "limits", json=rule).raise_for_status()
    shown = until(
        lambda: (got := ask(model, stream=True)) and "x-ratelimit-limit-requests" in got.headers and got, "it applies"
    )
    assert shown.status_code == 200
    assert (shown.headers["x-ratelimit-remaining-requests"], shown.headers["x-ratelimit-limit-tokens"]) == ("0", "5000")
    refused = ask(model)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert gateway.ledger(request=refused.headers["x-request-id"]) == []


def test_a_routes_maximum_of_output_goes_up_where_the_client_states_none(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = http.post("/v1/chat/completions", json=question("with-a-maximum", user))
    (call,) = upstream.calls(user)
    assert call["body"]["max_tokens"] == 33
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"
