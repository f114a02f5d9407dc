"""Purges over real stores: what somebody asked, was answered and said is nowhere any more, and all else is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from admin_parts import ADMIN_KEY, Admin, tenants_app
from decision_parts import made as decision
from embedder_parts import machine
from postgres_parts import encoded, make_entry
from sqlalchemy import text

from gateway.api.admin import admin_router
from gateway.api.admin.admin_keys import add_admin_keys
from gateway.api.admin.guard import any_of
from gateway.api.admin.operator import operator_key
from gateway.api.admin.purges import add_purges
from gateway.domain import Actor, Caller, KeptPrompt, Role, WriterKind
from gateway.domain.feedback import Feedback
from gateway.errors import NotFound, StoreUnavailable
from gateway.stores import database
from gateway.stores.admin_key_cache import AdminKeyCache
from gateway.stores.admin_keys import AdminKeyStore
from gateway.stores.decisions import DecisionStore
from gateway.stores.feedback import FeedbackStore
from gateway.stores.purges import Erased, Purges
from gateway.stores.route_prompts import PromptStore

ACTOR = Actor("a", "owner", Role.OWNER)


@dataclass
class Asker:
    """A key of a member, and the words that only it says."""

    organization: str
    team: str
    key: str
    member: str
    secret_word: str

    def of(self, kind):
        return getattr(self, kind)


@pytest.fixture
async def here(valkey, link, tmp_path):
    del link  # it empties the server
    async with machine(valkey.url, tmp_path) as one:
        yield one


@pytest.fixture
async def there(valkey, here, tmp_path):
    del here
    async with machine(valkey.url, tmp_path) as one:
        yield one


@pytest.fixture
def purges(engine, here):
    return Purges(engine, here.answers, here.truth)


@pytest.fixture
async def askers(tenants, keys):
    """Two keys of two members of one team, one of another team, and one of another organization."""
    first, second = [await tenants.create_organization(ACTOR, uuid4().hex) for _ in range(2)]
    teams = [await tenants.create_team(ACTOR, uuid4().hex, one.id) for one in (first, first, second)]
    found = []
    for team in (teams[0], *teams):
        member = await tenants.create_member(ACTOR, team.id, uuid4().hex)
        made = await keys.create_key(ACTOR, team.id, "key", member_id=member.id)
        found.append(Asker(team.organization_id, team.id, made.key.id, member.id, f"secret{uuid4().hex}"))
    return found


async def leave_traces(engine, ledger, here, asker):
    """All that can stay of a request: an answer and a question, for the team and for all; feedback; the prompt."""
    whose = {"team": asker.team, "key": asker.key, "member": asker.member}
    await here.answer(f"what is {asker.secret_word}", tenant=asker.organization, **whose)
    await here.answer(f"what is {asker.secret_word}", tenant="all", organization=asker.organization, **whose)
    place = {"organization_id": asker.organization, "team_id": asker.team, "key_id": asker.key}
    entry = make_entry(member_id=asker.member, **place)
    await ledger.write(encoded(entry))
    caller = Caller(asker.key, "k", asker.team, "t", asker.organization, member_id=asker.member)
    assert await FeedbackStore(engine).give(caller, Feedback(entry.request_id, 1.0, comment=asker.secret_word))
    now = datetime.now(UTC)
    await DecisionStore(engine).write([decision(now.isoformat(), request_id=entry.request_id, **place)])
    await PromptStore(engine).write(
        [
            KeptPrompt(
                request_id=entry.request_id,
                created_at=now.isoformat(),
                organization_id=asker.organization,
                team_id=asker.team,
                route="auto",
                text=asker.secret_word,
                expires_at=(now + timedelta(days=1)).isoformat(),
            )
        ]
    )


async def left_in_valkey(link, word):
    """Every key whose value holds the word, whatever it is."""
    found, cursor = [], b"0"
    while True:
        cursor, names = await link.command("SCAN", cursor, "COUNT", 1000)
        found += [name for name in names if word in repr((name, await _value(link, name)))]
        if cursor == b"0":
            return found


_READING = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1),
    b"stream": ("XRANGE", "-", "+"),
    b"none": ("EXISTS",),
}


async def _value(link, name):
    command, *more = _READING[await link.command("TYPE", name)]
    return await link.command(command, name, *more)


async def left_in_postgres(engine, word):
    async with engine.connect() as connection:
        feedback = await connection.scalar(text("SELECT count(*) FROM feedback WHERE comment = :w"), {"w": word})
        prompts = await connection.scalar(text("SELECT count(*) FROM route_prompts WHERE text = :w"), {"w": word})
    return feedback, prompts


ERASED_WITH_THE_FIRST = {
    WriterKind.KEY: {0},
    WriterKind.MEMBER: {0},
    WriterKind.TEAM: {0, 1},
    WriterKind.ORGANIZATION: {0, 1, 2},
}


@pytest.mark.parametrize("kind", WriterKind)
async def test_a_purge_leaves_nothing_of_them_on_any_machine_and_everything_of_others(
    engine, ledger, here, there, purges, askers, kind
):
    for asker in askers:
        await leave_traces(engine, ledger, here, asker)
        await there.texts("what", tenant=asker.organization)
    await there.texts("what", tenant="all")
    erased = ERASED_WITH_THE_FIRST[kind]
    writer = await purges.writer(kind, askers[0].of(kind))

    told = await purges.purge_all(ACTOR, writer)

    assert told == Erased(2 * len(erased), 2 * len(erased), len(erased), len(erased))
    for one in (here, there):
        await one.following.look()
    for number, asker in enumerate(askers):
        is_left = number not in erased
        word = asker.secret_word
        assert bool(await left_in_valkey(here.link, word)) is is_left
        assert await left_in_postgres(engine, word) == (is_left, is_left)
        for one in (here, there):
            for tenant in (asker.organization, "all"):
                assert (f"what is {word}" in await one.texts(f"what is {word}", tenant=tenant)) is is_left
    async with engine.connect() as connection:
        query = text("SELECT action, object_kind, after FROM audit_log WHERE object_id = :id AND action = 'purge'")
        row = (await connection.execute(query, {"id": writer.id})).one()
    assert tuple(row) == (
        "purge",
        kind,
        {"answers": told.answers, "questions": told.questions, "feedback": told.feedback, "prompts": told.prompts},
    )


async def test_a_purge_of_answers_leaves_what_was_said_of_them(engine, ledger, here, purges, askers):
    asker = askers[0]
    await leave_traces(engine, ledger, here, asker)
    await purges.purge_answers(ACTOR, await purges.writer(WriterKind.TEAM, asker.team))
    assert await left_in_valkey(here.link, asker.secret_word) == []
    assert await left_in_postgres(engine, asker.secret_word) == (1, 1)


async def test_what_is_asked_after_a_purge_is_kept_again(engine, ledger, here, purges, askers):
    writer = await purges.writer(WriterKind.MEMBER, askers[0].member)
    await purges.purge_all(ACTOR, writer)
    await leave_traces(engine, ledger, here, askers[0])
    assert await here.texts("what is", tenant=askers[0].organization) == [f"what is {askers[0].secret_word}"]


async def test_who_is_deleted_can_still_be_purged(tenants, purges, askers):
    await tenants.delete_member(ACTOR, askers[0].member)
    await tenants.delete_team(ACTOR, askers[0].team)
    for kind in (WriterKind.KEY, WriterKind.MEMBER, WriterKind.TEAM):
        writer = await purges.writer(kind, askers[0].of(kind))
        assert (writer.organization_id, writer.team_id) == (askers[0].organization, askers[0].team)
    with pytest.raises(NotFound):
        await purges.writer(WriterKind.MEMBER, askers[0].key)


async def test_a_purge_that_cannot_be_done_says_so(here, askers, purges):
    writer = await purges.writer(WriterKind.TEAM, askers[0].team)
    await here.link.close()
    with pytest.raises(StoreUnavailable):
        await purges.purge_all(ACTOR, writer)
    away = Purges(database.connect("postgresql://nobody@127.0.0.1:1/none"), here.answers, here.truth)
    with pytest.raises(StoreUnavailable):
        await away.writer(WriterKind.TEAM, askers[0].team)


@pytest.fixture
def owner(engine, tenants, purges):
    app = tenants_app(engine)
    admin_keys = AdminKeyStore(engine)
    router = admin_router(any_of(operator_key(ADMIN_KEY), AdminKeyCache(admin_keys, lambda: 0.0).find))
    add_purges(router, purges)
    add_admin_keys(router, tenants, admin_keys)
    app.include_router(router)
    return Admin(app, ADMIN_KEY)


async def test_the_admin_api_tells_what_was_erased(engine, ledger, here, owner, askers):
    asker = askers[0]
    await leave_traces(engine, ledger, here, asker)
    told = await owner.post("purge", member=asker.member)
    assert told == {
        "organization_id": asker.organization,
        "team_id": asker.team,
        "key_id": None,
        "member_id": asker.member,
        "answers": 2,
        "questions": 2,
        "feedback": 1,
        "prompts": 1,
    }
    assert (await owner.post("purge", key=asker.key))["key_id"] == asker.key
    assert (await owner.post("purge", organization=asker.organization))["team_id"] is None


async def test_one_is_named_and_it_must_be_there(owner, askers):
    for body in ({}, {"team": askers[0].team, "key": askers[0].key}):
        assert (await owner.refused("POST", "purge", body))[:2] == (400, "invalid_value")
    for kind in WriterKind:
        assert (await owner.refused("POST", "purge", {kind: "nobody"}))[0] == 404
    assert (await owner.refused("POST", "purge", {"end_user": "x"}))[0] == 400


async def test_who_may_change_a_team_may_purge_it_and_its_people_and_nobody_else(owner, askers):
    asker, colleague, other_team, stranger = askers
    team_admin = await owner.become("team_admin", {"team": asker.team})
    viewer = await owner.become("viewer", {"team": asker.team})
    for kind in (WriterKind.TEAM, WriterKind.KEY, WriterKind.MEMBER):
        assert (await team_admin.post("purge", **{kind: asker.of(kind)}))["team_id"] == asker.team
        assert (await team_admin.refused("POST", "purge", {kind: other_team.of(kind)}))[0] == 404
        assert (await team_admin.refused("POST", "purge", {kind: stranger.of(kind)}))[0] == 404
        assert (await viewer.refused("POST", "purge", {kind: colleague.of(kind)}))[0] == 403
    assert (await team_admin.refused("POST", "purge", {"organization": asker.organization}))[0] == 403
    assert (await team_admin.refused("POST", "purge", {"organization": stranger.organization}))[0] == 404
