"""A route that gives answers again: to the same request of the same team, whole or streamed, and at no cost."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import openai
from caching_parts import entry_of
from running_gateway import until
from spec_parts import COST_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, chunks


def test_the_same_request_gets_the_same_bytes_again_for_nothing_and_the_ledger_tells_what_was_saved(caching, asker):
    first, again = asker.ask(), asker.ask()
    assert (first.headers["x-obol-cache"], again.headers["x-obol-cache"]) == ("miss", "hit-exact")
    assert again.content == first.content
    assert asker.calls() == 1
    assert (again.headers["x-obol-source"], again.headers["x-obol-cost-usd"]) == ("cache_exact", "0")
    assert int(again.headers["age"]) < 30
    assert "age" not in first.headers
    paid, entry = entry_of(caching, first), entry_of(caching, again)
    assert (paid["source"], paid["cost_nusd"]) == ("upstream", COST_NUSD)
    assert (entry["source"], entry["basis"], entry["status"], entry["cost_nusd"]) == (
        "cache_exact",
        "none",
        "succeeded",
        0,
    )
    assert (entry["input_tokens"], entry["output_tokens"]) == (0, 0)
    assert entry["baseline_nusd"] == INPUT_TOKENS * 5000 + OUTPUT_TOKENS * 25_000 == paid["baseline_nusd"]


def test_a_baseline_counts_what_of_the_prompt_its_provider_had_cached(caching, asker):
    usage = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 80}}
    first = asker.ask(script={"usage": usage})
    again = asker.ask(script={"usage": usage})
    assert again.headers["x-obol-cache"] == "hit-exact"
    assert entry_of(caching, again)["baseline_nusd"] == entry_of(caching, first)["baseline_nusd"]


def test_a_whole_answer_is_told_again_as_a_stream_and_a_stream_as_a_whole_answer(caching, asker, caching_key, prompt):
    with openai.OpenAI(base_url=caching.base_url, api_key=caching_key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": "cached", "messages": [{"role": "user", "content": prompt}], "temperature": 0}
        whole = client.chat.completions.create(**asked)
        events = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
        assert "".join(one.choices[0].delta.content or "" for one in events if one.choices) == TEXT
        assert [one.choices[0].finish_reason for one in events if one.choices][-1] == "stop"
        assert events[0].choices[0].delta.role == "assistant"
        assert (events[-1].choices, events[-1].usage.prompt_tokens) == ([], whole.usage.prompt_tokens)
        assert {one.id for one in events} == {whole.id}

        asked["messages"] = [{"role": "user", "content": f"{prompt} And?"}]
        list(client.chat.completions.create(**asked, stream=True))
        told = client.chat.completions.with_raw_response.create(**asked)
    assert told.headers["x-obol-cache"] == "hit-exact"
    answer = told.parse()
    assert answer.choices[0].message.content == TEXT
    assert (answer.choices[0].finish_reason, answer.object) == ("stop", "chat.completion")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert asker.calls() == 2


def test_a_stream_told_again_has_usage_only_where_it_is_asked_for_and_what_was_thought(asker):
    script = {"reasoning": "Let me see.", "extra": {"system_fingerprint": "fp"}}
    asker.ask(script=script, stream=True)
    again = asker.ask(script=script, stream=True)
    assert again.headers["x-obol-cache"] == "hit-exact"
    assert again.headers["content-type"].startswith("text/event-stream")
    told = chunks(again.text)
    deltas = [one["choices"][0]["delta"] for one in told]
    assert [delta["reasoning_content"] for delta in deltas if "reasoning_content" in delta] == ["Let me see."]
    assert all("usage" not in one and one["system_fingerprint"] == "fp" for one in told)
    whole = asker.ask(script=script).json()
    assert whole["choices"][0]["message"]["reasoning_content"] == "Let me see."


def test_several_choices_are_told_again_as_they_were(asker):
    first = asker.ask(n=2).json()
    told = chunks(asker.ask(n=2, stream=True).text)
    for index in (0, 1):
        of_choice = [one["choices"][0] for one in told if one["choices"][0]["index"] == index]
        text = "".join(one["delta"].get("content") or "" for one in of_choice)
        assert text == first["choices"][index]["message"]["content"]
        assert of_choice[-1]["finish_reason"] == "stop"
    assert asker.calls() == 1


def test_what_a_fallback_answered_stands_under_the_fallbacks_model(asker):
    assert asker.status("falls-back") == "miss"
    assert asker.status("other") == "hit-exact"
    again = asker.ask("falls-back")
    assert (again.headers["x-obol-cache"], again.headers["x-obol-deployment"]) == ("hit-exact", "b/other")


def test_a_route_without_a_cache_says_nothing_of_one_and_has_no_kept_answer(asker):
    assert "x-obol-cache" not in asker.ask("uncached").headers
    assert "x-obol-cache" not in asker.ask("any/good").headers
    assert asker.ask("uncached", headers={"cache-control": "only-if-cached"}).status_code == 504


def test_a_spent_budget_refuses_no_kept_answer_and_a_limit_of_requests_counts_it(caching, asker, caching_key):
    found = next(one for one in caching.admin("GET", "keys").json()["data"] if caching_key.startswith(one["prefix"]))
    assert asker.status() == "miss"
    budget = {"scope": {"key": found["id"]}, "limit_usd": "0.000001", "window": "total"}
    caching.admin("POST", "budgets", json=budget).raise_for_status()
    others = itertools.count()  # whatever is answered before it is in force is kept
    until(lambda: asker.ask(seed=next(others)).status_code == 429, "the budget is in force")
    again = asker.ask()
    assert again.headers["x-obol-cache"] == "hit-exact"
    assert entry_of(caching, again)["cost_nusd"] == 0
    limit = {"scope": {"key": found["id"]}, "requests_per_minute": 1}
    caching.admin("POST", "limits", json=limit).raise_for_status()
    until(lambda: asker.ask().status_code == 429, "the limit is in force")


def test_hits_and_misses_are_counted_by_route(caching, asker):
    asker.ask()
    asker.ask()
    text = until(lambda: httpx.get(f"{caching.url}/metrics").text, "metrics")
    assert 'obol_cache_total{route="cached",status="hit-exact"}' in text
    assert 'obol_cache_total{route="cached",status="miss"}' in text
