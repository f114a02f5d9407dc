"""Teams' lists over a real Postgres: versions that never change, and what this process answers from the newest one."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from announcement_parts import following, is_heard
from faq_parts import LIST
from journal_parts import until
from own_valkey import own_valkey
from sqlalchemy import text
from tenant_parts import OWNER

from gateway.answer_ports import IndexAway
from gateway.domain import FaqAnswer, FaqEntry
from gateway.embedding.minilm import SentenceEncoder
from gateway.errors import BadRequest, Conflict, NotFound, StoreUnavailable
from gateway.stores.faq_cache import FaqCache
from gateway.stores.faq_lists import CHANNEL, FaqStore, redis_announcer

ENTRIES = tuple(FaqEntry(name, texts[0], tuple(texts[1:]), f"This is about {name}.") for name, texts in LIST.items())
ASKED = "Hi, how can I return an order?"


class Embedder:
    """The real encoder, counted; it may be away, and be held back."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.texts = []
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, texts, *, is_urgent=False):
        if self.is_away:
            raise IndexAway("nobody is there")
        self.texts += texts
        vectors = await asyncio.to_thread(self._encoder.encode, texts)
        if is_urgent:
            await self.gate.wait()
        return vectors


class Watched:
    """A FaqStore that may be away, and whose reads may be held back."""

    def __init__(self, store):
        self._store = store
        self.is_away = False
        self.reads = 0
        self.looks = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def current(self, team_id):
        self.reads += 1
        if self.is_away:
            raise StoreUnavailable("away")
        found = await self._store.current(team_id)
        await self.gate.wait()
        return found

    async def changes(self, since):
        self.looks += 1
        return await self._store.changes(since)

    async def now(self):
        self.looks += 1
        return await self._store.now()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return SentenceEncoder.load(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def embedder(encoder):
    return Embedder(encoder)


@pytest.fixture
def lists(engine):
    return FaqStore(engine)


@pytest.fixture
def source(lists):
    return Watched(lists)


@pytest.fixture
async def cache(source, embedder):
    async def at_once(_seconds):
        await asyncio.sleep(0)

    cache = FaqCache(source, embedder, sleep=at_once)
    yield cache
    while cache._loads:  # a connection is not to be left in the middle of reading
        await asyncio.gather(*cache._loads.values(), return_exceptions=True)


@pytest.fixture
async def team(tenants):
    return (await tenants.create_team(OWNER, uuid4().hex)).id


async def answered(cache, team, asked=ASKED):
    """What is found once the list is ready."""
    found = []

    async def is_found():
        found.append(await cache.find(team, asked))
        return found[-1] is not None

    await until(is_found)
    return found[-1]


# The store.


async def test_a_team_without_a_list_has_one_of_version_0(lists, team):
    found = await lists.current(team)
    assert (found.version, found.entries, found.created_at) == (0, (), None)


async def test_each_change_is_a_version_and_the_old_ones_stay(lists, team):
    first = await lists.put(OWNER, team, 0, ENTRIES[:2])
    second = await lists.put(OWNER, team, 1, ENTRIES)

    assert (first.version, second.version) == (1, 2)
    assert await lists.current(team) == second
    assert await lists.version(team, 1) == first
    assert first.entries == ENTRIES[:2]
    assert first.changed_by == "owner (admin_owner)"
    with pytest.raises(NotFound, match="no list of version 3"):
        await lists.version(team, 3)


async def test_versions_are_listed_newest_first_in_pages(lists, team):
    for version in range(5):
        await lists.put(OWNER, team, version, ENTRIES[: version + 1])

    seen, cursor = [], ""
    while cursor is not None:
        page, cursor = await lists.versions(team, limit=2, cursor=cursor)
        seen += [one.version for one in page]

    assert seen == [5, 4, 3, 2, 1]
    assert await lists.versions(team, cursor="1.abc") == ((), None), "no version is before one that never was"
    with pytest.raises(BadRequest):
        await lists.versions(team, cursor="abc")


async def test_a_change_of_an_older_version_is_refused_so_that_no_change_is_lost(lists, team):
    await lists.put(OWNER, team, 0, ENTRIES[:1])
    with pytest.raises(Conflict, match="of version 1 now") as refused:
        await lists.put(OWNER, team, 0, ENTRIES)
    assert refused.value.code == "version_changed"


async def test_of_changes_at_once_one_is_made(lists, team):
    changes = [lists.put(OWNER, team, 0, ENTRIES[: 1 + number]) for number in range(4)]
    done = await asyncio.gather(*changes, return_exceptions=True)

    assert sorted(type(one).__name__ for one in done) == ["Conflict", "Conflict", "Conflict", "FaqList"]
    assert (await lists.current(team)).version == 1


async def test_the_same_list_again_is_no_new_version(lists, team):
    first = await lists.put(OWNER, team, 0, ENTRIES)
    assert await lists.put(OWNER, team, 1, ENTRIES) == first


async def test_a_list_can_be_emptied(lists, team):
    await lists.put(OWNER, team, 0, ENTRIES)
    assert (await lists.put(OWNER, team, 1, ())).entries == ()


async def test_who_changed_which_entries_is_audited(lists, team, engine):
    await lists.put(OWNER, team, 0, ENTRIES[:2])
    changed = FaqEntry(ENTRIES[0].id, ENTRIES[0].question, (), "Another answer.")
    await lists.put(OWNER, team, 1, (changed, ENTRIES[2]))

    query = text(
        "SELECT actor, before, after FROM audit_log WHERE object_kind = 'faq' AND object_id = :team ORDER BY id"
    )
    async with engine.connect() as connection:
        rows = (await connection.execute(query, {"team": team})).all()
    assert [row.actor for row in rows] == ["owner (admin_owner)"] * 2
    assert rows[1].before == {"version": 1}
    assert rows[1].after == {"version": 2, "added": ["address"], "changed": ["returns"], "removed": ["delivery"]}


async def test_an_unknown_team_has_no_list_to_change(lists):
    with pytest.raises(NotFound):
        await lists.put(OWNER, "team_none", 0, ENTRIES)


async def test_a_deleted_teams_questions_and_answers_are_gone(lists, team, tenants):
    await lists.put(OWNER, team, 0, ENTRIES)
    await tenants.delete_team(OWNER, team)
    assert (await lists.current(team)).version == 0


# What a process answers.


async def test_a_list_answers_once_it_is_ready_and_says_which_version_did(cache, lists, team):
    await lists.put(OWNER, team, 0, ENTRIES)

    assert await cache.find(team, ASKED) is None  # a model answers meanwhile
    found = await answered(cache, team)

    assert isinstance(found, FaqAnswer)
    assert (found.source, found.answer) == ("returns@1", "This is about returns.")
    assert found.risk <= 0.02
    assert await cache.find(team, "I can't find my invoice") is None


async def test_a_callers_budget_is_kept(cache, lists, team):
    await lists.put(OWNER, team, 0, ENTRIES)
    await answered(cache, team)
    assert await cache.find(team, ASKED, 0.0) is None
    assert (await cache.find(team, "return my order!", 0.0)).entry == "returns"  # word by word


async def test_a_team_gets_no_answer_of_another_team(cache, lists, team, tenants):
    other = (await tenants.create_team(OWNER, uuid4().hex)).id
    await lists.put(OWNER, other, 0, ENTRIES)
    await answered(cache, other)
    await cache.problems(team)  # it is ready, and empty
    assert await cache.find(team, ASKED) is None


async def test_messages_that_can_be_no_question_cost_no_vector(cache, lists, team, embedder):
    await lists.put(OWNER, team, 0, ENTRIES)
    await cache.problems(team)
    before = len(embedder.texts)
    for asked in ("", "???", "return my order " * 100):
        assert await cache.find(team, asked) is None
    assert len(embedder.texts) == before


async def test_a_change_is_in_force_at_once_and_only_new_questions_are_read(cache, lists, team, embedder):
    await lists.put(OWNER, team, 0, ENTRIES)
    await answered(cache, team)
    mended = FaqEntry("returns", ENTRIES[0].question, (*ENTRIES[0].paraphrases, "Send it back"), "Mended.")
    await lists.put(OWNER, team, 1, (mended, *ENTRIES[1:]))
    embedder.texts.clear()

    cache.heard(f"2:{team}".encode())

    assert await cache.find(team, ASKED) is None  # what it said before is said no more
    assert (await answered(cache, team)).source == "returns@2"
    assert "Send it back" in embedder.texts
    assert not set(ENTRIES[1].questions) & set(embedder.texts)


async def test_an_answer_that_is_changed_while_a_message_is_compared_is_not_given(cache, lists, team, embedder):
    await lists.put(OWNER, team, 0, ENTRIES)
    await answered(cache, team)
    embedder.gate.clear()
    asking = asyncio.create_task(cache.find(team, ASKED))
    await until(lambda: embedder.texts[-1] == ASKED)
    cache.heard(f"2:{team}".encode())
    embedder.gate.set()
    assert await asking is None


async def test_a_change_that_is_announced_while_the_list_is_read_is_read_too(cache, source, lists, team):
    await lists.put(OWNER, team, 0, ENTRIES[1:])
    source.gate.clear()
    await cache.find(team, ASKED)
    await until(lambda: source.reads == 1)
    await lists.put(OWNER, team, 1, ENTRIES)
    cache.heard(f"2:{team}".encode())
    source.gate.set()
    assert (await answered(cache, team)).version == 2


async def test_an_announced_version_that_is_not_there_is_not_read_for_ever(cache, source, lists, team):
    await lists.put(OWNER, team, 0, ENTRIES)
    source.gate.clear()
    assert await cache.find(team, ASKED) is None
    await until(lambda: source.reads == 1)
    cache.heard(f"9:{team}".encode())
    source.gate.set()

    assert (await answered(cache, team)).version == 1
    cache.heard(f"9:{team}".encode())
    assert (await answered(cache, team)).version == 1
    assert source.reads == 3


async def test_where_no_list_is_asked_the_refresh_leaves_postgres_alone(cache, source):
    await cache.refresh()
    await cache.refresh()

    assert (source.reads, source.looks) == (0, 0)


async def test_an_announcement_that_was_lost_is_found_by_the_refresh(cache, lists, team):
    await lists.put(OWNER, team, 0, ENTRIES)
    await answered(cache, team)
    await lists.put(OWNER, team, 1, ENTRIES[1:])
    await cache.refresh()
    assert await cache.find(team, ASKED) is None
    await cache.problems(team)
    assert await cache.find(team, ASKED) is None


async def test_a_change_that_was_lost_while_the_first_list_was_read_is_found_by_the_refresh(cache, source, lists, team):
    await lists.put(OWNER, team, 0, ENTRIES)
    source.gate.clear()
    assert await cache.find(team, ASKED) is None
    await until(lambda: source.reads == 1)
    await lists.put(OWNER, team, 1, ENTRIES[:2])
    await cache.refresh()
    source.gate.set()

    assert (await answered(cache, team)).version == 2


async def test_a_change_is_heard_over_redis(engine, cache, team):
    with own_valkey() as server:
        async with following(server.url, cache) as redis:
            lists = FaqStore(engine, redis_announcer(redis))
            await until(lambda: is_heard(redis, CHANNEL))
            await lists.put(OWNER, team, 0, ENTRIES)
            await answered(cache, team)
            await lists.put(OWNER, team, 1, (ENTRIES[0],))
            await until(lambda: cache._books.get(team) is not None and cache._books[team].faq.version == 2)


async def test_while_postgres_is_away_what_is_ready_goes_on_and_the_rest_comes_back(
    cache, source, lists, team, tenants
):
    other = (await tenants.create_team(OWNER, uuid4().hex)).id
    for whose in (team, other):
        await lists.put(OWNER, whose, 0, ENTRIES)
    await answered(cache, team)
    source.is_away = True

    assert await cache.find(other, ASKED) is None
    assert (await cache.find(team, ASKED)).entry == "returns"
    with pytest.raises(StoreUnavailable):
        await cache.explain(other, ASKED)
    source.is_away = False
    assert (await answered(cache, other)).entry == "returns"


async def test_while_the_embedder_is_away_a_model_answers(cache, lists, team, embedder):
    await lists.put(OWNER, team, 0, ENTRIES)
    embedder.is_away = True
    assert await cache.find(team, ASKED) is None
    with pytest.raises(StoreUnavailable, match="nobody is there"):
        await cache.problems(team)
    embedder.is_away = False
    await answered(cache, team)
    embedder.is_away = True
    assert await cache.find(team, ASKED) is None


async def test_why_a_message_gets_no_answer_is_told(cache, lists, team):
    assert await cache.explain(team, ASKED) is None
    faq = await lists.put(OWNER, team, 0, ENTRIES)
    cache.changed(team, faq.version)

    told = await cache.explain(team, "I can't return my order")
    assert (told.entry, told.answer, told.nearest, told.doubt, told.version) == (None, None, "returns", "polarity", 1)
    told = await cache.explain(team, ASKED)
    assert (told.entry, told.nearest, told.doubt) == ("returns", "returns", None)
    assert told.question in ENTRIES[0].questions


async def test_questions_that_read_like_those_of_another_entry_are_told(cache, lists, team):
    twin = FaqEntry("refund", "How can I return my orders?", ("Sending back my order",), "Another answer.")
    await lists.put(OWNER, team, 0, (*ENTRIES, twin))
    problems = await cache.problems(team)
    assert {(one.entry, one.answered_as) for one in problems} == {("returns", "refund"), ("refund", "returns")}
