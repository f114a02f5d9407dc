"""Every request to a route leaves a record of what was decided, which agrees with the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import CATALOG, INPUT_NUSD, OUTPUT_NUSD, Books, question


def decision_of(gateway: Gateway, request_id: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.admin("GET", f"decisions/{request_id}").raise_for_status().json()
    return found


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_request_to_a_route_leaves_a_record_that_agrees_with_its_ledger_entry(
    gateway: Gateway, client: openai.OpenAI, books: Books, is_stream: bool
) -> None:
    asked = question("decided-then-falls-back") | {"max_tokens": 200, "stream": is_stream}
    response = client.chat.completions.with_raw_response.create(**asked)
    if is_stream:
        list(response.parse())
    record = decision_of(gateway, response.headers["x-request-id"])
    entries = books.entries(response.headers["x-request-id"])

    for name in ("request_id", "organization_id", "team_id", "key_id", "endpoint", "route"):
        assert {entry[name] for entry in entries} == {record[name]}
    assert record["created_at"] <= entries[0]["created_at"]
    assert (record["chosen"], response.headers["x-obol-deployment"]) == (entries[-1]["deployment"],) * 2
    assert (record["policy"], record["propensity"], record["output_tokens_max"]) == ("ordered", 1.0, 200)
    tried = [one for one in record["candidates"] if one["place"] is not None]
    assert entries[-1]["deployment"] in [one["deployment"] for one in tried]
    (chosen,) = [one for one in tried if one["deployment"] == record["chosen"]]
    assert chosen["model"] == entries[-1]["model"]
    assert chosen["rates"]["input"] == INPUT_NUSD * 10**6
    assert chosen["rates"]["output"] == OUTPUT_NUSD * 10**6
    rates = {one["meter"]: one["rate_nusd_per_mtok"] for one in entries[-1]["meters"]}
    assert rates.items() <= chosen["rates"].items()


def test_a_named_deployment_leaves_none(gateway: Gateway, client: openai.OpenAI, model: str) -> None:
    response = client.chat.completions.with_raw_response.create(**question(model))
    refused = gateway.admin("GET", f"decisions/{response.headers['x-request-id']}")

    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "not_found"


def test_a_route_that_nobody_could_serve_leaves_a_record_without_a_choice(
    gateway: Gateway, client: openai.OpenAI, books: Books
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(**question("decided-in-vain"))
    request_id = refused.value.response.headers["x-request-id"]

    assert decision_of(gateway, request_id)["chosen"] is None
    assert all(entry["status"] == "failed" for entry in books.entries(request_id))


def test_a_deployment_that_is_out_is_recorded_with_its_reason(gateway: Gateway, client: openai.OpenAI) -> None:
    response = client.chat.completions.with_raw_response.create(**question("unpriced-first"))
    record = decision_of(gateway, response.headers["x-request-id"])

    first, second = record["candidates"]
    assert (first["deployment"], first["place"], first["bar"], first["rates"]) == ("unpriced", None, "unpriced", None)
    assert (second["place"], record["chosen"]) == (1, second["deployment"])


def test_no_record_holds_a_word_of_the_prompt(gateway: Gateway, client: openai.OpenAI, user: str) -> None:
    asked = question("in-order", user)
    asked["messages"][0]["content"] = "abracadabra"
    response = client.chat.completions.with_raw_response.create(**asked)
    told = gateway.admin("GET", f"decisions/{response.headers['x-request-id']}").text

    assert "abracadabra" not in told
    assert user not in told


def test_a_route_that_keeps_prompts_keeps_what_the_user_asked_and_forgets_it_with_the_team(
    gateway: Gateway, books: Books
) -> None:
    key = gateway.make_key()
    asked = question("keeping")
    asked["messages"] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "abracadabra"}]
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        request_id = client.chat.completions.with_raw_response.create(**asked).headers["x-request-id"]
    assert decision_of(gateway, request_id)["prompt"] == "abracadabra"
    assert books.entry(request_id)["route"] == "keeping"

    gateway.admin("DELETE", f"teams/{key['team']}").raise_for_status()
    assert decision_of(gateway, request_id)["prompt"] is None


@contextmanager
def serving(folder: Path, upstream: UpstreamProcess, days: int) -> Iterator[Gateway]:
    """One gateway after the other in the same folder, on the same stores."""
    with Gateway.running(
        folder, CATALOG.replace("UPSTREAM", upstream.base_url), OBOL_DECISIONS_DAYS=str(days)
    ) as running:
        yield running


def asked(gateway: Gateway) -> str:
    """The id of a request to a route."""
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.first_key, max_retries=0) as client:
        return client.chat.completions.with_raw_response.create(**question("in-order")).headers["x-request-id"]


def test_records_outlast_a_stop_and_end_when_none_are_to_be_kept(upstream: UpstreamProcess, tmp_path: Path) -> None:
    with serving(tmp_path, upstream, days=1) as first:
        request_id = asked(first)
    with serving(tmp_path, upstream, days=1) as second:
        assert decision_of(second, request_id)["request_id"] == request_id
    with serving(tmp_path, upstream, days=0) as third:
        asked(third)
        until(lambda: not third.admin("GET", "decisions").json()["data"], "every record is deleted, and none made")
        assert third.ledger(request=request_id)
