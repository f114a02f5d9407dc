"""POST /v1/messages over plain HTTP: what passes untouched, what is refused and how, and what a cut stream costs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import AGENT_RATES_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, UPSTREAM_KEY, Books

PATH = "/v1/messages"
RECORDED = Path(__file__).parents[1] / "unit" / "data" / "messages" / "web_search.sse"
COST_NUSD = INPUT_TOKENS * AGENT_RATES_NUSD["input"] + OUTPUT_TOKENS * AGENT_RATES_NUSD["output"]
GOOD = "messages/good"
CHAT_ANSWER = {"id": "c", "object": "chat.completion", "choices": [{"message": {"content": "x"}}], "usage": {}}
CHAT_CHUNK = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "x"}}]}


def asked(model: str, script: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    scripted = {} if script is None else {"script": script}
    question = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "What now?"}]}
    return {**question, **scripted, **more}


def events(stream: str) -> list[dict[str, Any]]:
    """The data of each event, each of which bears its type as its name."""
    found = []
    for event in stream.removesuffix("\n\n").split("\n\n"):
        name, _, data = event.partition("\ndata: ")
        found.append(json.loads(data))
        assert name == f"event: {found[-1]['type']}"
    return found


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of a refusal in Anthropic's shape."""
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body.keys() == {"type", "error", "request_id"}
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    assert body["type"] == "error"
    assert error.keys() <= {"type", "message", "details"}
    assert error["message"]
    return error


# --- what goes up -----------------------------------------------------------------------------------------------------


def test_the_body_goes_up_byte_by_byte_but_for_the_model(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    body = {
        "vendor": {"b": 1, "a": [1.0, 1e3, None, False]},
        "system": [{"type": "text", "text": "Be brief. é", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        **asked(GOOD, metadata={"user_id": user, "more": 0}, stop_sequences=[], temperature=0),
    }
    answer = http.post(PATH, content=json.dumps(body, ensure_ascii=False), headers={"x-obol-tags": "a, b"})

    assert answer.status_code == 200
    (call,) = upstream.calls(user)
    assert call["body"] == body | {"model": "good"}
    assert list(call["body"]) == list(body)
    assert list(call["body"]["vendor"]) == ["b", "a"]
    assert call["headers"]["x-api-key"] == UPSTREAM_KEY
    assert "authorization" not in call["headers"]
    entry = books.entry(answer.headers["request-id"])
    assert (entry["cost_nusd"], entry["tags"], entry["end_user"]) == (COST_NUSD, ["a", "b"], user)


@pytest.mark.parametrize("version", [None, "2029-01-01"])
def test_version_betas_and_query_go_up_as_the_client_said_them(
    http: httpx.Client, upstream: UpstreamProcess, user: str, version: str | None
) -> None:
    headers = [("anthropic-beta", "one-2025-01-01"), ("anthropic-beta", "two-2025-02-02,three")]
    if version is not None:
        headers.append(("anthropic-version", version))
    address = f"{PATH}?beta=true&secret=x"
    http.post(address, json=asked(GOOD, metadata={"user_id": user}), headers=headers).raise_for_status()

    (call,) = upstream.calls(user)
    assert call["query"] == {"beta": "true"}
    assert call["headers"]["anthropic-beta"] == "one-2025-01-01,two-2025-02-02,three"
    assert call["headers"]["anthropic-version"] == version or "2023-06-01"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": []}],
        [{"role": "system", "content": [{"type": "a_part_of_tomorrow", "cache_control": None}]}],
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x" * 2_000_000}]}],
    ],
    ids=["none", "empty text", "no parts", "unknown", "huge"],
)
def test_what_messages_hold_is_the_upstreams_to_judge(
    http: httpx.Client, upstream: UpstreamProcess, user: str, messages: list[Any]
) -> None:
    body = {**asked(GOOD, metadata={"user_id": user}), "messages": messages}
    assert http.post(PATH, json=body).status_code == 200
    assert upstream.calls(user)[0]["body"]["messages"] == messages


def test_a_missing_max_tokens_is_the_upstreams_to_judge(
    http: httpx.Client, upstream: UpstreamProcess, user: str
) -> None:
    body = asked(GOOD, metadata={"user_id": user})
    del body["max_tokens"]
    assert http.post(PATH, json=body).status_code == 200
    assert "max_tokens" not in upstream.calls(user)[0]["body"]


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [{}, {"split_events": True}, {"join_events": True}, {"crlf": True}, {"comments": True}])
def test_a_stream_passes_event_by_event_however_it_is_written(
    http: httpx.Client, books: Books, way: dict[str, Any]
) -> None:
    sent = [json.loads(event.partition("\ndata: ")[2]) for event in RECORDED.read_text().strip().split("\n\n")]
    answer = http.post(PATH, json=asked(GOOD, {"events": sent, **way}, stream=True))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events("\n\n".join(event for event in answer.text.split("\n\n") if not event.startswith(":")))
    cost = found[-2]["usage"].pop("cost")
    assert found == sent
    assert [list(one) for one in found] == [list(one) for one in sent]
    entry = books.entry(answer.headers["request-id"])
    assert cost * 1e9 == pytest.approx(entry["cost_nusd"])
    assert (entry["finish_reason"], entry["model_answered"]) == ("end_turn", "claude-opus-4-6")
    assert entry["service_tier"] == "priority"


def test_an_answer_without_usage_is_counted(http: httpx.Client, books: Books) -> None:
    for is_stream in (False, True):
        answer = http.post(PATH, json=asked("messages/no-usage", stream=is_stream))
        assert answer.status_code == 200
        entry = books.entry(answer.headers["request-id"])
        assert (entry["status"], entry["basis"]) == ("succeeded", "estimated")
        assert entry["input_tokens"] > 0
        assert entry["output_tokens"] == pytest.approx(OUTPUT_TOKENS, abs=3)


@pytest.mark.parametrize("route", ["first-message-fails", "first-message-is-unpaid", "first-message-errs-at-once"])
def test_another_deployment_answers_where_the_first_fails_before_it_has_said_anything(
    http: httpx.Client, books: Books, route: str
) -> None:
    answer = http.post(PATH, json=asked(route, stream=True))

    assert "".join(one["delta"].get("text", "") for one in events(answer.text) if "delta" in one) == TEXT
    *failed, good = books.entries(answer.headers["request-id"])
    assert failed
    assert all((one["status"], one["basis"], one["cost_nusd"]) == ("failed", "unbilled", 0) for one in failed)
    assert (good["deployment"], good["status"], good["cost_nusd"]) == (GOOD, "succeeded", COST_NUSD)


@pytest.mark.parametrize(
    ("script", "is_stream"),
    [
        ({"body": CHAT_ANSWER}, False),
        ({"events": [CHAT_CHUNK]}, True),
        ({"body": {"id": "resp_1", "object": "response", "output": []}}, False),
        ({"body": {"type": "message", "content": []}}, True),
        ({"body": "<html></html>"}, False),
        ({"events": [], "omit_done": True}, True),
    ],
)
def test_an_upstream_that_answers_in_another_dialect_is_broken(
    http: httpx.Client, books: Books, model: str, script: dict[str, Any], is_stream: bool
) -> None:
    answer = http.post(PATH, json=asked(f"messages/{model}", script, stream=is_stream))
    assert answer.status_code == 502
    assert error_of(answer)["type"] == "api_error"
    assert books.entry(answer.headers["request-id"])["cost_nusd"] == 0


# --- streams that do not end well -------------------------------------------------------------------------------------


@pytest.mark.parametrize("break_", [{"cut_after": 7}, {"cut_after": 7, "cut_by": "close"}, {"omit_done": True}])
def test_a_stream_that_is_cut_ends_with_an_error_event_and_is_charged_for_what_came(
    http: httpx.Client, books: Books, model: str, break_: dict[str, Any]
) -> None:
    model = f"messages/{model}"
    answer = http.post(PATH, json=asked(model, break_, stream=True))

    *before, last = events(answer.text)
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert last["request_id"] == answer.headers["request-id"]
    assert "message_stop" not in {one["type"] for one in before}
    entry = books.entry(answer.headers["request-id"])
    assert (entry["status"], entry["error_code"]) == ("interrupted", "upstream_interrupted")
    assert entry["input_tokens"] == INPUT_TOKENS
    words = sum("text" in one.get("delta", {}) for one in before)
    assert words <= entry["output_tokens"] <= words + 2
    priced = INPUT_TOKENS * AGENT_RATES_NUSD["input"] + entry["output_tokens"] * AGENT_RATES_NUSD["output"]
    assert entry["cost_nusd"] == priced
    # All was reported where only the end mark was missing.
    assert entry["basis"] == ("reported" if "omit_done" in break_ else "estimated")


async def test_leaving_in_the_middle_charges_exact_input_and_the_words_that_came(
    gateway: Gateway, upstream: UpstreamProcess, model: str, user: str
) -> None:
    key = gateway.make_key()
    usage = {"input_tokens": 5, "cache_read_input_tokens": 600, "output_tokens": 1000}
    script = {"text": "one two three " * 200, "chunk_ms": 20, "usage": usage}
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=key["key"], max_retries=0) as client:
        body = asked(f"messages/{model}", metadata={"user_id": user}, stream=True, extra_body={"script": script})
        said = ""
        async for event in await client.messages.create(**body):
            said += event.delta.text if event.type == "content_block_delta" else ""
            if said.count(" ") >= 5:
                break
    await asyncio.to_thread(until, lambda: upstream.calls(user)[0]["is_client_gone"], "the upstream saw us leave")

    await asyncio.to_thread(until, lambda: gateway.ledger(key=key["id"]), "the call was charged")
    (entry,) = gateway.ledger(key=key["id"])
    assert (entry["status"], entry["basis"]) == ("cancelled", "estimated")
    assert (entry["input_tokens"], entry["cached_input_tokens"]) == (605, 600)
    assert len(said.split()) <= entry["output_tokens"] <= upstream.calls(user)[0]["events_sent"]
    rates = AGENT_RATES_NUSD
    output_nusd = entry["output_tokens"] * rates["output"]
    assert entry["cost_nusd"] == 5 * rates["input"] + 600 * rates["cached_input"] + output_nusd


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"messages": []}', "'model'"),
        (b'{"model": "messages/good"}', "'messages'"),
        (b'{"model": "messages/good", "messages": "hi"}', "'messages'"),
        (b'{"model": 5, "messages": []}', "'model'"),
        (b'{"model": "messages/good", "messages": [], "stream": "yes"}', "'stream'"),
        (b'{"model": "messages/good", "messages": [], "max_tokens": "many"}', "'max_tokens'"),
        (b'{"model": "messages/good", "messages": [], "metadata": "me"}', "'metadata'"),
        (b'{"model": "messages/good", "messages": [], "metadata": {"user_id": 5}}', "'user_id'"),
    ],
)
def test_a_request_that_no_upstream_could_answer_is_refused_by_the_name_of_the_field(
    http: httpx.Client, books: Books, body: bytes, words: str
) -> None:
    answer = http.post(PATH, content=body)
    error = error_of(answer)
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert words in error["message"]
    assert books.entries(answer.headers["request-id"]) == []


def test_every_refusal_has_anthropics_shape(gateway: Gateway, second_gateway: Gateway, http: httpx.Client) -> None:
    key = gateway.make_key(models=["free"])["key"]
    large = httpx.post(
        f"{second_gateway.url}{PATH}", json=asked(GOOD, padding="x" * 5000), headers={"x-api-key": gateway.first_key}
    )
    found = {
        "no key": httpx.post(f"{gateway.url}{PATH}", json=asked(GOOD)),
        "not allowed": httpx.post(f"{gateway.url}{PATH}", json=asked(GOOD), headers={"x-api-key": key}),
        "no model": http.post(PATH, json=asked("nothing")),
        "no address": http.post(f"{PATH}/batches"),
        "method": http.get(PATH),
        "too large": large,
    }
    assert {name: (answer.status_code, error_of(answer)["type"]) for name, answer in found.items()} == {
        "no key": (401, "authentication_error"),
        "not allowed": (403, "permission_error"),
        "no model": (404, "not_found_error"),
        "no address": (404, "not_found_error"),
        "method": (405, "invalid_request_error"),
        "too large": (413, "request_too_large"),
    }


def test_a_rate_limit_keeps_its_pause_and_a_quota_is_not_asked_again(http: httpx.Client, model: str) -> None:
    slow = {"status": 429, "headers": {"retry-after": "7"}, "body": {"error": {"type": "rate_limit_error"}}}
    answer = http.post(PATH, json=asked(f"messages/{model}", slow))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert error_of(answer)["type"] == "rate_limit_error"
    answer = http.post(PATH, json=asked(f"messages/error-quota~{model}"))
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")


def test_a_full_upstream_is_asked_once_and_left_to_the_clients_own_patience(
    http: httpx.Client, books: Books, model: str
) -> None:
    full = {"status": 529, "body": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}}
    answer = http.post(PATH, json=asked(f"messages/{model}", full))
    assert answer.status_code == 529
    assert "x-should-retry" not in answer.headers
    details = {"error_code": "upstream_overloaded"}
    assert error_of(answer) == {"type": "overloaded_error", "message": "Overloaded", "details": details}
    assert [entry["http_status"] for entry in books.entries(answer.headers["request-id"])] == [529]
