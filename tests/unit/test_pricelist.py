"""Reading the public price list: exact rates, the right provider's entry, nothing imported."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.catalog import prices
from gateway.catalog.listed_rates import nusd_per_million
from gateway.catalog.pricelist import (
    PriceList,
    PriceListError,
    packaged_path,
    path_in_use,
    read,
)
from gateway.domain import Meter
from gateway.settings import Settings


@pytest.fixture(scope="module")
def packaged():
    return read(packaged_path())


def listing(**models) -> PriceList:
    return PriceList(json.dumps(models).encode(), "list.json")


def chat(**more):
    return {
        "litellm_provider": "acme",
        "mode": "chat",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
    } | more


def image(**more):
    return {"litellm_provider": "acme", "mode": "image_generation"} | more


def written(tmp_path, name, **models):
    path = tmp_path / name
    path.write_text(json.dumps(models))
    return path


def test_the_list_is_read_without_importing_litellm():
    code = "import sys, gateway.catalog.pricelist as p; p.read(p.packaged_path()); sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_entry_of_the_packaged_list_can_be_decoded(packaged):
    entries = [packaged.get(key) for key in packaged.keys()]  # noqa: SIM118 - not a mapping
    assert len(entries) > 1000
    assert all(entry is not None for entry in entries)


def test_the_sample_entry_is_not_a_model(packaged):
    assert packaged.get("sample_spec") is None


def test_prices_are_exact(packaged):
    raw = json.loads(packaged_path().read_text(), parse_float=Decimal)
    for key in ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small"):
        listed = packaged.get(key)
        stated = Fraction(raw[key]["input_cost_per_token"]) * 10**15
        assert listed.tiers["standard"].base[Meter.INPUT] == stated


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**15))
def test_a_rate_survives_the_way_through_json_text(rate):
    text = format(Decimal(rate) / 10**15, "E")
    one = PriceList(f'{{"m": {{"input_cost_per_token": {text}, "output_cost_per_token": 0}}}}'.encode(), "x").get("m")
    assert one.tiers["standard"].base[Meter.INPUT] == rate


def test_traces_of_binary_fractions_go_to_the_nearest_whole_rate():
    assert nusd_per_million(Decimal("1.5000000000000002e-07")) == 150_000_000


def test_all_kinds_of_rates_are_found():
    entry = listing(
        m=chat(
            cache_read_input_token_cost=1e-7,
            cache_creation_input_token_cost=1.25e-6,
            cache_creation_input_token_cost_above_1hr=2e-6,
            output_cost_per_reasoning_token=3e-6,
            input_cost_per_audio_token=4e-6,
            output_cost_per_audio_token=5e-6,
            input_cost_per_image_token=6e-6,
            output_cost_per_image=0.04,
            input_cost_per_character=1e-5,
            input_cost_per_second=1e-4,
            search_context_cost_per_query={"search_context_size_low": 1, "search_context_size_medium": 0.01},
            code_interpreter_cost_per_session=0.03,
        )
    ).get("m")
    assert entry.tiers["standard"].base == {
        Meter.INPUT: 10**9,
        Meter.OUTPUT: 2 * 10**9,
        Meter.CACHED_INPUT: 10**8,
        Meter.CACHE_WRITE: 1_250_000_000,
        Meter.CACHE_WRITE_LONG: 2 * 10**9,
        Meter.REASONING: 3 * 10**9,
        Meter.AUDIO_INPUT: 4 * 10**9,
        Meter.AUDIO_OUTPUT: 5 * 10**9,
        Meter.IMAGE: 6 * 10**9,
        Meter.IMAGE_GENERATED: 40 * 10**12,
        Meter.CHARACTER: 10**10,
        Meter.SECOND: 10**11,
        Meter.WEB_SEARCH: 10**13,
        Meter.CODE_SESSION: 3 * 10**13,
    }


def test_context_and_service_tiers_and_their_combinations_are_found():
    tiers = listing(
        m=chat(
            input_cost_per_token_above_272k_tokens=3e-6,
            input_cost_per_token_flex=5e-7,
            input_cost_per_token_above_272k_tokens_flex=1.5e-6,
            output_cost_per_token_priority=4e-6,
            input_cost_per_token_batches=4e-7,
            cache_creation_input_token_cost_above_1hr_above_200k_tokens=9e-6,
        )
    ).get("m").tiers  # fmt: skip
    assert set(tiers) == {"standard", "flex", "priority", "batch"}
    assert tiers["standard"].context_tiers[272_000] == {Meter.INPUT: 3 * 10**9}
    assert tiers["standard"].context_tiers[200_000] == {Meter.CACHE_WRITE_LONG: 9 * 10**9}
    assert tiers["flex"].base == {Meter.INPUT: 5 * 10**8}
    assert tiers["flex"].context_tiers == {272_000: {Meter.INPUT: 1_500_000_000}}


def test_anthropics_fast_mode_is_a_tier_at_a_multiple_of_the_price():
    listed = chat(
        input_cost_per_token=5e-6,
        output_cost_per_token=25e-6,
        cache_read_input_token_cost=5e-7,
        provider_specific_entry={"us": 1.1, "fast": 2.0},
    )
    tiers = listing(m=listed).get("m").tiers
    assert tiers["fast"].base == {Meter.INPUT: 10 * 10**9, Meter.OUTPUT: 50 * 10**9}


@pytest.mark.parametrize("factor", [0, -1, "2", True])
def test_a_multiple_that_is_none_is_refused(factor):
    with pytest.raises(PriceListError, match="fast is not a positive number"):
        listing(m=chat(provider_specific_entry={"fast": factor})).get("m")


def test_unknown_service_tiers_of_the_list_are_no_rates_of_ours():
    assert set(listing(m=chat(input_cost_per_token_ultrafast=9)).get("m").tiers) == {"standard"}


def test_prices_by_range_of_the_input_become_context_tiers():
    ranges = [
        {"range": [0, 256e3], "input_cost_per_token": 1e-7, "output_cost_per_token": 4e-7},
        {"range": [256e3, 1e6], "input_cost_per_token": 2e-7, "output_cost_per_token": 8e-7},
    ]
    standard = listing(m={"tiered_pricing": ranges}).get("m").tiers["standard"]
    assert standard.base == {Meter.INPUT: 10**8, Meter.OUTPUT: 4 * 10**8}
    assert standard.context_tiers == {256_000: {Meter.INPUT: 2 * 10**8, Meter.OUTPUT: 8 * 10**8}}


def test_a_second_is_priced_once_though_both_sides_state_it(packaged):
    assert packaged.get("whisper-1").tiers["standard"].base == {Meter.SECOND: 10**11}


def test_a_cache_write_for_nothing_means_no_surcharge():
    assert Meter.CACHE_WRITE not in listing(m=chat(cache_creation_input_token_cost=0)).get("m").tiers["standard"].base


def test_a_models_own_name_and_its_prefixed_name_are_found(packaged):
    assert packaged.find("gpt-4o", "openai").key == "gpt-4o"
    assert packaged.find("gemini-2.5-pro", "gemini").key == "gemini/gemini-2.5-pro"
    assert packaged.find("gpt-4o", "azure").key == "azure/gpt-4o"


def test_another_providers_price_of_the_same_name_is_not_taken(packaged):
    assert packaged.find("gemini-2.5-pro", "openai") is None
    assert packaged.find("gpt-4o", "groq") is None


def test_an_unknown_provider_takes_the_entry_of_exactly_that_name():
    prices_ = listing(**{"m": chat(), "acme/n": chat()})
    assert prices_.find("m", None) is not None
    assert prices_.find("n", None) is None


def test_a_fine_tuned_model_is_priced_as_its_base_models_fine_tunes(packaged):
    assert packaged.find("ft:gpt-4o-mini-2024-07-18:acme::abc", "openai").key == "ft:gpt-4o-mini-2024-07-18"


def test_a_family_of_list_names_is_one_provider():
    many = listing(a=chat(litellm_provider="vertex_ai-language-models"), b=chat(litellm_provider="bedrock_converse"))
    assert many.find("a", "vertex_ai") is not None
    assert many.find("b", "bedrock") is not None


def test_code_sessions_of_the_provider_are_part_of_its_models_prices(packaged):
    assert Meter.CODE_SESSION in packaged.find("gpt-4o", "openai").tiers["standard"].base


@pytest.mark.parametrize(
    ("entry", "is_priced"),
    [
        (chat(), True),
        (chat(input_cost_per_token=0, output_cost_per_token=0), True),
        (chat(output_cost_per_token=None), False),
        ({"litellm_provider": "acme", "mode": "chat"}, False),
        ({"litellm_provider": "acme", "mode": "embedding", "input_cost_per_token": 1e-8}, True),
        ({"litellm_provider": "acme", "mode": "audio_transcription", "input_cost_per_second": 1e-4}, True),
        (
            {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token_flex": 1, "output_cost_per_token": 1},
            False,
        ),
    ],
)
def test_a_model_is_priced_when_all_that_it_consumes_has_a_rate(entry, is_priced):
    assert listing(m=entry).get("m").is_priced is is_priced


def test_a_provider_lists_what_our_endpoints_can_call():
    models = {
        "a": chat(),
        "acme/b": chat(mode="embedding"),
        "acme/sub/c": chat(),
        "eu/a": chat(),
        "ft:a": chat(),
        "d": chat(mode="video_generation"),
        "e": chat(litellm_provider="other"),
        "acme/a": chat(),
        "f": {"litellm_provider": "acme", "mode": "chat"},
    }
    assert [name for name, _ in listing(**models).of_provider("acme")] == ["a", "b", "sub/c"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"x"', b"\xff"])
def test_a_file_that_is_no_list_is_refused_with_its_name(content):
    with pytest.raises(PriceListError, match=r"list\.json: not a price list"):
        PriceList(content, "list.json")


@pytest.mark.parametrize("price", ["a lot", -1, True, [1]])
def test_an_entry_with_a_senseless_price_is_refused_by_name(price):
    with pytest.raises(PriceListError, match=r"m: input_cost_per_token is"):
        listing(m=chat(input_cost_per_token=price)).get("m")


def test_senseless_token_limits_are_left_open():
    assert listing(m=chat(max_input_tokens="many", max_output_tokens=-1)).get("m").context_tokens_max is None


def test_the_operators_own_list_replaces_the_packaged_one(tmp_path):
    assert path_in_use(tmp_path) == packaged_path()
    own = written(tmp_path, "prices.json", m=chat())
    assert path_in_use(tmp_path) == own
    assert len(read(path_in_use(tmp_path))) == 1


def test_show_tells_all_rates_of_a_model(tmp_path):
    written(
        tmp_path, "prices.json", m=chat(input_cost_per_token_above_200k_tokens=3e-6, input_cost_per_token_flex=5e-7)
    )
    shown = prices.show(Settings(data_dir=tmp_path), "m")
    assert "standard: input 1, output 2" in shown
    assert "above 200,000 input tokens: input 3" in shown
    assert "flex: input 0.5" in shown


def test_show_of_an_unknown_model_names_near_ones(tmp_path):
    written(tmp_path, "prices.json", **{"acme/m": chat()})
    with pytest.raises(PriceListError, match=r"no model 'm'; it has acme/m"):
        prices.show(Settings(data_dir=tmp_path), "m")


def test_show_without_a_model_counts_what_the_list_has(tmp_path):
    written(tmp_path, "prices.json", a=chat(), b={"litellm_provider": "acme"})
    assert "2 models, 1 with prices" in prices.show(Settings(data_dir=tmp_path))


def test_update_tells_the_difference_before_it_applies(tmp_path):
    own = written(tmp_path, "prices.json", same=chat(), gone=chat(), dearer=chat())
    before = own.read_bytes()
    new = written(tmp_path, "new.json", same=chat(), dearer=chat(input_cost_per_token=3e-6), fresh=chat())
    text, apply = prices.update(Settings(data_dir=tmp_path), new)
    assert text.splitlines() == [
        "~ dearer: input 1 -> 3",
        "+ fresh: input 1; output 2",
        "- gone",
        "1 models added, 1 removed, 1 changed (USD per 1M tokens)",
    ]
    assert own.read_bytes() == before
    apply()
    assert own.read_bytes() == new.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"prices.json", "new.json"}


def test_update_tells_of_rates_that_come_and_go(tmp_path):
    written(tmp_path, "prices.json", m=chat(cache_read_input_token_cost=1e-7))
    new = written(tmp_path, "new.json", m=chat(output_cost_per_token_flex=1e-6))
    text, _ = prices.update(Settings(data_dir=tmp_path), new)
    assert text.splitlines()[0] == "~ m: cached_input 0.1 -> none; flex output none -> 1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "not a price list"),
        ("{}", "states no price"),
        ('{"m": {"litellm_provider": "acme"}}', "states no price"),
        ('{"m": 3}', "m: "),
        ('{"m": {"input_cost_per_token": "x"}}', "m: input_cost_per_token is not a number"),
    ],
)
def test_update_refuses_a_malformed_file_with_the_reason(tmp_path, content, reason):
    bad = tmp_path / "bad.json"
    bad.write_text(content)
    with pytest.raises(PriceListError, match=reason):
        prices.update(Settings(data_dir=tmp_path), bad)
    assert not (tmp_path / "prices.json").exists()


def test_update_refuses_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PriceListError, match=r"none\.json: No such file"):
        prices.update(Settings(data_dir=tmp_path), tmp_path / "none.json")


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
