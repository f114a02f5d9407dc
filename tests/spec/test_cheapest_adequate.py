"""A route whose router was calibrated on its own deployments: hard questions go up, easy ones go down."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from router_parts import a_track, prompts_of, word_table
from running_gateway import Gateway, UpstreamProcess, until

from gateway.router import artifact
from gateway.router.training import to_artifact, train

# Dollars per million tokens, in and out; what each answers right of easy and hard questions.
DEPLOYMENTS = {
    "tiny": ((0.1, 0.2), (0.90, 0.05)),
    "small": ((0.5, 1.0), (0.90, 0.10)),
    "medium": ((2.0, 4.0), (0.90, 0.60)),
    "large": ((8.0, 16.0), (0.90, 0.95)),
}
STRONG = {"medium", "large"}
TOKENS_IN, TOKENS_OUT = 9, 8
CATALOG = """
providers:
  up: {kind: openai_compatible, base_url: "UPSTREAM", api_key: sk-up}
deployments:
DEPLOYMENTS
routes:
  world:
    deployments: [large, medium, small, tiny]
    policy: cheapest_adequate
    quality_loss_max: 0.1
    baseline: large
  strange: {deployments: [dear, stated], policy: cheapest_adequate, baseline: dear}
  described: {deployments: [known-weak, known-strong], policy: cheapest_adequate}
"""


def usd(name: str) -> float:
    (usd_in, usd_out), _ = DEPLOYMENTS[name]
    return (TOKENS_IN * usd_in + TOKENS_OUT * usd_out) / 1e6


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on what the route's own deployments made of questions."""
    words = word_table()
    names = tuple(sorted(DEPLOYMENTS))
    rates = {name: right for name, (_, right) in DEPLOYMENTS.items()}
    track = a_track(3000, words=words, track="world", costs={name: usd(name) for name in names}, rates=rates)
    path = tmp_path_factory.mktemp("router") / "router.obol"
    artifact.write(to_artifact(train([track], words), {"world": 3000}), path)
    return path


@pytest.fixture(scope="module")
def routing(
    gateway: Gateway, upstream: UpstreamProcess, router: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway of its own on the stores of the first."""
    lines = [
        f"  - {{name: {name}, provider: up, model: {name}, price: {{input: {i}, output: {o}}}}}"
        for name, ((i, o), _) in DEPLOYMENTS.items()
    ]
    lines[0] = lines[0].replace("price", "tags: [near], price")  # tiny's
    lines.append("  - {name: stated, provider: up, model: stated, price: {input: 1, output: 1}, quality: 0.9}")
    lines.append("  - {name: dear, provider: up, model: large, price: {input: 8, output: 16}, quality: 0.9}")
    for name, model, price in (("known-weak", "llama-3.1-8b-instruct", 3), ("known-strong", "gpt-4.1-2025", 2)):
        lines.append(f"  - {{name: {name}, provider: up, model: {model}, price: {{input: {price}, output: {price}}}}}")
    catalog = CATALOG.replace("UPSTREAM", upstream.base_url).replace("DEPLOYMENTS", "\n".join(lines))
    folder = tmp_path_factory.mktemp("routing")
    with Gateway.running(folder, catalog, OBOL_ROUTER=str(router), **gateway.store_urls) as running:
        yield running


@pytest.fixture
def client(routing: Gateway) -> Iterator[openai.OpenAI]:
    key = routing.make_key()["key"]
    with openai.OpenAI(base_url=routing.base_url, api_key=key, max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, text: str, model: str = "world", **options: Any) -> tuple[str, str]:
    """The deployment that answered and the request's id."""
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "system", "content": "Be short."}, {"role": "user", "content": text}], **options
    )
    return raw.headers["x-obol-deployment"], raw.headers["x-request-id"]


def test_hard_questions_go_up_and_easy_ones_down_and_savings_are_what_they_are_by_hand(
    routing: Gateway, client: openai.OpenAI
) -> None:
    texts, is_hard = prompts_of(120, seed=5)
    answered = [ask(client, text) for text in texts]
    went = np.array([name for name, _ in answered])
    assert np.isin(went[~is_hard], ["tiny", "small"]).mean() > 0.7
    assert np.isin(went[is_hard], ["tiny", "small"]).mean() < 0.25
    assert np.mean([usd(name) for name in went[is_hard]]) > 3 * np.mean([usd(name) for name in went[~is_hard]])
    saved = 0
    for name, request_id in answered:
        (entry,) = routing.ledger(request=request_id)
        (usd_in, usd_out), _ = DEPLOYMENTS[name]
        (base_in, base_out), _ = DEPLOYMENTS["large"]
        tokens = entry["input_tokens"], entry["output_tokens"]
        cost, baseline = (
            sum(count * Decimal(str(rate)) * 1000 for count, rate in zip(tokens, rates, strict=True))
            for rates in ((usd_in, usd_out), (base_in, base_out))
        )
        assert (entry["deployment"], entry["cost_nusd"]) == (name, -(-cost // 1))
        assert entry["baseline_nusd"] == -(-baseline // 1)
        saved += entry["baseline_nusd"] - entry["cost_nusd"]
    assert saved > 0


def test_what_was_foreseen_is_on_the_record_and_the_prompt_is_not(
    routing: Gateway, client: openai.OpenAI, router: Path
) -> None:
    text = prompts_of(1, seed=9)[0][0]
    name, request_id = ask(client, text)
    record = until(lambda: found(routing, request_id), "the decision is recorded")
    assert (record["chosen"], record["policy"]) == (name, "cheapest_adequate")
    assert record["router_version"] == artifact.read(router).version
    assert record["quality_loss_max"] == 0.1
    assert all(0 <= one["quality"] <= 1.1 for one in record["candidates"])
    assert all(0 <= one["quality_low"] < one["quality_high"] <= 1 for one in record["candidates"])
    assert all(one["expected_cost_nusd"] > 0 for one in record["candidates"])
    assert text not in str(record)


def found(routing: Gateway, request_id: str) -> dict[str, Any] | None:
    answer = routing.admin("GET", f"decisions/{request_id}")
    record: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
    return record


def test_a_client_may_ask_for_the_best_and_for_economy(client: openai.OpenAI) -> None:
    texts, is_hard = prompts_of(40, seed=6)
    easy = [text for text, hard in zip(texts, is_hard, strict=True) if not hard]
    best = [ask(client, text, extra_headers={"x-obol-quality": "best"})[0] for text in easy]
    economy = [ask(client, text, extra_headers={"x-obol-quality": "Economy"})[0] for text in easy]
    assert sum(map(usd, economy)) < sum(map(usd, best))
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "x", extra_headers={"x-obol-quality": "cheap"})
    assert refused.value.code == "invalid_value"


def one_hard(seed: int) -> str:
    return next(text for text, hard in zip(*prompts_of(20, seed=seed), strict=True) if hard)


def test_under_a_price_cap_the_best_that_fits_answers_and_what_is_too_dear_is_told(
    routing: Gateway, client: openai.OpenAI
) -> None:
    text = one_hard(11)
    assert ask(client, text, extra_headers={"x-obol-quality": "best"})[0] == "large"
    cap = Decimal(str(round(2 * usd("medium"), 9)))
    name, request_id = ask(client, text, extra_headers={"x-obol-cost-max-usd": f"{cap:f}"})
    record = until(lambda: found(routing, request_id), "the decision is recorded")
    (entry,) = routing.ledger(request=request_id)
    assert (name, entry["deployment"], record["chosen"]) == ("medium", "medium", "medium")
    assert (record["cost_max_nusd"], record["quality_loss_max"]) == (int(cap * 10**9), None)
    (large,) = (one for one in record["candidates"] if one["deployment"] == "large")
    assert (large["place"], large["bar"]) == (None, "price_cap")
    assert f"is above the cap ${cap:f}" in large["reason"]


def test_a_price_cap_in_which_nothing_fits_is_refused_and_nothing_is_called(
    client: openai.OpenAI, upstream: UpstreamProcess
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "x", user="capped", extra_headers={"x-obol-cost-max-usd": "0.000000001"})
    assert refused.value.code == "price_cap_exceeded"
    assert "The cheapest is tiny: price cap: expected cost $0.0000" in refused.value.message
    assert upstream.calls("capped") == []
    with pytest.raises(openai.BadRequestError, match="Invalid 'x-obol-cost-max-usd'"):
        ask(client, "x", extra_headers={"x-obol-cost-max-usd": "-1"})


def test_a_team_has_a_target_and_a_cap_of_its_own_and_the_request_has_the_last_word_on_quality(
    routing: Gateway,
) -> None:
    key = routing.make_key()
    text = one_hard(12)
    with openai.OpenAI(base_url=routing.base_url, api_key=key["key"], max_retries=0) as client:
        routing.admin("PATCH", f"teams/{key['team']}", json={"quality_loss_max": 0}).raise_for_status()
        until(lambda: ask(client, text)[0] == "large", "the team's target is in force")
        routing.admin("PATCH", f"teams/{key['team']}", json={"quality_loss_max": 0.9}).raise_for_status()
        until(lambda: ask(client, text)[0] != "large", "the team's other target is in force")
        assert ask(client, text, extra_headers={"x-obol-quality": "best"})[0] == "large"
        changes = {"quality_loss_max": None, "call_cost_max_usd": str(round(2 * usd("medium"), 9))}
        routing.admin("PATCH", f"teams/{key['team']}", json=changes).raise_for_status()
        until(lambda: ask(client, text)[0] == "medium", "the team's cap is in force")
        wished = {"x-obol-quality": "best", "x-obol-cost-max-usd": "5"}
        assert ask(client, text, extra_headers=wished)[0] == "medium", "no request goes beyond its team's cap"


def test_deployments_that_nobody_calibrated_are_judged_by_what_the_catalog_says_of_them(client: openai.OpenAI) -> None:
    assert ask(client, "What is the integral of the manifold?", model="strange")[0] == "stated"


def test_a_route_of_known_models_starts_from_what_is_publicly_known_of_them(
    routing: Gateway, client: openai.OpenAI
) -> None:
    """The weak one is the dearer one: nobody who goes by prices alone would see that."""
    name, request_id = ask(client, "What is the integral of the manifold?", model="described")
    assert name == "known-strong"
    record = until(lambda: found(routing, request_id), "the decision is recorded")
    qualities = {one["deployment"]: one["quality"] for one in record["candidates"]}
    assert qualities["known-strong"] > qualities["known-weak"] + 0.1
    assert record["is_certified"] is False


def test_a_damaged_router_changes_nothing(routing: Gateway, client: openai.OpenAI, router: Path) -> None:
    whole = router.read_bytes()
    text = next(text for text, hard in zip(*prompts_of(20, seed=7), strict=True) if not hard)
    before = ask(client, text)[0]
    router.write_bytes(whole[:-100])
    try:
        until(lambda: b"the router is refused" in routing.log.read_bytes(), "the damaged router is noticed")
        assert ask(client, text)[0] == before
    finally:
        router.write_bytes(whole)


def test_a_large_prompt_is_routed_without_delay_worth_the_name(client: openai.OpenAI) -> None:
    name, _ = ask(client, "word " * 40_000)
    assert name in DEPLOYMENTS


def test_an_empty_question_and_one_of_tools_alone_are_routed(routing: Gateway) -> None:
    key = routing.make_key()["key"]
    with httpx.Client(base_url=routing.url, headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
        for fields in ({}, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}):
            body = {"model": "world", "messages": [{"role": "user", "content": ""}], **fields}
            answer = http.post("/v1/chat/completions", json=body)
            assert (answer.status_code, answer.headers["x-obol-deployment"] in DEPLOYMENTS) == (200, True)


def test_what_would_be_decided_is_explained_and_nothing_is_called(
    routing: Gateway, upstream: UpstreamProcess, router: Path
) -> None:
    key = routing.make_key()["key"]
    texts, is_hard = prompts_of(30, seed=8)
    text = next(text for text, hard in zip(texts, is_hard, strict=True) if not hard)
    body = {"model": "world", "user": "explained", "messages": [{"role": "user", "content": text}]}
    with httpx.Client(base_url=routing.url, headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
        told = http.post("/v1/route/explain", json=body).json()
        assert upstream.calls("explained") == []
        answered = http.post("/v1/chat/completions", json=body).headers["x-obol-deployment"]
        by_name = http.post("/v1/route/explain", json=body | {"model": "large"}).json()
        best = http.post("/v1/route/explain", json=body, headers={"x-obol-quality": "best"}).json()
        refused = [
            http.post("/v1/route/explain", json=body | {"model": "nobody"}).status_code,
            http.post("/v1/route/explain", content=b"{").status_code,
            http.post("/v1/route/explain", json=body, headers={"authorization": "Bearer sk-x"}).status_code,
        ]
    assert told["choice"] == answered
    assert (told["policy"], told["router_version"]) == ("cheapest_adequate", artifact.read(router).version)
    assert (told["quality_loss_max"], told["is_certified"]) == (0.1, True)
    assert [one["place"] for one in told["candidates"]] == [1, 2, 3, 4]
    for one in told["candidates"]:
        parts = {name: Decimal(value) for name, value in one["expected_cost"].items()}
        assert parts["input_usd"] + parts["output_usd"] == parts["total_usd"] > 0
        assert f"({one['quality_low']:.2f} to {one['quality_high']:.2f})" in told["text"]
        assert (one["first_if"] is None) == (one["deployment"] == answered)
    assert f"would ask {answered}." in told["text"]
    assert (by_name["route"], by_name["choice"]) == (None, "large")
    assert best["quality_loss_max"] == 0.0
    assert refused == [404, 400, 401]


@pytest.fixture(scope="module")
def easy_and_hard() -> tuple[str, str]:
    texts, is_hard = prompts_of(20, seed=11)
    easy, hard = (
        next(text for text, one in zip(texts, is_hard, strict=True) if bool(one) is kind) for kind in (False, True)
    )
    return easy, hard


def turns(*said: str) -> list[dict[str, str]]:
    """What a user said, with an answer after each but the last."""
    found: list[dict[str, str]] = [{"role": "system", "content": "Be short."}]
    for text in said:
        found += [{"role": "user", "content": text}, {"role": "assistant", "content": "Well."}]
    return found[:-1]


def converse(client: openai.OpenAI, *said: str, **options: Any) -> tuple[str, str]:
    raw = client.chat.completions.with_raw_response.create(model="world", messages=turns(*said), **options)  # type: ignore[call-overload]
    return raw.headers["x-obol-deployment"], raw.headers["x-request-id"]


@pytest.mark.parametrize(
    "options",
    [{}, {"user": "ann"}, {"prompt_cache_key": "c-1"}, {"extra_headers": {"x-obol-conversation": "c-1"}}],
    ids=["first turns", "end user", "cache key", "header"],
)
def test_a_conversation_is_answered_on_by_who_answered_it(
    routing: Gateway, client: openai.OpenAI, easy_and_hard: tuple[str, str], options: dict[str, Any]
) -> None:
    easy, hard = easy_and_hard
    first, first_id = converse(client, hard, **options)
    second, second_id = until(lambda: same(converse(client, hard, easy, **options), first), "the first turn counts")
    assert first == second
    assert first in STRONG
    assert ask(client, easy)[0] in {"tiny", "small"}, "alone it is an easy question"
    records = [until(lambda one=one: found(routing, one), "it is recorded") for one in (first_id, second_id)]
    assert len({one["conversation"] for one in records}) == 1
    assert records[0]["conversation"]
    with openai.OpenAI(base_url=routing.base_url, api_key=routing.make_key()["key"], max_retries=0) as other:
        assert converse(other, hard, easy, **options)[0] in {"tiny", "small"}, "another team's conversation is its own"


def same(answered: tuple[str, str], name: str) -> tuple[str, str] | None:
    return answered if answered[0] == name else None


def test_a_conversation_goes_up_for_a_hard_question_and_stays_there(
    client: openai.OpenAI, easy_and_hard: tuple[str, str]
) -> None:
    easy, hard = easy_and_hard
    assert converse(client, easy, user="up")[0] in {"tiny", "small"}
    assert converse(client, easy, hard, user="up")[0] in STRONG
    until(lambda: converse(client, easy, hard, easy, user="up")[0] in STRONG, "it stays")


def test_who_may_not_serve_is_changed_from(client: openai.OpenAI, easy_and_hard: tuple[str, str]) -> None:
    easy, hard = easy_and_hard
    assert converse(client, hard, user="forced")[0] in STRONG
    until(lambda: converse(client, hard, easy, user="forced")[0] in STRONG, "it stays")
    assert converse(client, hard, easy, user="forced", extra_headers={"x-obol-require-tags": "near"})[0] == "tiny"


def test_that_a_conversation_keeps_to_who_answered_is_explained(
    routing: Gateway, easy_and_hard: tuple[str, str]
) -> None:
    easy, hard = easy_and_hard
    key = routing.make_key()["key"]
    with httpx.Client(base_url=routing.url, headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
        first = {"model": "world", "messages": turns(hard)}
        answered = http.post("/v1/chat/completions", json=first).headers["x-obol-deployment"]
        assert answered in STRONG
        asked = {"model": "world", "messages": turns(hard, easy)}

        def told() -> dict[str, Any] | None:
            found: dict[str, Any] = http.post("/v1/route/explain", json=asked).json()
            return found if found["conversation"] else None

        explained = until(told, "the first turn is remembered")
    assert explained["conversation"] == {"answered_by": answered, "is_kept": True, "switching_usd": "0.000000000"}
    assert (explained["choice"], explained["is_certified"]) == (answered, False), "certified was the policy's choice"
    assert f"answered by {answered}, which answers on" in explained["text"]


@pytest.mark.parametrize("name", ["", "x" * 257])
def test_a_conversation_whose_name_cannot_be_kept_is_refused(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        converse(client, "Why?", extra_headers={"x-obol-conversation": name})
    assert refused.value.param == "x-obol-conversation"
