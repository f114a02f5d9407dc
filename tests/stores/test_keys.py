"""Virtual keys in Postgres: what admins do with them, and what of it anyone can read."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from tenant_parts import OWNER

from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.stores import database
from gateway.stores.key_secrets import digest
from gateway.stores.keys import KeyStore
from gateway.stores.tenants import DEFAULT_ORGANIZATION, TenantStore


@pytest.fixture
async def team(tenants):
    return await tenants.create_team(OWNER, uuid4().hex)


async def test_a_new_key_belongs_to_its_team_and_organization(keys, team):
    made = await keys.create_key(OWNER, team.id, "laptop", models=["auto", "mini"])

    caller = await keys.lookup(digest(made.secret))
    assert (caller.key_id, caller.key_name) == (made.key.id, "laptop")
    assert (caller.team_id, caller.team_name, caller.organization_id) == (team.id, team.name, DEFAULT_ORGANIZATION)
    assert caller.models == {"auto", "mini"}
    assert caller.expires_at_s is None


async def test_no_column_of_the_table_holds_a_secret(keys, team, engine):
    made = await keys.create_key(OWNER, team.id, "laptop")

    async with engine.connect() as connection:
        row = (await connection.execute(text("SELECT keys::text FROM keys WHERE id = :id"), {"id": made.key.id})).one()
    assert made.secret not in row[0]
    assert hashlib.sha256(made.secret.encode()).hexdigest() in row[0]
    assert made.secret.startswith(made.key.prefix)
    assert len(made.key.prefix) == 12


async def test_a_secret_does_not_show_when_a_new_key_is_printed(keys, team):
    made = await keys.create_key(OWNER, team.id, "laptop")

    assert made.secret not in repr(made)
    assert made.secret not in str(made)


async def test_ids_say_what_they_name_and_sort_by_birth(keys, team):
    made = [(await keys.create_key(OWNER, team.id, "k")).key.id for _ in range(3)]

    births = [one.removeprefix("key_")[:12] for one in made]
    assert births == sorted(births)
    assert len(set(made)) == 3
    assert team.id.startswith("team_")


async def test_a_revoked_key_is_nobodys(keys, team):
    made = await keys.create_key(OWNER, team.id, "laptop")

    revoked = await keys.revoke_key(OWNER, made.key.id)

    assert revoked.revoked_at is not None
    assert await keys.lookup(digest(made.secret)) is None


async def test_revoking_again_changes_nothing(keys, team):
    made = await keys.create_key(OWNER, team.id, "laptop")

    first = await keys.revoke_key(OWNER, made.key.id)

    assert await keys.revoke_key(OWNER, made.key.id) == first


async def test_a_deleted_team_takes_its_keys_along_and_frees_its_name(tenants, keys, team):
    made = await keys.create_key(OWNER, team.id, "laptop")

    await tenants.delete_team(OWNER, team.id)

    assert await keys.lookup(digest(made.secret)) is None
    assert await tenants.teams_called(team.id) == []
    with pytest.raises(NotFound):
        await keys.create_key(OWNER, team.id, "another")
    with pytest.raises(NotFound):
        await tenants.delete_team(OWNER, team.id)
    assert (await tenants.create_team(OWNER, team.name)).id != team.id


async def test_no_key_outlives_a_team_that_is_deleted_while_it_is_made(tenants, keys):
    for _ in range(5):
        team = await tenants.create_team(OWNER, uuid4().hex)
        creations = [keys.create_key(OWNER, team.id, "racing") for _ in range(3)]

        await asyncio.gather(*creations, tenants.delete_team(OWNER, team.id), return_exceptions=True)

        found, _cursor = await keys.page(team=team.id)
        assert all(key.revoked_at is not None for key in found)


async def test_two_live_teams_cannot_have_one_name(tenants, team):
    with pytest.raises(Conflict) as caught:
        await tenants.create_team(OWNER, team.name)

    assert caught.value.param == "name"


async def test_teams_that_are_not_there_are_not_found(tenants, keys):
    with pytest.raises(NotFound):
        await keys.create_key(OWNER, "team_none", "k")
    with pytest.raises(NotFound):
        await tenants.delete_team(OWNER, "team_none")
    with pytest.raises(NotFound):
        await keys.revoke_key(OWNER, "key_none")
    with pytest.raises(NotFound):
        await tenants.create_team(OWNER, "x", organization_id="org_none")


async def test_the_default_team_is_made_once_by_processes_that_start_together(tenants):
    found = await asyncio.gather(*(tenants.ensure_default_team(OWNER) for _ in range(4)))

    assert len(set(found)) == 1
    assert await tenants.team(found[0].id) == found[0]


async def test_keys_are_listed_by_pages_newest_first(keys, team):
    made = [(await keys.create_key(OWNER, team.id, f"key {number}")).key for number in range(5)]

    seen, cursor = [], ""
    while cursor is not None:
        page, cursor = await keys.page(team=team.id, limit=2, cursor=cursor)
        seen += page

    assert seen == made[::-1]


async def test_changes_name_what_was_made_and_revoked_since(keys, team):
    since = (await keys.changes(None)).until
    kept, lost = await keys.create_key(OWNER, team.id, "kept"), await keys.create_key(OWNER, team.id, "lost")
    await keys.revoke_key(OWNER, lost.key.id)

    changed = {one.digest: one.caller for one in (await keys.changes(since)).keys}

    assert changed[digest(kept.secret)].key_id == kept.key.id
    assert changed[digest(lost.secret)] is None


async def test_an_expiry_is_kept_to_the_microsecond(keys, team):
    expires_at = datetime.now(UTC) + timedelta(days=1)

    made = await keys.create_key(OWNER, team.id, "short", expires_at=expires_at)

    assert (await keys.lookup(digest(made.secret))).expires_at_s == expires_at.timestamp()


@pytest.mark.parametrize(
    "secret", ["", "sk-obol-", "sk-obol-" + "a" * 42, "sk-obol-" + "a" * 44, "sk-" + "a" * 48, "sk-obol-" + "é" * 43]
)
def test_what_has_not_the_form_of_a_key_has_no_digest(secret):
    assert digest(secret) is None
    assert digest("sk-obol-" + "a" * 43 + "\n") is None


async def test_without_postgres_every_change_says_that_it_is_away(tmp_path):
    engine = database.connect(f"postgresql://nobody@/none?host={tmp_path}")
    keys, tenants = KeyStore(engine), TenantStore(engine)

    for work in (
        tenants.teams(),
        tenants.create_team(OWNER, "x"),
        tenants.update_member(OWNER, "m", {"name": "x"}),
        tenants.delete_organization(OWNER, "o"),
        keys.lookup(b"x" * 32),
        keys.revoke_key(OWNER, "k"),
        keys.page(),
    ):
        with pytest.raises(StoreUnavailable):
            await work
    await engine.dispose()
