"""A route's maximum of output is sent along where the client states none: the one change of a body."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from pipeline_parts import WHOLE, Backend, Catalog, deployment, path

from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS, ClientDialect
from gateway.domain import Caller, Endpoint, Provider
from gateway.errors import GatewayError

CALLER = Caller("key_1", "k", "team_1", "t", "org_1")
ASKED = {
    Endpoint.CHAT: {"messages": [{"role": "user", "content": "hello"}]},
    Endpoint.COMPLETIONS: {"prompt": "hello"},
    Endpoint.RESPONSES: {"input": "hello"},
    Endpoint.MESSAGES: {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 7},
    Endpoint.EMBEDDINGS: {"input": "hello"},
}
MAXIMA = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def at(kind, *speaks, **more):
    served = deployment("d", 1, 4)
    provider = Provider("p", kind, base_url="http://127.0.0.1:1/v1")
    return replace(served, provider=provider, speaks=frozenset(speaks or {Endpoint.CHAT}), **more)


async def sent(endpoint, served, default, **fields):
    """The maxima in the body that reaches the upstream."""
    backend = Backend(WHOLE)
    pipeline, _, _ = path(backend, served)
    services = pipeline._services
    services.backends[served.provider.kind] = backend
    catalog = services.catalog()
    made = Catalog.route(catalog, "auto")
    catalog.route = lambda _: replace(made, baseline=None, output_tokens_max_default=default)
    body = json.dumps({"model": "auto", **ASKED[endpoint], **fields}).encode()
    request = APIS[endpoint].parse(Arrival("req_1", endpoint, body))
    with contextlib.suppress(GatewayError):  # the fake answers in chat, whatever it is asked
        await pipeline.answer(request, ClientDialect(request), CALLER)
    got = json.loads(backend.calls[0].body)
    return {name: got[name] for name in MAXIMA if name in got}


@pytest.mark.parametrize(
    ("endpoint", "served", "expected"),
    [
        (Endpoint.CHAT, at("openai"), {"max_completion_tokens": 50}),
        (Endpoint.CHAT, at("azure"), {"max_completion_tokens": 50}),
        (Endpoint.CHAT, at("vllm"), {"max_tokens": 50}),
        (Endpoint.CHAT, at("anthropic", Endpoint.MESSAGES), {"max_tokens": 50}),
        (Endpoint.COMPLETIONS, at("openai", mode="completion"), {"max_tokens": 50}),
        (Endpoint.RESPONSES, at("openai", Endpoint.RESPONSES), {"max_output_tokens": 50}),
        (Endpoint.RESPONSES, at("vllm"), {"max_tokens": 50}),
        (Endpoint.RESPONSES, at("anthropic", Endpoint.MESSAGES), {"max_tokens": 50}),
        (Endpoint.MESSAGES, at("anthropic", Endpoint.MESSAGES), {"max_tokens": 7}),
        (Endpoint.EMBEDDINGS, at("openai", mode="embedding"), {}),
    ],
)
async def test_the_routes_maximum_goes_up_in_the_words_of_the_upstream(endpoint, served, expected):
    assert await sent(endpoint, served, 50) == expected


async def test_no_more_is_asked_for_than_the_model_can():
    assert await sent(Endpoint.CHAT, at("vllm", output_tokens_max=20), 50) == {"max_tokens": 20}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_clients_own_maximum_stays_as_it_is(name):
    assert await sent(Endpoint.CHAT, at("openai"), 50, **{name: 9000}) == {name: 9000}


async def test_a_route_without_a_maximum_changes_nothing():
    assert await sent(Endpoint.CHAT, at("openai"), None) == {}
