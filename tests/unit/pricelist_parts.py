"""What the tests of the price list share: lists of a few made-up models."""

from __future__ import annotations

import json

from gateway.catalog.pricelist import PriceList


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
