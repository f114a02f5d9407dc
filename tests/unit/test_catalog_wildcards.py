"""Wildcards: one line of the catalog for many models."""

from __future__ import annotations

import pytest
from catalog_parts import rate, refusal_of, snapshot, with_deployment

from gateway.domain import Meter


def test_a_wildcard_makes_every_priced_model_of_a_provider_callable():
    catalog = with_deployment('{name: "openai/*", provider: p, model: "*", requests_per_minute: 3}')
    deployment = catalog.deployment("openai/gpt-4o")
    assert (deployment.name, deployment.model, deployment.limits.requests_per_minute) == ("openai/gpt-4o", "gpt-4o", 3)
    assert rate(deployment, Meter.INPUT) == 2_500_000_000
    assert catalog.deployment("openai/text-embedding-3-small").mode == "embedding"
    assert catalog.deployment("openai/no-such-model") is None
    assert catalog.deployment("gpt-4o") is None
    assert ("openai/gpt-4o", "p") in list(catalog.names())


def test_what_is_written_out_wins_over_a_wildcard_wherever_it_stands():
    catalog = snapshot(
        """\
        providers: {p: {kind: openai}}
        deployments:
          - {name: "*", provider: p, model: "*"}
          - {name: gpt-4o, provider: p, model: gpt-4o, price: {input: 1, output: 1}}
        routes: {gpt-5: {deployments: [gpt-4o]}}
        """
    )
    assert rate(catalog.deployment("gpt-4o"), Meter.INPUT) == 10**9
    assert catalog.deployment("gpt-5") is None
    assert catalog.route("gpt-5") is not None


def test_a_wildcard_may_cover_a_part_of_the_models():
    catalog = with_deployment('{name: "four-*", provider: p, model: "gpt-4o*"}')
    assert catalog.deployment("four--mini").model == "gpt-4o-mini"
    assert all(deployment.model.startswith("gpt-4o") for deployment in catalog.deployments.values())


def test_a_route_may_name_what_a_wildcard_makes():
    catalog = snapshot(
        """\
        providers: {p: {kind: openai}}
        deployments: [{name: "openai/*", provider: p, model: "*"}]
        routes: {auto: {deployments: [openai/gpt-4o-mini, openai/gpt-4o], baseline: openai/gpt-4o}}
        """
    )
    assert catalog.deployment(catalog.route("auto").deployments[0]).model == "gpt-4o-mini"


@pytest.mark.parametrize("price", ["price: free", "price: {input: 1, output: 2}", "unpriced: allow"])
def test_a_wildcard_with_a_price_of_its_own_takes_any_model(price):
    catalog = with_deployment(
        f'{{name: "gpu/*", provider: p, model: "*", {price}}}', "{kind: vllm, base_url: 'http://g/v1'}"
    )
    assert catalog.deployment("gpu/anything/at-all").model == "anything/at-all"
    assert catalog.deployment("gpu/") is None
    assert catalog.deployment("gpu/a b") is None
    assert catalog.deployment("gpu/a\nb") is None
    assert catalog.deployment("gpu/" + "x" * 300) is None
    assert catalog.deployment("other/x") is None


def test_the_longest_wildcard_wins():
    catalog = snapshot(
        """\
        providers: {p: {kind: vllm, base_url: "http://g/v1"}}
        deployments:
          - {name: "*", provider: p, model: "*", price: free}
          - {name: "a/*", provider: p, model: "special-*", price: free}
        """
    )
    assert catalog.deployment("a/x").model == "special-x"
    assert catalog.deployment("b/x").model == "b/x"


@pytest.mark.parametrize(
    ("deployment", "provider", "reason"),
    [
        ('{name: "a/*", provider: p, model: x}', "{kind: openai}", "one * at the end of both"),
        ('{name: a, provider: p, model: "*"}', "{kind: openai}", "one * at the end of both"),
        ('{name: "*a*", provider: p, model: "*"}', "{kind: openai}", "one * at the end of both"),
        ('{name: "a*", provider: p, model: "*x*"}', "{kind: openai}", "one * at the end of model"),
        ('{name: "a*", provider: p, model: "*"}', "{kind: vllm, base_url: 'http://g/v1'}", "whose prices hold"),
        ('{name: "a*", provider: p, model: "zzz*"}', "{kind: openai}", "no priced model 'zzz*' of openai"),
    ],
)
def test_a_wildcard_that_cannot_be_expanded_is_refused(deployment, provider, reason):
    assert reason in refusal_of(deployment, provider)


def test_a_wildcard_over_litellm_makes_only_what_litellm_is_asked_for():
    def modes(provider):
        text = f'providers: {{p: {provider}}}\ndeployments: [{{name: "c/*", provider: p, model: "*"}}]'
        return {one.mode for one in snapshot(text).deployments.values()}

    cohere = 'base_url: "https://api.cohere.com/v2", api_key: x, litellm_provider: cohere'
    assert "rerank" in modes(f"{{kind: openai_compatible, {cohere}}}")
    assert "rerank" not in modes("{kind: litellm, litellm_provider: cohere}")
