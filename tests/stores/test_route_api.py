"""What the admin API tells of the catalog: a route with its deployments, and any deployment by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from admin_parts import Admin
from fastapi import FastAPI

from gateway.api.admin import admin_router
from gateway.api.admin.routes import add_routes
from gateway.api.surface import install_errors
from gateway.catalog.file import read_snapshot
from gateway.domain import Actor, Role

CATALOG = """
providers: {up: {kind: openai_compatible, base_url: "http://up/v1"}}
deployments:
  - {name: dear, provider: up, model: large, price: {input: 5, output: 25, cached_input: 0.5}, output_tokens_max: 900}
  - {name: secret, provider: up, model: nobody-knows-its-price, unpriced: allow}
  - {name: "any/*", provider: up, model: "*", price: free}
routes:
  auto: {deployments: [any/small, dear], policy: cheapest_adequate, quality_loss_max: 0.1, baseline: dear}
"""


@pytest.fixture
def viewer():
    """An admin that may see one team."""
    catalog = read_snapshot(CATALOG, "catalog.yaml", {}, Path("no-such-folder"))

    async def find(secret):
        return Actor("a", "viewer", Role.VIEWER, "org", "team") if secret == "viewer" else None

    app, router = FastAPI(), admin_router(find)
    install_errors(app)
    add_routes(router, lambda: catalog)
    app.include_router(router)
    return Admin(app, "viewer")


async def test_a_route_tells_its_target_and_what_each_of_its_deployments_costs(viewer):
    told = await viewer.get("routes/auto")
    assert (told["policy"], told["quality_loss_max"], told["baseline"]) == ("cheapest_adequate", 0.1, "dear")
    small, dear = told["deployments"]
    assert (small["name"], small["model"], small["price"]["output"]) == ("any/small", "small", 0)
    assert dear["price"] == {
        "input": 5_000_000_000,
        "cached_input": 500_000_000,
        "output": 25_000_000_000,
        "reasoning": 25_000_000_000,
    }
    assert dear["output_tokens_max"] == 900


async def test_a_deployment_is_told_by_its_name_also_one_that_a_wildcard_makes(viewer):
    assert (await viewer.get("deployments/any/of/them"))["model"] == "of/them"
    told = await viewer.get("deployments/secret")
    assert (told["price"], told["is_unpriced_allowed"]) == (None, True)


@pytest.mark.parametrize("path", ["routes/dear", "routes/none", "deployments/auto"])
async def test_what_is_no_such_name_is_not_found(viewer, path):
    assert await viewer.refused("GET", path) == (404, "not_found", "name")
