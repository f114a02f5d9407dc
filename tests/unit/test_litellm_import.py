"""A LiteLLM proxy configuration becomes a catalog that loads; what cannot be carried is said."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.catalog.file import read_snapshot
from gateway.catalog.litellm_import import import_litellm
from gateway.catalog.text import CatalogError
from gateway.domain import Meter

SAMPLE = Path(__file__).parent / "data" / "litellm_proxy_config.yaml"


def loaded(text):
    env = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "https://in-house.example/v1")
    return read_snapshot(text, "imported.yaml", env, Path("no-such-folder"))


@pytest.fixture(scope="module")
def text():
    return import_litellm(SAMPLE)


@pytest.fixture(scope="module")
def catalog(text):
    return loaded(text)


@pytest.fixture
def imported(tmp_path):
    def run(config):
        path = tmp_path / "config.yaml"
        path.write_text(dedent(config))
        return import_litellm(path)

    return run


def test_several_entries_of_one_name_become_a_route_in_their_order(catalog):
    assert catalog.route("gpt-4o").deployments == ("gpt-4o-1", "gpt-4o-2")
    first, second = (catalog.deployment(name) for name in ("gpt-4o-1", "gpt-4o-2"))
    assert (first.provider.kind, second.provider.kind) == ("openai", "azure")
    assert second.provider.query == {"api-version": "2024-10-21"}


def test_limits_are_carried(catalog):
    limits = catalog.deployment("gpt-4o-1").limits
    assert (limits.requests_per_minute, limits.tokens_per_minute) == (500, 200_000)
    assert catalog.deployment("claude-sonnet-1").limits.parallel_requests == 8


def test_the_price_of_a_base_model_is_carried(catalog):
    assert catalog.deployment("gpt-4o-2").tariff.cards["standard"].rates[Meter.INPUT] == 2_500_000_000


def test_stated_prices_are_carried_exactly(catalog):
    rates = catalog.deployment("llama").tariff.cards["standard"].rates
    assert (rates[Meter.INPUT], rates[Meter.OUTPUT]) == (20_000_000, 60_000_000)


def test_zero_prices_become_free(text):
    assert "name: in-house, provider: openai-2, model: in-house-model, price: free" in text


def test_known_providers_are_spoken_to_directly_and_others_through_litellm(catalog):
    kinds = {name: catalog.deployment(name).provider.kind for name in ("llama", "groq-oss", "bedrock-claude", "embed")}
    assert kinds == {"llama": "vllm", "groq-oss": "openai_compatible", "bedrock-claude": "litellm", "embed": "openai"}


def test_anthropic_is_spoken_to_in_its_own_dialect(catalog):
    deployment = catalog.deployment("claude-sonnet-1")
    assert (deployment.provider.kind, deployment.provider.base_url) == ("anthropic", "https://api.anthropic.com/v1")
    assert deployment.tariff is not None


@pytest.mark.parametrize("written", ["", "/", "/v1", "/v1/messages"])
def test_an_address_of_anthropics_gets_the_version_that_litellm_adds(imported, written):
    text = imported(
        f"""\
        model_list:
          - model_name: m
            litellm_params: {{model: anthropic/claude-sonnet-4-5, api_base: "https://own.example/claude{written}"}}
        """
    )
    assert loaded(text).deployment("m").provider.base_url == "https://own.example/claude/v1"


def test_timeouts_and_cloud_settings_are_carried(catalog):
    timeouts = catalog.deployment("llama").provider.timeouts
    assert (timeouts.total_s, timeouts.first_token_s) == (600, 30)
    assert catalog.deployment("bedrock-claude").provider.query == {"aws_region_name": "eu-west-1"}


def test_fallbacks_become_further_deployments_of_a_route(catalog):
    assert catalog.route("claude-sonnet").deployments == ("claude-sonnet-1", "gpt-4o-1", "gpt-4o-2")


def test_aliases_become_routes(catalog):
    assert catalog.route("gpt-4").deployments == ("gpt-4o-1", "gpt-4o-2")


def test_wildcards_over_a_provider_are_carried(catalog):
    assert catalog.deployment("anthropic/claude-sonnet-4-5") is not None


def test_variables_are_carried_and_literal_secrets_are_not(text):
    assert "sk-literal" not in text
    assert "os.environ" not in text
    assert "${OPENAI_API_KEY}" in text
    assert "${IN_HOUSE_API_KEY}" in text
    assert "set IN_HOUSE_API_KEY in the environment" in text


def test_a_key_goes_to_no_other_server_than_before(imported):
    text = imported(
        """\
        model_list:
          - {model_name: a, litellm_params: {model: openai/gpt-4o}}
          - {model_name: b, litellm_params: {model: openai/own, api_base: "https://own.example/v1"}}
        """
    )
    catalog = loaded(text)
    assert catalog.deployment("a").provider.api_key != ""
    assert catalog.deployment("b").provider.api_key == ""


def test_what_cannot_be_carried_is_listed(text):
    for left_out in (
        "claude-sonnet-1: temperature",
        "bedrock-claude: aws_access_key_id",
        "'*' is not a wildcard",
        "litellm_settings: drop_params, callbacks",
        "router_settings: routing_strategy, num_retries",
        "general_settings: master_key, database_url",
    ):
        assert left_out in text


def test_all_tiers_of_a_stated_price_are_carried(imported):
    text = imported(
        """\
        model_list:
          - model_name: m
            litellm_params: {model: openai/own, api_base: "https://own.example/v1"}
            model_info:
              input_cost_per_token: 0.000001
              input_cost_per_token_above_200k_tokens: 0.000002
              output_cost_per_token: 0.000004
              cache_read_input_token_cost: 1e-7
              input_cost_per_token_batches: 5e-7
              output_cost_per_image: 0.04
        """
    )
    tariff = loaded(text).deployment("m").tariff
    assert tariff.cards["standard"].context_tiers[0][1][Meter.CACHED_INPUT] == 2 * 10**8
    assert tariff.cards["batch"].rates[Meter.INPUT] == 5 * 10**8
    assert tariff.cards["standard"].rates[Meter.IMAGE_GENERATED] == 4 * 10**13


def test_servers_without_an_address_take_litellms_own_variable(imported):
    text = imported("model_list: [{model_name: m, litellm_params: {model: hosted_vllm/x, input_cost_per_token: 0}}]")
    assert "${HOSTED_VLLM_API_BASE}" in text
    assert loaded(text).deployment("m").provider.kind == "vllm"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("a: 1\n", "config.yaml:1: has no model_list"),
        ("model_list: []\n", "config.yaml:1: has no model_list"),
        ("model_list:\n  - model_name: x\n", "config.yaml:2: model_list.0: litellm_params.model is missing"),
        ("model_list: [\n", "not YAML"),
    ],
)
def test_a_file_that_is_no_litellm_configuration_is_refused(imported, config, reason):
    with pytest.raises(CatalogError, match=re.escape(reason)):
        imported(config)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CatalogError, match="cannot be read"):
        import_litellm(tmp_path / "none.yaml")
