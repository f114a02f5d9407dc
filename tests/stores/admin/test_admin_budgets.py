"""Budgets over the admin API: made, read, changed, raised, reset, ended, and every way to ask wrongly."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from admin_parts import ADMIN_KEY, TEN_A_MONTH


async def send_text(app, path, text):
    transport = httpx.ASGITransport(app)
    headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://obol", headers=headers) as client:
        return await client.post(f"/admin/{path}", content=text)


async def test_a_budget_answers_with_all_that_it_is(owner, organization, team):
    made = await owner.post("budgets", scope={"team": team["id"]}, **TEN_A_MONTH)

    assert made.pop("id").startswith("budget_")
    assert made.pop("created_at")
    assert made.pop("updated_at")
    assert made == {
        "organization_id": organization["id"],
        "scope": {"team": team["id"]},
        "limit_usd": "10.00",
        "window": "month",
        "starts": "calendar",
        "soft_limit_pct": [50, 80, 95],
        "on_exhausted": "refuse",
        "period": {"starts_at": "2026-11-01T00:00:00Z", "resets_at": "2026-12-01T00:00:00Z"},
        "raised": None,
        "reset_at": None,
    }


@pytest.mark.parametrize(
    ("starts", "shown", "starts_at", "resets_at"),
    [
        ("calendar", "calendar", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
        ("rolling", "rolling", "2026-11-22T11:30:00Z", None),
        (
            "Europe/Berlin",
            {"time_zone": "Europe/Berlin", "kind": "calendar"},
            "2026-11-22T23:00:00Z",
            "2026-11-23T23:00:00Z",
        ),
        (
            {"time_zone": "Asia/Kolkata", "kind": "calendar"},
            {"time_zone": "Asia/Kolkata", "kind": "calendar"},
            "2026-11-22T18:30:00Z",
            "2026-11-23T18:30:00Z",
        ),
        ({"kind": "rolling"}, "rolling", "2026-11-22T11:30:00Z", None),
    ],
)
async def test_windows_begin_as_asked(owner, team, starts, shown, starts_at, resets_at):
    made = await owner.post("budgets", scope={"team": team["id"]}, limit_usd=1, window="day", starts=starts)

    assert made["starts"] == shown
    assert made["period"] == {"starts_at": starts_at, "resets_at": resets_at}
    assert await owner.get(f"budgets/{made['id']}") == made


async def test_a_total_has_neither_beginning_nor_end(owner, team):
    made = await owner.post("budgets", scope={"team": team["id"]}, limit_usd="5", window="total")

    assert made["period"] == {"starts_at": None, "resets_at": None}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('"10.00"', "10.00"),
        ("10", "10.00"),
        ("0.1", "0.10"),
        ("0.000000001", "0.000000001"),
        ("1e-9", "0.000000001"),
        ("1E1", "10.00"),
        ("8999999.999999999", "8999999.999999999"),
        ('"9000000"', "9000000.00"),
        ('"0010.50000000000"', "10.50"),
        ("2.675", "2.675"),
    ],
)
async def test_amounts_are_exact_to_the_nano_dollar(app, team, written, shown):
    body = f'{{"scope": {{"team": "{team["id"]}"}}, "window": "day", "limit_usd": {written}}}'

    response = await send_text(app, "budgets", body)

    assert response.status_code == 201, response.text
    assert response.json()["limit_usd"] == shown


@pytest.mark.parametrize(
    "written",
    [
        *("0", "-1", "0.0", "-0.0", '"0.000000000"', '"-5"', "1e-10", '"0.0000000001"', "10.0000000001"),
        *("9000000.000000001", "9000001", "1e999999999", "1e-999999999", "9" * 4000, '"' + "9" * 400 + '"'),
        *("NaN", "Infinity", "-Infinity", '"NaN"', '"Infinity"', '"1e3"', '"$10"', '" 10"', '"10 "', '"1_0"', '"+1"'),
        *('"\u0661"', '""', '"."', '"1."', "true", "null", "[1]", '{"usd": 1}', "1.00000000000000000000000000000001"),
    ],
)
async def test_what_is_no_amount_is_refused(app, team, written):
    body = f'{{"scope": {{"team": "{team["id"]}"}}, "window": "day", "limit_usd": {written}}}'

    response = await send_text(app, "budgets", body)

    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"limit_usd": "-1"}, "limit_usd"),
        ({"window": "year"}, "window"),
        ({"window": None}, "window"),
        ({"starts": "Mars/Base"}, "starts"),
        ({"starts": {"zone": "UTC"}}, "starts"),
        ({"starts": {"kind": "sometimes"}}, "starts"),
        ({"starts": {"time_zone": 5}}, "starts"),
        ({"starts": 5}, "starts"),
        ({"starts": None}, "starts"),
        ({"window": "total", "starts": "rolling"}, "starts"),
        ({"soft_limit_pct": [50, 50]}, "soft_limit_pct"),
        ({"soft_limit_pct": [0]}, "soft_limit_pct.0"),
        ({"soft_limit_pct": [101]}, "soft_limit_pct.0"),
        ({"soft_limit_pct": [50.5]}, "soft_limit_pct.0"),
        ({"soft_limit_pct": "50"}, "soft_limit_pct"),
        ({"on_exhausted": "explode"}, "on_exhausted"),
        ({"scope": None}, "scope"),
        ({"scope": {"planet": "mars"}}, "scope.planet"),
        ({"scope": {"each": "model"}}, "scope.each"),
        ({"scope": {"each": "planet"}}, "scope.each"),
        ({"scope": {"model": ""}}, "scope.model"),
        ({"scope": {"end_user": "a\0b"}}, "scope.end_user"),
        ({"scope": {"team": 5}}, "scope.team"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_body_that_is_not_as_it_must_be_names_the_field(owner, team, change, param):
    body = {"scope": {"team": team["id"]}, **TEN_A_MONTH} | change

    assert await owner.refused("POST", "budgets", body) == (400, "invalid_value", param)


async def test_a_refusal_says_what_is_wrong_in_its_own_words(owner, team):
    body = {"scope": {"team": team["id"]}, "limit_usd": 0, "window": "day"}

    refused = await owner.send("POST", "budgets", body)

    assert refused.json()["error"]["message"] == "Invalid 'limit_usd': must be more than zero dollars."


async def test_an_end_user_longer_than_is_kept_of_one_cannot_have_a_rule(owner, team):
    body = {"scope": {"team": team["id"], "end_user": "e" * 257}, "limit_usd": "1", "window": "day"}

    assert await owner.refused("POST", "budgets", body) == (400, "invalid_value", "scope.end_user")


@pytest.mark.parametrize("missing", ["scope", "limit_usd", "window"])
async def test_a_budget_needs_a_scope_an_amount_and_a_window(owner, team, missing):
    body = {"scope": {"team": team["id"]}, **TEN_A_MONTH}
    del body[missing]

    assert await owner.refused("POST", "budgets", body) == (400, "invalid_value", missing)


@pytest.mark.parametrize(
    "text",
    [
        '{"limit_usd": 1, "limit_usd": 2, "window": "day", "scope": {}}',
        '{"limit_usd": 1, "window": "day", "scope": {"team": "a", "team": "b"}}',
        '{"limit_usd": 1, "window": "day", "scope": {"model": NaN}}',
        '{"limit_usd": 1, "window": "day", "scope": {"end_user": "\\ud800"}}',
        "{",
        "[" * 100_000,
        "",
    ],
)
async def test_json_that_says_two_things_or_none_is_refused(app, text):
    response = await send_text(app, "budgets", text)

    assert response.status_code == 400
    assert set(response.json()) == {"error"}


@pytest.mark.parametrize("name", ["organization", "team", "member", "key"])
async def test_a_budget_for_what_is_not_there_is_not_found(owner, name):
    body = {"scope": {name: "nothing_1"}, **TEN_A_MONTH}

    assert await owner.refused("POST", "budgets", body) == (404, "not_found", f"scope.{name}")
    limit = {"scope": {name: "nothing_1"}, "requests_per_minute": 1}
    assert await owner.refused("POST", "limits", limit) == (404, "not_found", f"scope.{name}")


async def test_a_budget_for_a_deleted_team_is_not_found(owner, team):
    await owner.delete(f"teams/{team['id']}")

    body = {"scope": {"team": team["id"]}, **TEN_A_MONTH}
    assert await owner.refused("POST", "budgets", body) == (404, "not_found", "scope.team")


async def test_a_scope_that_contradicts_itself_is_refused(owner, team):
    other = await owner.post("organizations", name=uuid4().hex)
    scope = {"organization": other["id"], "team": team["id"]}

    refusal = await owner.refused("POST", "budgets", {"scope": scope, **TEN_A_MONTH})

    assert refusal == (409, "contradicting_scope", "scope.organization")


async def test_the_same_budget_twice_is_a_conflict(owner, team, budget):
    body = {"scope": {"team": team["id"]}, **TEN_A_MONTH}

    assert await owner.refused("POST", "budgets", body) == (409, "already_exists", "scope")
    assert (await owner.post("budgets", **(body | {"on_exhausted": "notify"})))["id"] != budget["id"]


async def test_a_budget_is_changed_in_what_is_named(owner, budget):
    path = f"budgets/{budget['id']}"

    changed = await owner.patch(path, limit_usd=20, soft_limit_pct=[], on_exhausted="downgrade")

    expected = budget | {"limit_usd": "20.00", "soft_limit_pct": [], "on_exhausted": "downgrade"}
    assert changed | {"updated_at": ""} == expected | {"updated_at": ""}
    assert changed["updated_at"] > budget["updated_at"]
    moved = await owner.patch(path, window="week", starts={"time_zone": "Asia/Tokyo"})
    assert moved["period"] == {"starts_at": "2026-11-22T15:00:00Z", "resets_at": "2026-11-29T15:00:00Z"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"limit_usd": None}, "limit_usd"),
        ({"limit_usd": 0}, "limit_usd"),
        ({"window": None}, "window"),
        ({"on_exhausted": None}, "on_exhausted"),
        ({"starts": None}, "starts"),
        ({"soft_limit_pct": None}, "soft_limit_pct"),
        ({"scope": {}}, "scope"),
        ({"window": "total", "starts": "rolling"}, "starts"),
    ],
)
async def test_a_change_that_is_none_names_the_field(owner, budget, change, param):
    assert await owner.refused("PATCH", f"budgets/{budget['id']}", change) == (400, "invalid_value", param)
    assert await owner.get(f"budgets/{budget['id']}") == budget


async def test_a_total_does_not_become_rolling(owner, team):
    total = await owner.post("budgets", scope={"team": team["id"]}, limit_usd=1, window="total")

    refusal = await owner.refused("PATCH", f"budgets/{total['id']}", {"starts": "rolling"})

    assert refusal == (409, "invalid_value", "starts")


async def test_soft_limits_are_sorted(owner, team):
    made = await owner.post(
        "budgets", scope={"team": team["id"]}, limit_usd=1, window="day", soft_limit_pct=[95, 50, 80]
    )

    assert made["soft_limit_pct"] == [50, 80, 95]


@pytest.mark.parametrize("number", ["1.5", "7.07e-176"])
async def test_a_number_is_no_scope_and_no_body(app, number):
    scope = await send_text(app, "budgets", f'{{"scope": {number}, "window": "day", "limit_usd": 1}}')
    body = await send_text(app, "budgets", number)

    assert (scope.status_code, scope.json()["error"]["param"]) == (400, "scope")
    assert body.status_code == 400


async def test_a_raise_holds_until_its_date_and_can_be_ended(owner, budget):
    path = f"budgets/{budget['id']}/raise"

    raised = await owner.post(path, limit_usd="25.50", until="2026-11-30T12:00:00+01:00")

    assert raised["raised"] == {"limit_usd": "25.50", "until": "2026-11-30T11:00:00Z"}
    assert raised["limit_usd"] == "10.00"
    assert (await owner.delete(path))["raised"] is None
    assert (await owner.delete(path))["raised"] is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"limit_usd": 20, "until": "2026-11-23T11:30:00Z"}, "until"),
        ({"limit_usd": 10, "until": "2026-12-01T00:00:00Z"}, "limit_usd"),
    ],
)
async def test_a_raise_needs_more_money_and_a_date_ahead(owner, budget, body, param):
    refusal = await owner.refused("POST", f"budgets/{budget['id']}/raise", body)

    assert refusal == (409, "invalid_value", param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"limit_usd": 20, "until": "2026-12-01T00:00:00"}, "until"),
        ({"limit_usd": 20}, "until"),
        ({"limit_usd": 9_000_001, "until": "2026-12-01T00:00:00Z"}, "limit_usd"),
    ],
)
async def test_what_is_no_raise_is_refused(owner, budget, body, param):
    refusal = await owner.refused("POST", f"budgets/{budget['id']}/raise", body)

    assert refusal == (400, "invalid_value", param)


async def test_a_reset_begins_the_window_anew(owner, budget):
    reset = await owner.post(f"budgets/{budget['id']}/reset")

    assert reset["reset_at"] == "2026-11-23T11:30:00Z"
    assert reset["period"] == {"starts_at": "2026-11-23T11:30:00Z", "resets_at": "2026-12-01T00:00:00Z"}


async def test_a_deleted_budget_is_gone(owner, team, budget):
    path = f"budgets/{budget['id']}"

    assert await owner.delete(path) == {"id": budget["id"], "deleted": True}

    for method, where in (("GET", path), ("DELETE", path), ("POST", f"{path}/reset"), ("DELETE", f"{path}/raise")):
        assert await owner.refused(method, where) == (404, "not_found", "budget")
    assert await owner.refused("PATCH", path, {"limit_usd": 1}) == (404, "not_found", "budget")
    assert await owner.listed("budgets", team=team["id"]) == []


async def test_openapi_shows_amounts_as_text_or_number(app):
    transport = httpx.ASGITransport(app)
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://obol", headers=headers) as client:
        document = (await client.get("/admin/openapi.json")).json()

    amount = document["components"]["schemas"]["BudgetBody"]["properties"]["limit_usd"]
    assert [one["type"] for one in amount["anyOf"]] == ["string", "integer", "number"]
    assert "/admin/budgets/{budget_id}/raise" in document["paths"]
