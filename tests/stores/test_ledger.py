"""Entries come to rest in Postgres: each once, corrections beside them, and no bad one holds up the good."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest
from postgres_parts import encoded, make_entry, orphan_of
from sqlalchemy import text

from gateway.domain import Basis, LedgerEntry
from gateway.errors import StoreUnavailable
from gateway.stores import database
from gateway.stores.entry_filter import EntryFilter
from gateway.stores.ledger import LedgerStore
from policies.reconciliation import correction_id, voided


@pytest.fixture
async def rejects(engine):
    """Read what was put aside since the test began: (reason, entry) pairs."""
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE ledger_rejects"))

    async def read():
        async with engine.connect() as connection:
            rows = await connection.execute(text("SELECT reason, entry FROM ledger_rejects ORDER BY id"))
            return [tuple(row) for row in rows]

    return read


async def standing(ledger, entry):
    return (await ledger.page(EntryFilter(request=entry.request_id))).entries


async def test_an_entry_reads_as_it_was_written(ledger):
    entry = make_entry(content={"request": "Grüße 😀", "answer": ["a", 1.5, None]})

    await ledger.write(encoded(entry))

    assert await standing(ledger, entry) == (entry,)


async def test_an_entry_with_nothing_but_what_is_required_reads_as_it_was_written(ledger):
    required = {field.name for field in msgspec.structs.fields(LedgerEntry) if field.required}
    entry = LedgerEntry(
        **{name: value for name, value in msgspec.structs.asdict(make_entry()).items() if name in required}
    )

    await ledger.write(encoded(entry))

    assert await standing(ledger, entry) == (entry,)


async def test_what_no_guard_and_no_stage_is_said_of_takes_no_room_and_reads_as_empty(ledger, engine):
    entry = make_entry(guards=(), stages=(), stage=None)

    await ledger.write(encoded(entry))

    async with engine.connect() as connection:
        query = text("SELECT guards, stages, stage FROM ledger_entries WHERE request_id = :request")
        (row,) = await connection.execute(query, {"request": entry.request_id})
    assert tuple(row) == (None, None, None)
    assert await standing(ledger, entry) == (entry,)


async def test_an_entry_of_an_older_version_gets_the_defaults_of_what_it_lacks(ledger):
    entry = make_entry()
    fields = msgspec.to_builtins(entry)
    for name in ("tags", "meters", "baseline_nusd", "purpose", "is_baseline_estimated", "cache_write_tokens"):
        del fields[name]

    await ledger.write([msgspec.json.encode(fields)])

    (found,) = await standing(ledger, entry)
    assert (found.tags, found.meters, found.baseline_nusd, found.purpose) == ((), (), 0, "answer")


async def test_fields_of_a_newer_version_do_not_keep_an_entry_out(ledger):
    entry = make_entry()

    await ledger.write([msgspec.json.encode(msgspec.to_builtins(entry) | {"carbon_grams": 3, "nested": {"a": []}})])

    assert await standing(ledger, entry) == (entry,)


async def test_an_entry_written_again_is_entered_once(ledger):
    entry = make_entry()

    await ledger.write(encoded(entry, entry))
    await ledger.write(encoded(entry))

    assert await standing(ledger, entry) == (entry,)


async def test_nothing_to_write_is_nothing_to_do(ledger):
    await ledger.write([])


@pytest.mark.parametrize("batches", [[["orphan"], ["charge"]], [["orphan", "charge"]], [["charge", "orphan"]]])
async def test_a_charge_after_its_orphan_becomes_a_correction_in_one_batch_or_two(ledger, batches):
    charge = make_entry()
    entries = {"orphan": orphan_of(charge), "charge": charge}

    for batch in batches * 2:  # whatever is shipped again changes nothing
        await ledger.write(encoded(*(entries[name] for name in batch)))

    found = {entry.id: entry for entry in await standing(ledger, charge)}
    assert set(found) == {charge.id, correction_id(charge.id)}
    assert found[charge.id].basis == Basis.ORPHANED
    assert found[correction_id(charge.id)].corrects == charge.id
    assert sum(entry.cost_nusd for entry in found.values()) == charge.cost_nusd
    assert sum(entry.output_tokens for entry in found.values()) == charge.output_tokens


async def test_an_orphan_after_its_charge_changes_nothing(ledger):
    charge = make_entry()

    await ledger.write(encoded(charge))
    await ledger.write(encoded(orphan_of(charge), make_entry()))

    assert await standing(ledger, charge) == (charge,)


async def test_what_is_taken_back_costs_nothing_and_is_no_entry_where_none_stands(ledger):
    orphan, other = orphan_of(make_entry()), make_entry()

    await ledger.write(encoded(voided(orphan), other))
    assert await standing(ledger, orphan) == ()
    assert await standing(ledger, other) == (other,)

    await ledger.write(encoded(orphan))
    for _ in range(2):
        await ledger.write(encoded(voided(orphan)))
    found = await standing(ledger, orphan)
    assert {entry.corrects for entry in found} == {None, orphan.id}
    assert sum(entry.cost_nusd for entry in found) == 0
    assert sum(entry.input_tokens for entry in found) == 0
    assert all(
        sum(reading.quantity for entry in found for reading in entry.meters if reading.meter == one.meter) == 0
        for one in orphan.meters
    )


async def shipped(store, batch):
    """As shippers do it: a database too busy to answer in time is asked again."""
    while True:
        try:
            return await store.write(batch)
        except StoreUnavailable:
            await asyncio.sleep(0)


async def test_replicas_that_ship_the_same_entries_together_enter_each_once(ledger, migrated_url):
    other_engine = database.connect(migrated_url)
    other = LedgerStore(other_engine)
    request = make_entry().request_id
    charges = [make_entry(request_id=request) for _ in range(300)]
    entries = encoded(*charges, *(orphan_of(charge) for charge in charges[:50]))
    shuffled = random.Random(7)  # noqa: S311 - an order, no secret

    def batches():
        order = shuffled.sample(entries, len(entries))
        return [order[start : start + 100] for start in range(0, len(order), 100)]

    await asyncio.gather(*(shipped(store, batch) for store in (ledger, other) for batch in batches()))

    found = (await ledger.page(EntryFilter(request=request), limit=1000)).entries
    assert {entry.id for entry in found if entry.corrects is None} == {charge.id for charge in charges}
    assert sum(entry.cost_nusd for entry in found) == sum(charge.cost_nusd for charge in charges)
    await other_engine.dispose()


BAD = {
    "broken JSON": b'{"id": "x"',
    "no JSON": b"nonsense",
    "empty": b"",
    "no object": b"null",
    "not UTF-8": b'{"id": "\xff"}',
    "a field is missing": b'{"id": "01a206c5-bcfa-74c3-acc7-bf72526e1161"}',
    "an id that is no UUID": encoded(make_entry(id="attempt-1"))[0],
    "an impossible time": encoded(make_entry(created_at="2026-13-45T00:00:00Z"))[0],
    "what only some call JSON": encoded(make_entry())[0].replace(b'"attempt":1', b'"attempt":NaN'),
    "money out of range": encoded(make_entry(cost_nusd=2**63))[0],
    "a number where text belongs in a number": encoded(make_entry())[0].replace(b'"attempt":1', b'"attempt":"one"'),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_an_entry_that_postgres_refuses_is_put_aside_and_the_others_are_written(ledger, rejects, bad, caplog):
    request = make_entry().request_id
    good = [make_entry(request_id=request) for _ in range(9)]
    batch = encoded(*good)
    batch.insert(4, bad)

    await ledger.write(batch)

    assert {entry.id for entry in await standing(ledger, good[0])} == {entry.id for entry in good}
    assert [entry for _, entry in await rejects()] == [bad.decode("utf-8", "backslashreplace")]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_standing_entry_that_comes_again_malformed_is_put_aside(ledger, rejects):
    entry = make_entry()
    malformed = encoded(entry)[0].replace(b'"attempt":1', b'"attempt":"1"')  # Postgres takes it, our reader does not
    await ledger.write(encoded(entry))

    await ledger.write([malformed])

    assert await standing(ledger, entry) == (entry,)
    assert len(await rejects()) == 1


@pytest.mark.parametrize("strange", [rb"\u0000", rb"\ud800", rb"a\udc00b\u0000"])
async def test_a_charge_is_not_lost_to_characters_that_postgres_cannot_hold(ledger, rejects, strange):
    entry = make_entry(end_user="STRANGE", content={"request": "STRANGE \\u0000 in words"})

    await ledger.write([encoded(entry)[0].replace(b"STRANGE", strange), *encoded(make_entry())])

    (found,) = await standing(ledger, entry)
    assert found.cost_nusd == entry.cost_nusd
    assert found.content["request"].endswith("\\u0000 in words")
    assert await rejects() == []


async def test_while_postgres_is_away_a_write_says_so_and_a_later_one_succeeds(ledger, tmp_path):
    engine = database.connect(f"postgresql://nobody@/none?host={tmp_path}")
    entry = make_entry()

    with pytest.raises(StoreUnavailable):
        await LedgerStore(engine).write(encoded(entry))
    with pytest.raises(StoreUnavailable):
        await LedgerStore(engine).page()

    await engine.dispose()
    await ledger.write(encoded(entry))
    assert await standing(ledger, entry) == (entry,)


async def test_before_the_migration_a_write_says_that_the_database_is_away(empty_database):
    engine = database.connect(empty_database)

    with pytest.raises(StoreUnavailable):
        await LedgerStore(engine).write(encoded(make_entry()))

    await engine.dispose()


async def test_a_large_batch_of_large_entries_is_written(ledger):
    request = make_entry().request_id
    entries = [make_entry(request_id=request, content={"request": "word " * 2000}) for _ in range(1000)]

    await ledger.write(encoded(*entries))

    assert len((await ledger.page(EntryFilter(request=request), limit=1000)).entries) == 1000


async def test_a_request_id_of_any_length_has_its_entry(ledger):
    entry = make_entry(request_id="r" * 50_000 + make_entry().request_id)

    await ledger.write(encoded(entry))

    assert await standing(ledger, entry) == (entry,)
