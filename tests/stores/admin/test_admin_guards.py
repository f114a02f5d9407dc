"""Guards that teams and keys add to the catalog's: kept, read, refused, and known to the path."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from admin_parts import tenants_app

from gateway.domain import (
    GuardMode,
    GuardRule,
    ModerationSettings,
    OnError,
    PatternsSettings,
    PiiSettings,
    SecretsSettings,
    WordList,
)
from gateway.stores.key_secrets import digest

CATALOG = {
    "pii": GuardRule("pii", "pii", PiiSettings(), mode=GuardMode.REDACT),
    "secrets": GuardRule("secrets", "secrets", SecretsSettings()),
    "words": GuardRule("words", "patterns", PatternsSettings((("rivals", WordList(("Acme",))),))),
    "moderation": GuardRule("moderation", "moderation_api", ModerationSettings("mod"), on_error=OnError.OPEN),
}
OWN = {
    "name": "codenames",
    "kind": "patterns",
    "mode": "block",
    "on_error": "closed",
    "where": "both",
    "timeout_s": 0.5,
    "deny": {"projects": {"words": ["Blue Heron"], "expressions": ["X-\\d{4}"]}},
    "allow": {"words": ["X-0000"]},
}
STRICTER = {"guard": "moderation", "name": "kinder", "thresholds": {"hate": 0.2}, "mode": "flag"}
ALL = ["pii", OWN, STRICTER]
NOT_ALLOWED = (403, "role_not_allowed", None)
ODD = (409, "invalid_guard", "guards")


@pytest.fixture(scope="module")
def told():
    """Digests of keys that were announced."""
    return []


@pytest.fixture(scope="module")
def app(engine, told):
    async def announce(digests):
        told.extend(digests)

    return tenants_app(engine, announce=announce, guards=lambda: CATALOG)


@pytest.fixture
async def key(owner, team):
    return await owner.post("keys", name="laptop", team=team["id"])


async def added_to(keys, key):
    caller = await keys.lookup(digest(key["key"]))
    return json.loads(caller.guards) if caller.guards else caller.guards


async def test_a_team_and_a_key_have_no_guards_of_their_own_until_somebody_adds_some(keys, team, key):
    assert (team["guards"], key["guards"]) == ([], [])
    assert await added_to(keys, key) == ""


async def test_the_path_knows_what_a_team_adds_and_then_what_its_key_adds(owner, keys, organization):
    team = await owner.post("teams", name="guarded", organization=organization["id"], guards=ALL)
    key = await owner.post("keys", name="k", team=team["id"], guards=["secrets"])
    other = await owner.post("keys", name="l", team=team["id"])

    assert (team["guards"], key["guards"]) == (ALL, ["secrets"])
    assert (await owner.get(f"teams/{team['id']}"))["guards"] == ALL
    assert (await owner.get(f"keys/{key['id']}"))["guards"] == ["secrets"]
    assert await added_to(keys, key) == [*ALL, "secrets"]
    assert await added_to(keys, other) == ALL


@pytest.mark.parametrize("nothing", [None, []])
async def test_guards_can_be_changed_and_taken_away(owner, keys, team, key, nothing):
    await owner.patch(f"teams/{team['id']}", guards=["pii"])
    await owner.patch(f"keys/{key['id']}", guards=[STRICTER])
    assert await added_to(keys, key) == ["pii", STRICTER]

    assert (await owner.patch(f"teams/{team['id']}", guards=nothing))["guards"] == []
    assert await added_to(keys, key) == [STRICTER]
    assert (await owner.patch(f"keys/{key['id']}", guards=nothing))["guards"] == []
    assert await added_to(keys, key) == ""


async def test_what_else_of_a_team_changes_leaves_its_guards(owner, team):
    await owner.patch(f"teams/{team['id']}", guards=["pii"])

    assert (await owner.patch(f"teams/{team['id']}", contact="ask@example.com"))["guards"] == ["pii"]


async def test_every_process_hears_of_a_change_and_finds_it_among_those_that_changed(owner, keys, told, team, key):
    began, told[:] = datetime.now(UTC), []
    await owner.patch(f"teams/{team['id']}", guards=["pii"])
    await owner.patch(f"keys/{key['id']}", guards=["secrets"])

    assert told == [digest(key["key"])] * 2
    changed = {one.key_id: one.caller for one in (await keys.changes(began)).keys}
    assert json.loads(changed[key["id"]].guards) == ["pii", "secrets"]


async def test_a_process_that_starts_leaves_keys_that_add_much_for_when_they_are_used(owner, keys, team, key):
    heavy = {**OWN, "deny": {"words": {"words": [uuid4().hex for _ in range(500)]}}}
    await owner.patch(f"teams/{team['id']}", guards=["pii"])
    laden = await owner.post("keys", name="laden", team=team["id"], guards=[heavy])

    taken_in = {one.key_id: one.caller for one in (await keys.changes(None)).keys}

    assert taken_in[key["id"]].guards == '["pii"]'
    assert laden["id"] not in taken_in
    assert await added_to(keys, laden) == ["pii", heavy]


async def test_a_change_is_audited(owner, team):
    await owner.patch(f"teams/{team['id']}", guards=["pii"])

    change = (await owner.get("audit", object_id=team["id"]))["data"][0]

    assert (change["action"], change["before"]["guards"], change["after"]["guards"]) == ("update", [], ["pii"])


@pytest.mark.parametrize(
    ("guards", "refusal"),
    [
        (["pi"], (404, "not_found", "guards")),
        ([{"guard": "pi"}], (404, "not_found", "guards")),
        ([{"guard": "pii", "thresholds": {"hate": 0.1}}], ODD),
        ([{"guard": "moderation", "mode": "redact"}], ODD),
        ([{"guard": "moderation", "timeout_s": 0.001}], ODD),
        ([{"guard": "pii", "kinds": ["EMAIL"]}], ODD),
        ([{**OWN, "deny": {"a": {"expressions": ["(x"]}}}], ODD),
        ([{**OWN, "deny": {"a": {}}}], ODD),
        ([{**OWN, "where": "input", "release": "whole"}], ODD),
        (["pii", {"guard": "pii", "kinds": ["CRYPTO"]}], ODD),
        ([{**OWN, "deny": {"a": {"words": [f"{number:0200}" for number in range(400)]}}}], ODD),
    ],
)
async def test_what_cannot_be_is_refused_as_such(owner, team, key, guards, refusal):
    for path in (f"teams/{team['id']}", f"keys/{key['id']}"):
        assert await owner.refused("PATCH", path, {"guards": guards}) == refusal
    assert await owner.refused("POST", "keys", {"name": "k", "team": team["id"], "guards": guards}) == refusal
    body = {"name": "t", "organization": team["organization_id"], "guards": guards}
    assert await owner.refused("POST", "teams", body) == refusal


@pytest.mark.parametrize(
    "guards",
    [
        "pii",
        [1],
        [None],
        ["a b"],
        [{}],
        [{"name": "n", "kind": "webhook", "mode": "flag", "on_error": "open", "url": "http://x", "secret": "s"}],
        [{"name": "n", "kind": "plugin", "mode": "flag", "on_error": "open", "plugin": "p"}],
        [{"name": "n", "kind": "judge", "mode": "flag", "on_error": "open", "deployment": "d", "rubric": "r"}],
        [{"name": "n", "kind": "injection", "mode": "flag", "on_error": "open", "classifier": "d"}],
        [{"name": "n", "kind": "secrets", "mode": "flag", "on_error": "open", "always": True}],
        [{name: value for name, value in OWN.items() if name != "on_error"}],
        [{name: value for name, value in OWN.items() if name != "mode"}],
        [{name: value for name, value in OWN.items() if name != "name"}],
        [{**OWN, "timeout_s": "1"}],
        [{**OWN, "fold_look_alikes": "yes"}],
        [{**OWN, "deny": {"a": {"words": ["nul\0"]}}}],
        [{"guard": "pii", "url": "http://x"}],
        ["pii"] * 21,
    ],
)
async def test_what_has_not_the_form_of_a_guard_is_refused_by_its_name(owner, team, guards):
    status, code, param = await owner.refused("PATCH", f"teams/{team['id']}", {"guards": guards})

    assert (status, code, param.split(".")[0]) == (400, "invalid_value", "guards")


async def test_what_guards_a_whole_team_is_not_for_the_team_itself_to_say_and_what_guards_a_key_is(
    owner, organization, team, key
):
    of_team = await owner.become("team_admin", {"team": team["id"]})
    above = await owner.become("organization_admin", {"organization": organization["id"]})
    viewer = await owner.become("viewer", {"team": team["id"]})
    await above.patch(f"teams/{team['id']}", guards=["pii"])

    assert await of_team.refused("PATCH", f"teams/{team['id']}", {"guards": []}) == NOT_ALLOWED
    assert (await of_team.patch(f"keys/{key['id']}", guards=["secrets"]))["guards"] == ["secrets"]
    assert await viewer.refused("PATCH", f"keys/{key['id']}", {"guards": []}) == NOT_ALLOWED
    assert (await viewer.get(f"teams/{team['id']}"))["guards"] == ["pii"]
