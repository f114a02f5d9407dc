"""What the dead left is entered, over a real Valkey, with a ledger in memory."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
from journal_parts import charge_of, ids_in, journal_on, make_intent, until
from sweeping_parts import Watch

from gateway.domain import Basis
from gateway.jobs import Job, JobRunner
from gateway.stores.books import Keys
from gateway.stores.instances import INSTANCES
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_open import open_link


async def test_what_a_dead_instance_left_is_entered_exactly_once_by_two_sweepers(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path, "dead") as (journal, _, _):
        intents = [make_intent(f"org-{number % 3}", "dead") for number in range(1200)]
        await asyncio.gather(*(journal.open(intent) for intent in intents))
        settled = [charge_of(intent) for intent in intents[:30]]
        await asyncio.gather(*(journal.settle(charge) for charge in settled))
    links = [await open_link(valkey.url) for _ in range(2)]
    watches = [Watch(link, ledger, tmp_path, f"watcher-{i}") for i, link in enumerate(links)]

    await asyncio.gather(*(watch.look_until_dead() for watch in watches))

    assert set(ledger.entries) == {intent.id for intent in intents}
    assert ledger.corrections == {}
    bases = Counter(entry.basis for entry in ledger.entries.values())
    assert bases == {Basis.ORPHANED: 1170, Basis.REPORTED: 30}
    assert await links[0].command("HEXISTS", INSTANCES, "dead") == 0
    for number in range(3):
        assert await links[0].command("EXISTS", *Keys.of(f"org-{number}", "dead")[1:]) == 0
    for link in links:
        await link.close()


async def test_a_living_instance_is_left_alone(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path, "alive") as (journal, link, _):
        intent = make_intent("org", "alive")
        await journal.open(intent)
        watch = Watch(link, ledger, tmp_path)
        beat = await link.command("HGET", INSTANCES, "alive")
        for _ in range(6):
            await watch.look()
            await journal.beat()
            await until(lambda: differs(link, beat))
        assert ledger.entries == {}
        assert await ids_in(link, "org", "alive") == ({intent.id}, set())


async def differs(link, beat) -> bool:
    return await link.command("HGET", INSTANCES, "alive") != beat


async def test_nobody_is_dead_at_the_first_looks_after_an_outage_of_redis(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path, "alive") as (journal, link, _):
        await journal.open(make_intent("org", "alive"))
        watch = Watch(link, ledger, tmp_path)
        await watch.look(3)
        valkey.kill()
        await until(lambda: not link.is_connected)
        valkey.start()
        await until(lambda: link.is_connected)
        await watch.look(2)
        assert ledger.entries == {}


async def test_entries_of_an_instance_that_redis_forgot_are_swept_too(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path, "forgotten") as (journal, link, _):
        intent = make_intent("org", "forgotten")
        await journal.open(intent)
        await link.command("HDEL", INSTANCES, "forgotten")
        watch = Watch(link, ledger, tmp_path)
        await watch.look(2)
        assert ledger.entries == {}
        await watch.look(2)
        assert set(ledger.entries) == {intent.id}


async def test_a_sweep_that_finds_the_ledger_away_goes_on_later(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path, "dead") as (journal, _, _):
        intent = make_intent("org", "dead")
        await journal.open(intent)
    link = await open_link(valkey.url)
    watch = Watch(link, ledger, tmp_path)
    ledger.is_away = True
    runner = JobRunner(Job("sweep", 0.01, watch.look))
    runner.start()
    await until(lambda: is_moved(link, intent.id))
    ledger.is_away = False
    await until(lambda: intent.id in ledger.entries)
    await runner.stop()
    await link.close()


async def is_moved(link, attempt_id) -> bool:
    return await ids_in(link, "org", "dead") == (set(), {attempt_id})


async def test_files_of_the_dead_are_replayed_and_removed(valkey, ledger, tmp_path):
    local = LocalJournal(tmp_path, "dead")
    left, ended = make_intent("org", "dead"), make_intent("org", "dead")
    for intent in (left, ended):
        await local.open("org", intent.id, msgspec.json.encode(intent))
    await local.settle("org", ended.id, msgspec.json.encode(charge_of(ended)))
    link = await open_link(valkey.url)
    watch = Watch(link, ledger, tmp_path)
    await watch.look()
    assert ledger.entries == {}, "its owner lives"
    await local.close()
    ledger.is_away = True
    runner = JobRunner(Job("sweep", 0.01, watch.look))
    runner.start()
    ledger.is_away = False
    await until(lambda: len(ledger.entries) == 2)
    await until(lambda: not list(tmp_path.iterdir()))
    await runner.stop()
    assert ledger.entries[left.id] == left
    assert ledger.entries[ended.id] == charge_of(ended)
    await link.close()
