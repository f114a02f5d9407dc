"""POST /v1/chat/completions, streams: what passes, what is hidden, and that the last bytes come after the charge."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from running_gateway import UpstreamProcess
from spec_parts import COST_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, Books, chunks, payloads, question

WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def streamed(http: httpx.Client, model: str, script: dict[str, Any] | None = None, **fields: Any) -> httpx.Response:
    asked = {"model": model, "messages": [{"role": "user", "content": "What now?"}], "stream": True, **fields}
    if script is not None:
        asked["script"] = script
    answer = http.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer


def text_of(found: list[dict[str, Any]]) -> str:
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in found if one["choices"])


def test_a_stream_arrives_in_pieces_and_is_charged(client: openai.OpenAI, books: Books, model: str, user: str) -> None:
    with client.chat.completions.create(**question(model, user), stream=True) as stream:
        request_id = stream.response.headers["x-request-id"]
        deltas = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(deltas) == TEXT
    assert len([delta for delta in deltas if delta]) == OUTPUT_TOKENS
    entry = books.entry(request_id)
    assert (entry["basis"], entry["status"], entry["is_stream"]) == ("reported", "succeeded", True)
    assert (entry["input_tokens"], entry["output_tokens"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert entry["cost_nusd"] == COST_NUSD
    assert entry["finish_reason"] == "stop"
    assert 0 < entry["first_token_ms"] <= entry["total_ms"]
    assert entry["end_user"] == user


async def test_the_async_client_streams_too(async_client: openai.AsyncOpenAI, books: Books, model: str) -> None:
    stream = await async_client.chat.completions.create(**question(model), stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == TEXT
    assert books.entry(stream.response.headers["x-request-id"])["cost_nusd"] == COST_NUSD


@pytest.mark.parametrize("options", [{}, {"stream_options": {}}, {"stream_options": {"include_usage": False}}])
def test_usage_is_hidden_from_clients_who_did_not_ask(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, model: str, user: str, options: dict[str, Any]
) -> None:
    answer = streamed(http, model, user=user, **options)
    found = chunks(answer.text)
    assert all(len(one["choices"]) == 1 for one in found)
    assert all("usage" not in one for one in found)
    assert "usage" not in answer.text
    (call,) = upstream.calls(user)
    assert call["body"]["stream_options"] == {"include_usage": True}
    assert books.entry(answer.headers["x-request-id"])["basis"] == "reported"


def test_usage_comes_once_at_the_end_with_its_cost_for_clients_who_asked(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    stream = client.chat.completions.create(**question(model), **WITH_USAGE)
    *before, last = list(stream)
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert last.usage.total_tokens == INPUT_TOKENS + OUTPUT_TOKENS
    entry = books.entry(stream.response.headers["x-request-id"])
    assert last.usage.model_dump()["cost"] == entry["cost_nusd"] / 1e9 == 0.000025
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in before)


def test_details_of_the_usage_survive_beside_the_cost(http: httpx.Client, books: Books, model: str) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 20, "accepted_prediction_tokens": 3},
        "vendor_seconds": 0.5,
    }
    answer = streamed(http, model, {"usage": usage}, stream_options={"include_usage": True})
    last = chunks(answer.text)[-1]
    cost = last["usage"].pop("cost")
    assert last["usage"] == usage
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["cached_input_tokens"], entry["reasoning_tokens"]) == (64, 20)
    assert cost == entry["cost_nusd"] / 1e9


def test_the_cost_is_told_although_the_upstream_reports_no_usage(http: httpx.Client, books: Books, model: str) -> None:
    answer = streamed(http, model, {"no_usage": True}, stream_options={"include_usage": True})
    last = chunks(answer.text)[-1]
    entry = books.entry(answer.headers["x-request-id"])
    assert entry["basis"] == "estimated"
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == entry["output_tokens"] > 4
    assert last["usage"]["cost"] == entry["cost_nusd"] / 1e9


def test_an_upstream_that_forces_usage_on_everyone_does_not_force_it_on_the_client(
    http: httpx.Client, books: Books
) -> None:
    answer = streamed(http, "no-usage-asked", {"forced_usage": True})
    assert "usage" not in answer.text
    assert books.entry(answer.headers["x-request-id"])["basis"] == "reported"


def test_continuous_usage_is_hidden_and_its_last_figure_is_charged(
    http: httpx.Client, books: Books, model: str
) -> None:
    answer = streamed(http, model, {"continuous_usage": True}, stream_options={"include_usage": True})
    *before, last = chunks(answer.text)
    assert all(one["usage"] is None for one in before)
    assert last["usage"]["completion_tokens"] == OUTPUT_TOKENS
    assert books.entry(answer.headers["x-request-id"])["output_tokens"] == OUTPUT_TOKENS


def test_a_stream_has_one_id_and_its_role_first(http: httpx.Client, books: Books, model: str) -> None:
    answer = streamed(http, model, stream_options={"include_usage": True})
    found = chunks(answer.text)
    assert {one["id"] for one in found} == {"chatcmpl-1"}
    assert {one["object"] for one in found} == {"chat.completion.chunk"}
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all("choices" in one for one in found)
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"


def test_done_comes_once_and_the_charge_stands_before_it(http: httpx.Client, books: Books, model: str) -> None:
    asked = {**question(model), "stream": True}
    with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        for line in answer.iter_lines():
            if line == "data: [DONE]":
                assert books.entry(answer.headers["x-request-id"])["cost_nusd"] == COST_NUSD
                break
        else:
            pytest.fail("no end mark")


def test_a_stream_without_done_that_finished_gets_its_end_mark(http: httpx.Client, books: Books, model: str) -> None:
    answer = streamed(http, model, {"omit_done": True})
    assert text_of(chunks(answer.text)) == TEXT
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"


def test_tool_calls_are_streamed_in_fragments_with_their_own_indexes(
    client: openai.OpenAI, books: Books, model: str
) -> None:
    tools = [{"name": "weather", "arguments": '{"town": "Köln", "days": [1, 2, 3]}'}, {"name": "g", "arguments": "{}"}]
    stream = client.chat.completions.create(**question(model, script={"tool_calls": tools}), stream=True)
    gathered: dict[int, dict[str, str]] = {}
    openers = []
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            if call.id is not None:
                openers.append((call.index, call.id, call.function.name))
            gathered.setdefault(call.index, {"arguments": ""})["arguments"] += call.function.arguments or ""
    assert openers == [(0, "call_0", "weather"), (1, "call_1", "g")]
    assert [gathered[index]["arguments"] for index in (0, 1)] == [tool["arguments"] for tool in tools]
    assert books.entry(stream.response.headers["x-request-id"])["finish_reason"] == "tool_calls"


def test_a_refusal_is_streamed(client: openai.OpenAI, books: Books, model: str) -> None:
    stream = client.chat.completions.create(**question(model, script={"refusal": "I would rather not."}), stream=True)
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in stream) == "I would rather not."
    assert books.entry(stream.response.headers["x-request-id"])["status"] == "succeeded"


def test_unknown_and_falsy_fields_of_chunks_come_back_in_their_order(
    http: httpx.Client, books: Books, model: str
) -> None:
    extra = {"zz": {"b": [0, False, None, ""], "a": 1.0}, "obfuscation": "", "service_tier": None, "p": 1e-9}
    answer = streamed(http, model, {"extra": extra}, stream_options={"include_usage": True})
    for one in chunks(answer.text):
        names = [name for name in one if name != "usage"]
        assert names == ["id", "object", "created", "model", "choices", *extra]
        assert json.dumps({name: one[name] for name in extra}) == json.dumps(extra)
        for choice in one["choices"]:
            assert list(choice) == ["index", "delta", "logprobs", "finish_reason"]
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"


@pytest.mark.parametrize("how", ["comments", "crlf", "split_events", "join_events", "gzip"])
def test_it_does_not_matter_how_the_upstream_writes_its_stream(
    http: httpx.Client, client: openai.OpenAI, books: Books, model: str, how: str
) -> None:
    plain, odd = streamed(http, model), streamed(http, model, {how: True})
    assert payloads(odd.text) == payloads(plain.text)
    assert books.entry(odd.headers["x-request-id"])["cost_nusd"] == COST_NUSD
    stream = client.chat.completions.create(**question(model, script={how: True}), **WITH_USAGE)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == TEXT


def test_all_oddities_of_writing_at_once(http: httpx.Client, books: Books, model: str) -> None:
    plain = streamed(http, model)
    odd = streamed(http, model, {"comments": True, "crlf": True, "split_events": True})
    assert payloads(odd.text) == payloads(plain.text)
    assert books.entry(odd.headers["x-request-id"])["cost_nusd"] == COST_NUSD


def test_comments_of_the_upstream_keep_the_connection_alive(http: httpx.Client, books: Books, model: str) -> None:
    answer = streamed(http, model, {"comments": True})
    assert ": keep-alive\n\n" in answer.text
    assert text_of(chunks(answer.text)) == TEXT
    assert books.entry(answer.headers["x-request-id"])["status"] == "succeeded"


def test_several_choices_are_streamed_and_charged_together(client: openai.OpenAI, books: Books, model: str) -> None:
    stream = client.chat.completions.create(**question(model), n=2, stream=True)
    texts = {0: "", 1: ""}
    for chunk in stream:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == {0: TEXT, 1: TEXT}
    assert books.entry(stream.response.headers["x-request-id"])["output_tokens"] == 2 * OUTPUT_TOKENS


def test_the_sdks_own_stream_reader_is_content(client: openai.OpenAI, books: Books, model: str) -> None:
    asked = question(model)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == TEXT
    assert final.usage is not None
    assert final.usage.completion_tokens == OUTPUT_TOKENS
    assert books.entry(stream._response.headers["x-request-id"])["cost_nusd"] == COST_NUSD


def test_a_long_stream_of_unicode_passes_whole(client: openai.OpenAI, books: Books, model: str) -> None:
    text = "Größe 😀 \u2028 “quoted” \\ \t end\n\ndata: [DONE]\n\n " * 50
    script = {"text": text, "split_events": True}
    stream = client.chat.completions.create(**question(model, script=script), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text
    assert books.entry(stream.response.headers["x-request-id"])["status"] == "succeeded"
