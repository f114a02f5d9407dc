"""From an empty database to the tables that the code expects, whoever starts first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres_parts import encoded, make_entry
from sqlalchemy import text

from gateway.domain import LedgerEntry
from gateway.errors import StoreUnavailable
from gateway.stores import database, migrate, partitions, tables
from gateway.stores.ledger import LedgerStore


@pytest.fixture
async def migrated(empty_database):
    """A database that a test may bend."""
    await asyncio.to_thread(migrate.upgrade, empty_database)
    engine = database.connect(empty_database)
    yield engine
    await engine.dispose()


async def scalars(engine, query):
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).scalars())


async def partitions_of(engine):
    return await scalars(
        engine,
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger_entries'::regclass ORDER BY 1",
    )


async def run_alembic(engine, operation, revision):
    def run(connection):
        config = Config()
        config.set_main_option("script_location", str(migrate.MIGRATIONS))
        config.attributes["connection"] = connection
        operation(config, revision)

    async with engine.begin() as connection:
        await connection.run_sync(run)


async def test_the_migrations_make_exactly_the_tables_that_the_code_describes(migrated):
    def is_ours(_object, name, kind, *_):
        return not (
            kind == "table" and (name == "alembic_version" or name.startswith(("ledger_entries_", "route_decisions_")))
        )

    def differences(connection):
        options = {"include_object": is_ours, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)

    async with migrated.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_ledger_has_a_column_for_every_field_of_an_entry():
    assert tuple(tables.ledger_entries.c.keys()) == LedgerEntry.__struct_fields__


async def test_the_database_is_at_the_newest_revision(migrated):
    assert await scalars(migrated, "SELECT version_num FROM alembic_version") == [migrate.head()]


async def test_processes_that_start_together_migrate_once(empty_database):
    await asyncio.gather(*(asyncio.to_thread(migrate.upgrade, empty_database) for _ in range(4)))

    engine = database.connect(empty_database)
    assert await scalars(engine, "SELECT version_num FROM alembic_version") == [migrate.head()]
    await engine.dispose()


async def test_migrating_again_changes_nothing(migrated, empty_database):
    before = await partitions_of(migrated)

    await asyncio.to_thread(migrate.upgrade, empty_database)

    assert await partitions_of(migrated) == before


async def test_a_database_of_a_newer_version_is_left_as_it_is(migrated, empty_database):
    async with migrated.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999_tomorrow'"))

    await asyncio.to_thread(migrate.upgrade, empty_database)

    assert await scalars(migrated, "SELECT version_num FROM alembic_version") == ["9999_tomorrow"]


async def test_every_migration_can_be_taken_back(migrated):
    await run_alembic(migrated, command.downgrade, "base")
    left = await scalars(migrated, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")

    assert left == ["alembic_version"]
    await run_alembic(migrated, command.upgrade, "head")


async def test_a_migration_waits_for_no_lock_for_long(migrated):
    async with migrated.begin() as connection:
        await connection.run_sync(migrate._run_alembic)

        assert (await connection.execute(text("SHOW lock_timeout"))).scalar_one() == "5s"


def test_the_newest_revision_is_known_without_importing_the_migration_tool():
    script = "import sys; from gateway.stores import migrate; migrate.head(); print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()

    assert not {"alembic", "sqlalchemy", "asyncpg"} & set(loaded)


def test_the_migrations_are_one_line_and_each_is_named_as_its_file():
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())

    assert [script.revision for script in scripts] == sorted((script.revision for script in scripts), reverse=True)
    assert scripts[0].revision == migrate.head()
    assert all(Path(script.path).stem == script.revision for script in scripts)


async def test_a_database_that_is_away_is_named_as_such(tmp_path):
    with pytest.raises(StoreUnavailable):
        await asyncio.to_thread(migrate.upgrade, f"postgresql://nobody@/none?host={tmp_path}")


async def test_this_month_and_the_next_three_have_partitions_over_the_end_of_a_year(migrated):
    made = await partitions.ensure_partitions(migrated, date(2031, 11, 30))

    assert made == [
        "ledger_entries_2031_11",
        "ledger_entries_2031_12",
        "ledger_entries_2032_01",
        "ledger_entries_2032_02",
    ]
    assert set(made) < set(await partitions_of(migrated))
    assert await partitions.ensure_partitions(migrated, date(2031, 12, 1)) == ["ledger_entries_2032_03"]


async def test_replicas_that_make_partitions_together_do_not_disturb_each_other(migrated):
    made = await asyncio.gather(*(partitions.ensure_partitions(migrated, date(2032, 6, 1)) for _ in range(4)))

    assert sum(map(len, made)) == 4


async def test_an_entry_of_a_month_without_partition_is_kept_and_moves_when_its_month_is_made(migrated):
    ledger = LedgerStore(migrated)
    inside = make_entry(created_at="2033-02-28T23:59:59.999999Z")
    after = make_entry(created_at="2033-06-01T00:00:00.000000Z")
    await ledger.write(encoded(inside, after))

    await partitions.ensure_partitions(migrated, date(2033, 2, 1))

    assert await scalars(migrated, "SELECT id::text FROM ledger_entries_2033_02") == [inside.id]
    assert await scalars(migrated, "SELECT id::text FROM ledger_entries_default") == [after.id]
    await ledger.write(encoded(inside, after))  # recognised where they are now
    assert await scalars(migrated, "SELECT count(*) FROM ledger_entries") == [2]


async def test_entries_go_on_being_written_while_partitions_are_made(migrated):
    ledger = LedgerStore(migrated)
    entries = [make_entry(created_at=f"2034-0{1 + number % 4}-15T00:00:00.000000Z") for number in range(200)]

    writes = [ledger.write(encoded(*entries[start : start + 20])) for start in range(0, 200, 20)]
    await asyncio.gather(*writes, partitions.ensure_partitions(migrated, date(2034, 1, 1)))

    assert await scalars(migrated, "SELECT count(*) FROM ledger_entries") == [200]
    assert await scalars(migrated, "SELECT count(*) FROM ledger_entries_default") == [0]
