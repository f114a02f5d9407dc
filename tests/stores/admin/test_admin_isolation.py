"""What others have does not exist: every address of the admin API, as every role of another scope."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

ROLES = ["organization_admin", "viewer of an organization", "team_admin", "viewer of a team"]
LATER = {"limit_usd": "20", "until": "2099-01-01T00:00:00Z"}
# Everything that is done to one object; the rest are lists and what makes objects.
TO_ONE = [
    *(("GET", f"{kind}/{{id}}", None) for kind in ("organizations", "teams", "members", "keys", "admin-keys")),
    *(("DELETE", f"{kind}/{{id}}", None) for kind in ("organizations", "teams", "members", "keys", "admin-keys")),
    *(("PATCH", f"{kind}/{{id}}", {"name": "mine now"}) for kind in ("organizations", "teams", "members", "keys")),
    *((method, f"{kind}/{{id}}", None) for kind in ("budgets", "limits") for method in ("GET", "DELETE")),
    ("PATCH", "budgets/{id}", {"limit_usd": "5"}),
    ("PATCH", "limits/{id}", {"requests_per_minute": 5}),
    ("POST", "keys/{id}/rotate", {}),
    *(("GET", f"teams/{{id}}/faq{more}", None) for more in ("", "/versions")),
    ("PUT", "teams/{id}/faq", {"version": 0, "entries": []}),
    ("POST", "teams/{id}/faq/try", {"text": "Where is my order?"}),
    ("POST", "budgets/{id}/raise", LATER),
    ("DELETE", "budgets/{id}/raise", None),
    ("POST", "budgets/{id}/reset", None),
]


async def everything(owner, organization):
    """A team of the organization with one object of every kind that is its own: ids by kind."""
    team = (await owner.post("teams", name=uuid4().hex, organization=organization))["id"]
    member = (await owner.post("members", name="m", team=team))["id"]
    key = (await owner.post("keys", name="k", team=team, member=member))["id"]
    scope = {"member": member}
    return {
        "organizations": organization,
        "teams": team,
        "members": member,
        "keys": key,
        "admin-keys": (await owner.post("admin-keys", name="a", role="viewer", scope={"team": team}))["id"],
        "budgets": (await owner.post("budgets", scope=scope, limit_usd="10", window="day"))["id"],
        "limits": (await owner.post("limits", scope=scope, requests_per_minute=1))["id"],
    }


@pytest.fixture(scope="module")
async def ours(owner):
    return await everything(owner, (await owner.post("organizations", name=uuid4().hex))["id"])


@pytest.fixture(scope="module")
async def theirs(owner):
    return await everything(owner, (await owner.post("organizations", name=uuid4().hex))["id"])


@pytest.fixture(scope="module")
async def beside_ours(owner, ours):
    """Of another team of the same organization."""
    made = await everything(owner, ours["organizations"])
    del made["organizations"]  # ours, too
    return made


@pytest.fixture(scope="module", params=ROLES)
async def stranger(owner, ours, request):
    role, _, place = request.param.partition(" of ")
    is_of_team = "team" in (place or role)
    scope = {"team": ours["teams"]} if is_of_team else {"organization": ours["organizations"]}
    return await owner.become(role, scope)


@pytest.fixture(scope="module", params=["team_admin", "viewer"])
async def colleague(owner, ours, request):
    return await owner.become(request.param, {"team": ours["teams"]})


async def told_apart(admin, theirs):
    """Those requests whose answer differs for an object of others and for one that nobody has."""
    found = []
    for method, path, body in TO_ONE:
        if (one := theirs.get(path.partition("/")[0])) is None:
            continue
        real = await admin.refused(method, path.format(id=one), body)
        none = await admin.refused(method, path.format(id="none"), body)
        if real != none or real[0] != 404:
            found.append((method, path, real, none))
    return found


def test_every_address_of_one_object_is_tried(app):
    paths = app.openapi()["paths"]
    of_one = {(m.upper(), re.sub(r"{\w+}", "{id}", path)) for path, ms in paths.items() if "{" in path for m in ms}

    assert of_one == {(method, f"/admin/{path}") for method, path, _ in TO_ONE}


async def test_what_others_have_cannot_be_told_from_what_nobody_has(stranger, theirs):
    assert await told_apart(stranger, theirs) == []


async def test_what_another_team_has_cannot_be_told_from_what_nobody_has(colleague, beside_ours):
    assert await told_apart(colleague, beside_ours) == []


async def test_lists_show_nothing_of_others(stranger, theirs):
    for kind, one in theirs.items():
        assert one not in await stranger.listed(kind)
    for kind in ("teams", "members", "keys", "budgets", "limits"):
        assert await stranger.listed(kind, organization=theirs["organizations"]) == []
    assert (await stranger.get("audit", object_id=theirs["budgets"]))["data"] == []


async def test_lists_show_nothing_of_another_team(colleague, beside_ours):
    for kind, one in beside_ours.items():
        assert one not in await colleague.listed(kind)
    for kind in ("members", "keys", "budgets", "limits"):
        assert await colleague.listed(kind, team=beside_ours["teams"]) == []
    assert (await colleague.get("audit", object_id=beside_ours["budgets"]))["data"] == []


@pytest.mark.parametrize("kind", ["team", "member", "key"])
async def test_a_scope_that_mixes_ours_and_theirs_names_what_does_not_exist(stranger, ours, theirs, kind):
    def scope(value):
        return {"team": ours["teams"], kind: value} if kind != "team" else {"member": ours["members"], kind: value}

    async def refusal(value):
        return await stranger.refused("POST", "limits", {"scope": scope(value), "requests_per_minute": 1})

    assert await refusal(theirs[f"{kind}s"]) == await refusal("none") == (404, "not_found", f"scope.{kind}")


async def test_a_key_is_not_bound_to_a_member_of_others(owner, ours, theirs, beside_ours):
    admin = await owner.become("organization_admin", {"organization": ours["organizations"]})

    async def refusal(member):
        return await admin.refused("POST", "keys", {"name": "k", "team": ours["teams"], "member": member})

    assert await refusal(theirs["members"]) == await refusal(beside_ours["members"]) == await refusal("none")


async def test_nothing_was_changed(owner, theirs, beside_ours):
    for one in (theirs, beside_ours):
        for kind in ("teams", "members", "keys", "budgets", "limits", "admin-keys"):
            assert (await owner.get(f"{kind}/{one[kind]}"))["id"] == one[kind]
        assert (await owner.get(f"budgets/{one['budgets']}"))["limit_usd"] == "10.00"
        assert (await owner.get(f"keys/{one['keys']}"))["name"] == "k"
