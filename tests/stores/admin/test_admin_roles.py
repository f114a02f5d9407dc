"""Who may administer what: roles and scopes of admin keys, and that nobody learns what lies outside its own."""

from __future__ import annotations

from uuid import uuid4

import pytest
from admin_role_parts import Tenants

NOT_ALLOWED = (403, "role_not_allowed", None)


@pytest.fixture(scope="module")
async def team_admin(owner, ours):
    return await owner.become("team_admin", ours.team_scope)


@pytest.fixture(scope="module")
async def viewer(owner, ours):
    return await owner.become("viewer", ours.scope)


async def test_an_owner_made_by_the_operator_may_do_everything(owner, theirs):
    second = await owner.become("owner")

    assert await second.listed("teams", organization=theirs.organization) == theirs.ids["teams"][::-1]
    third = await second.become("owner")
    organization = await third.post("organizations", name=uuid4().hex)
    assert await third.delete(f"organizations/{organization['id']}") == {"id": organization["id"], "deleted": True}


@pytest.mark.parametrize("kind", ["organizations", "teams", "members", "keys"])
async def test_lists_show_what_lies_in_the_scope(organization_admin, viewer, team_admin, ours, kind):
    for admin in (organization_admin, viewer):
        assert sorted(await admin.listed(kind)) == sorted(ours.ids[kind])
    assert await team_admin.listed(kind) == ([] if kind == "organizations" else ours.ids[kind][:1])


@pytest.mark.parametrize("kind", ["teams", "members", "keys"])
async def test_a_filter_does_not_widen_a_list(organization_admin, theirs, kind):
    assert await organization_admin.listed(kind, organization=theirs.organization) == []


@pytest.mark.parametrize("kind", ["organizations", "teams", "members", "keys"])
async def test_outside_its_scope_an_admin_finds_nothing(organization_admin, theirs, kind):
    place = f"{kind}/{theirs.ids[kind][0]}"
    refusal = (404, "not_found", kind.removesuffix("s"))

    assert await organization_admin.refused("GET", place) == refusal
    assert await organization_admin.refused("PATCH", place, {"name": "mine"}) == refusal
    assert await organization_admin.refused("DELETE", place) == refusal
    if kind == "keys":
        assert await organization_admin.refused("POST", f"{place}/rotate", {}) == refusal


@pytest.mark.parametrize("kind", ["teams", "members", "keys"])
async def test_a_team_admin_finds_nothing_of_another_team(team_admin, ours, kind):
    place = f"{kind}/{ours.ids[kind][1]}"
    refusal = (404, "not_found", kind.removesuffix("s"))

    assert await team_admin.refused("GET", place) == refusal
    assert await team_admin.refused("PATCH", place, {"name": "mine"}) == refusal
    assert await team_admin.refused("DELETE", place) == refusal


async def test_what_another_has_cannot_be_told_from_what_nobody_has(organization_admin, theirs):
    texts = []
    for one in (theirs.ids["keys"][0], "key_" + "0" * 24):
        response = await organization_admin.send("GET", f"keys/{one}")
        texts.append((response.status_code, response.text.replace(one, "ID")))

    assert texts[0] == texts[1]


async def test_nothing_is_made_outside_the_scope(organization_admin, team_admin, ours, theirs):
    for admin, team in ((organization_admin, theirs.ids["teams"][0]), (team_admin, ours.ids["teams"][1])):
        for kind in ("members", "keys"):
            refusal = await admin.refused("POST", kind, {"name": "x", "team": team})
            assert refusal == (404, "not_found", "team")
    body = {"name": "x", "organization": theirs.organization}
    assert await organization_admin.refused("POST", "teams", body) == (404, "not_found", "organization")
    assert await organization_admin.refused("POST", "teams", body | {"organization": "org_default"}) == (
        404, "not_found", "organization",
    )  # fmt: skip


async def test_an_organization_admin_runs_its_organization(owner):
    own = await Tenants().made_by(owner)
    admin = await owner.become("organization_admin", own.scope)

    team = await admin.post("teams", name="new")
    assert team["organization_id"] == own.organization
    member = await admin.post("members", name="Ada", team=team["id"])
    key = await admin.post("keys", name="k", team=team["id"], member=member["id"])
    await admin.post(f"keys/{key['id']}/rotate")
    await admin.patch(f"organizations/{own.organization}", contact="ask@example.com")
    await admin.delete(f"members/{member['id']}")
    await admin.delete(f"teams/{team['id']}")


async def test_a_team_admin_runs_its_team(owner):
    own = await Tenants().made_by(owner)
    admin, team = await owner.become("team_admin", own.team_scope), own.ids["teams"][0]

    member = await admin.post("members", name="Ada", team=team)
    key = await admin.post("keys", name="k", team=team, member=member["id"])
    await admin.delete(f"keys/{key['id']}")
    await admin.patch(f"teams/{team}", contact="ask@example.com", quality_loss_max=0.01)


async def test_what_a_call_may_cost_is_not_for_the_team_itself_to_say(owner, organization_admin, team_admin, ours):
    team = f"teams/{ours.ids['teams'][0]}"
    assert await team_admin.refused("PATCH", team, {"call_cost_max_usd": 1}) == NOT_ALLOWED
    assert (await organization_admin.patch(team, call_cost_max_usd="1.50"))["call_cost_max_usd"] == "1.50"
    assert await team_admin.refused("PATCH", team, {"call_cost_max_usd": None}) == NOT_ALLOWED
    await owner.patch(team, call_cost_max_usd=None)


async def test_only_an_owner_makes_and_ends_organizations(organization_admin, team_admin, ours):
    for admin in (organization_admin, team_admin):
        assert (await admin.refused("POST", "organizations", {"name": uuid4().hex})) == NOT_ALLOWED
    assert await organization_admin.refused("DELETE", f"organizations/{ours.organization}") == NOT_ALLOWED


async def test_a_team_admin_changes_nothing_of_the_organization(team_admin, ours):
    assert await team_admin.refused("POST", "teams", {"name": "new"}) == NOT_ALLOWED
    assert await team_admin.refused("DELETE", f"teams/{ours.ids['teams'][0]}") == NOT_ALLOWED


@pytest.mark.parametrize("kind", ["organizations", "teams", "members", "keys"])
async def test_a_viewer_changes_nothing(viewer, ours, kind):
    place = f"{kind}/{ours.ids[kind][0]}"

    assert (await viewer.get(place))["id"] == ours.ids[kind][0]
    assert await viewer.refused("PATCH", place, {"name": "mine"}) == NOT_ALLOWED
    assert await viewer.refused("DELETE", place) == NOT_ALLOWED


async def test_a_viewer_makes_nothing(viewer, ours):
    team = ours.ids["teams"][0]
    for kind, body in (
        ("organizations", {"name": "x"}),
        ("teams", {"name": "x"}),
        ("members", {"name": "x", "team": team}),
        ("keys", {"name": "x", "team": team}),
        (f"keys/{ours.ids['keys'][0]}/rotate", {}),
        ("admin-keys", {"name": "x", "role": "viewer", "scope": ours.scope}),
    ):
        assert await viewer.refused("POST", kind, body) == NOT_ALLOWED


async def test_a_viewer_without_a_scope_sees_everything(owner, ours, theirs):
    viewer = await owner.become("viewer")

    seen = await viewer.listed("organizations")
    assert {ours.organization, theirs.organization} <= set(seen)


@pytest.mark.parametrize(
    ("role", "scope"),
    [("organization_admin", "organization"), ("team_admin", "team"), ("viewer", "organization"), ("viewer", "team")],
)
async def test_an_organization_admin_makes_admins_of_its_own(organization_admin, ours, role, scope):
    made = await organization_admin.become(role, ours.scope if scope == "organization" else ours.team_scope)

    assert (await made.listed("keys"))[-1] in ours.ids["keys"]


async def test_nobody_makes_an_admin_above_itself(organization_admin, team_admin, ours, theirs):
    make = organization_admin.refused
    assert await make("POST", "admin-keys", {"name": "x", "role": "owner"}) == NOT_ALLOWED
    assert await make("POST", "admin-keys", {"name": "x", "role": "viewer"}) == NOT_ALLOWED
    for scope in (theirs.scope, theirs.team_scope):
        refusal = await make("POST", "admin-keys", {"name": "x", "role": "viewer", "scope": scope})
        assert refusal == (404, "not_found", next(iter(scope)))
    body = {"name": "x", "role": "viewer", "scope": ours.team_scope}
    assert await team_admin.refused("POST", "admin-keys", body) == NOT_ALLOWED
