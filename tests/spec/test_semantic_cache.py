"""A route that gives the answer to a similar question, over HTTP with a real encoder and real stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import INPUT_TOKENS, OUTPUT_TOKENS, TEXT

CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
deployments:
  - {name: "any/*", provider: up, model: "*", price: {input: 1, output: 2}}
  - {name: dear, provider: up, model: dear, price: {input: 5, output: 25}}
  - {name: embedder, provider: up, model: good, price: {input: 1, output: 0}}
routes:
  similar:
    deployments: [any/good]
    baseline: dear
    cache: {exact: {any_temperature: true}, semantic: {wrong_answers_max: 0.2}}
  embedded:
    deployments: [any/good]
    cache: {exact: {any_temperature: true}, semantic: {wrong_answers_max: 0.2, embedding: embedder}}
"""
# The words of the questions are the same to the guards, and the number sets the tests apart.
ASKED = "How do I enable two factor login for account {}?"
SIMILAR = (
    "how can i enable two factor login for account {}",
    "Please tell me how I enable two factor login for account {}.",
    "How do I enable two-factor login for account {}? Thanks!",
    "how would I enable two factor login for account {}?",
)
OTHERS = (
    "How do I disable two factor login for account {}?",
    "How do I enable two factor login for account 1{}?",
    "Why do I enable two factor login for account {}?",
)


@pytest.fixture(scope="module")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    catalog = CATALOG.replace("UPSTREAM", upstream.base_url)
    with Gateway.running(tmp_path_factory.mktemp("similar"), catalog) as running:
        yield running


class Asker:
    """One key's questions about an account of its own."""

    def __init__(self, gateway: Gateway, account: int | None = None) -> None:
        self.gateway = gateway
        made = gateway.make_key()  # of a team of its own
        self.key, self.team = str(made["key"]), made["team"]
        self._blanks = 0
        self.account = account or uuid4().int % 10**8

    def ask(self, question: str, route: str = "similar", headers: dict[str, str] | None = None, **fields: Any) -> Any:
        messages = [{"role": "user", "content": question.format(self.account)}]
        body = {"model": route, "messages": messages, **fields}
        sent = {"authorization": f"Bearer {self.key}"} | (headers or {})
        answer = httpx.post(f"{self.gateway.base_url}/chat/completions", json=body, headers=sent, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer

    def learned(self, route: str = "similar", **fields: Any) -> httpx.Response:
        """Ask until it is found again: the encoder starts with the first, and keeping is in the background."""
        self.ask(ASKED, route, **fields)
        return until(lambda: self.hit(route, **fields), "a similar question is answered from the cache")

    def hit(self, route: str = "similar", **fields: Any) -> httpx.Response | None:
        """The first of the similar ones that is given the answer: now and then one is asked again for comparison."""
        answers = (self.ask(self.like(one), route, **fields) for one in SIMILAR)
        return next((one for one in answers if one.headers["x-obol-cache"] == "hit-semantic"), None)

    def like(self, question: str) -> str:
        """The same with more blanks each time, so that nobody has asked the very same."""
        self._blanks += 1
        return question + " " * self._blanks


@pytest.fixture
def asker(gateway: Gateway) -> Asker:
    return Asker(gateway)


def test_a_similar_question_is_given_the_answer_for_nothing_and_the_ledger_tells_what_was_saved(asker):
    answer = asker.learned()
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert (answer.headers["x-obol-source"], answer.headers["x-obol-cost-usd"]) == ("cache_semantic", "0")
    assert 0.6 < float(answer.headers["x-obol-similarity"]) <= 1
    assert int(answer.headers["age"]) < 60
    entries = asker.gateway.ledger(request=answer.headers["x-request-id"])
    by_purpose = {entry["purpose"]: entry for entry in entries}
    assert (len(entries), by_purpose.keys()) == (2, {"answer", "embedding"})
    given, looked = by_purpose["answer"], by_purpose["embedding"]
    assert (given["source"], given["basis"], given["cost_nusd"]) == ("cache_semantic", "none", 0)
    assert given["baseline_nusd"] == INPUT_TOKENS * 5000 + OUTPUT_TOKENS * 25_000
    assert (looked["model"], looked["baseline_nusd"]) == ("all-MiniLM-L6-v2", 0)
    assert 0 < looked["cost_nusd"] < 5000
    assert looked["meters"][0]["meter"] == "cpu_microsecond"


@pytest.mark.parametrize("question", OTHERS)
def test_another_question_is_not(asker, question):
    asker.learned()
    assert asker.ask(question).headers["x-obol-cache"] == "miss"


def test_another_team_is_given_nothing_of_it(asker):
    asker.learned()
    other = Asker(asker.gateway, account=asker.account)
    assert other.ask(SIMILAR[0]).headers["x-obol-cache"] == "miss"


def test_nor_is_another_route_with_another_system_prompt_or_tools(asker):
    asker.learned()
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    assert asker.ask(SIMILAR[0], tools=[tool]).headers["x-obol-cache"] == "miss"
    assert asker.ask(SIMILAR[0], seed=5).headers["x-obol-cache"] == "miss"


def test_callers_can_only_make_it_stricter(asker):
    asker.learned()
    strict = {"x-obol-wrong-answers-max": "0"}
    question = "tell me how do I enable two factor login for account {}"
    assert asker.ask(question, headers=strict).headers["x-obol-cache"] == "miss"
    body = {"model": "similar", "messages": [{"role": "user", "content": "hi"}]}
    for wrong in ("2", "-1", "a", "0.1,0.2"):
        sent = {"authorization": f"Bearer {asker.key}", "x-obol-wrong-answers-max": wrong}
        answer = httpx.post(f"{asker.gateway.base_url}/chat/completions", json=body, headers=sent)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-obol-wrong-answers-max")


def test_the_sdks_read_it_whole_and_streamed(asker):
    asker.learned()
    messages: Any = [{"role": "user", "content": SIMILAR[1].format(asker.account)}]
    with openai.OpenAI(base_url=asker.gateway.base_url, api_key=asker.key) as client:
        events = list(client.chat.completions.create(model="similar", messages=messages, stream=True))
        assert "".join(one.choices[0].delta.content or "" for one in events if one.choices) == TEXT


def test_messages_are_answered_so_in_their_own_dialect(asker):
    with anthropic.Anthropic(base_url=asker.gateway.url, api_key=asker.key) as client:

        def ask(question: str) -> Any:
            messages: Any = [{"role": "user", "content": asker.like(question).format(asker.account)}]
            return client.messages.with_raw_response.create(model="similar", max_tokens=50, messages=messages)

        ask(ASKED)
        found = until(
            lambda: next((one for one in map(ask, SIMILAR) if one.headers["x-obol-cache"] == "hit-semantic"), None),
            "a similar message is answered from the cache",
        )
        assert found.parse().content[0].text == TEXT


def test_a_purge_ends_it(asker):
    asker.learned()
    asker.gateway.admin("POST", "purge", json={"team": asker.team}).raise_for_status()
    assert asker.ask("so how do I enable two factor login for account {}?").headers["x-obol-cache"] == "miss"


def test_a_deployment_that_the_route_names_makes_the_vectors_and_is_charged(asker):
    answer = asker.learned("embedded")
    by_purpose = {entry["purpose"]: entry for entry in asker.gateway.ledger(request=answer.headers["x-request-id"])}
    looked = by_purpose["embedding"]
    assert (looked["deployment"], looked["endpoint"], looked["status"]) == ("embedder", "embeddings", "succeeded")
    assert looked["cost_nusd"] > 0
    assert by_purpose["answer"]["source"] == "cache_semantic"


def test_the_route_tells_how_it_stands_with_its_error_budget(asker):
    asker.learned()

    def told() -> Any:
        found = asker.gateway.admin("GET", "routes/similar/similar").raise_for_status().json()
        return found if found["within_limit"] else None

    standing = until(told, "what was counted is shared")
    assert (standing["wrong_answers_max"], standing["found_wrong"]) == (0.2, 0)
    assert 0 < standing["within_limit"] <= standing["near"] <= standing["requests"]
    assert 0 < standing["expected_wrong"] < 0.2
    assert asker.gateway.admin("GET", "routes/none/similar").status_code == 404
