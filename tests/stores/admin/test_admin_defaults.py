"""A team's admin divides what its organization gives, and lifts none of what that gives each member or key."""

from __future__ import annotations

from uuid import uuid4

import pytest

NOT_ALLOWED = (403, "role_not_allowed", None)


class Tenants:
    """An organization with a team that has a member and a key, and the team's admin."""

    async def made_by(self, owner):
        self.organization = {"organization": (await owner.post("organizations", name=uuid4().hex))["id"]}
        self.team = {"team": (await owner.post("teams", name="search", **self.organization))["id"]}
        self.member = {"member": (await owner.post("members", name="Ann", **self.team))["id"]}
        self.key = {"key": (await owner.post("keys", name="laptop", **self.team, **self.member))["id"]}
        self.admin = await owner.become("team_admin", self.team)
        return self


@pytest.fixture
async def tenants(owner):
    return await Tenants().made_by(owner)


@pytest.fixture(params=["member", "key"])
async def one_of_each(request, owner, tenants):
    """The scope of a member or key, each of which its organization gives $10 a month."""
    each = tenants.organization | {"each": request.param}
    await owner.post("budgets", scope=each, limit_usd="10", window="month")
    return getattr(tenants, request.param)


@pytest.mark.parametrize(
    "more", [{"limit_usd": "10.000000001"}, {"limit_usd": "1", "on_exhausted": "notify"}], ids=["dollars", "notify"]
)
async def test_a_team_admin_cannot_lift_what_its_organization_gives_each(tenants, one_of_each, more):
    body = {"scope": one_of_each, "window": "month", **more}

    assert await tenants.admin.refused("POST", "budgets", body) == NOT_ALLOWED
    assert (await tenants.admin.get("budgets"))["data"] == []


async def test_a_team_admin_may_give_less_than_its_organization_does_and_no_more_by_any_change(
    tenants, one_of_each, owner
):
    admin, scope = tenants.admin, one_of_each
    budget = (await admin.post("budgets", scope=scope, limit_usd="5", window="month"))["id"]
    other = (await admin.post("budgets", scope=scope, limit_usd="5", window="day", starts="rolling"))["id"]
    await admin.post(f"budgets/{other}/reset")
    raised = {"limit_usd": "11", "until": "2100-01-01T00:00:00Z"}

    assert (await admin.patch(f"budgets/{budget}", limit_usd="10"))["limit_usd"] == "10.00"
    assert await admin.refused("PATCH", f"budgets/{budget}", {"limit_usd": "11"}) == NOT_ALLOWED
    assert await admin.refused("POST", f"budgets/{budget}/raise", raised) == NOT_ALLOWED
    assert await admin.refused("POST", f"budgets/{budget}/reset") == NOT_ALLOWED
    assert await admin.refused("PATCH", f"budgets/{other}", {"window": "month"}) == NOT_ALLOWED
    assert (await owner.patch(f"budgets/{budget}", limit_usd="11"))["limit_usd"] == "11.00"


async def test_a_team_admin_cannot_raise_a_rate_that_its_organization_gives_each(tenants, owner):
    await owner.post("limits", scope=tenants.organization | {"each": "key"}, requests_per_minute=10)
    admin, scope = tenants.admin, tenants.key

    assert await admin.refused("POST", "limits", {"scope": scope, "requests_per_minute": 11}) == NOT_ALLOWED
    limit = (await admin.post("limits", scope=scope, requests_per_minute=10, tokens_per_minute=10**6))["id"]
    assert await admin.refused("PATCH", f"limits/{limit}", {"requests_per_minute": 11}) == NOT_ALLOWED


async def test_what_a_team_is_given_for_each_its_admin_divides_as_it_likes(tenants, owner):
    await owner.post("budgets", scope=tenants.team | {"each": "key"}, limit_usd="10", window="month")

    budget = await tenants.admin.post("budgets", scope=tenants.key, limit_usd="20", window="month")

    assert budget["limit_usd"] == "20.00"
