"""Limits over HTTP: requests, tokens and parallel requests, per scope and model, as clients are told of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx
import pytest
from money_parts import Purse
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import COST_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, question

MakePurse = Callable[..., Purse]
ANSWER_TOKENS = INPUT_TOKENS + OUTPUT_TOKENS
DURATION = re.compile(r"(?:\d+m)?(?:\d+(?:\.\d+)?s)?|\d+ms")  # "1m1s", "61ms"


def limited(purse: Purse, scope: dict[str, str] | None = None, **rates: int) -> dict[str, Any]:
    """Replace the purse's limit by this one."""
    purse.gateway.admin("DELETE", f"limits/{purse.limit['id']}").raise_for_status()
    purse.limit = purse.make("limits", {"key": purse.key["id"], **(scope or {})}, **rates)
    return purse.limit


def told(refused: httpx.Response) -> dict[str, Any]:
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "x-should-retry" not in refused.headers, "who waits may ask again"
    limit: dict[str, Any] = error["limit"]
    return limit


def test_exactly_as_many_requests_are_admitted_however_many_come_at_once(purse: Purse, model: str) -> None:
    limited(purse, requests_per_minute=5, tokens_per_minute=100_000)
    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(answer.status_code for answer in pool.map(lambda _: purse.ask(model), range(24)))
    assert statuses == [200] * 5 + [429] * 19
    until(lambda: len(purse.gateway.ledger(key=purse.key["id"])) == 5, "five calls were charged")
    assert purse.balance()["spent"] == 5 * COST_NUSD
    assert purse.used()["requests_per_minute"] == 5, "who is refused consumes nothing"
    assert purse.used()["tokens_per_minute"] == 5 * ANSWER_TOKENS


def test_limits_are_told_as_the_openai_api_tells_them(purse: Purse, model: str) -> None:
    limited(purse, requests_per_minute=2, tokens_per_minute=5000)
    answer = purse.ask(model)
    headers = answer.headers
    asked_tokens = -(-len(answer.request.content) // 4)
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert headers["x-ratelimit-limit-tokens"] == "5000"
    assert int(headers["x-ratelimit-remaining-tokens"]) == 5000 - asked_tokens
    for what in ("requests", "tokens"):
        assert DURATION.fullmatch(headers[f"x-ratelimit-reset-{what}"])
        assert headers[f"x-ratelimit-reset-{what}"]
    assert not any(name.startswith("anthropic-") for name in headers)
    assert purse.ask(model).status_code == 200
    refused = purse.ask(model)
    limit = told(refused)
    assert (limit["kind"], limit["limit"]) == ("requests_per_minute", 2)
    assert (refused.headers["x-ratelimit-limit-requests"], refused.headers["x-ratelimit-remaining-requests"]) == (
        "2",
        "0",
    )
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert int(refused.headers["retry-after-ms"]) == limit["retry_after_ms"]
    assert "has reached its limit of 2 requests per minute; try again in" in refused.json()["error"]["message"]


def test_limits_are_told_to_anthropics_clients_in_their_words(gateway: Gateway, purse: Purse) -> None:
    limited(purse, requests_per_minute=1, tokens_per_minute=5000)
    with anthropic.Anthropic(base_url=gateway.url, api_key=purse.key["key"], max_retries=0) as claude:
        asked: dict[str, Any] = {
            "model": "messages/limited",
            "max_tokens": 10,
            "messages": [{"role": "user", "content": "x"}],
        }
        headers = claude.messages.with_raw_response.create(**asked).headers
        assert headers["anthropic-ratelimit-requests-limit"] == "1"
        assert headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert headers["anthropic-ratelimit-tokens-limit"] == "5000"
        assert datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"]) > datetime.now(UTC)
        with pytest.raises(anthropic.RateLimitError) as caught:
            claude.messages.create(**asked)
    error: Any = caught.value.body
    assert error["error"]["type"] == "rate_limit_error"
    assert error["error"]["details"]["limit"]["kind"] == "requests_per_minute"
    assert caught.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert caught.value.response.headers["retry-after"]


def test_tokens_are_estimated_at_first_and_counted_as_charged_at_the_end(
    purse: Purse, upstream: UpstreamProcess, model: str, user: str
) -> None:
    limited(purse, tokens_per_minute=5000)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(purse.ask, model, {"delay_ms": 1500, "text": "one"}, user=user)
        until(lambda: upstream.calls(user), "the upstream was called")
        estimate = purse.used()["tokens_per_minute"]
        answer = call.result()
    assert estimate == -(-len(answer.request.content) // 4)
    assert purse.used()["tokens_per_minute"] == INPUT_TOKENS + 1


def test_tokens_that_were_really_used_refuse_the_next_question(purse: Purse, model: str) -> None:
    limited(purse, tokens_per_minute=1000)
    usage = {"prompt_tokens": 9, "completion_tokens": 980}
    assert purse.ask(model, {"usage": usage}).status_code == 200
    refused = purse.ask(model)
    assert told(refused)["kind"] == "tokens_per_minute"
    assert refused.headers["x-ratelimit-remaining-tokens"] == "11"
    assert purse.used()["tokens_per_minute"] == 989


def test_tokens_of_a_day_are_counted_apart(purse: Purse, model: str) -> None:
    limited(purse, tokens_per_day=1000, tokens_per_minute=1_000_000)
    usage = {"prompt_tokens": 9, "completion_tokens": 985}
    assert purse.ask(model, {"usage": usage}).status_code == 200
    refused = purse.ask(model)
    limit = told(refused)
    assert (limit["kind"], limit["limit"]) == ("tokens_per_day", 1000)
    # Cells of ten minutes: the first that holds anything is over after a day and, at most, ten minutes.
    assert 86_400_000 <= limit["retry_after_ms"] <= 87_000_000
    assert purse.used()["tokens_per_day"] == 994


def test_a_place_is_taken_until_the_answer_has_ended(
    purse: Purse, upstream: UpstreamProcess, model: str, user: str
) -> None:
    limited(purse, parallel_requests=1)
    body = {**question(model, user), "stream": True, "script": {"hang": "mid_stream", "cut_after": 3}}
    with purse.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        refused = purse.ask(model)
        assert told(refused)["kind"] == "parallel_requests"
        assert refused.headers["retry-after"] == "1"
    until(lambda: purse.ask(model).status_code == 200, "the place is free")
    assert len(upstream.calls(user)) == 1


def test_a_retry_and_a_fallback_count_once(purse: Purse, upstream: UpstreamProcess, user: str) -> None:
    limited(purse, requests_per_minute=9, parallel_requests=1)
    assert purse.ask("fails-again-then-next", user=user).status_code == 200
    assert len(upstream.calls(user)) == 3
    assert purse.used() == {
        "requests_per_minute": 1,
        "tokens_per_minute": 0,
        "tokens_per_day": 0,
        "parallel_requests": 0,
    }


def test_a_limit_of_a_model_leaves_others_alone(purse: Purse, model: str) -> None:
    limited(purse, {"model": model}, requests_per_minute=0)
    assert told(purse.ask(model))["limit"] == 0
    assert purse.ask("a/another").status_code == 200


def test_the_tightest_limit_is_told_and_each_one_counts(purse: Purse, model: str) -> None:
    limited(purse, requests_per_minute=50)
    team = purse.make("limits", {"team": purse.key["team"]}, requests_per_minute=3)
    answer = purse.ask(model)
    assert answer.headers["x-ratelimit-limit-requests"] == "3"
    used = {one["id"]: one["used"]["requests_per_minute"] for one in purse.me()["limits"]}
    assert used == {purse.limit["id"]: 1, team["id"]: 1}


def test_who_asks_too_fast_is_told_so_before_budgets_are_looked_at(make_purse: MakePurse, model: str) -> None:
    purse = make_purse(limit_nusd=1)
    limited(purse, requests_per_minute=0)
    assert told(purse.ask(model))["kind"] == "requests_per_minute"


def test_limits_are_of_the_organization_over_all_replicas(second_gateway: Gateway, purse: Purse, model: str) -> None:
    limit = limited(purse, requests_per_minute=3)
    with httpx.Client(base_url=second_gateway.url, headers=purse.headers, timeout=30) as replica:
        until(
            lambda: [one["id"] for one in replica.get("/v1/me").json()["limits"]] == [limit["id"]],
            "the replica knows the limit",
        )
        statuses = [
            one.status_code
            for _ in range(3)
            for one in (purse.ask(model), replica.post("/v1/chat/completions", json=question(model)))
        ]
    assert statuses == [200, 200, 200, 429, 429, 429]
