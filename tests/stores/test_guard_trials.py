"""Guards listed and tried over the admin API."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from admin_parts import ADMIN_KEY, Admin, tenants_app

from backends.guards.registry import build
from gateway.api.admin import admin_router
from gateway.api.admin.guard import any_of
from gateway.api.admin.guard_lists import GuardLists
from gateway.api.admin.guards import add_guards
from gateway.api.admin.operator import operator_key
from gateway.assembly.guards import GuardsInForce
from gateway.catalog.file import read_snapshot
from gateway.stores.admin_key_cache import AdminKeyCache
from gateway.stores.admin_keys import AdminKeyStore
from gateway.stores.keys import KeyStore
from gateway.stores.tenants import TenantStore

CATALOG = read_snapshot(
    """\
providers: {p: {kind: openai}}
deployments: [{name: m, provider: p, model: gpt-4o}]
routes: {auto: {deployments: [m], guards: [words]}}
guards:
  pii: {kind: pii, mode: redact, on_error: closed, where: both, always: true}
  words: {kind: patterns, mode: block, on_error: closed, deny: {rivals: {words: [Acme]}}}
  judge: {kind: judge, mode: block, on_error: closed, deployment: m, rubric: "No insults."}
""",
    "catalog.yaml",
    {},
    Path("nowhere"),
)
TEXT = "Acme wrote to ada@example.com and bob@example.com"
SOFT = {"name": "soft", "kind": "patterns", "mode": "flag", "on_error": "open", "deny": {"names": {"words": ["wrote"]}}}


@pytest.fixture(scope="module")
def app(engine):
    guards = lambda: CATALOG.guards  # noqa: E731 - as the composition root says it
    made = tenants_app(engine, guards=guards)
    router = admin_router(any_of(operator_key(ADMIN_KEY), AdminKeyCache(AdminKeyStore(engine), lambda: 0.0).find))
    standing = GuardsInForce(lambda: CATALOG, build)
    add_guards(router, lambda: CATALOG, GuardLists(guards), standing, TenantStore(engine), KeyStore(engine))
    made.include_router(router)
    return made


@pytest.fixture(scope="module")
def owner(app):
    return Admin(app, ADMIN_KEY)


@pytest.fixture
async def organization(owner):
    return await owner.post("organizations", name=uuid4().hex)


@pytest.fixture
async def team(owner, organization):
    return await owner.post("teams", name="search", organization=organization["id"], guards=[SOFT])


def verdicts(one):
    return {verdict["guard"]: verdict["verdict"] for verdict in one["guards"]}


async def tried(admin, text=TEXT, **asked):
    (one,) = (await admin.post("guards/try", text=text, **asked))["data"]
    return one


async def test_the_guards_of_the_catalog_are_listed_with_what_they_stand_before(owner):
    listed = {one["name"]: one for one in (await owner.get("guards"))["data"]}

    assert list(listed) == ["pii", "words", "judge"]
    assert listed["words"] == {
        "name": "words",
        "kind": "patterns",
        "where": "input",
        "mode": "block",
        "on_error": "closed",
        "timeout_s": 2.0,
        "release": "windowed",
        "on_block": "stop",
        "always": False,
        "routes": ["auto"],
        "deployment": None,
    }
    assert (listed["pii"]["always"], listed["judge"]["deployment"]) == (True, "m")


async def test_a_text_is_tried_on_the_guards_of_a_route(owner):
    one = await tried(owner, route="auto")

    assert verdicts(one) == {"pii": "redacted", "words": "blocked"}
    assert one["text"] == "Acme wrote to [EMAIL_ADDRESS_1] and [EMAIL_ADDRESS_2]"
    pii, words = one["guards"]
    assert (pii["categories"], words["categories"]) == (["EMAIL_ADDRESS"], ["rivals"])
    assert pii["version"]
    assert pii["ms"] >= 0
    assert (pii["error"], pii["mode"]) == (None, "redact")


async def test_without_a_route_those_of_everybody_are_tried(owner):
    assert verdicts(await tried(owner)) == {"pii": "redacted"}


async def test_an_answer_is_tried_as_one(owner):
    one = await tried(owner, route="auto", where="output")

    assert verdicts(one) == {"pii": "redacted"}
    assert one["text"] == "Acme wrote to [EMAIL_ADDRESS] and [EMAIL_ADDRESS]"


async def test_several_texts_are_each_tried_alone(owner):
    answer = await owner.post("guards/try", texts=[TEXT, "nothing"], route="auto")

    assert [verdicts(one)["words"] for one in answer["data"]] == ["blocked", "passed"]
    assert answer["data"][1]["text"] == "nothing"


async def test_guards_are_tried_before_anybody_adds_them(owner):
    stricter = {"guard": "words", "name": "more", "deny": {"people": {"words": ["bob"]}}}

    assert verdicts(await tried(owner, guards=["words", SOFT, stricter])) == {
        "words": "blocked",
        "soft": "flagged",
        "more": "blocked",
    }


async def test_what_a_team_and_a_key_add_is_tried_with_them(owner, team):
    key = await owner.post("keys", name="k", team=team["id"], guards=["words"])

    assert verdicts(await tried(owner, team=team["id"])) == {"pii": "redacted", "soft": "flagged"}
    assert verdicts(await tried(owner, key=key["id"])) == {"pii": "redacted", "soft": "flagged", "words": "blocked"}


async def test_a_guard_that_asks_a_deployment_is_not_asked_and_says_so(owner):
    (judge,) = (await tried(owner, guards=["judge"]))["guards"]

    assert judge["verdict"] == "failed"
    assert "It asks 'm', which a trial does not" in judge["error"]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (409, "invalid_value", "text")),
        ({"text": "a", "texts": ["a"]}, (409, "invalid_value", "text")),
        ({"text": "a", "guards": ["pii"], "route": "auto"}, (409, "invalid_value", "guards")),
        ({"text": "a", "team": "t", "key": "k"}, (409, "invalid_value", "team")),
        ({"text": "a", "route": "autos"}, (404, "not_found", "route")),
        ({"text": "a", "team": "t"}, (404, "not_found", "team")),
        ({"text": "a", "key": "k"}, (404, "not_found", "key")),
        ({"text": "a", "guards": ["pi"]}, (404, "not_found", "guards")),
        ({"text": "a", "where": "both"}, (400, "invalid_value", "where")),
        ({"texts": []}, (400, "invalid_value", "texts")),
    ],
)
async def test_what_cannot_be_tried_is_refused(owner, body, refusal):
    assert await owner.refused("POST", "guards/try", body) == refusal


async def test_a_viewer_tries_the_guards_of_its_own_scope_alone(owner, organization, team):
    other = await owner.post("teams", name="other", organization=organization["id"])
    viewer = await owner.become("viewer", {"team": team["id"]})

    assert verdicts(await tried(viewer, team=team["id"])) == {"pii": "redacted", "soft": "flagged"}
    assert await viewer.refused("POST", "guards/try", {"text": "a", "team": other["id"]}) == (404, "not_found", "team")
