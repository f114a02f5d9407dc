"""POST /v1/messages/count_tokens and /v1/responses/input_tokens: counted by the upstream where it does, else here."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess
from spec_parts import Books

MESSAGES = "/v1/messages/count_tokens"
RESPONSES = "/v1/responses/input_tokens"
PROMPT = [{"role": "user", "content": "How many tokens has this question?"}]
TOOL = {
    "name": "get_weather",
    "description": "The weather of a place.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 1000}}
IMAGE_TOKENS = 1600


def counted_here(http: httpx.Client, **body: Any) -> int:
    answer = http.post(MESSAGES, json={"model": "free", "messages": PROMPT, **body})
    assert answer.status_code == 200
    tokens = answer.json()
    assert tokens.keys() == {"input_tokens"}
    count: int = tokens["input_tokens"]
    return count


def test_an_upstream_that_counts_is_asked_and_that_costs_nothing(
    claude: anthropic.Anthropic, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    raw = claude.messages.with_raw_response.count_tokens(
        model="messages/claude-x",
        messages=PROMPT,
        system="Be brief.",
        tools=[TOOL],
        extra_body={"metadata": {"user_id": user}, "script": {"usage": {"input_tokens": 2095}}},
        extra_query={"beta": "true"},
        extra_headers={"anthropic-beta": "token-counting-2024-11-01"},
    )

    assert raw.parse().input_tokens == 2095
    (call,) = upstream.calls(user)
    assert (call["path"], call["query"]) == (MESSAGES, {"beta": "true"})
    assert call["headers"]["anthropic-beta"] == "token-counting-2024-11-01"
    assert (call["body"]["model"], call["body"]["tools"]) == ("claude-x", [TOOL])
    entry = books.entry(raw.headers["request-id"])
    assert (entry["endpoint"], entry["status"], entry["basis"]) == ("messages/count_tokens", "succeeded", "reported")
    assert (entry["input_tokens"], entry["output_tokens"], entry["cost_nusd"]) == (0, 0, 0)
    assert entry["meters"] == []


def test_a_model_that_only_chats_is_counted_here_and_nobody_is_called(
    claude: anthropic.Anthropic, upstream: UpstreamProcess, books: Books, model: str, user: str
) -> None:
    raw = claude.messages.with_raw_response.count_tokens(
        model=model, messages=PROMPT, extra_body={"metadata": {"user_id": user}}
    )
    assert 6 <= raw.parse().input_tokens <= 12
    assert raw.headers["x-obol-deployment"] == model
    assert upstream.calls(user) == []
    assert books.entries(raw.headers["request-id"]) == []


def test_system_tools_and_every_part_of_a_conversation_are_counted(http: httpx.Client) -> None:
    plain = counted_here(http)
    words = " ".join(f"word{number}" for number in range(50))
    for more in (
        {"system": words},
        {"system": [{"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}]},
        {"messages": [*PROMPT, {"role": "assistant", "content": [{"type": "text", "text": words}]}]},
        {"messages": [*PROMPT, {"role": "user", "content": [{"type": "tool_result", "content": words}]}]},
        {"tools": [{**TOOL, "description": words}]},
        {"tools": [{**TOOL, "input_schema": {"properties": {name: {} for name in words.split()}}}]},
    ):
        assert counted_here(http, **more) >= plain + 50


def test_an_image_counts_as_much_as_the_largest_and_its_bytes_as_nothing(http: httpx.Client) -> None:
    text = {"type": "text", "text": "x"}
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "one two three"}}

    def counted(*parts: dict[str, Any]) -> int:
        return counted_here(http, messages=[{"role": "user", "content": [text, *parts]}])

    without = counted()
    assert without + IMAGE_TOKENS <= counted(IMAGE) <= without + IMAGE_TOKENS + 5
    assert counted({"type": "tool_result", "content": [IMAGE, IMAGE]}) >= without + 2 * IMAGE_TOKENS
    assert without + 3 <= counted(document) < without + 20
    assert counted({"type": "thinking", "thinking": "", "signature": "EqQB" * 500}) < without + 5


def test_a_server_with_anthropics_api_that_is_not_anthropics_is_not_asked_to_count(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    body = {"model": "more-messages/x", "messages": PROMPT, "metadata": {"user_id": user}}
    assert 6 <= http.post(MESSAGES, json=body).json()["input_tokens"] <= 12
    assert upstream.calls(user) == []
    answer = http.post("/v1/messages", json={**body, "max_tokens": 9})
    assert (answer.status_code, len(upstream.calls(user))) == (200, 1)
    assert upstream.calls(user)[0]["headers"]["authorization"].startswith("Bearer ")
    assert books.entry(answer.headers["request-id"])["status"] == "succeeded"


def test_a_route_with_one_deployment_that_counts_asks_that_one(http: httpx.Client, books: Books) -> None:
    answer = http.post(MESSAGES, json={"model": "first-does-not-count", "messages": PROMPT})
    assert answer.json() == {"input_tokens": 9}
    assert books.entry(answer.headers["request-id"])["deployment"] == "messages/good"


@pytest.mark.parametrize("answer", [{"tokens": 5}, {"input_tokens": "many"}, []])
def test_an_upstream_that_gives_no_number_is_broken_and_counted_for(
    http: httpx.Client, books: Books, model: str, answer: object
) -> None:
    found = http.post(MESSAGES, json={"model": f"messages/{model}", "messages": PROMPT, "script": {"body": answer}})
    assert (found.status_code, found.json()["input_tokens"]) == (200, counted_here(http))
    assert books.entry(found.headers["request-id"])["cost_nusd"] == 0


def test_the_rules_of_a_call_hold_for_counting_too(gateway: Gateway, http: httpx.Client) -> None:
    key = gateway.make_key(models=["free"])["key"]
    asked = {"model": "all-meters", "messages": PROMPT}
    found = [
        httpx.post(f"{gateway.url}{MESSAGES}", json=asked),
        httpx.post(f"{gateway.url}{MESSAGES}", json=asked, headers={"x-api-key": key}),
        http.post(MESSAGES, json={**asked, "model": "nothing"}),
        http.post(MESSAGES, json={"model": "free"}),
        http.post(MESSAGES, json={**asked, "model": "unpriced"}),
        http.post(MESSAGES, json={**asked, "model": "guard-model"}),
        http.get(MESSAGES),
    ]
    assert [answer.status_code for answer in found] == [401, 403, 404, 400, 400, 400, 405]
    assert all(answer.json()["type"] == "error" for answer in found)


def test_the_input_of_a_response_is_counted_here_where_no_upstream_does(
    client: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str
) -> None:
    counted = client.responses.input_tokens.count(
        model=model, input="How many tokens has this question?", instructions="Be brief.", extra_body={"user": user}
    )
    assert counted.object == "response.input_tokens"
    assert 8 <= counted.input_tokens <= 14
    assert upstream.calls(user) == []


@pytest.mark.parametrize("kept", ["previous_response_id", "conversation", "prompt"])
def test_what_only_an_upstream_knows_is_not_counted_here(http: httpx.Client, kept: str) -> None:
    answer = http.post(RESPONSES, json={"model": "free", "input": "x", kept: "resp_1"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, kept)


@pytest.mark.parametrize("status", [404, 429, 500, 529])
def test_what_an_upstream_cannot_count_just_now_is_counted_here(
    http: httpx.Client, books: Books, model: str, status: int
) -> None:
    script = {"status": status, "body": {"type": "error", "error": {"type": "api_error", "message": "not now"}}}
    answer = http.post(MESSAGES, json={"model": f"messages/{model}", "messages": PROMPT, "script": script})

    assert answer.status_code == 200
    assert answer.json()["input_tokens"] == counted_here(http)
    entries = books.entries(answer.headers["x-request-id"])
    assert {(entry["status"], entry["http_status"], entry["cost_nusd"]) for entry in entries} == {("failed", status, 0)}


def test_what_is_wrong_with_a_prompt_is_said_by_the_upstream_that_counts(http: httpx.Client, model: str) -> None:
    script = {"status": 400, "body": {"type": "error", "error": {"type": "invalid_request_error", "message": "roles"}}}
    answer = http.post(MESSAGES, json={"model": f"messages/{model}", "messages": PROMPT, "script": script})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "roles")
