"""A route that gives answers again: to the same request of the same team, whole or streamed, and at no cost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import COST_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, chunks

CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
  messages: {kind: anthropic, base_url: "UPSTREAM", api_key: sk-up}
deployments:
  - {name: "any/*", provider: up, model: "*", price: {input: 1, output: 2}}
  - {name: "b/*", provider: up, model: "*", price: {input: 1, output: 2}}
  - {name: "messages/*", provider: messages, model: "*", price: {input: 1, output: 2}}
  - {name: in-eu, provider: up, model: placed, price: {input: 1, output: 2}, region: eu}
  - {name: in-us, provider: up, model: placed, price: {input: 1, output: 2}, region: us}
  - {name: dear, provider: up, model: dear, price: {input: 5, output: 25}}
routes:
  cached: {deployments: [any/good], baseline: dear, cache: {exact: {}}}
  by-key: {deployments: [any/good], cache: {exact: {scope: key}}}
  by-organization: {deployments: [any/good], cache: {exact: {scope: organization}}}
  by-all: {deployments: [any/good], cache: {exact: {scope: all}}}
  any-temperature: {deployments: [any/good], cache: {exact: {any_temperature: true}}}
  with-tools: {deployments: [any/good], cache: {exact: {tool_calls: true}}}
  small: {deployments: [any/good], cache: {exact: {bytes_max: 1024}}}
  over-messages: {deployments: [messages/good], cache: {exact: {}}}
  falls-back: {deployments: [any/error-503, b/other], cache: {exact: {}}}
  other: {deployments: [b/other], cache: {exact: {}}}
  placed: {deployments: [in-eu, in-us], cache: {exact: {}}}
  uncached: {deployments: [any/good]}
"""


@pytest.fixture(scope="module")
def caching(gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Two workers on the stores of the first gateway."""
    folder = tmp_path_factory.mktemp("caching")
    running = Gateway(folder, CATALOG.replace("UPSTREAM", upstream.base_url), OBOL_WORKERS="2", **gateway.store_urls)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def key(caching: Gateway) -> str:
    secret: str = caching.make_key()["key"]
    return secret


@pytest.fixture
def prompt() -> str:
    """What no other test asks."""
    return f"What of {uuid.uuid4().hex}?"


class Asker:
    """One key's requests, and what the upstream heard of a prompt."""

    def __init__(self, gateway: Gateway, upstream: UpstreamProcess, key: str, prompt: str) -> None:
        self._gateway, self._upstream, self._key, self._prompt = gateway, upstream, key, prompt

    def ask(self, model: str = "cached", *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": self._prompt}], "temperature": 0, **fields}
        sent = {"authorization": f"Bearer {self._key}", **(headers or {})}
        return httpx.post(f"{self._gateway.base_url}/chat/completions", json=body, headers=sent, timeout=30)

    def status(self, model: str = "cached", **options: Any) -> str:
        answer = self.ask(model, **options)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-obol-cache"]

    def calls(self) -> int:
        return sum(self._prompt in str(call["body"]) for call in self._upstream.calls())

    def other(self, key: str) -> Asker:
        return Asker(self._gateway, self._upstream, key, self._prompt)


@pytest.fixture
def asker(caching: Gateway, upstream: UpstreamProcess, key: str, prompt: str) -> Asker:
    return Asker(caching, upstream, key, prompt)


def entry_of(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    (entry,) = gateway.ledger(request=answer.headers["x-request-id"])
    return entry


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


def test_a_whole_answer_is_told_again_as_a_stream_and_a_stream_as_a_whole_answer(caching, asker, key, prompt):
    with openai.OpenAI(base_url=caching.base_url, api_key=key, max_retries=0) as client:
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


def test_an_answer_of_another_dialect_is_kept_as_the_client_read_it(asker):
    first = asker.ask("over-messages", stream=True)
    again = asker.ask("over-messages")
    assert (first.headers["x-obol-cache"], again.headers["x-obol-cache"]) == ("miss", "hit-exact")
    assert again.json()["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize(
    ("fields", "is_same"),
    [
        ({"max_tokens": 7}, False),
        ({"an_unknown_field": {"a": 1, "b": 2}}, False),
        ({"metadata": {"a": "b"}}, True),
        ({"stream": True, "stream_options": {"include_usage": True}}, True),
        ({"user": "somebody"}, False),  # elsewhere than at OpenAI's a server may know its users
        ({"temperature": 0.0}, False),  # written otherwise: a miss is never wrong
    ],
)
def test_every_field_counts_but_those_that_change_no_answer(asker, fields, is_same):
    assert asker.status() == "miss"
    assert asker.status(**fields) == ("hit-exact" if is_same else "miss")


def test_the_order_of_keys_does_not_count(asker):
    assert asker.status(an_unknown_field={"a": {"b": 1, "c": [2, 3]}, "d": 4}) == "miss"
    assert asker.status(an_unknown_field={"d": 4, "a": {"c": [2, 3], "b": 1}}) == "hit-exact"
    assert asker.status(an_unknown_field={"d": 4, "a": {"c": [3, 2], "b": 1}}) == "miss"


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.7},
        {"temperature": None},
        {"store": True},
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
    ],
)
def test_what_may_be_answered_otherwise_next_time_is_not_looked_for(asker, fields):
    assert [asker.status(**fields) for _ in range(2)] == ["bypass", "bypass"]


def test_a_route_may_give_answers_of_any_temperature_again(asker):
    assert [asker.status("any-temperature", temperature=1) for _ in range(2)] == ["miss", "hit-exact"]


def test_an_image_that_is_in_the_request_counts_as_its_content(asker):
    def asked(data: str) -> dict[str, Any]:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
        return {"messages": [{"role": "user", "content": [part]}]}

    assert [asker.status(**asked(data)) for data in ("aaaa", "aaaa", "aaab")] == ["miss", "hit-exact", "miss"]


@pytest.mark.parametrize(
    "script",
    [
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"tool_calls": [{"name": "f", "arguments": "{}"}]},
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_only_what_ended_by_itself_is_kept(asker, script, is_stream):
    asker.status(script=script, stream=is_stream)
    assert asker.status(script=script, stream=is_stream) == "miss"
    assert asker.calls() == 2


def test_a_stream_that_was_cut_is_not_kept(asker):
    cut = asker.ask(script={"cut_after": 3, "cut_by": "close"}, stream=True)
    assert "error" in cut.text
    again = asker.ask(script={"cut_after": 3, "cut_by": "close"}, stream=True)
    assert again.headers["x-obol-cache"] == "miss"
    assert asker.calls() == 2


def test_a_stream_whose_client_left_is_not_kept(caching, asker, key, prompt):
    with openai.OpenAI(base_url=caching.base_url, api_key=key, max_retries=0) as client:
        messages = [{"role": "user", "content": prompt}]
        script = {"script": {"chunk_ms": 50}}
        stream = client.chat.completions.create(
            model="cached", messages=messages, temperature=0, stream=True, extra_body=script
        )
        next(iter(stream))
        stream.response.close()
    assert asker.status(script={"chunk_ms": 50}) == "miss"
    assert asker.calls() == 2


def test_tool_calls_are_kept_where_the_route_says_so(asker):
    script = {"tool_calls": [{"name": "f", "arguments": '{"a": "long enough"}'}, {"name": "g", "arguments": "{}"}]}
    asker.status("with-tools", script=script, stream=True)
    again = asker.ask("with-tools", script=script)
    assert again.headers["x-obol-cache"] == "hit-exact"
    calls = again.json()["choices"][0]["message"]["tool_calls"]
    assert [call["function"] for call in calls] == script["tool_calls"]
    told = chunks(asker.ask("with-tools", script=script, stream=True).text)
    streamed = [call for one in told for call in one["choices"][0]["delta"].get("tool_calls", ())]
    assert [(call["index"], call["function"]["arguments"]) for call in streamed] == [
        (0, '{"a": "long enough"}'),
        (1, "{}"),
    ]
    assert told[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_what_is_too_large_is_not_kept(asker):
    script = {"text": "word " * 400}
    assert [asker.status("small", script=script, stream=is_stream) for is_stream in (False, True)] == ["miss", "miss"]


def test_teams_are_apart_and_keys_of_a_team_are_not_unless_the_route_says_otherwise(caching, asker):
    team = caching.admin("GET", "keys").json()["data"][0]["team"]
    mate = caching.admin("POST", "keys", json={"team": team, "name": "mate"}).json()["key"]
    stranger = caching.make_key()["key"]
    seen = {}
    for route in ("cached", "by-key", "by-organization", "by-all"):
        asker.status(route, script={"extra": {"of": route}})
        seen[route] = tuple(
            asker.other(one).status(route, script={"extra": {"of": route}}) == "hit-exact" for one in (mate, stranger)
        )
    assert seen == {
        "cached": (True, False),
        "by-key": (False, False),
        "by-organization": (True, True),
        "by-all": (True, True),
    }


def test_what_a_fallback_answered_stands_under_the_fallbacks_model(asker):
    assert asker.status("falls-back") == "miss"
    assert asker.status("other") == "hit-exact"
    again = asker.ask("falls-back")
    assert (again.headers["x-obol-cache"], again.headers["x-obol-deployment"]) == ("hit-exact", "b/other")


def test_an_answer_of_one_region_is_not_given_to_who_asks_for_another(asker):
    assert asker.status("placed") == "miss"
    assert asker.status("placed", headers={"x-obol-regions": "us"}) == "miss"
    assert asker.status("placed", headers={"x-obol-regions": "eu"}) == "hit-exact"


def test_clients_say_by_cache_control_what_they_take(asker):
    refused = asker.ask(headers={"cache-control": "only-if-cached"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (504, "not_cached")
    assert asker.calls() == 0
    assert asker.status(headers={"cache-control": "no-store"}) == "bypass"
    assert asker.status() == "miss"
    assert asker.status(headers={"cache-control": "only-if-cached"}) == "hit-exact"
    assert asker.status(headers={"cache-control": "max-age=600"}) == "hit-exact"
    assert asker.calls() == 2
    assert asker.status(headers={"cache-control": "no-cache"}) == "bypass"
    assert asker.status(headers={"cache-control": "no-store"}) == "bypass"
    assert asker.calls() == 4


def test_what_was_asked_for_anew_is_given_from_then_on(asker):
    first = asker.ask().content
    renewed = asker.ask(headers={"cache-control": "no-cache"})
    assert renewed.headers["x-obol-cache"] == "bypass"
    assert asker.ask().content == first  # the upstream says the same each time
    assert asker.calls() == 2


def test_an_answer_that_is_older_than_the_client_takes_is_asked_for_anew(asker):
    asker.ask()
    until(lambda: int(asker.ask().headers.get("age", "0")) >= 1, "the answer is a second old")
    assert asker.status(headers={"cache-control": "max-age=0"}) == "miss"
    assert asker.calls() == 2


def test_a_route_without_a_cache_says_nothing_of_one_and_has_no_kept_answer(asker):
    assert "x-obol-cache" not in asker.ask("uncached").headers
    assert "x-obol-cache" not in asker.ask("any/good").headers
    assert asker.ask("uncached", headers={"cache-control": "only-if-cached"}).status_code == 504


def test_a_purge_forgets_at_once_what_a_team_was_answered_and_nothing_else(caching, asker):
    stranger = caching.make_key()
    strange = asker.other(stranger["key"])
    for one in (asker, strange):
        assert one.status() == "miss"
        assert one.status("by-all", script={}) in {"miss", "hit-exact"}
    purged = caching.admin("POST", "cache/purge", json={"team": stranger["team"]})
    assert purged.json() == {"organization_id": "org_default", "team_id": stranger["team"]}
    assert (strange.status(), asker.status()) == ("miss", "hit-exact")
    (row,) = caching.admin("GET", "audit", params={"object_id": stranger["team"], "object_kind": "team"}).json()[
        "data"
    ][:1]
    assert row["action"] == "purge"
    assert caching.admin("POST", "cache/purge", json={"organization": "org_default"}).status_code == 200
    assert (strange.status(), asker.status()) == ("miss", "miss")
    assert caching.admin("POST", "cache/purge", json={}).status_code == 400
    assert caching.admin("POST", "cache/purge", json={"team": "team_unknown"}).status_code == 404


def test_a_spent_budget_refuses_no_kept_answer_and_a_limit_of_requests_counts_it(caching, asker, key):
    found = next(one for one in caching.admin("GET", "keys").json()["data"] if key.startswith(one["prefix"]))
    assert asker.status() == "miss"
    budget = {"scope": {"key": found["id"]}, "limit_usd": "0.000001", "window": "total"}
    caching.admin("POST", "budgets", json=budget).raise_for_status()
    until(lambda: asker.ask(seed=1).status_code == 429, "the budget is in force")
    again = asker.ask()
    assert again.headers["x-obol-cache"] == "hit-exact"
    assert entry_of(caching, again)["cost_nusd"] == 0
    limit = {"scope": {"key": found["id"]}, "requests_per_minute": 1}
    caching.admin("POST", "limits", json=limit).raise_for_status()
    until(lambda: asker.ask().status_code == 429, "the limit is in force")


def test_equal_requests_at_once_make_one_call_whole_or_streamed_on_all_workers(caching, asker):
    script = {"delay_ms": 300, "chunk_ms": 10}

    def ask(number: int) -> httpx.Response:
        return asker.ask(script=script, stream=number % 2 == 0)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(24)))
    assert asker.calls() == 1
    for number, answer in enumerate(answers):
        if number % 2:
            assert answer.json()["choices"][0]["message"]["content"] == TEXT
        else:
            told = chunks(answer.text)
            assert "".join(one["choices"][0]["delta"].get("content") or "" for one in told) == TEXT
    statuses = [answer.headers["x-obol-cache"] for answer in answers]
    assert (statuses.count("miss"), statuses.count("hit-exact")) == (1, 23)
    assert sum(entry_of(caching, answer)["cost_nusd"] for answer in answers) == COST_NUSD


def test_those_who_wait_for_what_cannot_be_kept_go_on_at_once(asker):
    script = {"delay_ms": 200, "finish_reason": "length"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asker.ask(script=script), range(8)))
    assert {answer.headers["x-obol-cache"] for answer in answers} == {"miss"}
    assert asker.calls() == 8


def test_hits_and_misses_are_counted_by_route(caching, asker):
    asker.ask()
    asker.ask()
    text = until(lambda: httpx.get(f"{caching.url}/metrics").text, "metrics")
    assert 'obol_cache_total{route="cached",status="hit-exact"}' in text
    assert 'obol_cache_total{route="cached",status="miss"}' in text


def test_messages_are_given_again_whole_and_streamed_in_their_own_dialect(caching, key, prompt, asker):
    with anthropic.Anthropic(base_url=caching.url, api_key=key, max_retries=0) as claude:
        asked: dict[str, Any] = {
            "model": "over-messages",
            "max_tokens": 100,
            "extra_body": {"temperature": 0},
            "messages": [{"role": "user", "content": prompt}],
        }
        first = claude.messages.create(**asked)
        raw = claude.messages.with_raw_response.create(**asked)
        assert raw.headers["x-obol-cache"] == "hit-exact"
        assert raw.parse() == first
        with claude.messages.stream(**asked) as stream:
            assert "".join(stream.text_stream) == TEXT
            assert stream.response.headers["x-obol-cache"] == "hit-exact"
            final = stream.get_final_message()
        assert (final.content[0].text, final.stop_reason, final.id) == (TEXT, "end_turn", first.id)
        assert final.usage.output_tokens == first.usage.output_tokens

        asked["system"] = "Be short."
        with claude.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        told = claude.messages.with_raw_response.create(**asked)
        assert told.headers["x-obol-cache"] == "hit-exact"
        assert told.parse().content[0].text == streamed.content[0].text == TEXT
        (entry,) = caching.ledger(request=told.headers["x-request-id"])
        assert (entry["source"], entry["cost_nusd"], entry["endpoint"]) == ("cache_exact", 0, "messages")
    assert asker.calls() == 2
    assert asker.status("over-messages") == "miss"  # in another dialect it is another request


def test_messages_over_an_upstream_that_speaks_chat_are_given_again_too(caching, key, prompt):
    with anthropic.Anthropic(base_url=caching.url, api_key=key, max_retries=0) as claude:
        asked: dict[str, Any] = {"model": "cached", "max_tokens": 100, "extra_body": {"temperature": 0}}
        asked["messages"] = [{"role": "user", "content": prompt}]
        with claude.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        told = claude.messages.with_raw_response.create(**asked)
    assert told.headers["x-obol-cache"] == "hit-exact"
    assert told.parse().content[0].text == streamed.content[0].text == TEXT
