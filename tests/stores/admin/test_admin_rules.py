"""Limits over the admin API, and who may see and change which budgets and limits."""

from __future__ import annotations

from uuid import uuid4

import pytest
from admin_parts import TEN_A_MONTH


async def test_budgets_and_limits_are_listed_by_whom_they_are_about(owner, organization, team):
    member = await owner.post("members", name="Ada", team=team["id"])
    key = await owner.post("keys", name="laptop", team=team["id"])
    for kind, rule in (("budgets", TEN_A_MONTH), ("limits", {"requests_per_minute": 5})):
        scopes = (
            {"organization": organization["id"]},
            {"team": team["id"]},
            {"member": member["id"]},
            {"key": key["id"]},
        )
        made = [(await owner.post(kind, scope=scope, **rule))["id"] for scope in scopes]

        assert await owner.listed(kind, organization=organization["id"]) == made[::-1]
        assert await owner.listed(kind, team=team["id"]) == made[:0:-1]
        assert await owner.listed(kind, member=member["id"]) == [made[2]]
        assert await owner.listed(kind, key=key["id"]) == [made[3]]
        first = await owner.get(kind, organization=organization["id"], limit=2)
        second = await owner.get(kind, organization=organization["id"], limit=2, cursor=first["next_cursor"])
        assert [rule["id"] for rule in (*first["data"], *second["data"])] == made[::-1]
        assert second["next_cursor"] is None
        assert await owner.refused("GET", kind, query={"teem": "x"}) == (400, "invalid_value", "teem")


async def test_a_limit_answers_with_all_that_it_is(owner, organization, team):
    made = await owner.post(
        "limits", scope={"team": team["id"], "each": "member"}, requests_per_minute=60, tokens_per_day=0, model="gpt-9"
    )

    assert made.pop("id").startswith("limit_")
    assert made.pop("created_at")
    assert made.pop("updated_at")
    assert made == {
        "organization_id": organization["id"],
        "scope": {"team": team["id"], "model": "gpt-9", "each": "member"},
        "model": "gpt-9",
        "requests_per_minute": 60,
        "tokens_per_minute": None,
        "tokens_per_day": 0,
        "parallel_requests": None,
    }


async def test_a_limit_is_changed_listed_and_deleted(owner, team):
    made = await owner.post("limits", scope={"team": team["id"]}, requests_per_minute=60)
    path = f"limits/{made['id']}"

    changed = await owner.patch(path, requests_per_minute=None, parallel_requests=4)

    assert (changed["requests_per_minute"], changed["parallel_requests"]) == (None, 4)
    assert await owner.get(path) == changed
    assert await owner.refused("PATCH", path, {"parallel_requests": None}) == (409, "no_rate", "requests_per_minute")
    assert await owner.delete(path) == {"id": made["id"], "deleted": True}
    assert await owner.refused("GET", path) == (404, "not_found", "limit")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (400, None, "requests_per_minute")),
        ({"requests_per_minute": -1}, (400, "invalid_value", "requests_per_minute")),
        ({"requests_per_minute": 1.5}, (400, "invalid_value", "requests_per_minute")),
        ({"requests_per_minute": "5"}, (400, "invalid_value", "requests_per_minute")),
        ({"tokens_per_day": 2**53}, (400, "invalid_value", "tokens_per_day")),
        ({"parallel_requests": True}, (400, "invalid_value", "parallel_requests")),
        ({"requests_per_hour": 5}, (400, "invalid_value", "requests_per_hour")),
    ],
)
async def test_what_is_no_limit_is_refused(owner, team, body, refusal):
    assert await owner.refused("POST", "limits", {"scope": {"team": team["id"]}, **body}) == refusal


async def test_a_limit_names_one_model_and_each_scope_has_one_limit(owner, team):
    scope = {"team": team["id"], "model": "a"}
    rate = {"requests_per_minute": 1}

    refusal = await owner.refused("POST", "limits", {"scope": scope, "model": "b", **rate})
    assert refusal == (400, "contradicting_scope", "model")
    await owner.post("limits", scope=scope, **rate)
    same = {"scope": {"team": team["id"]}, "model": "a", **rate}
    assert await owner.refused("POST", "limits", same) == (409, "already_exists", "scope")


async def test_admins_find_only_what_is_in_their_scope(owner, organization, team, budget):
    other = await owner.post("organizations", name=uuid4().hex)
    of_all = await owner.post("budgets", scope={"organization": organization["id"]}, **TEN_A_MONTH)
    stranger = await owner.become("organization_admin", {"organization": other["id"]})
    lead = await owner.become("team_admin", {"team": team["id"]})
    viewer = await owner.become("viewer", {"organization": organization["id"]})

    assert await stranger.listed("budgets") == []
    for method, path, body in (
        ("GET", f"budgets/{budget['id']}", None),
        ("PATCH", f"budgets/{budget['id']}", {"limit_usd": 1}),
        ("DELETE", f"budgets/{budget['id']}", None),
        ("POST", f"budgets/{budget['id']}/reset", None),
    ):
        assert await stranger.refused(method, path, body) == (404, "not_found", "budget")
    foreign = {"scope": {"team": team["id"]}, **TEN_A_MONTH, "window": "day"}
    assert await stranger.refused("POST", "budgets", foreign) == (404, "not_found", "scope.team")

    assert await lead.listed("budgets") == [budget["id"]]
    assert await lead.refused("GET", f"budgets/{of_all['id']}") == (404, "not_found", "budget")
    everyone = {"scope": {"organization": organization["id"]}, **TEN_A_MONTH, "window": "day"}
    assert (await lead.refused("POST", "budgets", everyone))[:2] == (403, "role_not_allowed")

    assert await viewer.listed("budgets") == [of_all["id"], budget["id"]]
    assert (await viewer.refused("POST", "budgets", foreign))[:2] == (403, "role_not_allowed")
    assert (await viewer.refused("POST", f"budgets/{budget['id']}/reset"))[:2] == (403, "role_not_allowed")


async def test_without_a_named_organization_the_senders_own_is_meant(owner, organization):
    admin = await owner.become("organization_admin", {"organization": organization["id"]})

    made = await admin.post("budgets", scope={"model": "gpt-9"}, **TEN_A_MONTH)

    assert made["scope"] == {"organization": organization["id"], "model": "gpt-9"}


async def test_the_audit_log_tells_from_what_to_what(owner, budget):
    await owner.patch(f"budgets/{budget['id']}", limit_usd="12.5")

    rows = (await owner.get("audit", object_kind="budget", object_id=budget["id"]))["data"]

    assert [row["action"] for row in rows] == ["update", "create"]
    assert (rows[0]["before"]["limit_usd"], rows[0]["after"]["limit_usd"]) == ("10.00", "12.50")


async def test_a_team_admin_divides_what_its_organization_gives_and_does_not_widen_it(owner, team, budget):
    lead = await owner.become("team_admin", {"team": team["id"]})
    refused = (403, "role_not_allowed")
    later = {"limit_usd": "20", "until": "2026-12-24T00:00:00Z"}
    whole = {"scope": {"team": team["id"]}, **TEN_A_MONTH, "window": "day"}

    assert (await lead.refused("POST", "budgets", whole))[:2] == refused
    assert (await lead.refused("PATCH", f"budgets/{budget['id']}", {"limit_usd": "20"}))[:2] == refused
    assert (await lead.refused("POST", f"budgets/{budget['id']}/raise", later))[:2] == refused
    assert (await lead.refused("POST", f"budgets/{budget['id']}/reset"))[:2] == refused
    assert (await lead.refused("DELETE", f"budgets/{budget['id']}"))[:2] == refused

    each = await lead.post("budgets", scope={"team": team["id"], "each": "member"}, **TEN_A_MONTH)
    member = await lead.post("members", team=team["id"], name="ann")
    await lead.post("limits", scope={"member": member["id"]}, requests_per_minute=5)
    assert (await lead.patch(f"budgets/{each['id']}", limit_usd="3"))["limit_usd"] == "3.00"
