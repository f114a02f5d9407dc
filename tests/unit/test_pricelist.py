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
from pricelist_parts import chat, listing, written

from gateway.catalog.listed_rates import nusd_per_million
from gateway.catalog.pricelist import PriceList, PriceListError, packaged_path, path_in_use, read
from gateway.domain import Meter


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
