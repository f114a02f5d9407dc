"""Who may administer what: roles and scopes of admin keys, and that nobody learns what lies outside its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from admin_parts import ADMIN_KEY, Admin, tenants_app

from gateway.domain import Actor, Role
from gateway.errors import StoreUnavailable
from gateway.stores import admin_key_cache, database
from gateway.stores.admin_key_cache import AdminKeyCache
from gateway.stores.key_secrets import ADMIN_KEY_PREFIX, new_secret

NOT_ALLOWED = (403, "role_not_allowed", None)


class Time:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def clock():
    return Time()


@pytest.fixture(scope="module")
def app(engine, clock):
    return tenants_app(engine, clock)


@pytest.fixture(scope="module")
def owner(app):
    return Admin(app, ADMIN_KEY)


class Tenants:
    """An organization with two teams, each with a member and a key."""

    async def made_by(self, owner):
        self.organization = (await owner.post("organizations", name=uuid4().hex))["id"]
        self.scope = {"organization": self.organization}
        self.ids = {"organizations": [self.organization], "teams": [], "members": [], "keys": []}
        for name in ("first", "second"):
            team = (await owner.post("teams", name=name, organization=self.organization))["id"]
            member = (await owner.post("members", name=name, team=team))["id"]
            key = (await owner.post("keys", name=name, team=team, member=member))["id"]
            for kind, made in (("teams", team), ("members", member), ("keys", key)):
                self.ids[kind].append(made)
        self.team_scope = {"team": self.ids["teams"][0]}
        return self


@pytest.fixture(scope="module")
async def ours(owner):
    return await Tenants().made_by(owner)


@pytest.fixture(scope="module")
async def theirs(owner):
    return await Tenants().made_by(owner)


@pytest.fixture(scope="module")
async def organization_admin(owner, ours):
    return await owner.become("organization_admin", ours.scope)


@pytest.fixture(scope="module")
async def team_admin(owner, ours):
    return await owner.become("team_admin", ours.team_scope)


@pytest.fixture(scope="module")
async def viewer(owner, ours):
    return await owner.become("viewer", ours.scope)


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
