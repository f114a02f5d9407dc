"""The guarantee over HTTP: any admin reads it, of routes that there are."""

from __future__ import annotations

import dataclasses

import pytest
from admin_parts import Admin
from fastapi import FastAPI
from router_parts import a_track, word_table

from gateway.api.admin import admin_router
from gateway.api.admin.guarantee import add_guarantee
from gateway.api.surface import install_errors
from gateway.domain import Actor, Role, Route
from gateway.router.training import train
from policies.routing.guarantee import guarantee

WORDS = word_table()
ROUTES = {
    name: Route(name, ("large", "small"), policy=policy, quality_loss_max=0.05)
    for name, policy in (("world", "cheapest_adequate"), ("team/auto", "ordered"))
}


@pytest.fixture(scope="module")
def router():
    return train([a_track(800, words=WORDS)], WORDS)


@pytest.fixture(scope="module")
def admin(router):
    """Makes the view of an admin."""
    actors = {
        "owner": Actor("a", "owner", Role.OWNER),
        "viewer": Actor("b", "of the team", Role.VIEWER, "org_1", "team_1"),
    }

    class Catalog:
        route = staticmethod(ROUTES.get)

    async def find(secret):
        return actors.get(secret)

    app, routes = FastAPI(), admin_router(find)
    install_errors(app)
    add_guarantee(routes, lambda: Catalog, lambda route: guarantee(route, router.known, "v1"))
    app.include_router(routes)
    return lambda who: Admin(app, who)


@pytest.mark.parametrize("who", ["owner", "viewer"])
async def test_any_admin_reads_what_is_promised(admin, router, who):
    told = await admin(who).get("routes/world/guarantee")
    promised = dataclasses.asdict(guarantee(ROUTES["world"], router.known, "v1"))
    assert told == promised | {name: list(promised[name]) for name in ("deployments", "slices")}
    assert (told["certified"], told["n"], told["last_calibration"]) == (True, 800, None)


async def test_a_route_without_a_promise_says_so_and_a_name_may_have_a_slash(admin):
    told = await admin("owner").get("routes/team/auto/guarantee")
    assert (told["route"], told["certified"], told["n"], told["fallback"]) == ("team/auto", False, 0, None)
    assert told["text"] == "uncertified: the policy ordered makes no promise of quality."


async def test_an_unknown_route_is_not_found_and_a_stranger_learns_nothing(admin):
    assert await admin("owner").refused("GET", "routes/large/guarantee") == (404, "not_found", "name")
    assert (await admin("nobody").refused("GET", "routes/world/guarantee"))[0] == 401
