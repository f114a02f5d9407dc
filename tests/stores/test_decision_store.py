"""Decisions in Postgres: what is written is read again, newest first, within the reader's bounds, until it is old."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from decision_parts import made
from sqlalchemy import text

from gateway.domain import DecisionRecord
from gateway.errors import BadRequest, StoreUnavailable
from gateway.ids import new_request_id
from gateway.stores import database, decisions, migrate, partitions, tables
from gateway.stores.decisions import DecisionStore
from gateway.stores.entry_filter import EntryFilter


@pytest.fixture
def store(engine):
    return DecisionStore(engine)


@pytest.fixture
async def own(empty_database):
    """A store whose table is a test's own, and the way to it."""
    await asyncio.to_thread(migrate.upgrade, empty_database)
    engine = database.connect(empty_database)
    yield DecisionStore(engine), engine
    await engine.dispose()


async def months_of(engine):
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'route_decisions'::regclass ORDER BY 1"
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).scalars())


def test_the_table_has_a_column_for_every_field_of_a_record():
    assert tuple(sorted(tables.route_decisions.c.keys())) == tuple(sorted(DecisionRecord.__struct_fields__))


async def test_a_record_is_read_as_it_was_written(store):
    team = uuid4().hex
    bare = DecisionRecord(
        request_id=new_request_id(),
        created_at="2026-11-03T12:00:00.000001Z",
        organization_id="o",
        team_id=team,
        key_id="k",
        endpoint="responses",
        route="r",
        policy="ordered",
        input_tokens=0,
        candidates=(),
    )
    full = made(team_id=team)
    assert await store.write([full, bare]) == 0

    assert (await store.page(EntryFilter(team=team))).records == (bare, full)


async def test_what_is_written_again_stands_once(store):
    team = uuid4().hex
    records = [made(team_id=team) for _ in range(3)]
    await store.write(records)
    await store.write(records)

    assert len((await store.page(EntryFilter(team=team))).records) == 3


async def test_one_record_that_postgres_refuses_keeps_no_other_back(store, caplog):
    team = uuid4().hex
    records = [made(team_id=team) for _ in range(5)]
    bad = [made(team_id=team, chosen="a\0b"), made(team_id=team, chosen="\ud800")]
    assert await store.write([*records[:2], bad[0], *records[2:], bad[1]]) == 2

    assert {one.request_id for one in (await store.page(EntryFilter(team=team))).records} == {
        one.request_id for one in records
    }
    assert all(one.request_id in caplog.text for one in bad)


async def test_pages_neither_skip_nor_repeat(store):
    team = uuid4().hex
    records = [
        made(f"2026-1{month}-01T00:00:0{second}.000000Z", team_id=team) for month in (0, 1) for second in (1, 1, 2)
    ]
    await store.write(records)

    seen, cursor = [], ""
    while cursor is not None:
        page, cursor = await store.page(EntryFilter(team=team), limit=2, cursor=cursor)
        seen += page
    assert seen == sorted(records, key=lambda one: (one.created_at, one.request_id), reverse=True)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("organization", "organization_id"),
        ("team", "team_id"),
        ("key", "key_id"),
        ("request", "request_id"),
        ("route", "route"),
    ],
)
async def test_every_filter_chooses_by_its_own_column(store, name, field):
    wanted, team = uuid4().hex, uuid4().hex
    one = made(**({"team_id": team} | {field: wanted}))
    await store.write([one, made(team_id=team)])

    assert (await store.page(EntryFilter(**{name: wanted}))).records == (one,)


async def test_nothing_outside_the_readers_bounds_is_read(store):
    team, organization = uuid4().hex, uuid4().hex
    mine = made(team_id=team, organization_id=organization)
    beside = made(organization_id=organization)
    await store.write([mine, beside])

    assert (await store.page(EntryFilter(request=mine.request_id, within_team=team))).records == (mine,)
    assert (await store.page(EntryFilter(request=beside.request_id, within_team=team))).records == ()
    assert len((await store.page(EntryFilter(within_organization=organization))).records) == 2


async def test_a_cursor_that_we_never_gave_is_refused(store):
    with pytest.raises(BadRequest) as caught:
        await store.page(cursor="nonsense")
    assert caught.value.param == "cursor"


async def test_what_is_older_is_forgotten_and_nothing_else(own, monkeypatch):
    store, engine = own
    monkeypatch.setattr(partitions, "MONTHS_AHEAD", 1)
    monkeypatch.setattr(decisions, "_PURGED_AT_ONCE", 2)
    monkeypatch.setattr(decisions, "_PURGE", text(decisions._PURGE.text.replace("10000", "2")))
    for month in (1, 3):
        await partitions.ensure_partitions(engine, datetime(2031, month, 1, tzinfo=UTC).date(), table="route_decisions")
    old = [made(f"2031-03-0{day}T00:00:00.000000Z") for day in (1, 2, 3, 4, 5)]
    kept = [made("2031-03-06T00:00:00.000000Z"), made("2031-04-01T00:00:00.000000Z")]
    strays = [made("2020-05-01T00:00:00.000000Z"), made("2031-01-31T00:00:00.000000Z")]
    await store.write([*old, *kept, *strays])

    assert await store.purge(datetime(2031, 3, 6, tzinfo=UTC)) == len(old) + 1  # January was dropped as a whole

    assert (await store.page()).records == tuple(kept[::-1])
    left = await months_of(engine)
    assert "route_decisions_2031_03" in left
    assert not {"route_decisions_2031_01", "route_decisions_2031_02"} & set(left)
    assert "route_decisions_default" in left


async def test_replicas_that_forget_together_do_not_disturb_each_other(own):
    store, engine = own
    await partitions.ensure_partitions(engine, datetime(2031, 1, 1, tzinfo=UTC).date(), table="route_decisions")
    await store.write([made(f"2031-05-0{day}T00:00:00.000000Z") for day in range(1, 9)])

    await asyncio.gather(*(store.purge(datetime(2031, 6, 1, tzinfo=UTC)) for _ in range(4)))

    assert (await store.page()).records == ()


async def test_a_database_that_is_away_is_named_as_such(tmp_path):
    store = DecisionStore(database.connect(f"postgresql://nobody@/none?host={tmp_path}"))
    with pytest.raises(StoreUnavailable):
        await store.write([made()])
    with pytest.raises(StoreUnavailable):
        await store.page()
    with pytest.raises(StoreUnavailable):
        await store.purge(datetime(2031, 6, 1, tzinfo=UTC))
