"""What a catalog file may say of providers, deployments and routes, and the hash of what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from catalog_parts import ISSUE_EXAMPLE, SECRETS, rate, snapshot, with_deployment

from gateway.domain import Endpoint, Meter


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
