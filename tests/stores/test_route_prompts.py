"""Prompts that routes keep, in Postgres: written once, gone on their date, with their decision and with their team."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from gateway.domain import Actor, KeptPrompt, Role
from gateway.errors import StoreUnavailable
from gateway.stores import database
from gateway.stores.route_prompts import PromptStore
from gateway.stores.tenants import TenantStore

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=3650)
ACTOR = Actor("a", "owner", Role.OWNER)


def kept(*, days=1.0, made=NOW, team="team_1", text="Why?"):
    """One that expires so many days from now."""
    return KeptPrompt(
        request_id=uuid4().hex,
        created_at=made.isoformat(),
        organization_id="org_1",
        team_id=team,
        route="auto",
        text=text,
        expires_at=(NOW + timedelta(days=days)).isoformat(),
    )


@pytest.fixture
def store(engine):
    return PromptStore(engine)


async def found(store, *prompts):
    return [await store.text_of(one.request_id) for one in prompts]


async def test_what_was_kept_is_found_once_it_is_written_however_often(store):
    one, other = kept(text='"Wörter"\n\\u0000 😀'), kept(text="")
    await store.write([one])
    await store.write([one, other])
    assert await found(store, one, other) == [one.text, ""]
    assert await store.text_of("req_none") is None


async def test_what_has_expired_is_not_told_though_it_is_not_yet_deleted(store):
    over = kept(days=-0.001)
    await store.write([over])
    assert await found(store, over) == [None]


async def test_what_has_expired_is_deleted_and_what_is_older_than_its_decision_too(store):
    lasting, over, orphaned = kept(), kept(days=0.5), kept(made=LONG_AGO)
    await store.write([lasting, over, orphaned])
    assert await store.purge(NOW + timedelta(days=0.6), LONG_AGO + timedelta(days=1)) >= 2
    assert await found(store, lasting, over, orphaned) == ["Why?", None, None]


async def test_a_deleted_team_takes_its_prompts_along(engine, store):
    tenants = TenantStore(engine)
    team = await tenants.create_team(ACTOR, uuid4().hex)
    mine, others = kept(team=team.id), kept()
    await store.write([mine, others])
    await tenants.delete_team(ACTOR, team.id)
    assert await found(store, mine, others) == [None, "Why?"]


async def test_a_database_that_is_away_is_named_as_such(tmp_path):
    store = PromptStore(database.connect(f"postgresql://nobody@/none?host={tmp_path}"))
    with pytest.raises(StoreUnavailable):
        await store.write([kept()])
    with pytest.raises(StoreUnavailable):
        await store.text_of("req_1")
    with pytest.raises(StoreUnavailable):
        await store.purge(NOW, LONG_AGO)
