"""Admin keys: made, shown once, believed for a second, and ended with their scope."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from admin_parts import ADMIN_KEY, Admin, tenants_app
from admin_role_parts import Tenants, Time

from gateway.domain import Actor, Role
from gateway.errors import StoreUnavailable
from gateway.stores import admin_key_cache, database
from gateway.stores.admin_key_cache import AdminKeyCache
from gateway.stores.key_secrets import ADMIN_KEY_PREFIX, new_secret


async def test_an_admin_key_shows_its_secret_once(owner, ours):
    made = await owner.post("admin-keys", name="ops", role="organization_admin", scope=ours.scope)

    assert set(made) == {
        "id", "key", "name", "role", "scope", "organization_id", "prefix", "expires_at", "created_at", "revoked_at",
    }  # fmt: skip
    assert made["key"].startswith("sk-obol-admin-")
    assert made["key"].startswith(made["prefix"])
    assert len(made["prefix"]) == 18
    assert (made["role"], made["scope"]) == ("organization_admin", ours.scope)
    shown = {name: value for name, value in made.items() if name != "key"}
    assert await owner.get(f"admin-keys/{made['id']}") == shown
    assert made["id"] in await owner.listed("admin-keys")


async def test_no_column_of_the_table_holds_an_admin_secret(owner, engine):
    made = await owner.post("admin-keys", name="ops", role="viewer")

    async with engine.connect() as connection:
        query = f"SELECT admin_keys::text FROM admin_keys WHERE id = '{made['id']}'"  # noqa: S608 - our own id
        assert made["key"] not in (await connection.exec_driver_sql(query)).scalar_one()


BAD_SCOPES = [
    ("owner", {"organization": "org_default"}),
    ("organization_admin", None),
    ("organization_admin", {"team": "t"}),
    ("team_admin", None),
    ("team_admin", {"organization": "org_default"}),
    ("organization_admin", {"organization": None, "team": "t"}),
    ("team_admin", {"organization": "org_default", "team": None}),
]


@pytest.mark.parametrize(("role", "scope"), BAD_SCOPES)
async def test_a_role_with_another_roles_scope_is_refused(owner, role, scope):
    body = {"name": "x", "role": role} | ({} if scope is None else {"scope": scope})

    assert await owner.refused("POST", "admin-keys", body) == (400, "invalid_value", "scope")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"role": "king"}, "role"),
        ({"name": ""}, "name"),
        ({"scope": {}}, "scope"),
        ({"scope": {"team": "a", "organization": "b"}}, "scope"),
        ({"scope": {"key": "k"}}, "scope.key"),
        ({"scope": "team"}, "scope"),
    ],
)
async def test_an_admin_key_with_a_bad_field_is_refused_by_its_name(owner, body, param):
    refusal = await owner.refused("POST", "admin-keys", {"name": "x", "role": "viewer"} | body)

    assert refusal == (400, "invalid_value", param)


@pytest.mark.parametrize("scope", [{"organization": "org_none"}, {"team": "team_none"}])
async def test_a_scope_that_is_not_there_is_not_found(owner, scope):
    refusal = await owner.refused("POST", "admin-keys", {"name": "x", "role": "viewer", "scope": scope})

    assert refusal == (404, "not_found", "scope" if "organization" in scope else "team")


async def test_a_revoked_admin_key_ends_within_a_second(owner, organization_admin, ours, clock):
    made = await organization_admin.post("admin-keys", name="gone", role="viewer", scope=ours.scope)
    gone = Admin(owner._app, made["key"])
    await gone.get("teams")

    revoked = await organization_admin.delete(f"admin-keys/{made['id']}")
    clock.now_s += admin_key_cache.BELIEVED_S

    assert revoked["revoked_at"] is not None
    assert await gone.refused("GET", "teams") == (401, "invalid_api_key", None)
    assert (await organization_admin.delete(f"admin-keys/{made['id']}")) == revoked
    assert (await organization_admin.refused("GET", f"admin-keys/{made['id']}"))[0] == 404


async def test_an_admin_key_ends_at_its_expiry(owner, ours):
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    made = await owner.post("admin-keys", name="x", role="viewer", scope=ours.scope, expires_at=past)

    assert (await Admin(owner._app, made["key"]).refused("GET", "teams"))[0] == 401


async def test_an_admin_key_ends_with_its_scope(owner, clock):
    own = await Tenants().made_by(owner)
    of_team = await owner.become("team_admin", own.team_scope)
    of_organization = await owner.become("viewer", own.scope)
    await of_team.get("teams")

    for team in own.ids["teams"]:
        await owner.delete(f"teams/{team}")
    clock.now_s += admin_key_cache.BELIEVED_S
    assert (await of_team.refused("GET", "teams"))[0] == 401
    await of_organization.get("organizations")

    await owner.delete(f"organizations/{own.organization}")
    clock.now_s += admin_key_cache.BELIEVED_S
    assert (await of_organization.refused("GET", "organizations"))[0] == 401


async def test_an_organization_admin_does_not_see_admins_of_others(owner, organization_admin, theirs):
    made = await owner.post("admin-keys", name="x", role="viewer", scope=theirs.scope)
    above = await owner.post("admin-keys", name="x", role="owner")

    for one in (made["id"], above["id"]):
        assert (await organization_admin.refused("GET", f"admin-keys/{one}"))[0] == 404
        assert (await organization_admin.refused("DELETE", f"admin-keys/{one}"))[0] == 404
        assert one not in await organization_admin.listed("admin-keys")


async def test_a_virtual_key_administers_nothing(owner):
    own = await Tenants().made_by(owner)
    key = await owner.post("keys", name="k", team=own.ids["teams"][0])

    assert (await Admin(owner._app, key["key"]).refused("GET", "teams"))[0] == 401


class Source:
    """Knows one secret; counts how often it is asked."""

    def __init__(self, digest) -> None:
        self._digest = digest
        self.asked = 0

    async def actor(self, secret_sha256):
        self.asked += 1
        return Actor("admin_1", "ops", Role.OWNER) if secret_sha256 == self._digest else None


async def test_a_secret_is_looked_up_once_a_second_whether_it_is_known_or_not():
    known, unknown, clock = new_secret(ADMIN_KEY_PREFIX), new_secret(ADMIN_KEY_PREFIX), Time()
    source = Source(known.sha256)
    cache = AdminKeyCache(source, clock)

    for _ in range(3):
        assert (await cache.find(known.text)).id == "admin_1"
        assert await cache.find(unknown.text) is None
    assert source.asked == 2
    clock.now_s += admin_key_cache.BELIEVED_S
    assert (await cache.find(known.text)).id == "admin_1"
    assert source.asked == 3


@pytest.mark.parametrize("secret", ["", "sk-obol-admin-", "sk-obol-" + "a" * 43, "sk-obol-admin-" + "é" * 43])
async def test_what_has_not_the_form_of_an_admin_key_reaches_no_database(secret):
    source = Source(b"")

    assert await AdminKeyCache(source).find(secret) is None
    assert source.asked == 0


async def test_remembered_secrets_stay_within_bounds(monkeypatch):
    monkeypatch.setattr(admin_key_cache, "REMEMBERED_MAX", 3)
    cache = AdminKeyCache(Source(b""))

    for _ in range(6):
        await cache.find(new_secret(ADMIN_KEY_PREFIX).text)

    assert len(cache._seen) == 3


async def test_while_postgres_is_away_the_operators_key_is_known_and_others_are_undecided(tmp_path):
    engine = database.connect(f"postgresql://nobody@/none?host={tmp_path}")
    app = tenants_app(engine)

    assert (await Admin(app, ADMIN_KEY).refused("GET", "teams"))[0] == 503
    assert (await Admin(app, new_secret(ADMIN_KEY_PREFIX).text).refused("GET", "teams"))[0] == 503
    assert (await Admin(app, "nonsense").refused("GET", "teams"))[0] == 401
    await engine.dispose()


async def test_a_database_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(admin_key_cache, "LOOKUP_S", 0.01)

    class Hanging:
        async def actor(self, _digest):
            await asyncio.Event().wait()

    with pytest.raises(StoreUnavailable):
        await AdminKeyCache(Hanging()).find(new_secret(ADMIN_KEY_PREFIX).text)
