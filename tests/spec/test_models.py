"""GET /v1/models and /v1/models/{id}: what the key may call."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from running_gateway import Gateway
from spec_parts import ROUTES


def test_the_list_holds_every_route_and_every_priced_deployment(client: openai.OpenAI) -> None:
    models = list(client.models.list())
    names = {model.id for model in models}
    assert set(ROUTES) <= names
    assert {"all-meters", "free", "unpriced-allowed", "guard-model"} <= names
    assert names.isdisjoint({"switched-off", "unpriced"})
    assert all(model.object == "model" and isinstance(model.created, int) and model.owned_by for model in models)


def test_one_model_is_found_by_its_name(client: openai.OpenAI) -> None:
    assert client.models.retrieve("all-meters").owned_by == "up"
    assert client.models.retrieve("in-order").owned_by == "obol"
    assert client.models.retrieve("any/thing/with/slashes").id == "any/thing/with/slashes"


@pytest.mark.parametrize("name", ["nothing", "switched-off", "any/"])
def test_an_unknown_model_is_not_found(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve(name)
    assert caught.value.code == "model_not_found"
    assert caught.value.response.headers["x-request-id"]


def test_a_key_with_a_list_sees_its_own_models_only(gateway: Gateway) -> None:
    key = gateway.make_key(models=["free", "in-order"])
    with openai.OpenAI(base_url=gateway.base_url, api_key=key["key"], max_retries=0) as client:
        assert sorted(model.id for model in client.models.list()) == ["free", "in-order"]
        assert client.models.retrieve("free").id == "free"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("all-meters")


# --- in Anthropic's shape ---------------------------------------------------------------------------------------------

ANTHROPICS = {"anthropic-version": "2023-06-01"}


def page(http: httpx.Client, **asked: Any) -> dict[str, Any]:
    answer = http.get("/v1/models", params=asked, headers=ANTHROPICS)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [model["id"] for model in found["data"]]


def test_who_names_anthropics_version_gets_anthropics_shape(http: httpx.Client) -> None:
    found = page(http, limit=1000)
    assert found.keys() == {"data", "first_id", "last_id", "has_more"}
    assert set(ROUTES) <= set(ids(found))
    assert (found["first_id"], found["last_id"], found["has_more"]) == (ids(found)[0], ids(found)[-1], False)
    for model in found["data"]:
        assert model["type"] == "model"
        assert model["display_name"] == model["id"]
        assert model["created_at"] == "1970-01-01T00:00:00Z"
    one = http.get("/v1/models/any/thing", headers=ANTHROPICS).json()
    assert (one["type"], one["id"]) == ("model", "any/thing")


def test_pages_go_forth_and_back_without_a_gap(http: httpx.Client) -> None:
    everything = ids(page(http, limit=1000))
    assert ids(page(http)) == everything[:20]
    forth, after = [], {}
    while True:
        found = page(http, limit=7, **after)
        forth += ids(found)
        if not found["has_more"]:
            break
        after = {"after_id": found["last_id"]}
    assert forth == everything
    back, before = [], {"before_id": everything[-1]}
    while True:
        found = page(http, limit=7, **before)
        back = ids(found) + back
        if not found["has_more"]:
            break
        before = {"before_id": found["first_id"]}
    assert back == everything[:-1]
    beyond = page(http, after_id=everything[-1])
    assert beyond == {"data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    "asked",
    [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"limit": "-1"}, {"after_id": "none"}, {"before_id": ""}],
)
def test_a_page_that_there_is_not_is_refused_in_anthropics_shape(http: httpx.Client, asked: dict[str, str]) -> None:
    answer = http.get("/v1/models", params=asked, headers=ANTHROPICS)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert http.get("/v1/models", params=asked).json()["object"] == "list"


def test_an_unknown_model_is_not_found_in_anthropics_shape(http: httpx.Client) -> None:
    answer = http.get("/v1/models/nothing", headers=ANTHROPICS)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert answer.json()["request_id"] == answer.headers["request-id"]


def test_a_key_with_a_list_pages_through_its_own_models_only(gateway: Gateway) -> None:
    headers = {**ANTHROPICS, "x-api-key": gateway.make_key(models=["free", "in-order"])["key"]}
    found = httpx.get(f"{gateway.base_url}/models", headers=headers).json()
    assert (sorted(ids(found)), found["has_more"]) == (["free", "in-order"], False)
    refused = httpx.get(f"{gateway.base_url}/models", headers=headers, params={"after_id": "all-meters"})
    assert refused.status_code == 400
