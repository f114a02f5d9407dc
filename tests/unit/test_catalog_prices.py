"""What a deployment costs: the catalog's own price, or the one of the price list that is its provider's."""

from __future__ import annotations

import pytest
from catalog_parts import ISSUE_EXAMPLE, rate, snapshot, with_deployment

from gateway.domain import Meter, Usage
from policies.pricing import charge


def test_prices_keep_their_digits():
    deployment = with_deployment(
        "{name: m, provider: p, model: x, price: {input: 0.123456789, output: 1.1}}"
    ).deployment("m")
    assert rate(deployment, Meter.INPUT) == 123_456_789
    assert rate(deployment, Meter.OUTPUT) == 1_100_000_000


def test_all_price_keys_are_known():
    deployment = with_deployment(
        "{name: m, provider: p, model: x, price: {input: 1, cached_input: 0.1, cache_write: 1.25, cache_write_long: 2, "
        "output: 4, reasoning: 5, audio_input: 6, audio_output: 7, image: 8, above_200k: {input: 2, output: 6}, "
        "above_1000k: {input: 3}, usd_per_web_search: 0.01, usd_per_second: 0.0001, usd_per_character: 0.00001, "
        "usd_per_image_generated: 0.04, usd_per_code_session: 0.03, batch: {input: 0.5, above_200k: {input: 1}}, "
        "flex: {input: 0.5}, priority: {input: 2}, fast: {input: 6}}}"
    ).deployment("m")
    card = deployment.tariff.cards["standard"]
    assert card.rates[Meter.CACHE_WRITE_LONG] == 2 * 10**9
    assert card.rates[Meter.WEB_SEARCH] == 10**13
    assert [limit for limit, _ in card.context_tiers] == [200_000, 1_000_000]
    assert card.context_tiers[0][1][Meter.CACHED_INPUT] == 2 * 10**8
    assert set(deployment.tariff.cards) == {"standard", "batch", "flex", "priority", "fast"}
    assert deployment.tariff.cards["fast"].rates[Meter.CACHED_INPUT] == 6 * 10**8
    assert deployment.tariff.cards["batch"].context_tiers[0][1][Meter.INPUT] == 10**9


def test_a_price_in_the_catalog_wins_over_the_price_list():
    deployment = with_deployment("{name: m, provider: p, model: gpt-4o, price: {input: 9, output: 9}}").deployment("m")
    assert rate(deployment, Meter.INPUT) == 9 * 10**9
    assert deployment.context_tokens_max == 128_000


def test_price_free_charges_nothing():
    deployment = with_deployment("{name: m, provider: p, model: x, price: free}").deployment("m")
    assert deployment.tariff is not None
    assert rate(deployment, Meter.INPUT) == 0


def test_a_model_without_a_price_loads_for_the_path_to_refuse_and_is_not_listed():
    catalog = with_deployment("{name: m, provider: p, model: no-such-model}")
    assert catalog.deployment("m").tariff is None
    assert not catalog.deployment("m").is_unpriced_allowed
    assert list(catalog.names()) == []


def test_unpriced_allow_calls_without_a_price():
    catalog = with_deployment("{name: m, provider: p, model: no-such-model, unpriced: allow}")
    assert catalog.deployment("m").is_unpriced_allowed
    assert list(catalog.names()) == [("m", "p")]


def test_price_of_takes_the_price_of_another_entry_of_the_list():
    deployment = with_deployment(
        "{name: m, provider: p, model: our-deployment, price_of: azure/gpt-4o}",
        "{kind: azure, base_url: 'https://x.openai.azure.com'}",
    ).deployment("m")
    assert rate(deployment, Meter.INPUT) == 2_500_000_000


def test_own_machines_take_no_price_from_the_list():
    for provider in ("{kind: vllm, base_url: 'http://gpu:8000/v1'}", "{kind: simulator}"):
        assert with_deployment("{name: m, provider: p, model: gpt-4o}", provider).deployment("m").tariff is None


@pytest.mark.parametrize(
    ("provider", "model", "input_rate"),
    [
        ("{kind: openai}", "gpt-4o", 2_500_000_000),
        ("{kind: openai_compatible, base_url: 'https://api.groq.com/openai/v1'}", "openai/gpt-oss-20b", 75_000_000),
        ("{kind: openai_compatible, base_url: 'https://api.groq.com/openai/v1'}", "gpt-4o", None),
        ("{kind: openai_compatible, base_url: 'https://proxy.example/v1'}", "gpt-4o", 2_500_000_000),
        ("{kind: openai_compatible, base_url: 'https://x.example/v1', litellm_provider: gemini}", "gpt-4o", None),
        ("{kind: litellm, litellm_provider: anthropic}", "claude-sonnet-4-5", 3_000_000_000),
        ("{kind: anthropic}", "claude-sonnet-4-5", 3_000_000_000),
        ("{kind: anthropic, base_url: 'https://proxy.example'}", "gpt-4o", None),
    ],
)
def test_the_price_is_that_of_whoever_serves(provider, model, input_rate):
    deployment = with_deployment(f"{{name: m, provider: p, model: {model}}}", provider).deployment("m")
    assert (None if deployment.tariff is None else rate(deployment, Meter.INPUT)) == input_rate


def test_a_discount_is_taken_off_every_rate():
    deployment = with_deployment(
        "{name: m, provider: p, model: gpt-4o}", "{kind: openai, discount_pct: 12.5}"
    ).deployment("m")
    assert rate(deployment, Meter.INPUT) == 2_500_000_000 * 7 // 8
    assert rate(deployment, Meter.CACHED_INPUT) == 1_250_000_000 * 7 // 8


def test_a_price_without_output_is_that_of_an_embedding_model():
    assert with_deployment("{name: m, provider: p, model: x, price: {input: 0.1}}").deployment("m").mode == "embedding"


@pytest.mark.parametrize(
    ("price", "mode"),
    [
        ("{usd_per_character: 0.000015}", "audio_speech"),
        ("{usd_per_second: 0.0001}", "audio_transcription"),
        ("{usd_per_image_generated: 0.04}", "image_generation"),
        ("{usd_per_image_of: {1024x1024: 0.04}}", "image_generation"),
        ("{input: 5, image_output: 40}", "image_generation"),
        ("{usd_per_query: 0.002}", "rerank"),
    ],
)
def test_what_a_price_is_for_says_what_the_model_does(price, mode):
    assert with_deployment(f"{{name: m, provider: p, model: x, price: {price}}}").deployment("m").mode == mode


def test_sizes_of_images_have_prices_of_their_own():
    price = "{usd_per_image_generated: 0.03, usd_per_image_of: {1024x1024: 0.04, hd/1024x1024: 0.08}}"
    tariff = with_deployment(
        f"{{name: m, provider: p, model: x, price: {price}}}", "{kind: openai, discount_pct: 50}"
    ).deployment("m")
    assert rate(tariff, Meter.IMAGE_GENERATED) == 15 * 10**12
    assert rate(tariff, Meter.IMAGE_GENERATED, "1024x1024") == 20 * 10**12
    assert rate(tariff, Meter.IMAGE_GENERATED, "hd/1024x1024") == 40 * 10**12


def test_an_image_of_a_size_without_a_price_costs_what_the_dearest_does():
    price = "{usd_per_image_of: {1024x1024: 0.04, hd/1024x1024: 0.08}}"
    assert (
        rate(
            with_deployment(f"{{name: m, provider: p, model: x, price: {price}}}").deployment("m"),
            Meter.IMAGE_GENERATED,
        )
        == 80 * 10**12
    )


def test_catalog_prices_charge_a_call():
    catalog = snapshot(ISSUE_EXAMPLE)
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
    assert charge(catalog.deployment("own-8b").tariff, usage, None).cost_nusd == 50_000_000
