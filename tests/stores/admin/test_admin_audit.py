"""The audit log: every change by whom, from what to what; nothing takes it back, nobody reads beyond its scope."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from admin_parts import Admin
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError


@pytest.fixture(scope="module")
async def organization(owner):
    return await owner.post("organizations", name=uuid4().hex)


@pytest.fixture
async def team(owner, organization):
    return await owner.post("teams", name=uuid4().hex, organization=organization["id"])


async def changes(admin, **query):
    return (await admin.get("audit", **query))["data"]


@pytest.mark.parametrize("kind", ["organizations", "teams", "members", "keys"])
async def test_a_change_is_written_with_what_was_and_what_is(owner, organization, team, kind):
    bodies = {
        "organizations": {"name": uuid4().hex},
        "teams": {"name": uuid4().hex, "organization": organization["id"]},
        "members": {"name": "Ada", "team": team["id"]},
        "keys": {"name": "k", "team": team["id"]},
    }
    made = await owner.post(kind, **bodies[kind])
    made.pop("key", None)
    place, name = f"{kind}/{made['id']}", uuid4().hex
    renamed = await owner.patch(place, name=name)
    ended = await owner.delete(place)

    deletion, update, creation = await changes(owner, object_id=made["id"])

    assert set(creation) == {
        "id", "created_at", "actor", "action", "object_kind", "object_id", "organization_id", "team_id",
        "before", "after",
    }  # fmt: skip
    assert [one["action"] for one in (creation, update, deletion)] == ["create", "update", "delete"]
    assert {one["object_kind"] for one in (creation, update, deletion)} == {kind.removesuffix("s")}
    assert (creation["before"], creation["after"]) == (None, made)
    assert (update["before"], update["after"]) == (made, renamed)
    assert (update["before"]["name"], update["after"]["name"]) == (made["name"], name)
    assert (deletion["before"], deletion["after"]) == (renamed, ended if kind == "keys" else None)


async def test_a_change_names_the_admin_key_that_made_it(owner, organization):
    made = await owner.post(
        "admin-keys", name="ops", role="organization_admin", scope={"organization": organization["id"]}
    )
    team = await Admin(owner._app, made["key"]).post("teams", name=uuid4().hex)

    (change,) = await changes(owner, object_id=team["id"])

    assert change["actor"] == f"ops ({made['id']})"
    assert (change["organization_id"], change["team_id"]) == (organization["id"], team["id"])
    assert change in await changes(owner, actor=made["id"])
    assert change in await changes(owner, actor="ops")
    assert await changes(owner, actor="nobody") == []


async def test_the_operator_is_named_too(owner, team):
    (change,) = await changes(owner, object_id=team["id"])

    assert change["actor"] == "operator (admin)"


async def test_rotations_and_admin_keys_are_written_without_a_secret(owner, organization, team, engine):
    key = await owner.post("keys", name="k", team=team["id"])
    rotated = await owner.post(f"keys/{key['id']}/rotate")
    admin = await owner.post("admin-keys", name="ops", role="viewer", scope={"organization": organization["id"]})
    await owner.delete(f"admin-keys/{admin['id']}")

    found = await changes(owner, object_id=key["id"])
    assert [one["action"] for one in found] == ["rotate", "create"]
    assert found[0]["before"]["previous_expires_at"] is None
    assert found[0]["after"]["previous_expires_at"] == rotated["previous_expires_at"]
    assert [one["action"] for one in await changes(owner, object_kind="admin_key", object_id=admin["id"])] == [
        "delete", "create",
    ]  # fmt: skip
    async with engine.connect() as connection:
        written = (await connection.execute(text("SELECT string_agg(audit_log::text, '') FROM audit_log"))).scalar_one()
    for secret in (key["key"], rotated["key"], admin["key"]):
        assert secret not in written
        assert secret[12:] not in written


async def test_what_changes_nothing_and_what_is_refused_is_not_written(owner, team):
    await owner.patch(f"teams/{team['id']}", name=team["name"])
    await owner.patch(f"teams/{team['id']}")
    await owner.refused("PATCH", f"teams/{team['id']}", {"name": ""})
    key = await owner.post("keys", name="k", team=team["id"])
    for _ in range(2):
        await owner.delete(f"keys/{key['id']}")

    assert [one["action"] for one in await changes(owner, object_id=team["id"])] == ["create"]
    assert [one["action"] for one in await changes(owner, object_id=key["id"])] == ["delete", "create"]


async def test_a_change_that_fails_leaves_no_trace(owner, organization, team):
    await owner.refused("POST", "teams", {"name": team["name"], "organization": organization["id"]})
    await owner.refused("DELETE", f"organizations/{organization['id']}")

    found = await changes(owner, object_id=organization["id"])
    assert [one["action"] for one in found] == ["create"]


async def test_the_log_is_read_by_pages_and_by_time(owner, team):
    for number in range(4):
        await owner.patch(f"teams/{team['id']}", name=f"{uuid4().hex} {number}")

    assert len(set(await owner.listed("audit", object_id=team["id"]))) == 5
    first = await owner.get("audit", object_id=team["id"], limit=2)
    rest = await owner.get("audit", object_id=team["id"], cursor=first["next_cursor"])
    found = first["data"] + rest["data"]
    assert found == await changes(owner, object_id=team["id"])
    third = found[2]["created_at"]
    assert await changes(owner, object_id=team["id"], **{"from": third}) == found[:3]
    assert await changes(owner, object_id=team["id"], to=third) == found[3:]


@pytest.mark.parametrize("param", ["from", "to"])
async def test_a_time_that_is_none_is_refused(owner, param):
    assert (await owner.refused("GET", "audit", query={param: "yesterday"}))[::2] == (400, param)


async def test_an_admin_reads_the_changes_of_its_scope(owner, organization, team):
    other = await owner.post("teams", name=uuid4().hex, organization=organization["id"])
    elsewhere = await owner.post("organizations", name=uuid4().hex)
    of_organization = await owner.become("viewer", {"organization": organization["id"]})
    of_team = await owner.become("viewer", {"team": team["id"]})

    for seen, admin, unseen in (
        ((organization["id"], team["id"], other["id"]), of_organization, (elsewhere["id"],)),
        ((team["id"],), of_team, (organization["id"], other["id"], elsewhere["id"])),
    ):
        for one in seen:
            assert await changes(admin, object_id=one)
        for one in unseen:
            assert await changes(admin, object_id=one) == []


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
async def test_nothing_takes_a_line_of_the_log_back(team, engine, statement):  # noqa: ARG001 - there is a line
    with pytest.raises(DBAPIError, match="append-only"):
        async with engine.begin() as connection:
            await connection.execute(text(statement))


async def test_times_are_when_it_happened(owner, team):
    (change,) = await changes(owner, object_id=team["id"])

    age = datetime.now(UTC) - datetime.fromisoformat(change["created_at"])
    assert abs(age) < timedelta(minutes=5)
