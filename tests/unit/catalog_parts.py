"""What the tests of the catalog share: a file to start from, and short ways to a snapshot or a refusal."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from gateway.catalog.file import read_snapshot
from gateway.catalog.text import CatalogError

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
