"""What bars a deployment of a route, how policies share requests out, and that a named deployment is left alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import anthropic
import httpx
import openai
import pytest
from running_gateway import UpstreamProcess
from spec_parts import Books, error_of, question

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
DATA = "iVBORw0KGgo" * 2000
URL = f"data:image/png;base64,{DATA}"
PICTURE = {"type": "image_url", "image_url": {"url": URL}}
TEXT = {"type": "text", "text": "What is this?"}
LONG = "word " * 2000  # 10,000 bytes, for a context of 1,000 tokens: too many, however they are counted
MEASURED = 10  # observations that make a measure


def seen(model: str, user: str) -> dict[str, Any]:
    return {"model": model, "user": user, "messages": [{"role": "user", "content": [TEXT, PICTURE]}]}


def asked_models(upstream: UpstreamProcess, user: str) -> list[str]:
    return [call["body"]["model"] for call in upstream.calls(user)]


def test_a_question_with_an_image_passes_over_a_deployment_that_sees_none(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = http.post(CHAT, json=seen("blind-first", user))
    assert answer.headers["x-obol-deployment"] == "any/sees"
    assert asked_models(upstream, user) == ["sees"]
    entry = books.entry(answer.headers["x-request-id"])
    assert (entry["route"], entry["deployment"]) == ("blind-first", "any/sees")


def test_a_question_of_words_alone_is_the_blind_ones_too(
    client: openai.OpenAI, upstream: UpstreamProcess, user: str
) -> None:
    client.chat.completions.create(**question("blind-first", user))
    assert asked_models(upstream, user) == ["blind"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (MESSAGES, {"max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}]}]}),
        (RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]}),
    ],
)  # fmt: skip
def test_an_image_is_seen_in_every_dialect(http: httpx.Client, path: str, fields: dict[str, Any]) -> None:
    answer = http.post(path, json={"model": "blind-first", **fields})
    assert (answer.status_code, answer.headers["x-obol-deployment"]) == (200, "any/sees")


def test_a_question_that_none_of_a_route_can_take_is_refused_with_every_reason(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    answer = http.post(CHAT, json=seen("all-blind", user))
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_model", "model")
    assert "blind: capability: sees no images" in error["message"]
    assert (upstream.calls(user), books.entries(answer.headers["x-request-id"])) == ([], [])


def test_a_prompt_goes_where_it_fits(client: openai.OpenAI, upstream: UpstreamProcess, user: str) -> None:
    client.chat.completions.create(**question("short-first", user))
    client.chat.completions.create(model="short-first", user=user, messages=[{"role": "user", "content": LONG}])
    assert asked_models(upstream, user) == ["short", "long"]


def test_an_image_is_not_taken_for_a_long_text(http: httpx.Client, upstream: UpstreamProcess, user: str) -> None:
    http.post(CHAT, json=seen("short-first", user))
    assert asked_models(upstream, user) == ["short"]


def test_a_prompt_that_fits_nowhere_is_refused_as_upstreams_refuse_it(
    client: openai.OpenAI, claude: anthropic.Anthropic, upstream: UpstreamProcess, user: str
) -> None:
    messages: Any = [{"role": "user", "content": LONG}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="all-short", user=user, messages=messages)
    assert caught.value.code == "context_length_exceeded"
    assert "short: context: takes 1,000 tokens, and these are about 2,5" in caught.value.message
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        claude.messages.create(model="all-short", max_tokens=9, messages=messages)
    assert upstream.calls(user) == []


def test_a_prompt_that_may_fit_after_all_is_tried_where_there_is_most_room(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, user: str
) -> None:
    messages: Any = [{"role": "user", "content": "word " * 1000}]  # 1,000 tokens, which by their bytes look like 1,250
    raw = client.chat.completions.with_raw_response.create(model="all-short", user=user, messages=messages)
    assert asked_models(upstream, user) == ["short"]
    entry = books.entry(raw.headers["x-request-id"])
    assert (entry["deployment"], entry["status"]) == ("short", "succeeded")


def test_how_long_a_prompt_is_can_be_asked_of_a_route_that_it_does_not_fit(http: httpx.Client) -> None:
    body = {"model": "all-short", "messages": [{"role": "user", "content": LONG}]}
    assert http.post(f"{MESSAGES}/count_tokens", json=body).json()["input_tokens"] >= 1000


@pytest.mark.parametrize(
    ("route", "headers", "served"),
    [
        ("somewhere", {}, "in-us"),
        ("somewhere", {"x-obol-regions": "eu"}, "in-eu"),
        ("somewhere", {"x-obol-regions": "asia, eu"}, "in-eu"),
        ("somewhere", {"x-obol-require-tags": "gdpr"}, "in-eu"),
        ("somewhere", {"x-obol-require-tags": "own"}, "in-us"),
        ("gdpr", {}, "in-eu"),
        ("gdpr", {"x-obol-regions": "eu", "x-obol-require-tags": "own,gdpr"}, "in-eu"),
    ],
)
def test_routes_and_headers_say_where_an_answer_comes_from(
    http: httpx.Client, books: Books, route: str, headers: dict[str, str], served: str
) -> None:
    answer = http.post(CHAT, json=question(route), headers=headers)
    assert answer.headers["x-obol-deployment"] == served
    assert books.entry(answer.headers["x-request-id"])["deployment"] == served


def test_headers_never_widen_what_a_route_allows(http: httpx.Client, upstream: UpstreamProcess, user: str) -> None:
    answer = http.post(CHAT, json=question("gdpr", user), headers={"x-obol-regions": "us"})
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, "unsupported_model")
    assert "in-us: tag: without gdpr, which the route wants" in error["message"]
    assert "in-eu: region: eu, where the request wants us" in error["message"]
    assert upstream.calls(user) == []


@pytest.mark.parametrize("header", ["x-obol-regions", "x-obol-require-tags"])
@pytest.mark.parametrize("value", ["", ",", "e u", "eu;us", "x" * 200])
def test_a_wish_that_cannot_be_read_is_refused_and_not_left_out(http: httpx.Client, header: str, value: str) -> None:
    answer = http.post(CHAT, json=question("somewhere"), headers={header: value})
    assert (answer.status_code, error_of(answer)["param"]) == (400, header)


@pytest.mark.parametrize("named", ["blind", "short", "in-us"])
def test_a_named_deployment_gets_what_it_is_asked_whatever_bars_it_on_routes(
    http: httpx.Client, upstream: UpstreamProcess, books: Books, user: str, named: str
) -> None:
    body = seen(named, user)
    body["messages"].append({"role": "user", "content": LONG})
    answer = http.post(CHAT, json=body, headers={"x-obol-regions": "asia", "x-obol-require-tags": "gdpr"})
    assert answer.status_code == 200
    assert asked_models(upstream, user) == [named]
    assert books.entry(answer.headers["x-request-id"])["deployment"] == named


def test_a_weighted_route_shares_its_questions_out(http: httpx.Client) -> None:
    served = Counter(
        http.post(CHAT, json=question("shared-out")).headers["x-obol-deployment"]
        for _ in range(60)  # by chance all to one: once in 10^18
    )
    assert served.keys() == {"a/one", "a/other"}


def test_a_deployment_without_weight_serves_as_a_fallback_alone(
    http: httpx.Client, upstream: UpstreamProcess, user: str
) -> None:
    for _ in range(10):
        http.post(CHAT, json=question("one-of-two", user))
    assert asked_models(upstream, user) == ["one"] * 10


async def measure(client: openai.AsyncOpenAI, route: str) -> None:
    """Let a route's first deployment be seen often enough."""

    async def stream() -> None:
        async for _ in await client.chat.completions.create(**question(route), stream=True):
            pass

    await asyncio.gather(*(stream() for _ in range(MEASURED)))


async def test_a_deployment_that_begins_too_late_is_asked_last_but_where_it_is_alone_it_answers(
    async_client: openai.AsyncOpenAI, upstream: UpstreamProcess, user: str
) -> None:
    await measure(async_client, "late")
    for route in ("soon", "late"):
        await async_client.chat.completions.create(**question(route, user))
    assert asked_models(upstream, user) == ["soon", "late-start"]


async def test_a_route_of_lowest_latency_asks_whoever_begins_soonest(
    async_client: openai.AsyncOpenAI, upstream: UpstreamProcess, user: str
) -> None:
    await measure(async_client, "late")
    await measure(async_client, "early")
    for _ in range(3):
        await async_client.chat.completions.create(**question("soonest", user))
    assert asked_models(upstream, user) == ["soon"] * 3
