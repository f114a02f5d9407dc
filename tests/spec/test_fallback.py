"""Routes: their order, what is retried, what is skipped, and that nothing falls back after the first byte."""

from __future__ import annotations

import httpx
import openai
import pytest
from running_gateway import UpstreamProcess, until
from spec_parts import COST_NUSD, TEXT, Books, error_of, question

CHAT = "/v1/chat/completions"


def asked_models(upstream: UpstreamProcess, user: str) -> list[str]:
    return [call["body"]["model"] for call in upstream.calls(user)]


def test_the_first_deployment_of_a_route_is_asked_first_and_alone(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = client.chat.completions.create(**question("in-order", user))
    assert asked_models(upstream, user) == ["first"]
    assert books.entry(answer._request_id)["deployment"] == "a/first"


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_failing_deployment_is_retried_once_then_the_next_one_answers_and_every_attempt_is_entered(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str, is_stream: bool
) -> None:
    answer = http.post(CHAT, json={**question("second-is-good", user), "stream": is_stream})
    assert answer.status_code == 200
    assert answer.headers["x-obol-deployment"] == "a/good"
    assert asked_models(upstream, user) == ["error-503", "error-503", "good"]
    first, again, good = books.entries(answer.headers["x-request-id"])
    assert [first["attempt"], again["attempt"], good["attempt"]] == [1, 2, 3]
    for failed in (first, again):
        assert (failed["basis"], failed["status"], failed["cost_nusd"]) == ("unbilled", "failed", 0)
        assert (failed["deployment"], failed["http_status"]) == ("a/error-503", 503)
        assert failed["baseline_nusd"] == 0
    assert (good["basis"], good["cost_nusd"], good["route"]) == ("reported", COST_NUSD, "second-is-good")


def test_when_all_fail_the_last_error_is_told(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = http.post(CHAT, json=question("all-broken", user))
    assert answer.status_code == 503
    error_of(answer)
    assert asked_models(upstream, user) == ["error-500", "error-500", "error-503", "error-503"]
    entries = books.entries(answer.headers["x-request-id"])
    assert [entry["attempt"] for entry in entries] == [1, 2, 3, 4]
    assert {entry["basis"] for entry in entries} == {"unbilled"}


@pytest.mark.parametrize(
    ("route", "asked", "attempts"),
    [
        ("first-hangs", ["hang", "good"], 2),  # it took its time already: not the same one again
        ("first-is-gone", ["good"], 3),  # nothing was sent: once more, then the next
        ("first-is-html", ["html-200", "good"], 2),
        ("first-is-unauthorized", ["error-401", "good"], 2),
        ("first-has-no-money", ["error-quota", "good"], 2),
        ("first-is-switched-off", ["good"], 1),
        ("unpriced-first", ["good"], 1),
    ],
)
def test_what_cannot_answer_is_left_behind(
    client: openai.OpenAI,
    upstream: UpstreamProcess,
    books: Books,
    user: str,
    route: str,
    asked: list[str],
    attempts: int,
) -> None:
    answer = client.chat.completions.create(**question(route, user))
    assert answer.choices[0].message.content == TEXT
    assert asked_models(upstream, user) == asked
    entries = books.entries(answer._request_id)
    assert len(entries) == attempts
    assert [entry["basis"] for entry in entries] == ["unbilled"] * (attempts - 1) + ["reported"]
    assert {entry["route"] for entry in entries} == {route}


def test_a_deployment_that_drops_the_connection_is_left_behind(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = client.chat.completions.create(**question("first-drops", user))
    asked = asked_models(upstream, user)
    # On a connection that had served before, the drop looks like an idle connection's end: then once more.
    assert asked in (["drop", "good"], ["drop", "drop", "good"])
    assert [entry["basis"] for entry in books.entries(answer._request_id)] == ["unbilled"] * (len(asked) - 1) + [
        "reported"
    ]


def test_the_clients_own_mistake_falls_back_to_nobody(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**question("first-refuses-input", user))
    assert asked_models(upstream, user) == ["error-400"]
    assert books.entry(caught.value.request_id)["basis"] == "unbilled"


def test_fallback_is_refused_after_the_first_chunk(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    stream = client.chat.completions.create(**question("first-cuts", user), stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
    assert asked_models(upstream, user) == ["cut"]
    entry = books.entry(stream.response.headers["x-request-id"])
    assert (entry["status"], entry["deployment"]) == ("interrupted", "c/cut")
    assert entry["cost_nusd"] > 0


def test_a_named_deployment_has_no_substitute(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**question("d/error-500", user))
    assert asked_models(upstream, user) == ["error-500", "error-500"]
    assert [entry["attempt"] for entry in books.entries(caught.value.request_id)] == [1, 2]


def test_a_circuit_opens_after_failures_and_the_deployment_is_left_alone(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    def is_left_alone() -> bool:
        before = len(upstream.calls(user))
        answer = http.post(CHAT, json=question("breaks", user))
        assert answer.status_code == 200
        return [call["body"]["model"] for call in upstream.calls(user)[before:]] == ["good"]

    until(is_left_alone, "the circuit is open")
    failures = asked_models(upstream, user).count("error-503")
    assert 5 <= failures <= 6
    refused = http.post(CHAT, json=question("k/error-503", user))
    assert refused.status_code == 503
    assert error_of(refused)["code"] == "no_deployment_available"
    assert "circuit open" in error_of(refused)["message"]
    assert refused.headers["retry-after"]
    assert books.entries(refused.headers["x-request-id"]) == []  # no call, no entry
    assert asked_models(upstream, user).count("error-503") == failures


def test_an_upstream_that_named_a_pause_is_left_alone_that_long(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    first = http.post(CHAT, json=question("cools-down", user))
    second = http.post(CHAT, json=question("cools-down", user))
    assert (first.status_code, second.status_code) == (200, 200)
    assert asked_models(upstream, user) == ["error-429", "good", "good"]
    assert len(books.entries(first.headers["x-request-id"])) == 2
    assert len(books.entries(second.headers["x-request-id"])) == 1
    refused = http.post(CHAT, json=question("k/error-429", user))
    assert refused.status_code == 429
    assert refused.headers["retry-after"]


def test_an_exhausted_deployment_is_skipped(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    names = []
    for _ in range(2):
        answer = client.chat.completions.create(**question("first-is-limited", user))
        names.append(books.entry(answer._request_id)["deployment"])
    assert names == ["one-a-minute", "j/good"]
    assert asked_models(upstream, user) == ["x", "good"]


def test_an_exhausted_deployment_called_by_its_name_is_a_429(http: httpx.Client, books: Books, user: str) -> None:
    first = http.post(CHAT, json=question("only-one-a-minute", user))
    refused = http.post(CHAT, json=question("only-one-a-minute", user))
    assert (first.status_code, refused.status_code) == (200, 429)
    assert error_of(refused)["code"] == "rate_limit_exceeded"
    assert refused.headers["retry-after"]
    assert books.entries(refused.headers["x-request-id"]) == []
