"""Feedback in Postgres: of requests of the giver's own team, each said once, with who said it; read within bounds."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from admin_parts import Admin
from fastapi import FastAPI
from postgres_parts import encoded, make_entry
from sqlalchemy import text

from gateway.api.admin import admin_router
from gateway.api.admin.feedback import add_feedback
from gateway.api.surface import install_errors
from gateway.domain import Actor, Caller, Role
from gateway.domain.feedback import Feedback
from gateway.errors import Conflict, StoreUnavailable
from gateway.stores import database, feedback
from gateway.stores.entry_filter import EntryFilter
from gateway.stores.feedback import FeedbackStore


@pytest.fixture
def store(engine):
    return FeedbackStore(engine)


@pytest.fixture
def caller():
    return Caller(f"key_{uuid4().hex}", "k", uuid4().hex, "t", uuid4().hex, member_id="member_1")


@pytest.fixture
async def request_id(ledger, caller):
    """A request of the caller's team, by another key."""
    entry = make_entry(team_id=caller.team_id, organization_id=caller.organization_id, key_id=uuid4().hex)
    await ledger.write(encoded(entry))
    return entry.request_id


async def test_feedback_is_kept_with_who_gave_it(store, caller, request_id):
    given = await store.give(caller, Feedback(request_id, 0.25, "wrong", "reviewer 7", "It is 42."))

    assert (given.request_id, given.organization_id, given.team_id) == (
        request_id,
        caller.organization_id,
        caller.team_id,
    )
    assert (given.key_id, given.member_id) == (caller.key_id, "member_1")
    assert (given.score, given.label, given.who, given.comment) == (0.25, "wrong", "reviewer 7", "It is 42.")
    assert await store.page(EntryFilter(request=request_id)) == ((given,), None)


async def test_several_judgements_of_one_request_are_kept(store, caller, request_id):
    colleague = replace(caller, key_id="key_of_a_colleague")
    said = [Feedback(request_id, 1.0), Feedback(request_id, 1.0, who="b"), Feedback(request_id, 0.0)]
    given = [await store.give(caller, one) for one in said] + [await store.give(colleague, said[0])]

    assert (await store.page(EntryFilter(request=request_id)))[0] == tuple(given[::-1])


async def test_the_same_said_twice_by_the_same_key_counts_once(store, caller, request_id):
    said = Feedback(request_id, 1.0, "good")
    first, *rest = await asyncio.gather(*(store.give(caller, said) for _ in range(5)))

    assert rest == [first] * 4
    assert (await store.page(EntryFilter(request=request_id)))[0] == (first,)


async def test_of_an_unknown_request_and_of_another_teams_nothing_is_kept(store, caller, request_id):
    stranger = replace(caller, team_id=uuid4().hex)

    assert await store.give(stranger, Feedback(request_id, 1.0)) is None
    assert await store.give(caller, Feedback("req_none", 1.0)) is None
    assert (await store.page(EntryFilter(key=caller.key_id)))[0] == ()


async def test_a_request_takes_so_much_feedback_and_no_more(store, caller, request_id, monkeypatch):
    monkeypatch.setattr(feedback, "FEEDBACKS_MAX", 2)
    first, _ = [await store.give(caller, Feedback(request_id, score)) for score in (0.0, 0.1)]
    with pytest.raises(Conflict):
        await store.give(caller, Feedback(request_id, 0.2))

    assert await store.give(caller, Feedback(request_id, 0.0)) == first  # what stands may be said again


async def test_a_database_that_is_away_is_named_as_such(tmp_path, caller):
    store = FeedbackStore(database.connect(f"postgresql://nobody@/none?host={tmp_path}"))
    with pytest.raises(StoreUnavailable):
        await store.give(caller, Feedback("req_1", 1.0))


async def test_a_request_is_found_by_an_index(engine):
    async with engine.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        explained = await connection.execute(
            text("EXPLAIN " + feedback._IS_THEIRS.text), {"request_id": "req_1", "team_id": "team_1"}
        )
        plan = "\n".join(explained.scalars())
    assert "request_id_idx" in plan
    assert "Seq Scan" not in plan


@pytest.fixture
async def spoken(store, ledger):
    """Feedback of a team, of another team of its organization, and of somebody else."""
    organization, given = uuid4().hex, []
    for whose in (organization, organization, uuid4().hex):
        caller = Caller(f"key_{uuid4().hex}", "k", uuid4().hex, "t", whose, member_id=uuid4().hex)
        entry = make_entry(team_id=caller.team_id)
        await ledger.write(encoded(entry))
        given.append(await store.give(caller, Feedback(entry.request_id, 0.5, "so so")))
    return given


@pytest.fixture
def admin(store, spoken):
    """Makes the view of an admin of that scope."""
    mine = spoken[0]
    actors = {
        "owner": Actor("a", "owner", Role.OWNER),
        "organization": Actor("b", "of all", Role.ORGANIZATION_ADMIN, mine.organization_id),
        "team": Actor("c", "of the team", Role.VIEWER, mine.organization_id, mine.team_id),
    }

    async def find(secret):
        return actors.get(secret)

    app, router = FastAPI(), admin_router(find)
    install_errors(app)
    add_feedback(router, store)
    app.include_router(router)
    return lambda who: Admin(app, who)


@pytest.mark.parametrize(("who", "count"), [("owner", 3), ("organization", 2), ("team", 1)])
async def test_everybody_reads_what_lies_in_its_scope(admin, spoken, who, count):
    reader = admin(who)
    for number, given in enumerate(spoken):
        assert await reader.listed("feedback", request=given.request_id) == [given.id] * (number < count)


async def test_filters_choose_and_pages_go_on(admin, spoken):
    reader, (first, second, _) = admin("organization"), spoken
    assert await reader.listed("feedback") == [second.id, first.id]
    for name, value in (("team", first.team_id), ("key", first.key_id), ("member", first.member_id)):
        assert await reader.listed("feedback", **{name: value}) == [first.id]
    page = await reader.get("feedback", limit=1)
    assert [one["id"] for one in page["data"]] == [second.id]
    page = await reader.get("feedback", limit=1, cursor=page["next_cursor"])
    assert ([one["id"] for one in page["data"]], page["next_cursor"]) == ([first.id], None)
    assert page["data"][0]["score"] == 0.5
    assert "body_sha256" not in page["data"][0]


async def test_a_query_that_means_nothing_is_refused(admin):
    assert await admin("owner").refused("GET", "feedback", query={"score": "1"}) == (400, "invalid_value", "score")
