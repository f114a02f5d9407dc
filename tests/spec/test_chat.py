"""POST /v1/chat/completions, whole answers: what the official SDK gets, and what stands in the ledger."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel
from running_gateway import Gateway, UpstreamProcess
from spec_parts import COST_NUSD, COST_USD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, Books, question


def test_an_answer_arrives_with_its_usage_and_its_ledger_entry(
    client: openai.OpenAI, books: Books, model: str, user: str
) -> None:
    answer = client.chat.completions.create(**question(model, user))
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    entry = books.entry(answer._request_id)
    assert entry["end_user"] == user
    assert (entry["basis"], entry["source"], entry["purpose"], entry["status"]) == (
        "reported",
        "upstream",
        "answer",
        "succeeded",
    )
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert entry["cost_nusd"] == entry["baseline_nusd"] == COST_NUSD
    assert (entry["deployment"], entry["provider"], entry["model"]) == (model, "up", model.removeprefix("any/"))
    assert (entry["attempt"], entry["http_status"], entry["finish_reason"]) == (1, 200, "stop")
    assert entry["is_stream"] is False
    assert entry["endpoint"] == "chat/completions"
    assert entry["total_ms"] > 0
    assert entry["upstream_request_id"] == "req-scripted"
    assert entry["content"] is None


async def test_the_async_client_gets_the_same_answer(
    async_client: openai.AsyncOpenAI, books: Books, model: str, user: str
) -> None:
    answer = await async_client.chat.completions.create(**question(model, user))
    assert answer.choices[0].message.content == TEXT
    assert books.entry(answer._request_id)["cost_nusd"] == COST_NUSD


def test_the_answer_says_its_cost_deployment_source_and_request(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    raw = client.chat.completions.with_raw_response.create(**question(model))
    assert raw.headers["x-obol-cost-usd"] == COST_USD
    assert raw.headers["x-obol-deployment"] == model
    assert raw.headers["x-obol-source"] == "upstream"
    assert raw.headers["openai-processing-ms"].isdigit()
    assert raw.request_id == raw.headers["x-request-id"]
    assert books.entry(raw.request_id)["deployment"] == model


def test_a_route_answers_under_its_own_name_and_is_written_down(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = client.chat.completions.create(**question("in-order", user))
    entry = books.entry(answer._request_id)
    assert (entry["route"], entry["deployment"], entry["model_asked"]) == ("in-order", "a/first", "in-order")
    (call,) = upstream.calls(user)
    assert call["body"]["model"] == "first"


def test_the_body_reaches_the_upstream_as_it_was_but_for_the_model(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, model: str, user: str
) -> None:
    body = f"""{{"zeta": null, "model": "{model}", "temperature": 0, "top_p": 1.0, "user": "{user}",
      "messages": [{{"role": "developer", "content": "é\\u00e9", "vendor": {{"b": 1, "a": [false, 0, "", null]}}}},
        {{"role": "user", "content": [{{"type": "image_url", "image_url": {{"url": "data:image/png;base64,AAAA"}}}},
          {{"type": "text", "text": "what is it?"}},
          {{"type": "input_audio", "input_audio": {{"data": "AAAA", "format": "wav"}}}},
          {{"type": "file", "file": {{"file_id": "file-1"}}}}]}}],
      "tools": [{{"type": "function", "function": {{"name": "f", "parameters":
        {{"type": "object", "properties": {{"z": {{"type": "string"}}, "a": {{}}}}, "required": []}}}}}}],
      "parallel_tool_calls": false, "n": 1, "logprobs": false, "reasoning_effort": "none", "verbosity": "low",
      "prompt_cache_key": "", "safety_identifier": "someone", "metadata": {{}}, "store": false, "modalities": ["text"],
      "prediction": null, "a_parameter_of_tomorrow": {{"deep": [1e400, 12345678901234567890, 0.1]}}, "seed": 0}}"""
    body = body.replace("1e400, ", "")
    answer = http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 200
    (call,) = upstream.calls(user)
    sent = json.loads(body)
    sent["model"] = model.removeprefix("any/")
    assert json.dumps(call["body"]) == json.dumps(
        sent
    )  # as text: the order of keys, 1.0 against 1, null against absent
    assert books.entry(answer.headers["x-request-id"])["end_user"] == user


def test_unknown_fields_of_the_answer_come_back_untouched(
    http: httpx.Client, books: Books, model: str, user: str
) -> None:
    extra = {"zz_vendor": {"b": [0, False, None, ""], "a": 1.0}, "system_fingerprint": None, "service_tier": "default"}
    asked = {**question(model, user), "script": {"extra": extra}}
    del asked["messages"][0]["content"]
    asked["messages"][0]["content"] = "x"
    answer = http.post("/v1/chat/completions", json=asked)
    # The upstream writes JSON as Python does, with blanks after its commas: nobody has written it anew.
    assert json.dumps(answer.json()) == answer.text
    assert {name: answer.json()[name] for name in extra} == extra
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"


def test_parallel_tool_calls_arrive_whole(client: openai.OpenAI, books: Books, model: str) -> None:
    calls = [{"name": "f", "arguments": '{"x": "é"}'}, {"name": "g", "arguments": "{}"}]
    answer = client.chat.completions.create(**question(model, script={"tool_calls": calls}))
    message = answer.choices[0].message
    assert message.content is None
    assert [one.function.model_dump() for one in message.tool_calls or () if one.type == "function"] == calls
    entry = books.entry(answer._request_id)
    assert (entry["finish_reason"], entry["status"]) == ("tool_calls", "succeeded")


def test_a_refusal_is_kept(client: openai.OpenAI, books: Books, model: str) -> None:
    answer = client.chat.completions.create(**question(model, script={"refusal": "I would rather not."}))
    assert answer.choices[0].message.refusal == "I would rather not."
    assert answer.choices[0].message.content is None
    assert books.entry(answer._request_id)["status"] == "succeeded"


def test_several_choices_are_charged_together(client: openai.OpenAI, books: Books, model: str) -> None:
    answer = client.chat.completions.create(**question(model), n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    entry = books.entry(answer._request_id)
    assert entry["output_tokens"] == 3 * OUTPUT_TOKENS


def test_structured_outputs_are_parsed_by_the_sdk(client: openai.OpenAI, books: Books, model: str) -> None:
    class Town(BaseModel):
        name: str
        people: int

    said = '{"name": "Ur", "people": 65000}'
    answer = client.chat.completions.parse(**question(model, script={"text": said}), response_format=Town)
    assert answer.choices[0].message.parsed == Town(name="Ur", people=65000)
    assert books.entry(answer._request_id)["status"] == "succeeded"


def test_an_upstream_that_reports_no_usage_is_charged_by_counting(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    answer = client.chat.completions.create(**question(model, script={"no_usage": True}))
    assert answer.usage is None
    entry = books.entry(answer._request_id)
    assert entry["basis"] == "estimated"
    assert entry["output_tokens"] > 4
    assert 0 < entry["input_tokens"] < 30
    assert entry["cost_nusd"] == entry["input_tokens"] * 1000 + entry["output_tokens"] * 2000
    assert entry["is_baseline_estimated"] is True


def test_the_model_that_really_answered_is_written_down(client: openai.OpenAI, books: Books, model: str) -> None:
    answer = client.chat.completions.create(**question(model, script={"answered_model": "mini-2026-02-30"}))
    assert answer.model == "mini-2026-02-30"
    assert books.entry(answer._request_id)["model_answered"] == "mini-2026-02-30"


def test_a_large_prompt_passes(client: openai.OpenAI, upstream: UpstreamProcess, books: Books, model: str) -> None:
    picture = "data:image/png;base64," + "A" * 8_000_000
    user = model  # unique too
    content = [{"type": "image_url", "image_url": {"url": picture}}]
    messages: Any = [{"role": "user", "content": content}]
    answer = client.chat.completions.create(model=model, messages=messages, user=user)
    assert answer.choices[0].message.content == TEXT
    (call,) = upstream.calls(user)
    assert call["body"]["messages"] == messages
    assert books.entry(answer._request_id)["cost_nusd"] == COST_NUSD


def test_an_answer_that_the_upstream_compressed_arrives_plain(client: openai.OpenAI, books: Books, model: str) -> None:
    raw = client.chat.completions.with_raw_response.create(**question(model, script={"gzip": True}))
    assert "content-encoding" not in raw.headers
    assert raw.parse().choices[0].message.content == TEXT
    assert books.entry(raw.request_id)["cost_nusd"] == COST_NUSD


def test_the_safety_identifier_names_the_end_user_where_there_is_no_user(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    answer = client.chat.completions.create(**question(model), safety_identifier="person-7")
    assert books.entry(answer._request_id)["end_user"] == "person-7"


def test_tags_of_the_request_stand_in_the_ledger(client: openai.OpenAI, books: Books, model: str) -> None:
    answer = client.chat.completions.create(**question(model), extra_headers={"x-obol-tags": "nightly, batch-7"})
    assert books.entry(answer._request_id)["tags"] == ["nightly", "batch-7"]


def test_entries_name_key_team_and_organization(gateway: Gateway, books: Books, model: str) -> None:
    key = gateway.make_key()
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        answer = client.chat.completions.create(**question(model))
    entry = books.entry(answer._request_id)
    assert (entry["key_id"], entry["team_id"]) == (key["id"], key["team"])
    assert entry["organization_id"]
    assert [one["id"] for one in gateway.ledger(key=key["id"])] == [entry["id"]]
    assert [one["id"] for one in gateway.ledger(team=key["team"])] == [entry["id"]]


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_both_names_of_the_output_limit_travel(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, model: str, user: str, limit: str
) -> None:
    answer = client.chat.completions.create(**question(model, user), **{limit: 0})
    (call,) = upstream.calls(user)
    assert call["body"][limit] == 0
    assert books.entry(answer._request_id)["status"] == "succeeded"
