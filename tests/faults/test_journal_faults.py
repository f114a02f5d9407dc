"""Kill, cut, wipe and pause what the journal stands on: no charge is lost, none is counted twice."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from journal_parts import MemoryLedger, NoLedger, charge_of, ids_in, journal_on, make_intent, until
from own_valkey import own_valkey
from redis.exceptions import ResponseError

from gateway.domain import Basis
from gateway.errors import JournalUnavailable
from gateway.jobs import SWEEP_INTERVAL_S, Shipper, Sweeper
from gateway.stores.balances import Balances
from gateway.stores.instances import INSTANCES
from gateway.stores.journal import RedisJournal
from gateway.stores.local_journal import LocalJournal, dead_journals
from gateway.stores.redis_link import RedisLink
from gateway.stores.redis_open import open_link


@pytest.fixture
def server():
    with own_valkey() as server:
        yield server


@pytest.fixture
def ledger():
    return MemoryLedger()


async def sweep_until_dead(url: str, ledger: MemoryLedger, directory: Path, count: int = 1) -> None:
    """Enough looks by ``count`` replicas at once to take everyone else for dead; time passes by looking."""

    async def replica(number: int) -> None:
        now_s = 0.0
        link = await open_link(url)
        sweeper = Sweeper(
            link, ledger, instance=f"sweeper-{number}", local_directory=directory, monotonic_s=lambda: now_s
        )
        for _ in range(4):
            await sweeper.sweep()
            now_s += SWEEP_INTERVAL_S
        await link.close()

    await asyncio.gather(*(replica(number) for number in range(count)))


async def ship_all(journal: RedisJournal, ledger: MemoryLedger) -> None:
    shipper = Shipper(journal, ledger, linger_s=0)
    shipper.start()
    assert await shipper.stop(30)


async def test_what_redis_acknowledged_survives_its_sigkill(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, _, _):
        intents = [make_intent() for _ in range(200)]
        await asyncio.gather(*(journal.open(intent) for intent in intents))
        await asyncio.gather(*(journal.settle(charge_of(intent)) for intent in intents[:100]))
    server.kill()
    server.start()
    await sweep_until_dead(server.url, ledger, tmp_path)
    bases = Counter(entry.basis for entry in ledger.entries.values())
    assert bases == {Basis.REPORTED: 100, Basis.ORPHANED: 100}


async def test_serving_goes_on_in_local_files_while_redis_is_away(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, local):
        before, during = make_intent(), make_intent()
        await journal.open(before)
        server.kill()
        await until(lambda: not link.is_connected)
        await journal.settle(charge_of(before))
        await journal.open(during)
        assert local.holds(before.id)
        assert local.holds(during.id)
        await journal.settle(charge_of(during))
        await ship_all(journal, ledger)
        await until(lambda: not list(tmp_path.glob("*.jsonl")))
        server.start()
        await until(lambda: link.is_connected)
        await journal.restore()
        assert await ids_in(link, "org", "one") == (set(), set())
        assert await journal.sign_off()
    assert ledger.entries == {one.id: charge_of(one) for one in (before, during)}
    await sweep_until_dead(server.url, ledger, tmp_path)
    assert ledger.corrections == {}


async def test_a_process_that_dies_while_redis_is_away_is_replayed_from_its_file(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        ended, left = make_intent(), make_intent()
        await journal.open(ended)
        server.kill()
        await until(lambda: not link.is_connected)
        await journal.open(left)
        await journal.settle(charge_of(ended))
    server.start()
    await sweep_until_dead(server.url, ledger, tmp_path, count=2)
    assert ledger.entries == {ended.id: charge_of(ended), left.id: left}
    assert ledger.corrections == {}
    assert list(tmp_path.iterdir()) == []


async def test_a_redis_that_comes_back_empty_is_told_everything_again(server, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        intents = [make_intent(f"org-{number}") for number in range(3)]
        charges = [charge_of(make_intent("org-0")) for _ in range(1200)]
        for intent in intents:
            await journal.open(intent)
        await asyncio.gather(*(journal.settle(charge) for charge in charges))
        server.kill()
        await until(lambda: not link.is_connected)
        server.wipe()
        server.start()
        await until(lambda: holds(link, "org-0", {intents[0].id}, {charge.id for charge in charges}))
        await until(lambda: holds(link, "org-2", {intents[2].id}, set()))
        assert await link.command("HEXISTS", INSTANCES, "one") == 1


async def test_a_flushed_redis_is_noticed_by_the_heartbeat(server, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        intent, charge = make_intent(), charge_of(make_intent())
        await journal.open(intent)
        await journal.settle(charge)
        await link.command("FLUSHALL")
        await journal.beat()
        assert await ids_in(link, "org", "one") == ({intent.id}, {charge.id})


async def holds(link, org, open_ids, journal_ids) -> bool:
    if not link.is_connected:
        return False
    return await ids_in(link, org, "one") == (open_ids, journal_ids)


async def test_a_link_cut_before_the_answer_leaves_exactly_one_entry(server, ledger, tmp_path):
    """Whether the script ran before the cut cannot be known: both must come to the same."""
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        assert isinstance(link, RedisLink)
        chance = random.Random(1)  # noqa: S311
        intents = [make_intent() for _ in range(60)]

        async def cut() -> None:
            for _ in range(12):
                await asyncio.sleep(chance.random() / 100)
                if link._wire is not None:
                    link._wire._transport.abort()
                await until(lambda: link.is_connected)

        async def call(intent) -> None:
            await asyncio.sleep(chance.random() / 10)
            await journal.open(intent)
            await asyncio.sleep(chance.random() / 20)
            await journal.settle(charge_of(intent))

        await asyncio.gather(cut(), *(call(intent) for intent in intents))
        await ship_all(journal, ledger)
        await until(lambda: link.is_connected)
        await journal.restore()
        assert await ids_in(link, "org", "one") == (set(), set())
    assert ledger.entries == {intent.id: charge_of(intent) for intent in intents}
    assert list(tmp_path.glob("*.jsonl")) == []


async def test_a_hung_redis_delays_a_call_by_its_timeout_and_loses_nothing(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, timeout_s=0.2) as (journal, link, _):
        intent = make_intent()
        await journal.open(intent)
        server.pause()
        await journal.settle(charge_of(intent))
        assert not link.is_connected
        await ship_all(journal, ledger)
        server.go_on()
        await until(lambda: link.is_connected)
        await until(lambda: holds(link, "org", set(), set()))
    assert ledger.entries == {intent.id: charge_of(intent)}


async def test_a_redis_that_refuses_writes_counts_as_away(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, local):
        await link.command("CONFIG", "SET", "maxmemory", "1")
        intent = make_intent()
        await journal.open(intent)
        assert local.holds(intent.id)
        await link.command("CONFIG", "SET", "maxmemory", "0")
        await journal.beat()
        assert await ids_in(link, "org", "one") == ({intent.id}, set())
        await journal.settle(charge_of(intent))
        await ship_all(journal, ledger)
    assert ledger.entries == {intent.id: charge_of(intent)}


async def test_a_redis_out_of_memory_keeps_the_intent_when_it_refuses_the_charge(server, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, local):
        intent, other = make_intent(), make_intent()
        await journal.open(intent)
        await journal.open(other)
        await link.command("CONFIG", "SET", "maxmemory", "1")
        await journal.settle(charge_of(intent))
        with pytest.raises(ResponseError):
            await journal.restore()
        assert await ids_in(link, "org", "one") == ({intent.id, other.id}, set())
        assert local.holds(intent.id)
        await link.command("CONFIG", "SET", "maxmemory", "0")
        await journal.beat()
        assert await ids_in(link, "org", "one") == ({other.id}, {intent.id})


async def test_an_end_without_redis_and_ledger_leaves_all_on_the_disk(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        ended, left = make_intent(), make_intent()
        await journal.open(ended)
        await journal.open(left)
        await journal.settle(charge_of(ended))
        server.kill()
        await until(lambda: not link.is_connected)
        assert not await journal.sign_off()
    server.wipe()
    server.start()
    await sweep_until_dead(server.url, ledger, tmp_path)
    assert ledger.entries == {ended.id: charge_of(ended), left.id: left}


async def test_without_redis_and_without_disk_calls_are_refused_but_charges_are_kept(server, ledger, tmp_path, caplog):
    (tmp_path / "file").touch()
    link = await open_link(server.url)
    journal = RedisJournal(link, LocalJournal(tmp_path / "file" / "journal", "one"), "one", Balances(link, NoLedger()))
    running = make_intent()
    await journal.open(running)
    server.kill()
    await until(lambda: not link.is_connected)

    with pytest.raises(JournalUnavailable):
        await journal.open(make_intent())
    await journal.settle(charge_of(running))

    assert "STANDS IN MEMORY ONLY" in caplog.text
    assert journal.in_flight == 0
    await ship_all(journal, ledger)
    assert ledger.entries == {running.id: charge_of(running)}
    await journal.close()
    await link.close()


async def test_a_refused_intent_that_redis_took_after_all_is_no_charge(server, ledger, tmp_path):
    """Its answer was lost with the link, the disk refused it too, and the call was never made."""
    (tmp_path / "file").touch()
    link = await open_link(server.url, timeout_s=0.2)
    local = LocalJournal(tmp_path / "file" / "journal", "one")
    journal = RedisJournal(link, local, "one", Balances(link, NoLedger()))
    await journal.beat()
    server.pause()
    intent = make_intent()
    with pytest.raises(JournalUnavailable):
        await journal.open(intent)
    await journal.void(intent)
    server.go_on()
    await until(lambda: link.is_connected)
    await journal.restore()
    assert await journal.sign_off()
    await journal.close()
    await local.close()
    await link.close()
    await sweep_until_dead(server.url, ledger, tmp_path)
    assert ledger.entries == {}


@pytest.mark.parametrize("is_redis_away", [False, True])
async def test_a_killed_process_is_entered_exactly_once_by_two_sweepers(server, ledger, tmp_path, is_redis_away):
    script = Path(__file__).with_name("journal_process.py")
    if is_redis_away:
        server.kill()
    process = subprocess.Popen(  # noqa: ASYNC220 - starting it is quick
        [sys.executable, str(script), server.url, str(tmp_path), "killed", "40", "10"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if is_redis_away else None,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        attempts = set(line.split()[1:])
        assert len(attempts) == 50
    finally:
        process.kill()
        process.communicate()
    if is_redis_away:
        server.start()

    await sweep_until_dead(server.url, ledger, tmp_path, count=2)

    assert set(ledger.entries) == attempts
    assert Counter(entry.basis for entry in ledger.entries.values()) == {Basis.ORPHANED: 40, Basis.REPORTED: 10}
    assert ledger.corrections == {}
    assert list(dead_journals(tmp_path)) == []
