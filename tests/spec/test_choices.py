"""What an operator may choose: browsers, content logging, the size of bodies, workers. Off unless said."""

from __future__ import annotations

import httpx
import openai
import pytest
from running_gateway import Gateway
from spec_parts import COST_NUSD, TEXT, Books, error_of, question

ORIGIN = "https://chat.example"
PREFLIGHT = {
    "origin": ORIGIN,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization",
}


def test_browsers_of_a_named_origin_may_call_and_read_our_headers(second_gateway: Gateway) -> None:
    url = f"{second_gateway.base_url}/chat/completions"
    allowed = httpx.options(url, headers=PREFLIGHT)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    headers = {"origin": ORIGIN, "authorization": f"Bearer {second_gateway.make_key()['key']}"}
    answer = httpx.post(url, json=question("free"), headers=headers)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "x-obol-cost-usd" in answer.headers["access-control-expose-headers"]
    refused = httpx.post(url, json={}, headers={"origin": ORIGIN})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


def test_browsers_of_other_origins_may_not(gateway: Gateway, second_gateway: Gateway) -> None:
    other = httpx.options(
        f"{second_gateway.base_url}/chat/completions", headers={**PREFLIGHT, "origin": "https://evil.example"}
    )
    assert "access-control-allow-origin" not in other.headers
    unconfigured = httpx.post(f"{gateway.base_url}/chat/completions", json={}, headers={"origin": ORIGIN})
    assert "access-control-allow-origin" not in unconfigured.headers


@pytest.mark.parametrize("is_stream", [False, True])
def test_question_and_answer_are_stored_only_where_content_logging_is_on(
    gateway: Gateway, second_gateway: Gateway, is_stream: bool
) -> None:
    contents = []
    for one in (gateway, second_gateway):
        key = one.make_key()
        with openai.OpenAI(base_url=one.base_url, api_key=key["key"], max_retries=0) as client:
            answer = client.chat.completions.create(**question("free"), stream=is_stream)
            if is_stream:
                list(answer)
        (entry,) = one.ledger(key=key["id"])
        contents.append(entry["content"])
    silent, told = contents
    assert silent is None
    assert TEXT in str(told["answer"])
    assert "What now?" in str(told["request"])


def test_the_largest_body_is_the_operators_choice(second_gateway: Gateway) -> None:
    headers = {"authorization": f"Bearer {second_gateway.make_key()['key']}"}
    asked = {**question("free"), "metadata": {"a": "b" * 5000}}
    answer = httpx.post(f"{second_gateway.base_url}/chat/completions", json=asked, headers=headers)
    assert answer.status_code == 413
    assert "4,096" in error_of(answer)["message"]


def test_replicas_write_into_one_ledger(gateway: Gateway, second_gateway: Gateway, model: str) -> None:
    key = gateway.make_key()
    for one in (gateway, second_gateway):
        with openai.OpenAI(base_url=one.base_url, api_key=key["key"], max_retries=0) as client:
            request_id = client.chat.completions.create(**question(model))._request_id
        assert Books(one).entry(request_id)["cost_nusd"] == COST_NUSD
    both = second_gateway.ledger(key=key["id"])
    assert [entry["cost_nusd"] for entry in both] == [COST_NUSD] * 2
    assert len({entry["instance"] for entry in both}) == 2


def test_replicas_with_the_same_catalog_show_the_same_hash(gateway: Gateway, second_gateway: Gateway) -> None:
    hashes = [httpx.get(f"{one.url}/health/ready").json()["catalog"] for one in (gateway, second_gateway)]
    assert hashes[0] == hashes[1]
