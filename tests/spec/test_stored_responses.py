"""Responses that an upstream keeps: they belong to the team that asked, and lead back to where they were made."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from running_gateway import Gateway, UpstreamProcess, until
from spec_parts import AGENT_RATES_NUSD, INPUT_TOKENS, OUTPUT_TOKENS, TEXT, Books, error_of

COST_NUSD = INPUT_TOKENS * AGENT_RATES_NUSD["input"] + OUTPUT_TOKENS * AGENT_RATES_NUSD["output"]


@pytest.fixture
def model() -> str:
    """A deployment of the Responses API that no other test calls."""
    return f"responses/{uuid.uuid4().hex}"


@pytest.fixture
def stranger(gateway: Gateway) -> Iterator[openai.OpenAI]:
    """A client of another team."""
    key = gateway.make_key()["key"]
    with openai.OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as made:
        yield made


def asked_of(upstream: UpstreamProcess, response_id: str) -> list[dict[str, Any]]:
    """What the upstream was asked about one response."""
    return [call for call in upstream.calls() if response_id in call["path"]]


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_stored_response_can_be_fetched_listed_and_deleted(
    client: openai.OpenAI, model: str, is_stream: bool
) -> None:
    if is_stream:
        with client.responses.create(model=model, input="What now?", stream=True) as stream:
            ends = list(stream)[-1]
            assert ends.type == "response.completed"
            response_id = ends.response.id
    else:
        response_id = client.responses.create(model=model, input="What now?").id
    assert client.responses.retrieve(response_id).output_text == TEXT
    items = client.responses.input_items.list(
        response_id, limit=5, order="asc", include=["reasoning.encrypted_content"]
    )
    assert [item.content for item in items] == ["What now?"]
    client.responses.delete(response_id)
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.retrieve(response_id)
    assert f"Response with id '{response_id}' not found." in refused.value.message


def test_what_is_asked_about_a_response_reaches_its_upstream_with_the_upstreams_key(
    client: openai.OpenAI, upstream: UpstreamProcess, http: httpx.Client, model: str
) -> None:
    response_id = client.responses.create(model=model, input="What now?").id
    http.get(f"/v1/responses/{response_id}?include[]=a&include[]=b&starting_after=3&api-version=evil&x=y")
    (call,) = asked_of(upstream, response_id)
    assert call["headers"]["authorization"] != http.headers["authorization"]
    assert call["query"] == {"include[]": "a", "starting_after": "3"}, "the record keeps the first of a name"


def test_another_team_finds_nothing_and_learns_nothing(
    client: openai.OpenAI, stranger: openai.OpenAI, upstream: UpstreamProcess, model: str
) -> None:
    response_id = client.responses.create(model=model, input="What now?").id
    told = []
    for unseen in (response_id, f"resp_{uuid.uuid4().hex}"):
        for attempt in (
            lambda: stranger.responses.retrieve(unseen),  # noqa: B023 - called at once
            lambda: stranger.responses.delete(unseen),  # noqa: B023
            lambda: stranger.responses.cancel(unseen),  # noqa: B023
            lambda: stranger.responses.input_items.list(unseen),  # noqa: B023
        ):
            with pytest.raises(openai.NotFoundError) as refused:
                attempt()
            told.append(str(refused.value.body).replace(unseen, "ID"))
    assert len(set(told)) == 1
    assert asked_of(upstream, response_id) == []
    assert client.responses.retrieve(response_id).id == response_id


def test_a_key_of_the_same_team_finds_it(gateway: Gateway, model: str) -> None:
    team = gateway.admin("POST", "teams", json={"name": f"team {uuid.uuid4().hex}"}).raise_for_status().json()["id"]
    made_keys = [gateway.admin("POST", "keys", json={"team": team, "name": name}).json() for name in ("one", "two")]
    clients = [openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) for key in made_keys]
    made = clients[0].responses.create(model=model, input="What now?")
    assert clients[1].responses.retrieve(made.id).id == made.id
    for one in clients:
        one.close()


def test_a_response_that_is_not_stored_cannot_be_fetched(client: openai.OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input="What now?", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_nobody_reaches_responses_without_a_key(gateway: Gateway, method: str) -> None:
    answer = httpx.request(method, f"{gateway.base_url}/responses/resp_1")
    assert answer.status_code == 401
    assert error_of(answer)["code"] == "missing_api_key"


def test_the_upstreams_refusal_comes_back_in_its_words(client: openai.OpenAI, model: str) -> None:
    made = client.responses.create(model=model, input="What now?")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(made.id)


def test_a_request_goes_on_from_a_stored_response(
    client: openai.OpenAI, upstream: UpstreamProcess, books: Books, model: str, user: str
) -> None:
    first = client.responses.create(model=model, input="What now?")
    second = client.responses.with_raw_response.create(
        model=model, input="And then?", previous_response_id=first.id, user=user
    )
    assert second.parse().previous_response_id == first.id
    assert upstream.calls(user)[0]["body"]["previous_response_id"] == first.id
    assert books.entry(second.headers["x-request-id"])["cost_nusd"] == COST_NUSD


def test_a_request_that_goes_on_goes_where_the_response_is(client: openai.OpenAI) -> None:
    route = "responses-of-two-providers"  # a new request goes to the first of them
    first = client.responses.with_raw_response.create(model="responses/good", input="What now?")
    assert first.headers["x-obol-deployment"] == "responses/good"
    again = client.responses.with_raw_response.create(
        model=route, input="And then?", previous_response_id=first.parse().id
    )
    assert again.headers["x-obol-deployment"] == "responses/good"
    fresh = client.responses.with_raw_response.create(model=route, input="What now?")
    assert fresh.headers["x-obol-deployment"] == "more-responses/x"


def test_another_model_of_the_same_provider_may_go_on(client: openai.OpenAI, model: str) -> None:
    first = client.responses.create(model=model, input="What now?")
    other = f"responses/{uuid.uuid4().hex}"
    assert client.responses.create(model=other, input="And then?", previous_response_id=first.id).output_text == TEXT


@pytest.mark.parametrize("whose", ["nobody's", "another team's", "another provider's", "a chat model's"])
def test_a_response_that_cannot_be_gone_on_from_is_said_to_be_unknown(
    client: openai.OpenAI, stranger: openai.OpenAI, upstream: UpstreamProcess, model: str, user: str, whose: str
) -> None:
    asker, name = client, model
    previous = f"resp_{uuid.uuid4().hex}" if whose == "nobody's" else client.responses.create(model=model, input="?").id
    if whose == "another team's":
        asker = stranger
    elif whose == "another provider's":
        name = "more-responses/x"
    elif whose == "a chat model's":
        name = f"any/{uuid.uuid4().hex}"
    with pytest.raises(openai.BadRequestError) as refused:
        asker.responses.create(model=name, input="And then?", previous_response_id=previous, user=user)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"
    assert f"Previous response with id '{previous}' not found" in refused.value.message
    assert upstream.calls(user) == []


def the_only_entry(gateway: Gateway, key_id: str) -> dict[str, Any]:
    found = until(lambda: gateway.ledger(key=key_id), "the response was charged")
    (entry,) = found
    return dict(entry)


@pytest.fixture
def own(gateway: Gateway) -> Iterator[tuple[openai.OpenAI, str]]:
    """A client whose key nobody else uses, and the id of that key."""
    key = gateway.make_key()
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as made:
        yield made, key["id"]


def test_a_response_in_the_background_is_charged_when_it_is_done(
    gateway: Gateway, own: tuple[openai.OpenAI, str], model: str
) -> None:
    client, key_id = own
    answer = client.responses.with_raw_response.create(model=model, input="What now?", background=True)
    assert answer.parse().status == "queued"
    assert "x-obol-cost-usd" not in answer.headers
    assert gateway.ledger(key=key_id) == []
    entry = the_only_entry(gateway, key_id)
    assert entry["request_id"] == answer.headers["x-request-id"]
    assert (entry["status"], entry["basis"], entry["finish_reason"]) == ("succeeded", "reported", "completed")
    assert entry["cost_nusd"] == COST_NUSD
    assert client.responses.retrieve(answer.parse().id).output_text == TEXT


def test_a_response_that_is_cancelled_in_the_background_is_charged_as_cancelled(
    gateway: Gateway, own: tuple[openai.OpenAI, str], model: str
) -> None:
    client, key_id = own
    made = client.responses.create(model=model, input="What now?", background=True)
    assert client.responses.cancel(made.id).status == "cancelled"
    assert the_only_entry(gateway, key_id)["status"] == "cancelled"


def test_a_response_that_fails_in_the_background_is_a_failed_attempt(
    gateway: Gateway, own: tuple[openai.OpenAI, str], model: str
) -> None:
    client, key_id = own
    script = {"failure": {"code": "server_error", "message": "oops"}}
    client.responses.create(model=model, input="?", background=True, extra_body={"script": script})
    entry = the_only_entry(gateway, key_id)
    assert (entry["status"], entry["error_code"], entry["cost_nusd"]) == ("failed", "server_error", 0)


def test_a_response_that_is_lost_in_the_background_is_charged_for_its_question(
    gateway: Gateway, own: tuple[openai.OpenAI, str], model: str
) -> None:
    client, key_id = own
    made = client.responses.create(model=model, input="What now?", background=True)
    client.responses.delete(made.id)
    entry = the_only_entry(gateway, key_id)
    assert (entry["status"], entry["basis"], entry["output_tokens"]) == ("interrupted", "estimated", 0)
    assert entry["cost_nusd"] == entry["input_tokens"] * AGENT_RATES_NUSD["input"] > 0


def test_a_stream_in_the_background_is_charged_at_its_end(
    gateway: Gateway, own: tuple[openai.OpenAI, str], model: str
) -> None:
    client, key_id = own
    with client.responses.create(model=model, input="What now?", background=True, stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.completed"
    entry = the_only_entry(gateway, key_id)
    assert (entry["status"], entry["cost_nusd"]) == ("succeeded", COST_NUSD)


@pytest.mark.parametrize("how", ["the client leaves", "the stream is cut"])
def test_a_broken_stream_in_the_background_is_followed_to_the_responses_end(
    gateway: Gateway, own: tuple[openai.OpenAI, str], model: str, how: str
) -> None:
    client, key_id = own
    script: dict[str, Any] = {"chunk_ms": 100} if how == "the client leaves" else {"cut_after": 6}
    asked: dict[str, Any] = {"model": model, "input": "What now?", "background": True, "extra_body": {"script": script}}
    with client.responses.create(**asked, stream=True) as stream:
        if how == "the client leaves":
            next(iter(stream))
        else:
            last = list(stream)[-1]
            assert last.type == "error", "the response itself has not failed"
            assert last.code == "upstream_interrupted"
    entry = the_only_entry(gateway, key_id)
    assert (entry["status"], entry["basis"], entry["cost_nusd"]) == ("succeeded", "reported", COST_NUSD)
