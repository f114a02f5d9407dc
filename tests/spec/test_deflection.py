"""A route that answers some messages itself: ordinary answers in each dialect, at no cost, and never in any doubt."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import chunks, error_of

CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
  responses: {kind: openai, base_url: "UPSTREAM", api_key: sk-up}
  messages: {kind: anthropic, base_url: "UPSTREAM", api_key: sk-up}
  gone: {kind: openai_compatible, base_url: "http://127.0.0.1:9/v1", api_key: sk-up}
deployments:
  - {name: good, provider: up, model: good, price: {input: 1, output: 2}}
  - {name: stores, provider: responses, model: good, price: {input: 1, output: 2}}
  - {name: speaks-messages, provider: messages, model: good, price: {input: 1, output: 2}}
  - {name: away, provider: gone, model: gone, price: {input: 1, output: 2}}
  - {name: dear, provider: up, model: dear, price: {input: 5, output: 25}}
routes:
  auto:
    deployments: [good]
    baseline: dear
    deflect: {answerers: [arithmetic, units, clock, currency, smalltalk], time_zone: Europe/Paris,
      currency: {as_of: 2026-11-29, per_usd: {EUR: 0.86}}}
  instructed: {deployments: [good], deflect: {answerers: [arithmetic, smalltalk], over_system_prompts: true}}
  arithmetic: {deployments: [good], deflect: {answerers: [arithmetic]}}
  storing: {deployments: [stores], deflect: {answerers: [arithmetic]}}
  claude: {deployments: [speaks-messages], deflect: {answerers: [arithmetic, smalltalk]}}
  gone: {deployments: [away], deflect: {answerers: [arithmetic]}}
  cached: {deployments: [good], cache: {exact: {any_temperature: true}}, deflect: {answerers: [arithmetic]}}
  off: {deployments: [good]}
"""
SUM, ANSWER = "what is 12 times 7", "12 \u00d7 7 = 84"
NOTHING_USED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.fixture(scope="module")
def deflecting(
    gateway: Gateway, upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway on the stores of the first one, with routes that deflect."""
    folder = tmp_path_factory.mktemp("deflecting")
    running = Gateway(folder, CATALOG.replace("UPSTREAM", upstream.base_url), **gateway.store_urls)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def key(deflecting: Gateway) -> dict[str, Any]:
    return deflecting.make_key()


class Asker:
    """One key's requests, each with a user of its own by which the upstream's records are found."""

    def __init__(self, gateway: Gateway, upstream: UpstreamProcess, key: str) -> None:
        self._gateway, self._upstream, self._key = gateway, upstream, key
        self.user = f"user-{uuid.uuid4().hex}"

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        sent = {"authorization": f"Bearer {self._key}", **(headers or {})}
        return httpx.post(f"{self._gateway.base_url}/{path}", json=body, headers=sent, timeout=30)

    def chat(
        self, text: Any = SUM, *, model: str = "auto", headers: dict[str, str] | None = None, **fields: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "user": self.user, **fields}
        return self.post("chat/completions", body, headers)

    def heard(self) -> int:
        """How many calls reached the upstream."""
        return len(self._upstream.calls(self.user))


@pytest.fixture
def asker(deflecting: Gateway, upstream: UpstreamProcess, key: dict[str, Any]) -> Asker:
    return Asker(deflecting, upstream, key["key"])


def entry_of(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    (entry,) = gateway.ledger(request=answer.headers["x-request-id"])
    return entry


@pytest.mark.parametrize(
    ("text", "answerer", "told"),
    [
        (SUM, "arithmetic", ANSWER),
        ("10 miles in km", "units", "16.09344 kilometers"),
        ("what time zone is tokyo in", "clock", "Asia/Tokyo"),
        ("what is today's date", "clock", "Europe/Paris"),
        ("100 dollars in euros", "currency", "86 EUR (rates of 2026-11-29)"),
        ("hello!", "smalltalk", "Hello! How can I help you?"),
    ],
)
def test_a_message_that_can_be_computed_is_answered_at_no_cost_and_nobody_is_asked(
    deflecting, asker, text, answerer, told
):
    answer = asker.chat(text)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert told in said["choices"][0]["message"]["content"]
    assert (said["object"], said["model"], said["choices"][0]["finish_reason"]) == ("chat.completion", "auto", "stop")
    assert NOTHING_USED.items() <= said["usage"].items()
    assert {name: answer.headers.get(f"x-obol-{name}") for name in ("source", "deflector", "cost-usd", "cache")} == {
        "source": "deflected",
        "deflector": answerer,
        "cost-usd": "0",
        "cache": None,
    }
    assert asker.heard() == 0
    entry = entry_of(deflecting, answer)
    assert (entry["source"], entry["basis"], entry["status"]) == ("deflected", "none", "succeeded")
    assert (entry["cost_nusd"], entry["input_tokens"], entry["output_tokens"]) == (0, 0, 0)
    assert (entry["route"], entry["provider"], entry["deployment"]) == ("auto", "obol", f"obol/{answerer}")
    assert entry["deflector"] == answerer
    assert entry["is_baseline_estimated"]
    assert entry["baseline_nusd"] > 0


def test_what_is_saved_is_what_the_words_would_have_cost_at_the_baseline_by_an_estimate(deflecting, asker):
    words = len("user") + 1 + len(SUM)  # as tokens of a prompt are counted
    assert (
        entry_of(deflecting, asker.chat())["baseline_nusd"]
        == -(-words // 4) * 5000 + -(-len(ANSWER.encode()) // 4) * 25_000
    )
    without_baseline = entry_of(deflecting, asker.chat(model="arithmetic"))
    assert without_baseline["baseline_nusd"] == -(-words // 4) * 1000 + -(-len(ANSWER.encode()) // 4) * 2000


def test_reports_show_what_was_saved_by_source(deflecting, asker, key):
    asker.chat()
    until(lambda: deflecting.ledger(team=key["team"]), "the entry is on the ledger")
    report = deflecting.admin("GET", "reports/costs", params={"team": key["team"], "source": "deflected"}).json()
    assert (report["totals"]["cost_usd"], report["totals"]["requests"]) == ("0.00", 1)
    assert report["totals"]["savings_nusd"] == deflecting.ledger(team=key["team"])[0]["baseline_nusd"] > 0


def test_chat_clients_parse_it_whole_and_streamed(deflecting, key):
    with openai.OpenAI(base_url=deflecting.base_url, api_key=key["key"], max_retries=0) as client:
        asked: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": SUM}]}
        whole = client.chat.completions.create(**asked)
        assert whole.choices[0].message.content == ANSWER
        with client.chat.completions.with_streaming_response.create(**asked, stream=True) as raw:
            assert raw.headers["x-obol-deflector"] == "arithmetic"
        options = {"include_usage": True}
        events = list(client.chat.completions.create(**asked, stream=True, stream_options=options))
    assert "".join(one.choices[0].delta.content or "" for one in events if one.choices) == ANSWER
    assert [one.choices[0].finish_reason for one in events if one.choices][-1] == "stop"
    assert events[0].choices[0].delta.role == "assistant"
    assert events[-1].choices == []
    assert events[-1].usage.total_tokens == 0
    assert len({one.id for one in events} | {whole.id}) == 2


def test_a_stream_tells_usage_only_where_it_is_asked_for(asker):
    answer = asker.chat(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-obol-cost-usd"] == "0"
    assert all("usage" not in one for one in chunks(answer.text))


@pytest.mark.parametrize("model", ["auto", "claude"])
def test_clients_of_messages_parse_it_whole_and_streamed(deflecting, key, model):
    with anthropic.Anthropic(base_url=deflecting.url, api_key=key["key"], max_retries=0) as client:
        asked: dict[str, Any] = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": SUM}]}
        raw = client.messages.with_raw_response.create(**asked)
        whole = raw.parse()
        with client.messages.stream(**asked) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
            headers = stream.response.headers
    assert (raw.headers["x-obol-source"], headers["x-obol-source"]) == ("deflected", "deflected")
    assert whole.content[0].text == final.content[0].text == text == ANSWER
    for message in (whole, final):
        assert (message.stop_reason, message.model, message.role) == ("end_turn", model, "assistant")
        assert (message.usage.input_tokens, message.usage.output_tokens) == (0, 0)
    assert entry_of(deflecting, raw)["endpoint"] == "messages"


def test_clients_of_responses_parse_it_whole_and_streamed(deflecting, key):
    with openai.OpenAI(base_url=deflecting.base_url, api_key=key["key"], max_retries=0) as client:
        raw = client.responses.with_raw_response.create(model="auto", input=SUM)
        whole = raw.parse()
        with client.responses.stream(model="auto", input=[{"role": "user", "content": SUM}]) as stream:
            final = [event.type for event in stream] and stream.get_final_response()
    assert raw.headers["x-obol-deflector"] == "arithmetic"
    for response in (whole, final):
        assert (response.output_text, response.status, response.model) == (ANSWER, "completed", "auto")
        assert response.usage.total_tokens == 0
        assert response.store is False
    assert entry_of(deflecting, raw)["source"] == "deflected"


def test_a_response_that_somebody_on_the_route_would_store_is_left_to_it(asker):
    def source(**fields: Any) -> str:
        return str(asker.post("responses", {"model": "storing", "input": SUM, **fields}).headers["x-obol-source"])

    assert source(store=False) == "deflected"
    assert source() == source(store=True) == "upstream"


SYSTEM = {"role": "system", "content": "Answer in rhymes."}
USER = {"role": "user", "content": SUM}
PARIS = [{"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "Paris."}]
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [FUNCTION]},
        {"functions": [FUNCTION["function"]]},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"stop": ["8"]},
        {"n": 2},
        {"logprobs": True},
        {"logit_bias": {"50256": -100}},
        {"store": True},
        {"reasoning_effort": "high"},
        {"modalities": ["text", "audio"]},
        {"web_search_options": {}},
        {"an_unknown_field": None},
        {"max_tokens": 2},
        {"messages": [SYSTEM, USER]},
        {"messages": [{**SYSTEM, "role": "developer"}, USER]},
        {"messages": [USER, SYSTEM]},
        {"messages": [*PARIS, USER]},
        {"messages": [USER, USER]},
        {"messages": [USER, {"role": "assistant", "content": "It is"}]},
        {"messages": [{**USER, "name": "Ann"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}, PIXEL]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}, {"type": "text", "text": "!"}]}]},
        {"messages": [*PARIS, {"role": "user", "content": "hello"}]},
        {"messages": [*PARIS, {"role": "user", "content": "ok, thanks"}]},
        {"messages": [PARIS[0], {**PARIS[1], "content": "Shall I go on?"}, {"role": "user", "content": "thanks"}]},
        {"messages": [PARIS[0], {"role": "user", "content": "thanks"}]},
        {"messages": [{"role": "user", "content": f"{SUM}, and why?"}]},
        {"messages": [{"role": "user", "content": f"{SUM}" + " " * 5000}]},
        {"messages": [{"role": "user", "content": "1+1=" * 20_000}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": {"text": SUM}}]},
        {"messages": [{"content": SUM}]},
        {"messages": [SUM]},
        {"messages": []},
        {"model": "off"},
        {"model": "good"},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_in_any_doubt_the_upstream_is_asked(deflecting, asker, fields):
    answer = asker.post("chat/completions", {"model": "auto", "messages": [USER], "user": asker.user, **fields})
    assert "x-obol-deflector" not in answer.headers
    assert asker.heard() == 1
    assert entry_of(deflecting, answer)["source"] == "upstream"


@pytest.mark.parametrize(
    "fields",
    [
        {"instructions": "Answer in rhymes."},
        {"text": {"format": {"type": "json_object"}}},
        {"background": True},
        {"previous_response_id": "resp_1"},
        {"tools": [{"type": "web_search"}]},
        {"reasoning": {"effort": "high"}},
        {"include": ["message.output_text.logprobs"]},
        {"input": [*PARIS, USER]},
        {"input": [{"type": "item_reference", "id": "msg_1"}, USER]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,aaaa"}]}]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_in_any_doubt_a_response_is_left_to_the_upstream(asker, fields):
    answer = asker.post("responses", {"model": "auto", "input": SUM, "user": asker.user, **fields})
    assert answer.headers.get("x-obol-source") != "deflected"


@pytest.mark.parametrize(
    "fields",
    [
        {"system": "Answer in rhymes."},
        {"system": [{"type": "text", "text": "Answer in rhymes."}]},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"stop_sequences": ["8"]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        {"messages": [*PARIS, USER]},
        {"messages": [USER, {"role": "assistant", "content": "It is"}]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_in_any_doubt_a_message_is_left_to_the_upstream(asker, fields):
    body = {"model": "claude", "max_tokens": 2000, "messages": [USER], "metadata": {"user_id": asker.user}, **fields}
    answer = asker.post("messages", body)
    assert answer.headers.get("x-obol-source") != "deflected"
    assert asker.heard() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.7, "top_p": 0.9, "seed": 7, "n": 1, "presence_penalty": 0, "max_completion_tokens": 500},
        {"metadata": {"a": "b"}, "service_tier": "auto", "prompt_cache_key": "k"},
        {"tools": [], "stop": None, "response_format": None, "store": False, "logprobs": False},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": SUM}]}]},
        {"messages": [{"role": "system", "content": ""}, USER]},
    ],
    ids=lambda fields: json.dumps(fields)[:60],
)  # fmt: skip
def test_what_changes_no_short_answer_may_stand_besides(asker, fields):
    answer = asker.post("chat/completions", {"model": "auto", "messages": [USER], "user": asker.user, **fields})
    assert answer.headers["x-obol-source"] == "deflected"


def test_a_route_may_deflect_over_system_prompts(asker):
    answer = asker.post("chat/completions", {"model": "instructed", "messages": [SYSTEM, USER]})
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize(
    ("text", "told"), [("Thanks a lot!", "You're welcome!"), ("bye", "Goodbye!"), ("merci", "De rien !")]
)
def test_thanks_and_goodbyes_are_answered_in_conversations_too(asker, text, told):
    answer = asker.post("chat/completions", {"model": "auto", "messages": [*PARIS, {"role": "user", "content": text}]})
    assert answer.headers["x-obol-deflector"] == "smalltalk"
    assert answer.json()["choices"][0]["message"]["content"] == told


def test_only_what_the_route_lists_is_answered(asker):
    assert asker.chat("hello", model="arithmetic").headers["x-obol-source"] == "upstream"


def test_a_client_opts_out_by_a_header_and_a_wrong_wish_is_refused(asker):
    assert asker.chat(headers={"x-obol-deflect": "off"}).headers["x-obol-source"] == "upstream"
    assert asker.chat(headers={"x-obol-deflect": "on"}).headers["x-obol-source"] == "deflected"
    refused = asker.chat(headers={"x-obol-deflect": "no"})
    assert refused.status_code == 400
    assert error_of(refused)["param"] == "x-obol-deflect"


def test_kept_answers_and_what_a_client_says_of_them_do_not_matter(asker):
    for control in ("no-store", "no-cache", "only-if-cached"):
        answer = asker.chat(model="cached", headers={"cache-control": control})
        assert (answer.headers["x-obol-source"], answer.headers.get("x-obol-cache")) == ("deflected", None)


def test_it_is_answered_where_no_deployment_is_well(asker):
    assert asker.chat(model="gone").json()["choices"][0]["message"]["content"] == ANSWER
    assert asker.chat("and now?", model="gone").status_code >= 500


def test_a_question_that_is_asked_again_goes_to_a_model_and_is_reported(deflecting, asker, key):
    first = asker.chat().json()["choices"][0]["message"]
    body = {"model": "auto", "messages": [USER, first, {"role": "user", "content": f"{SUM.upper()}?"}]}
    again = asker.post("chat/completions", {**body, "user": asker.user})
    assert again.headers["x-obol-source"] == "upstream"
    assert asker.heard() == 1
    assert entry_of(deflecting, again)["deflector"] == "arithmetic"
    asked = {"team": key["team"], "route": "auto", "group_by": "deflector,source"}
    rows = deflecting.admin("GET", "reports/costs", params=asked).json()["data"]
    assert {(row["deflector"], row["source"]): row["requests"] for row in rows} == {
        ("arithmetic", "deflected"): 1,
        ("arithmetic", "upstream"): 1,
    }

    def counted() -> str:
        return httpx.get(f"{deflecting.url}/metrics").text

    until(
        lambda: 'obol_deflection_misses_total{deflector="arithmetic",route="auto"}' in counted(), "the miss is counted"
    )
    assert 'obol_deflected_total{deflector="arithmetic",route="auto"}' in counted()


def test_limits_of_requests_count_it_and_a_spent_budget_does_not_refuse_it(deflecting, asker, key):
    scope = {"scope": {"team": key["team"]}}
    budget = {**scope, "limit_usd": "0.000000001", "window": "month"}
    deflecting.admin("POST", "budgets", json=budget).raise_for_status()
    until(lambda: asker.chat("and now?").status_code == 429, "the budget refuses models")
    assert asker.chat().headers["x-obol-source"] == "deflected"
    deflecting.admin("POST", "limits", json={**scope, "requests_per_minute": 3}).raise_for_status()
    refused = until(lambda: (answer := asker.chat()).status_code == 429 and answer, "the limit refuses")
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


def test_parallel_places_are_given_back(deflecting, asker, key):
    limit = {"scope": {"team": key["team"]}, "parallel_requests": 1}
    deflecting.admin("POST", "limits", json=limit).raise_for_status()
    assert [asker.chat().status_code for _ in range(20)] == [200] * 20


def test_keys_that_may_not_call_the_route_are_refused_as_ever(deflecting, upstream, asker, key):
    other = deflecting.make_key(models=["good"])
    refused = Asker(deflecting, upstream, other["key"]).chat()
    assert (refused.status_code, error_of(refused)["param"]) == (403, "model")
    assert asker.chat().status_code == 200
    deflecting.admin("DELETE", f"keys/{key['id']}").raise_for_status()
    until(lambda: asker.chat().status_code == 401, "the key is revoked")
    assert asker.chat(model="nowhere").status_code == 401


def test_explain_says_that_nobody_would_be_asked(asker):
    body = {"model": "auto", "messages": [USER]}
    told = asker.post("route/explain", body).json()
    assert told["deflector"] == "arithmetic"
    assert told["text"].startswith("The deflector arithmetic answers this")
    assert asker.post("route/explain", body, {"x-obol-deflect": "off"}).json()["deflector"] is None
