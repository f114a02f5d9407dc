"""Every outcome of a call has a stated charge: the answer, the entry, and a budget whose hold is gone and spend exact.

The table is published in docs/money.md. Amounts are worked out by hand from the prices of the catalog: a token of input
is 1,000 nano-dollars at ``any/*``, one of output 2,000. ``Purse.entries`` looks at the budget after each outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from media_parts import sound
from money_parts import Purse, chat_hold, facts
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import COST_NUSD, INPUT_NUSD, OUTPUT_NUSD, OUTPUT_TOKENS, TEXT, chunks, error_of

MESSAGE = {"max_tokens": 20, "messages": [{"role": "user", "content": "What now?"}]}
MakePurse = Callable[..., Purse]
AGENT_COST_NUSD = 9 * 1000 + OUTPUT_TOKENS * 2000


# Answers that are complete.


def test_a_complete_answer_costs_what_the_upstream_reports(purse: Purse, model: str) -> None:
    answer = purse.ask(model, max_tokens=20)
    assert (answer.status_code, answer.headers["x-obol-cost-usd"]) == (200, "0.000025")
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", COST_NUSD)
    assert entry["held_nusd"] == chat_hold(answer, 20, INPUT_NUSD, OUTPUT_NUSD)


def test_a_stream_costs_the_same(purse: Purse, model: str) -> None:
    answer = purse.ask(model, stream=True, stream_options={"include_usage": True}, max_tokens=20)
    assert chunks(answer.text)[-1]["usage"]["cost"] == 0.000025
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", COST_NUSD)
    assert entry["held_nusd"] == chat_hold(answer, 20, INPUT_NUSD, OUTPUT_NUSD)


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_without_usage_costs_what_is_counted_of_it(purse: Purse, model: str, is_stream: bool) -> None:
    answer = purse.ask(model, {"no_usage": True, "text": "one two three"}, stream=is_stream)
    assert answer.status_code == 200
    entry = purse.entry()
    # "What now?" with what frames a message, and three words, as tiktoken counts them.
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("succeeded", "estimated", 3)
    assert 3 <= entry["input_tokens"] <= 11
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD + 3 * OUTPUT_NUSD


def test_cached_input_costs_its_own_price_and_is_held_at_the_dearest(purse: Purse) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 8, "prompt_tokens_details": {"cached_tokens": 60}}
    answer = purse.ask("all-meters", {"usage": usage}, max_tokens=20)
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 40 * 1250 + 60 * 125 + 8 * 10_000)
    # A cache write is the dearest that input can be, reasoning that output can be.
    assert entry["held_nusd"] == chat_hold(answer, 20, 1500, 12_000)


def test_reasoning_costs_its_own_price(purse: Purse) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 30}}
    purse.ask("all-meters", {"usage": usage}, max_tokens=60)
    assert facts(purse.entry()) == ("succeeded", "reported", 9 * 1250 + 20 * 10_000 + 30 * 12_000)


def test_every_one_of_several_choices_is_held_and_charged(purse: Purse, model: str) -> None:
    answer = purse.ask(model, n=3, max_tokens=20)
    assert [choice["message"]["content"] for choice in answer.json()["choices"]] == [TEXT] * 3
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 9 * INPUT_NUSD + 3 * OUTPUT_TOKENS * OUTPUT_NUSD)
    assert entry["held_nusd"] == chat_hold(answer, 3 * 20, INPUT_NUSD, OUTPUT_NUSD)


def test_the_best_of_several_completions_costs_all_of_them(purse: Purse, model: str) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 24}
    body = {"model": model, "prompt": "What now?", "best_of": 3, "max_tokens": 20, "script": {"usage": usage}}
    answer = purse.post("completions", body)
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 9 * INPUT_NUSD + 24 * OUTPUT_NUSD)
    assert entry["held_nusd"] == chat_hold(answer, 3 * 20, INPUT_NUSD, OUTPUT_NUSD)


@pytest.mark.parametrize("is_reported", [True, False])
def test_calls_of_tools_are_output(purse: Purse, model: str, is_reported: bool) -> None:
    script = {"tool_calls": [{"name": "look_up", "arguments": '{"city": "Athens"}'}], "no_usage": not is_reported}
    answer = purse.ask(model, script, tools=[{"type": "function", "function": {"name": "look_up"}}])
    assert answer.json()["choices"][0]["finish_reason"] == "tool_calls"
    entry = purse.entry()
    if is_reported:
        assert facts(entry) == ("succeeded", "reported", COST_NUSD)
    else:
        assert (entry["status"], entry["basis"]) == ("succeeded", "estimated")
        assert entry["output_tokens"] >= 5
        assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD + entry["output_tokens"] * OUTPUT_NUSD


def test_embeddings_cost_their_input(purse: Purse, model: str) -> None:
    answer = purse.post("embeddings", {"model": model, "input": ["one", "two"]})
    assert len(answer.json()["data"]) == 2
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 9 * INPUT_NUSD)
    assert entry["held_nusd"] == chat_hold(answer, 0, INPUT_NUSD, OUTPUT_NUSD)


def test_an_upstream_may_bill_more_than_was_held_and_the_next_call_feels_it(make_purse: MakePurse, model: str) -> None:
    purse = make_purse(limit_nusd=1_000_000)
    usage = {"prompt_tokens": 9, "completion_tokens": 900}
    assert purse.ask(model, {"usage": usage}, max_tokens=10).status_code == 200
    refused = purse.ask(model, max_tokens=10)
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 9 * INPUT_NUSD + 900 * OUTPUT_NUSD)
    assert entry["held_nusd"] < 1_000_000 < entry["cost_nusd"]
    assert refused.status_code == 429
    assert purse.balance()["remaining"] == 0


# Answers that do not come, or not whole.


def test_a_refusal_of_the_upstream_costs_nothing(purse: Purse) -> None:
    assert purse.ask(f"any/error-400~{uuid.uuid4().hex}").status_code == 400
    entry = purse.entry()
    assert facts(entry) == ("failed", "unbilled", 0)
    assert entry["held_nusd"] > 0


def test_a_failure_after_generating_costs_what_the_upstream_reports(purse: Purse) -> None:
    script = {"failure": {"code": "server_error", "message": "oops"}, "usage": {"input_tokens": 9, "output_tokens": 8}}
    answer = purse.post("responses", {"model": f"responses/{uuid.uuid4().hex}", "input": "What now?", "script": script})
    assert answer.is_error
    assert {facts(entry) for entry in purse.entries(2)} == {("failed", "reported", AGENT_COST_NUSD)}


def test_a_stream_that_the_upstream_breaks_costs_what_was_generated(purse: Purse, model: str) -> None:
    answer = purse.ask(model, {"text": "one two three four five", "cut_after": 4}, stream=True)
    assert "error" in answer.text
    assert "[DONE]" not in answer.text
    entry = purse.entry()
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("interrupted", "estimated", 3)
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD + 3 * OUTPUT_NUSD


def test_an_upstream_that_never_answers_costs_nothing(purse: Purse) -> None:
    answer = purse.ask(f"slow/hang~{uuid.uuid4().hex}")
    assert (answer.status_code, error_of(answer)["code"]) == (504, "upstream_timeout")
    assert facts(purse.entry()) == ("failed", "unbilled", 0)


def test_an_upstream_that_falls_silent_costs_what_was_generated(purse: Purse) -> None:
    answer = purse.ask(f"slow/hang-mid-stream~{uuid.uuid4().hex}", stream=True)
    assert "upstream_timeout" in answer.text
    entry = purse.entry()
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("interrupted", "estimated", 2)
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD + 2 * OUTPUT_NUSD


def test_a_retry_and_a_fallback_hold_anew_and_only_the_answer_costs(purse: Purse) -> None:
    answer = purse.ask("fails-twice-then-next", max_tokens=20)
    assert answer.headers["x-obol-deployment"] == "all-meters"
    first, again, good = purse.entries(3)
    assert facts(first) == facts(again) == ("failed", "unbilled", 0)
    assert facts(good) == ("succeeded", "reported", 9 * 1250 + OUTPUT_TOKENS * 10_000)
    assert first["held_nusd"] == again["held_nusd"] == chat_hold(answer, 20, INPUT_NUSD, OUTPUT_NUSD)
    assert good["held_nusd"] == chat_hold(answer, 20, 1500, 12_000)


async def test_a_client_that_leaves_before_the_first_byte_pays_for_its_question(
    gateway: Gateway, upstream: UpstreamProcess, purse: Purse, model: str, user: str
) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, headers=purse.headers, timeout=60) as client:
        body = {"model": model, "user": user, **MESSAGE, "script": {"delay_ms": 60_000}}
        call = asyncio.create_task(client.post("/v1/chat/completions", json=body))
        await asyncio.to_thread(until, lambda: upstream.calls(user), "the upstream was called")
        assert await asyncio.to_thread(lambda: purse.balance()["held"]) > 0
        assert await asyncio.to_thread(lambda: purse.used()["parallel_requests"]) == 1
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
    entry = await asyncio.to_thread(purse.entry)
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("cancelled", "estimated", 0)
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD > 0


def test_a_client_that_leaves_a_stream_pays_for_what_was_generated(purse: Purse, model: str) -> None:
    script = {"text": "one two three", "hang": "mid_stream", "cut_after": 3}
    body = {"model": model, **MESSAGE, "stream": True, "script": script}
    with purse.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        blocks, said = answer.iter_raw(), b""
        while b"two" not in said:
            said += next(blocks)
        assert purse.balance()["held"] > 0
    entry = purse.entry()
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("cancelled", "estimated", 2)
    assert entry["cost_nusd"] == entry["input_tokens"] * INPUT_NUSD + 2 * OUTPUT_NUSD


# Calls that were never made.


def test_what_a_budget_refuses_leaves_no_entry_no_hold_and_no_count(make_purse: MakePurse, model: str) -> None:
    purse = make_purse(limit_nusd=1000)
    assert purse.ask(model).status_code == 429
    assert purse.entries(0) == []
    assert purse.used() == {
        "requests_per_minute": 0,
        "tokens_per_minute": 0,
        "tokens_per_day": 0,
        "parallel_requests": 0,
    }


def test_what_the_providers_limit_refuses_leaves_no_entry_and_no_hold(purse: Purse) -> None:
    refusals = [answer for answer in (purse.ask("another-one-a-minute") for _ in range(2)) if answer.is_error]
    assert [answer.status_code for answer in refusals] == [429]
    assert facts(purse.entry()) == ("succeeded", "reported", COST_NUSD)


# What costs nothing.


@pytest.mark.parametrize("name", ["free", "unpriced-allowed"])
def test_what_is_free_holds_and_costs_nothing_and_goes_on_when_all_is_spent(make_purse: MakePurse, name: str) -> None:
    purse = make_purse(limit_nusd=1)
    answer = purse.ask(name)
    assert (answer.status_code, answer.headers["x-obol-cost-usd"]) == (200, "0")
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 0)
    assert entry["held_nusd"] == 0


def test_moderation_by_a_free_model_goes_on_when_all_is_spent(make_purse: MakePurse) -> None:
    purse = make_purse(limit_nusd=1)
    assert purse.post("moderations", {"input": "text"}).json()["results"] == [{"flagged": False}]
    entry = purse.entry()
    assert (entry["status"], entry["cost_nusd"], entry["held_nusd"]) == ("succeeded", 0, 0)


# The other endpoints.


@pytest.mark.parametrize("is_stream", [False, True])
def test_messages_cost_what_they_report(purse: Purse, is_stream: bool) -> None:
    usage = {
        "input_tokens": 9,
        "output_tokens": 8,
        "cache_read_input_tokens": 50,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
    }
    body = {**MESSAGE, "model": f"messages/{uuid.uuid4().hex}", "stream": is_stream, "script": {"usage": usage}}
    answer = purse.post("messages", body, **{"anthropic-version": "2023-06-01"})
    assert answer.status_code == 200
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 9 * 1000 + 50 * 100 + 20 * 1250 + 10 * 1900 + 8 * 2000)
    assert entry["held_nusd"] == chat_hold(answer, 20, 1000, 3000)  # nothing in it asks for a cache to be written


@pytest.mark.parametrize("is_stream", [False, True])
def test_responses_cost_what_they_report(purse: Purse, is_stream: bool) -> None:
    body = {"model": f"responses/{uuid.uuid4().hex}", "input": "What now?", "max_output_tokens": 20}
    answer = purse.post("responses", {**body, "stream": is_stream})
    assert answer.status_code == 200
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", AGENT_COST_NUSD)
    assert entry["held_nusd"] == chat_hold(answer, 20, 1250, 3000)  # it may write its cache unasked


@pytest.mark.parametrize("endpoint", ["messages", "responses"])
def test_a_translated_call_costs_what_its_upstream_reports(purse: Purse, model: str, endpoint: str) -> None:
    body = MESSAGE if endpoint == "messages" else {"input": "What now?"}
    assert purse.post(endpoint, {**body, "model": model}).status_code == 200
    assert facts(purse.entry()) == ("succeeded", "reported", COST_NUSD)


def test_a_response_in_the_background_keeps_its_hold_until_it_is_done(purse: Purse) -> None:
    body = {"model": f"responses/{uuid.uuid4().hex}", "input": "What now?", "max_output_tokens": 20}
    answer = purse.post("responses", {**body, "background": True})
    assert answer.json()["status"] == "queued"
    assert purse.balance()["held"] == chat_hold(answer, 20, 1250, 3000)
    assert facts(purse.entry()) == ("succeeded", "reported", AGENT_COST_NUSD)


def test_speech_costs_its_characters_and_holds_as_much(purse: Purse) -> None:
    answer = purse.post("audio/speech", {"model": "speak/money", "input": "Hello", "voice": "alloy"})
    assert answer.status_code == 200
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 5 * 15_000)
    assert entry["held_nusd"] == 5 * 15_000


def test_a_transcript_costs_its_seconds_and_holds_as_long_as_the_sound_is(purse: Purse) -> None:
    form: dict[str, Any] = {"data": {"model": "hear/money"}, "files": {"file": ("a.wav", sound(2.4), "audio/wav")}}
    assert purse.http.post("/v1/audio/transcriptions", **form).status_code == 200
    entry = purse.entry()
    assert (entry["status"], entry["held_nusd"]) == ("succeeded", 3 * 100_000)
    (line,) = [line for line in entry["meters"] if line["meter"] == "second"]
    assert entry["cost_nusd"] == line["quantity"] * 100_000


def test_pictures_cost_their_size_and_hold_the_dearest(purse: Purse) -> None:
    answer = purse.post("images/generations", {"model": "paint/money", "prompt": "x", "n": 2, "size": "256x256"})
    assert answer.status_code == 200
    entry = purse.entry()
    assert facts(entry) == ("succeeded", "reported", 2 * 16_000_000)
    assert entry["held_nusd"] == 2 * 120_000_000


def test_reranking_costs_its_queries(purse: Purse) -> None:
    answer = purse.post("rerank", {"model": "rank/money", "query": "q", "documents": ["a", "b"]})
    assert answer.status_code == 200
    entry = purse.entry()
    assert (entry["status"], entry["cost_nusd"], entry["held_nusd"]) == ("succeeded", 2_000_000, 2_000_000)
