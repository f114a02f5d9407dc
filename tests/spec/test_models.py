"""GET /v1/models and /v1/models/{id}: what the key may call."""

from __future__ import annotations

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
