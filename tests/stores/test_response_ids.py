"""Which deployment keeps which response: written down before the id is seen, and never in an answer's way."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from sqlalchemy import text

from gateway.domain import StoredResponse
from gateway.errors import StoreUnavailable
from gateway.stores import stored_responses
from gateway.stores.stored_responses import StoredResponseStore


def made(id_, team="team_1", deployment="openai/gpt"):
    return StoredResponse(id_, "org_1", team, "key_1", deployment)


@pytest.fixture
def store(engine):
    return StoredResponseStore(engine)


@pytest.fixture
def response_id():
    return f"resp_{uuid.uuid4().hex}"


class Engine:
    """A way to Postgres that can be cut."""

    def __init__(self, engine):
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.is_away = True

    def execution_options(self, **_):
        return self

    def connect(self):
        if self.is_away:
            raise ConnectionRefusedError
        return self._engine.connect()


@pytest.fixture
async def cut(engine):
    """A store whose database is away, and the way to it; its pauses end when the way is free."""
    way, is_free = Engine(engine), asyncio.Event()

    async def sleep(_):
        await is_free.wait()
        way.is_away = False

    store = StoredResponseStore(way, sleep=sleep)
    yield store, is_free
    await store.close()


async def test_a_response_is_found_with_its_team_and_its_deployment(store, response_id):
    await store.remember(made(response_id))
    assert await store.find(response_id) == made(response_id)


async def test_an_unknown_id_is_not_found(store, response_id):
    assert await store.find(response_id) is None


@pytest.mark.parametrize("id_", ["", "../admin", "resp_1?x", "resp_\0", "x" * 513, "é"])
async def test_what_can_be_no_id_is_neither_kept_nor_found(store, id_):
    await store.remember(made(id_))
    assert await store.find(id_) is None


async def test_an_id_stays_with_the_team_that_had_it_first(store, response_id):
    await store.remember(made(response_id))
    await store.remember(made(response_id, "team_2"))
    assert (await store.find(response_id)).team_id == "team_1"


async def test_ids_that_come_at_the_same_time_are_all_kept_also_twice_the_same(store):
    ids = [f"resp_{uuid.uuid4().hex}" for _ in range(50)]
    await asyncio.gather(*(store.remember(made(one)) for one in [*ids, *ids]))
    assert all([await store.find(one) for one in ids])


async def test_a_client_that_leaves_does_not_keep_the_others_ids_from_being_written(store, response_id):
    leaving = asyncio.create_task(store.remember(made(f"resp_{uuid.uuid4().hex}")))
    staying = asyncio.create_task(store.remember(made(response_id)))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert await store.find(response_id)


async def test_a_forgotten_response_is_not_found(store, response_id):
    await store.remember(made(response_id))
    await store.forget(response_id)
    assert await store.find(response_id) is None


async def test_what_is_older_than_upstreams_keep_it_is_purged_and_nothing_else(store, engine, response_id):
    old = f"resp_{uuid.uuid4().hex}"
    await store.remember(made(old))
    await store.remember(made(response_id))
    async with engine.begin() as connection:
        statement = text("UPDATE stored_responses SET created_at = now() - interval '32 days' WHERE id = :id")
        await connection.execute(statement, {"id": old})
    assert await store.purge() >= 1
    assert await store.find(old) is None
    assert await store.find(response_id)


async def test_while_postgres_is_away_answers_go_out_and_the_operator_is_told_once(cut, caplog):
    store, _ = cut
    for _ in range(3):
        await store.remember(made(f"resp_{uuid.uuid4().hex}"))
    assert len([one for one in caplog.records if "Postgres is away" in one.message]) == 1


async def test_what_came_while_postgres_was_away_is_kept_when_it_is_back(cut, caplog):
    store, is_free = cut
    caplog.set_level("INFO")
    ids = [f"resp_{uuid.uuid4().hex}" for _ in range(3)]
    for one in ids:
        await store.remember(made(one))
    is_free.set()
    await store._writer
    assert [await store.find(one) for one in ids] == [made(one) for one in ids]
    assert "Postgres is back" in caplog.text


async def test_while_postgres_is_away_nobody_is_told_that_an_id_is_unknown(cut):
    store, _ = cut
    with pytest.raises(StoreUnavailable):
        await store.find("resp_1")


async def test_no_more_ids_wait_than_memory_has_room_for(cut, monkeypatch):
    store, is_free = cut
    monkeypatch.setattr(stored_responses, "WAITING_MAX", 2)
    ids = [f"resp_{uuid.uuid4().hex}" for _ in range(3)]
    for one in ids:
        await store.remember(made(one))
    is_free.set()
    await store._writer
    assert [await store.find(one) for one in ids] == [made(ids[0]), made(ids[1]), None]


async def test_many_look_ups_at_once_all_find_what_they_look_for(store, response_id):
    await store.remember(made(response_id))
    found = await asyncio.gather(*(store.find(response_id) for _ in range(50)))
    assert found == [made(response_id)] * 50
