"""The catalog file: what it may say, how it is refused, and that a bad one never takes the place of a good one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.catalog.file import CatalogFile, read_snapshot
from gateway.catalog.show import main_show
from gateway.catalog.text import CatalogError, parse
from gateway.domain import Endpoint, Meter
from gateway.settings import Settings
from policies.pricing import charge

ISSUE_EXAMPLE = """\
providers:
  openai: {kind: openai, base_url: "https://api.openai.com/v1", api_key: "${OPENAI_API_KEY}"}
  gpu:    {kind: vllm, base_url: "http://gpu-1:8000/v1"}
  claude: {kind: litellm, litellm_provider: anthropic, api_key: "${ANTHROPIC_API_KEY}"}
deployments:
  - {name: mini, provider: openai, model: gpt-5-mini}                # price found in the price list
  - {name: own-8b, provider: gpu, model: meta-llama/Llama-3.1-8B-Instruct, price: {input: 0.02, output: 0.06}}
routes:
  auto: {deployments: [own-8b, mini], policy: ordered, baseline: mini}
"""
SECRETS = {"OPENAI_API_KEY": "sk-upstream-secret", "ANTHROPIC_API_KEY": "sk-ant-secret"}
NOWHERE = Path("no-such-folder")


def snapshot(text, env=SECRETS, data_dir=NOWHERE):
    return read_snapshot(dedent(text), "catalog.yaml", env, data_dir)


def with_deployment(deployment, provider="{kind: openai}"):
    return snapshot(f"providers: {{p: {provider}}}\ndeployments:\n  - {deployment}\n")


def refusal(text, env=SECRETS):
    with pytest.raises(CatalogError) as caught:
        snapshot(text, env)
    return str(caught.value)


def refusal_of(deployment, provider="{kind: openai}"):
    return refusal(f"providers: {{p: {provider}}}\ndeployments:\n  - {deployment}\n")


def rate(deployment, meter, tier="standard"):
    return deployment.tariff.cards[tier].rates[meter]


# What a file may say


def test_the_example_of_the_issue_loads():
    catalog = snapshot(ISSUE_EXAMPLE)
    assert catalog.route("auto").deployments == ("own-8b", "mini")
    assert catalog.route("auto").baseline == "mini"
    assert catalog.deployment("mini").provider.api_key == "sk-upstream-secret"
    assert rate(catalog.deployment("mini"), Meter.INPUT) == 250_000_000
    assert rate(catalog.deployment("own-8b"), Meter.OUTPUT) == 60_000_000
    assert list(catalog.names()) == [("auto", "obol"), ("mini", "openai"), ("own-8b", "gpu")]
    assert not catalog.uses_simulator


def test_the_shipped_example_loads():
    text = (Path(__file__).parents[2] / "deploy" / "catalog.example.yaml").read_text()
    env = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "https://example.org/v1")
    catalog = snapshot(text, env)
    assert catalog.route("auto") is not None


def test_names_are_looked_up_exactly():
    catalog = snapshot(ISSUE_EXAMPLE)
    assert catalog.deployment("Mini") is None
    assert catalog.deployment("gpt-5-mini") is None
    assert catalog.route("mini") is None


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


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        ("{kind: openai}", "https://api.openai.com/v1"),
        ("{kind: anthropic}", "https://api.anthropic.com/v1"),
        ("{kind: anthropic, base_url: 'https://proxy.example'}", "https://proxy.example/v1"),
        ("{kind: anthropic, base_url: 'https://proxy.example/'}", "https://proxy.example/v1"),
        ("{kind: anthropic, base_url: 'https://proxy.example/claude/v1/'}", "https://proxy.example/claude/v1"),
        ("{kind: vllm, base_url: 'http://gpu:8000'}", "http://gpu:8000"),
    ],
)
def test_an_address_is_known_or_taken_as_it_stands_but_anthropics_may_lack_its_path(provider, address):
    assert with_deployment("{name: m, provider: p, model: x}", provider).deployment("m").provider.base_url == address


def test_a_discount_is_taken_off_every_rate():
    deployment = with_deployment(
        "{name: m, provider: p, model: gpt-4o}", "{kind: openai, discount_pct: 12.5}"
    ).deployment("m")
    assert rate(deployment, Meter.INPUT) == 2_500_000_000 * 7 // 8
    assert rate(deployment, Meter.CACHED_INPUT) == 1_250_000_000 * 7 // 8


def test_limits_stand_in_the_deployment_or_in_its_limits():
    beside = with_deployment("{name: m, provider: p, model: gpt-4o, requests_per_minute: 5, parallel_requests: 2}")
    inside = with_deployment(
        "{name: m, provider: p, model: gpt-4o, limits: {requests_per_minute: 5, parallel_requests: 2}}"
    )
    assert beside.deployment("m").limits == inside.deployment("m").limits
    assert beside.deployment("m").limits.requests_per_minute == 5
    assert beside.deployment("m").limits.tokens_per_minute is None


def test_timeouts_are_the_providers():
    provider = "{kind: openai, timeouts: {first_token_s: 7.5}}"
    timeouts = with_deployment("{name: m, provider: p, model: gpt-4o}", provider).deployment("m").provider.timeouts
    assert (timeouts.first_token_s, timeouts.connect_s) == (7.5, 5.0)


def test_openai_has_its_address_by_itself():
    assert (
        with_deployment("{name: m, provider: p, model: gpt-4o}").deployment("m").provider.base_url
        == "https://api.openai.com/v1"
    )


def test_variables_are_filled_in_everywhere_even_with_yaml_signs_in_them():
    catalog = with_deployment(
        "{name: m, provider: p, model: gpt-4o}",
        '{kind: openai, api_key: "${OPENAI_API_KEY}", headers: {x-a: "Basic ${ANTHROPIC_API_KEY}"}}',
    )
    assert catalog.deployment("m").provider.headers == {"x-a": "Basic sk-ant-secret"}
    text = 'providers: {p: {kind: openai, headers: {a: "${V}"}}}\ndeployments: [{name: m, provider: p, model: gpt-4o}]'
    assert snapshot(text, {"V": "a: {b} # c"}).deployment("m").provider.headers == {"a": "a: {b} # c"}


def test_moderations_have_a_default_model():
    catalog = snapshot(
        """\
        providers: {p: {kind: openai}}
        deployments: [{name: m, provider: p, model: omni-moderation-latest}]
        defaults: {moderations: m}
        """
    )
    assert catalog.default_model(Endpoint.MODERATIONS) == "m"
    assert catalog.default_model(Endpoint.CHAT) is None
    assert catalog.deployment("m").mode == "moderation"


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


def test_a_simulated_catalog_says_so():
    assert with_deployment("{name: m, provider: p, model: x, price: free}", "{kind: simulator}").uses_simulator


def test_anchors_and_merges_work():
    catalog = snapshot(
        """\
        providers:
          a: &a {kind: openai, timeouts: {total_s: 9}}
          b: {<<: *a, base_url: "https://b.example/v1"}
        deployments: [{name: m, provider: b, model: gpt-4o}]
        """
    )
    assert catalog.deployment("m").provider.timeouts.total_s == 9
    assert catalog.deployment("m").provider.base_url == "https://b.example/v1"


# Disabled deployments


DISABLED = """\
providers: {p: {kind: openai}}
deployments:
  - {name: on, provider: p, model: gpt-4o}
  - {name: off, provider: p, model: gpt-4o-mini, enabled: false}
routes: {r: {deployments: [off, on], baseline: off}}
"""


def test_a_disabled_deployment_cannot_be_called_but_stays_a_baseline():
    catalog = snapshot(DISABLED)
    assert catalog.deployment("off") is None
    assert catalog.reference("off").tariff is not None
    assert ("off", "p") not in list(catalog.names())
    assert "disabled" in "\n".join(catalog.describe())


# Wildcards


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


# Refusals


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("providers: {p: {kind: openai}}\nproviders: {}\n", ":2: 'providers' stands twice, first on line 1"),
        ("providers: [\n", "catalog.yaml:2: not YAML"),
        ('a: "${NOPE}"\nb: 1\n', "catalog.yaml:1: the environment variable NOPE is not set"),
        ('a:\n  - b: "${not a name}"\n', "catalog.yaml:2: '${not a name}' is not of the form ${NAME}"),
        ("a: ${OPENAI_API_KEY\n", "is not of the form ${NAME}"),
        ("a: .inf\n", "catalog.yaml:1: write .inf as a plain decimal number"),
        ("a: &x [*x]\n", "contains itself"),
        ("a: !!python/object:os.system x\n", "is not allowed"),
        ("1: 2\n", "catalog.yaml:1: a key must be text"),
        ("", "providers: is missing"),
        ("- a\n", "expected keys and values"),
        ("providers: {}\ndeployments: {}\n", "catalog.yaml:2: deployments: "),
        ("providers: {}\ndeployments: []\nrouts: {}\n", ":3: routs: unknown key routs (did you mean routes?)"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_catalog_is_refused_with_line_and_reason(text, expected):
    assert expected in refusal(text)


@pytest.mark.parametrize(
    ("deployment", "reason"),
    [
        ("{name: m, provider: q, model: x}", "there is no provider 'q'"),
        ("{name: m, provider: p}", "deployments.0.model: is missing"),
        ("{name: m, provider: p, model: x, prise: free}", "unknown key prise (did you mean price?)"),
        ("{name: m, provider: p, model: x, price: {inptu: 1}}", "unknown key inptu (did you mean input?)"),
        ("{name: m, provider: p, model: x, price: {input: -1, output: 1}}", "greater than or equal to 0"),
        ("{name: m, provider: p, model: x, price: {input: 1e9, output: 1}}", "less than or equal to"),
        ("{name: m, provider: p, model: x, price: {input: true, output: 1}}", "expected a number"),
        ("{name: m, provider: p, model: x, price: {input: cheap, output: 1}}", "price.input"),
        ("{name: m, provider: p, model: x, price: {output: 1}}", "output but not input"),
        ("{name: m, provider: p, model: x, price: {}}", "at least one rate"),
        ("{name: m, provider: p, model: x, price: {input: 1, context_tiers: {}}}", "unknown key context_tiers"),
        ("{name: m, provider: p, model: x, price: {input: 1, output: 1, above_k: {input: 1}}}", "unknown key above_k"),
        ("{name: m, provider: p, model: x, price: {input: 1, output: 1, above_2k: {batch: {}}}}", "unknown key batch"),
        ("{name: m, provider: p, model: gpt-4o, price: {input: 1}}", "needs an output rate"),
        ("{name: m, provider: p, model: x, price: cheap}", "expected rates, such as {input: 0.5, output: 2}"),
        ("{name: m, provider: p, model: x, price: free, unpriced: allow}", "give one of price, price_of, unpriced"),
        ("{name: m, provider: p, model: x, price_of: gtp-4o}", "no price of 'gtp-4o' (did you mean gpt-4o?)"),
        ("{name: m, provider: p, model: x, requests_per_minute: 0}", "requests_per_minute"),
        ("{name: m, provider: p, model: x, requests_per_minute: 1, limits: {tokens_per_minute: 1}}", "either in"),
        ("{name: 'a b', provider: p, model: x}", "deployments.0.name"),
        ("{name: 7, provider: p, model: x}", "deployments.0.name: Input should be a valid string"),
        ("{name: m, provider: p, model: x, mode: chatt}", "deployments.0.mode"),
    ],
)  # fmt: skip
def test_a_deployment_that_makes_no_sense_is_refused(deployment, reason):
    text = refusal_of(deployment)
    assert reason in text
    assert text.startswith("catalog.yaml:3: ")


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("{kind: opneai}", "providers.p.kind"),
        ("{kind: vllm}", "kind vllm needs a base_url"),
        ("{kind: openai_compatible}", "kind openai_compatible needs a base_url"),
        ("{kind: azure}", "kind azure needs a base_url"),
        ("{kind: litellm}", "needs litellm_provider"),
        ("{kind: openai, base_url: api.openai.com}", "providers.p.base_url"),
        ("{kind: openai, base_url: 'https://[x/v1'}", "expected an address"),
        ("{kind: openai, base_url: 'https://x:port/v1'}", "expected an address"),
        ("{kind: openai, base_url: 'ftp://x/v1'}", "expected an address"),
        ("{kind: openai, api_key: 'two words'}", "providers.p.api_key"),
        ("{kind: openai, api_key: 'ends in a line break\\n'}", "a key is printable ASCII"),
        ("{kind: openai, headers: {'a b': x}}", "the name of an HTTP header"),
        ('{kind: openai, headers: {a: "x\\r\\nauthorization: y"}}', "without line breaks"),
        ("{kind: openai, discount_pct: 101}", "providers.p.discount_pct"),
        ("{kind: openai, timeouts: {connect: 1}}", "unknown key connect (did you mean connect_s?)"),
        ("{kind: openai, timeouts: {connect_s: 0}}", "providers.p.timeouts.connect_s"),
        ("{kind: openai, api_kye: x}", "unknown key api_kye (did you mean api_key?)"),
    ],
)
def test_a_provider_that_makes_no_sense_is_refused(provider, reason):
    text = refusal_of("{name: m, provider: p, model: gpt-4o}", provider)
    assert reason in text
    assert text.startswith("catalog.yaml:1: ")


@pytest.mark.parametrize(
    ("more", "line", "reason"),
    [
        ("routes: {r: {deployments: [mm]}}", 4, "there is no deployment 'mm' (did you mean m?)"),
        ("routes:\n  r:\n    deployments:\n      - m\n      - zzz", 8, "there is no deployment 'zzz'"),
        ("routes: {r: {deployments: [m, m]}}", 4, "'m' stands twice"),
        ("routes: {r: {deployments: []}}", 4, "routes.r.deployments"),
        ("routes: {r: {deployments: [m], policy: orderd}}", 4, "routes.r.policy"),
        ("routes: {r: {deployments: [m], baseline: zzz}}", 4, "there is no deployment 'zzz'"),
        ("routes: {r: {deployments: [m], baseline: bare}}", 4, "the baseline 'bare' has no price"),
        ("routes: {m: {deployments: [m]}}", 4, "the name 'm' is taken on line 3"),
        ("defaults: {moderations: zzz}", 4, "there is no route or deployment 'zzz'"),
        ("defaults: {chat: m}", 4, "unknown key chat"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused_on_its_line(more, line, reason):
    members = "{name: m, provider: p, model: gpt-4o}, {name: bare, provider: p, model: no-such-model}"
    text = refusal(f"providers: {{p: {{kind: openai}}}}\ndeployments:\n  [{members}]\n{more}\n")
    assert f"catalog.yaml:{line}: " in text
    assert reason in text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mangled_file_is_read_or_refused_but_never_breaks(data):
    parts = re.findall(r"\w+|\W", ISSUE_EXAMPLE)
    signs = [
        "{",
        "}",
        "[",
        "]",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        "!!int ",
        "0x1f",
        "1:30",
        "~",
        "\n  ",
        "|",
        "%",
        "\x85",
        ".nan",
    ]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(parts) - 1))
        parts[place : place + data.draw(st.integers(0, 2))] = [
            data.draw(st.sampled_from([*signs, *sorted(set(parts))]))
        ]
    lines = said_of("".join(parts))
    assert lines
    assert all(lines)


def said_of(text):
    """The description of a catalog, or the lines of its refusal."""
    try:
        return snapshot(text).describe()
    except CatalogError as refused:
        return [str(problem) for problem in refused.problems if problem.line >= 1 and problem.reason]


def test_two_deployments_of_one_name_are_refused():
    text = refusal(
        """\
        providers: {p: {kind: openai}}
        deployments:
          - {name: m, provider: p, model: gpt-4o}
          - {name: m, provider: p, model: gpt-4o-mini}
        """
    )
    assert "catalog.yaml:4: the name 'm' is taken on line 3" in text


def test_all_faults_are_told_at_once_in_the_order_of_their_lines():
    text = refusal(
        """\
        providers:
          p: {kind: openai, api_kye: x}
        deployments:
          - {name: m, provider: p}
          - {name: n, provider: p, model: x, prise: 1}
        """
    )
    assert [line.split(":")[1] for line in text.splitlines()] == ["2", "4", "5"]


def test_no_representation_shows_a_secret():
    provider = '{kind: openai, api_key: "${OPENAI_API_KEY}", headers: {a: other-secret}, query: {sig: secret-too}}'
    catalog = with_deployment("{name: m, provider: p, model: gpt-4o}", provider)
    assert "secret" not in repr(catalog)
    assert "secret" not in "\n".join(catalog.describe())


def test_a_refusal_never_shows_a_secret():
    text = refusal_of(
        "{name: m, provider: p, model: gpt-4o}",
        '{kind: openai, api_key: ["${OPENAI_API_KEY}"], base_url: "${ANTHROPIC_API_KEY}", zzz: "${OPENAI_API_KEY}"}',
    )
    text += refusal_of(
        "{name: m, provider: p, model: x}", '{kind: openai, api_key: "${OPENAI_API_KEY} ${ANTHROPIC_API_KEY}"}'
    )
    assert "secret" not in text


# The hash


def test_the_hash_is_the_same_for_the_same_catalog_however_it_is_written():
    again = ISSUE_EXAMPLE.replace("policy: ordered, ", "").replace("0.02", "0.020")
    assert snapshot(ISSUE_EXAMPLE).hash == snapshot(again).hash
    assert re.fullmatch(r"[0-9a-f]{12}", snapshot(again).hash)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.02", "0.03"),
        ("[own-8b, mini]", "[mini, own-8b]"),
        ("gpu-1:8000", "gpu-2:8000"),
        ("baseline: mini", "baseline: own-8b"),
        ("model: gpt-5-mini", "model: gpt-5"),
        ("model: gpt-5-mini", "model: gpt-5-mini, requests_per_minute: 5"),
        ("model: gpt-5-mini", "model: gpt-5-mini, enabled: false"),
        ("kind: openai,", "kind: openai, discount_pct: 5,"),
    ],
)
def test_the_hash_changes_with_what_is_called_and_what_it_costs(old, new):
    assert old in ISSUE_EXAMPLE
    assert snapshot(ISSUE_EXAMPLE).hash != snapshot(ISSUE_EXAMPLE.replace(old, new)).hash


def test_the_hash_changes_with_the_price_list_but_tells_nothing_of_secrets(tmp_path):
    entry = {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    (tmp_path / "prices.json").write_text(json.dumps({"gpt-5-mini": entry}))
    assert snapshot(ISSUE_EXAMPLE, data_dir=tmp_path).hash != snapshot(ISSUE_EXAMPLE).hash
    other_secrets = dict.fromkeys(SECRETS, "another")
    assert snapshot(ISSUE_EXAMPLE, other_secrets).hash == snapshot(ISSUE_EXAMPLE).hash


# Reloading


@pytest.fixture
def live(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(ISSUE_EXAMPLE)
    return path, CatalogFile.of_path(path, SECRETS, tmp_path)


def replace_file(path, text):
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_an_unchanged_file_is_not_read_again(live):
    _, catalog = live
    before = catalog.current
    assert not catalog.reload_if_changed()
    assert catalog.current is before


def test_a_changed_file_becomes_the_catalog(live):
    path, catalog = live
    replace_file(
        path,
        ISSUE_EXAMPLE.replace("name: mini", "name: small").replace("mini]", "small]").replace(": mini}", ": small}"),
    )
    assert catalog.reload_if_changed()
    assert catalog.current.deployment("small") is not None
    assert catalog.current.deployment("mini") is None


def test_a_touched_file_with_the_same_content_changes_nothing(live):
    path, catalog = live
    before = catalog.current
    os.utime(path, ns=(1, 1))
    assert not catalog.reload_if_changed()
    assert catalog.current is before


def test_a_bad_file_is_refused_once_and_the_old_catalog_stays(live):
    path, catalog = live
    before = catalog.current
    replace_file(path, "providers: {}\ndeployment: []\n")
    with pytest.raises(CatalogError, match=r"catalog\.yaml:2: deployment: unknown key"):
        catalog.reload_if_changed()
    assert catalog.current is before
    assert not catalog.reload_if_changed()
    replace_file(path, ISSUE_EXAMPLE.replace("0.02", "0.03"))
    assert catalog.reload_if_changed()


def test_a_file_that_vanishes_is_refused_and_the_old_catalog_stays(live):
    path, catalog = live
    path.unlink()
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        catalog.reload_if_changed()
    assert catalog.current.deployment("mini") is not None


def test_a_file_that_is_not_utf8_is_refused_with_its_line(live):
    path, catalog = live
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(CatalogError, match=r"catalog\.yaml:2: is not UTF-8"):
        catalog.reload_if_changed()


def test_new_prices_come_into_force_without_a_restart(live, tmp_path):
    _, catalog = live
    entry = {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    (tmp_path / "prices.json").write_text(json.dumps({"gpt-5-mini": entry}))
    assert catalog.reload_if_changed()
    assert rate(catalog.current.deployment("mini"), Meter.INPUT) == 10**9


# Showing


def test_the_catalog_is_shown_with_its_secrets_hidden(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(
        ISSUE_EXAMPLE.replace(
            "{kind: vllm, base_url:",
            "{kind: vllm, api_key: literal-secret, "
            'headers: {authorization: "Bearer ${OPENAI_API_KEY}", x: other-secret}, '
            'query: {api-version: "2024-10-21", sig: query-secret}, base_url:',
        ).replace("http://gpu-1", "http://user:url-secret@gpu-1")
    )
    shown = main_show(Settings(catalog=path, data_dir=tmp_path), SECRETS)
    assert "secret" not in shown
    assert "${OPENAI_API_KEY}" in shown
    assert "***" in shown
    assert "2024-10-21" in shown
    assert "$0.25 in, $2 out per 1M tokens" in shown


def test_what_is_shown_can_be_used_as_a_file_again(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text(ISSUE_EXAMPLE)
    shown = main_show(Settings(catalog=path, data_dir=tmp_path), SECRETS)
    assert snapshot(shown).hash == snapshot(ISSUE_EXAMPLE).hash


def test_the_description_names_prices_and_what_has_none():
    lines = "\n".join(
        snapshot(
            """\
            providers: {p: {kind: openai}}
            deployments:
              - {name: bare, provider: p, model: no-such-model}
              - {name: open, provider: p, model: no-such-model, unpriced: allow}
              - {name: gift, provider: p, model: x, price: free}
              - {name: sound, provider: p, model: whisper-1}
            """
        ).describe()
    )
    assert "bare  (no-such-model at p)  REFUSED: no price" in lines
    assert "open  (no-such-model at p)  charged nothing, its price is unknown" in lines
    assert "gift  (x at p)  free" in lines
    assert "$0.0001 per second" in lines


def test_catalog_prices_charge_a_call():
    catalog = snapshot(ISSUE_EXAMPLE)
    from gateway.domain import Usage  # noqa: PLC0415 - only this test prices a call

    usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
    assert charge(catalog.deployment("own-8b").tariff, usage, None).cost_nusd == 50_000_000


def test_aliases_of_aliases_that_stand_for_millions_of_parts_are_refused_with_their_line():
    levels = ["a0: &a0 [" + ", ".join("x" * 9) + "]"]
    levels += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 8)]
    assert re.match(r"catalog\.yaml:\d+: .*more than 200000 parts", refusal("\n".join(levels)))


def test_merges_of_merges_cost_no_more_than_what_is_left_of_them():
    levels = ["a0: &a0 {k: 1}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    assert parse("\n".join(levels), "catalog.yaml", {}).data["a29"] == {"k": 1}


def test_a_wildcard_over_litellm_makes_only_what_litellm_is_asked_for():
    def modes(provider):
        text = f'providers: {{p: {provider}}}\ndeployments: [{{name: "c/*", provider: p, model: "*"}}]'
        return {one.mode for one in snapshot(text).deployments.values()}

    cohere = 'base_url: "https://api.cohere.com/v2", api_key: x, litellm_provider: cohere'
    assert "rerank" in modes(f"{{kind: openai_compatible, {cohere}}}")
    assert "rerank" not in modes("{kind: litellm, litellm_provider: cohere}")
