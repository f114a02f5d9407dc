"""What the public price list says of sound, images and searches."""

from __future__ import annotations

import pytest
from pricelist_parts import chat, image, listing

from gateway.domain import Meter


def test_a_second_of_sound_costs_what_the_dearer_side_says():
    one = listing(m=chat(mode="audio_transcription", input_cost_per_second=1e-4, output_cost_per_second=0.0)).get("m")
    assert one.tiers["standard"].base[Meter.SECOND] == 100_000_000_000


def test_sizes_of_images_are_tiers_of_their_model():
    found = listing(
        **{
            "acme/painter": image(output_cost_per_image=0.05),
            "acme/low/512-x-512/painter": image(output_cost_per_image=0.01),
            "1024-x-1024/painter": image(input_cost_per_image=0.02),
            "hd/1024-x-1024/painter": image(litellm_provider="other", output_cost_per_image=9),
        }
    ).find("painter", "acme")
    generated = {tier: rates.base.get(Meter.IMAGE_GENERATED) for tier, rates in found.tiers.items()}
    assert generated == {"standard": 5 * 10**13, "low/512x512": 10**13, "1024x1024": 2 * 10**13}


def test_a_model_whose_sizes_alone_have_prices_costs_what_the_dearest_does_where_no_size_is_known():
    sized = {
        "acme/standard/1024-x-1024/painter": image(input_cost_per_pixel=4e-8, output_cost_per_token=0.0),
        "acme/hd/1024-x-1024/painter": image(input_cost_per_pixel=8e-8, output_cost_per_token=0.0),
    }
    found = listing(**sized).find("painter", "acme")
    assert found.tiers["standard"].base[Meter.IMAGE_GENERATED] == 8 * 10**7 * 1024 * 1024
    assert found.tiers["standard/1024x1024"].base[Meter.IMAGE_GENERATED] == 4 * 10**7 * 1024 * 1024
    assert [name for name, _ in listing(**sized).of_provider("acme")] == ["painter"]


def test_a_pixel_that_costs_nothing_is_no_price():
    assert listing(**{"1024-x-1024/m": image(input_cost_per_pixel=0.0)}).find("m", "acme") is None


def test_an_image_that_is_sent_is_not_one_that_is_generated():
    one = listing(m=image(input_cost_per_image=0.0005, output_cost_per_image=0.07)).get("m")
    assert one.tiers["standard"].base[Meter.IMAGE_GENERATED] == 7 * 10**13


def test_images_charged_by_their_tokens_have_no_price_by_the_piece():
    tokens = {"input_cost_per_token": 5e-6, "output_cost_per_image_token": 4e-5}
    found = listing(m=image(**tokens), **{"low/1024-x-1024/m": image(input_cost_per_image=0.011)}).find("m", "acme")
    assert Meter.IMAGE_GENERATED not in found.tiers["standard"].base
    assert found.tiers["standard"].base[Meter.IMAGE_OUTPUT] == 40_000_000_000
    assert found.tiers["low/1024x1024"].base == {Meter.IMAGE_GENERATED: 11 * 10**12}


@pytest.mark.parametrize(
    ("mode", "stated", "is_priced"),
    [
        ("audio_speech", {"input_cost_per_character": 1e-5}, True),
        ("audio_speech", {"output_cost_per_image": 1e-5}, False),
        ("audio_transcription", {"input_cost_per_second": 1e-5}, True),
        ("audio_transcription", {"output_cost_per_token": 1e-5}, False),
        ("image_generation", {"output_cost_per_image": 0.01}, True),
        ("image_generation", {"output_cost_per_token": 0.0}, False),
        ("rerank", {"input_cost_per_query": 0.002}, True),
        ("rerank", {"output_cost_per_token": 0.0}, False),
    ],
)
def test_a_model_is_priced_when_what_it_consumes_is(mode, stated, is_priced):
    assert listing(m={"litellm_provider": "acme", "mode": mode, **stated}).get("m").is_priced is is_priced


def test_the_packaged_list_prices_what_the_media_endpoints_call(packaged):
    for model, provider, meter in [
        ("tts-1", "openai", Meter.CHARACTER),
        ("whisper-1", "openai", Meter.SECOND),
        ("whisper-large-v3", "groq", Meter.SECOND),
        ("gpt-image-1", "openai", Meter.IMAGE_OUTPUT),
        ("dall-e-3", "azure", Meter.IMAGE_GENERATED),
        ("rerank-v3.5", "cohere", Meter.QUERY),
    ]:
        assert packaged.find(model, provider).tiers["standard"].base[meter] > 0
