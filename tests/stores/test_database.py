"""Addresses of databases, and which failures mean that one is away."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.errors import StoreUnavailable
from gateway.stores import database


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgres://u:p@h/d?sslmode=require", "postgresql://u:p@h/d?sslmode=require"),
        ("postgresql+asyncpg://u@h/d", "postgresql://u@h/d"),
        ("postgresql+psycopg://u@h/d?channel_binding=require", "postgresql://u@h/d"),
        ("postgresql+asyncpg://u@/d?host=/run/obol", "postgresql://u@/d?host=%2Frun%2Fobol"),
        ("postgresql:///d?host=/run/with%20space", "postgresql:///d?host=%2Frun%2Fwith+space"),
    ],
)
def test_the_usual_forms_of_a_database_url_are_taken(given, read):
    assert database.dsn(given) == read


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "sqlite:///secret", "secret", ""])
def test_a_url_of_another_kind_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="postgresql://") as caught:
        database.connect(url)

    assert "secret" not in str(caught.value)


async def ask(url_or_engine, query="SELECT 1"):
    engine = database.connect(url_or_engine) if isinstance(url_or_engine, str) else url_or_engine
    try:
        with database.translated():
            async with engine.connect() as connection:
                return (await connection.execute(text(query))).scalar_one()
    finally:
        if isinstance(url_or_engine, str):
            await engine.dispose()


async def test_a_url_in_a_folder_whose_name_has_a_space_connects(database_url, tmp_path):
    link = tmp_path / "with space"
    link.symlink_to(database_url.partition("host=")[2].replace("%2F", "/"))

    assert await ask(f"postgresql://obol@/obol?host={str(link).replace(' ', '%20')}") == 1


async def test_a_server_that_is_not_there_is_away(tmp_path):
    with pytest.raises(StoreUnavailable):
        await ask(f"postgresql://u@/d?host={tmp_path}")
    with pytest.raises(StoreUnavailable):
        await ask("postgresql://u@127.0.0.1:1/d")


async def test_a_server_that_takes_connections_and_never_answers_is_away(monkeypatch):
    monkeypatch.setattr(database, "CONNECT_TIMEOUT_S", 0.05)

    async def be_silent(reader, writer):
        await reader.read()  # until the client gives up
        writer.close()
        await writer.wait_closed()
        is_left.set()

    is_left = asyncio.Event()
    async with await asyncio.start_server(be_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreUnavailable):
            await ask(f"postgresql://u@127.0.0.1:{port}/d?sslmode=disable")
        await is_left.wait()


async def test_a_database_that_does_not_exist_is_away(database_url):
    with pytest.raises(StoreUnavailable):
        await ask(database_url.replace("/obol?", "/nothing_of_that_name?"))


async def test_a_table_that_nobody_migrated_yet_is_away(engine):
    with pytest.raises(StoreUnavailable):
        await ask(engine, "SELECT * FROM nothing_of_that_name")


async def test_a_wrong_statement_is_not_hidden_as_away(engine):
    with pytest.raises(DBAPIError):
        await ask(engine, "SELECT 1 FROM")


async def test_a_statement_over_its_time_is_away(engine):
    async def oversleep():
        with database.translated():
            async with engine.begin() as connection:
                await connection.execute(text("SET LOCAL statement_timeout = '10ms'"))
                await connection.execute(text("SELECT pg_sleep(20)"))

    with pytest.raises(StoreUnavailable):
        await oversleep()

    assert await ask(engine) == 1


async def test_connections_that_the_server_closed_cost_no_failed_call(migrated_url):
    engine = database.connect(migrated_url)
    async with engine.connect() as first, engine.connect() as second:
        pids = [(await one.execute(text("SELECT pg_backend_pid()"))).scalar_one() for one in (first, second)]
    admin = await asyncpg.connect(database.dsn(migrated_url))
    for pid in pids:
        await admin.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await admin.close()

    assert [await ask(engine) for _ in range(3)] == [1, 1, 1]
    await engine.dispose()


async def test_an_error_does_not_show_the_values_of_its_statement(engine):
    with pytest.raises(DBAPIError) as caught:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT CAST(CAST(:it AS text) AS json), 1 / 0"), {"it": '"a prompt"'})

    assert "prompt" not in str(caught.value)
