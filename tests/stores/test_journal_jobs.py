"""Shipping and sweeping over a real Valkey, with a ledger in memory."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import msgspec
import pytest
from books_parts import budget
from journal_parts import MemoryLedger, charge_of, ids_in, journal_on, make_intent, until
from own_valkey import own_valkey
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from relay import Relay

from gateway.domain import Admission, Basis
from gateway.errors import BudgetsUnavailable
from gateway.jobs import SWEEP_INTERVAL_S, Job, JobRunner, Shipper, Sweeper
from gateway.stores.books import Keys
from gateway.stores.instances import INSTANCES
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_open import open_link
from policies.rule_book import RuleBook


@pytest.fixture(scope="module")
def server():
    with own_valkey() as server:
        yield server


@pytest.fixture(autouse=True)
async def clean(server):
    link = await open_link(server.url)
    await link.command("FLUSHALL")
    yield
    await link.close()


@pytest.fixture
def ledger():
    return MemoryLedger()


class Watch:
    """A sweeper whose time passes only when it looks."""

    def __init__(self, link, ledger, directory, instance="watcher"):
        self._now_s = 0.0
        self.sweeper = Sweeper(
            link, ledger, instance=instance, local_directory=directory, monotonic_s=lambda: self._now_s
        )

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.sweeper.sweep()
            self._now_s += SWEEP_INTERVAL_S

    async def look_until_dead(self) -> None:
        await self.look(4)


async def test_settled_charges_reach_the_ledger_and_leave_the_journal(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        shipper = Shipper(journal, ledger)
        shipper.start()
        charges = [charge_of(make_intent()) for _ in range(50)]
        await asyncio.gather(*(journal.settle(charge) for charge in charges))
        assert await shipper.flush(10)
        assert list(ledger.entries.values()) == charges
        assert await ids_in(link, "org", "one") == (set(), set())
        assert await shipper.stop(10)


async def test_batches_are_bounded_and_gathered(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path) as (journal, _, _):
        shipper = Shipper(journal, ledger, batch_max=100, linger_s=10)
        await asyncio.gather(*(journal.settle(charge_of(make_intent())) for _ in range(250)))
        shipper.start()
        assert await shipper.stop(10)
    assert ledger.batches == [100, 100, 50]


@pytest.mark.parametrize("failure", [None, RuntimeError("a bug"), OSError("a cut")])
async def test_no_charge_is_lost_when_the_ledger_fails(server, ledger, tmp_path, failure):
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        if failure is None:
            ledger.is_away = True
        else:
            ledger.failures = [failure, failure]
        shipper = Shipper(journal, ledger, linger_s=0)
        shipper.start()
        charges = [charge_of(make_intent()) for _ in range(20)]
        await asyncio.gather(*(journal.settle(charge) for charge in charges))
        if failure is None:
            assert not await shipper.flush(0.2)
            assert (await ids_in(link, "org", "one"))[1] == {charge.id for charge in charges}
            ledger.is_away = False
        assert await shipper.stop(30)
    assert set(ledger.entries) == {charge.id for charge in charges}


async def test_a_shipper_that_is_stopped_while_the_ledger_is_away_keeps_its_charges(server, ledger, tmp_path):
    ledger.is_away = True
    async with journal_on(server.url, tmp_path) as (journal, link, _):
        shipper = Shipper(journal, ledger, linger_s=0)
        shipper.start()
        charge = charge_of(make_intent())
        await journal.settle(charge)
        assert not await shipper.stop(0.1)
        assert not await journal.sign_off()
        assert await ids_in(link, "org", "one") == (set(), {charge.id})
        assert journal.unshipped == 1


async def test_what_a_dead_instance_left_is_entered_exactly_once_by_two_sweepers(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, "dead") as (journal, _, _):
        intents = [make_intent(f"org-{number % 3}", "dead") for number in range(1200)]
        await asyncio.gather(*(journal.open(intent) for intent in intents))
        settled = [charge_of(intent) for intent in intents[:30]]
        await asyncio.gather(*(journal.settle(charge) for charge in settled))
    links = [await open_link(server.url) for _ in range(2)]
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


async def test_a_living_instance_is_left_alone(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, "alive") as (journal, link, _):
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


async def test_nobody_is_dead_at_the_first_looks_after_an_outage_of_redis(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, "alive") as (journal, link, _):
        await journal.open(make_intent("org", "alive"))
        watch = Watch(link, ledger, tmp_path)
        await watch.look(3)
        server.kill()
        await until(lambda: not link.is_connected)
        server.start()
        await until(lambda: link.is_connected)
        await watch.look(2)
        assert ledger.entries == {}


async def test_entries_of_an_instance_that_redis_forgot_are_swept_too(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, "forgotten") as (journal, link, _):
        intent = make_intent("org", "forgotten")
        await journal.open(intent)
        await link.command("HDEL", INSTANCES, "forgotten")
        watch = Watch(link, ledger, tmp_path)
        await watch.look(2)
        assert ledger.entries == {}
        await watch.look(2)
        assert set(ledger.entries) == {intent.id}


async def test_a_sweep_that_finds_the_ledger_away_goes_on_later(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, "dead") as (journal, _, _):
        intent = make_intent("org", "dead")
        await journal.open(intent)
    link = await open_link(server.url)
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


async def test_a_paused_instance_that_was_swept_corrects_its_entries_when_it_goes_on(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, "paused") as (journal, link, _):
        ended, running = make_intent("org", "paused"), make_intent("org", "paused")
        await journal.open(ended)
        await journal.open(running)
        watch = Watch(link, ledger, tmp_path)
        await watch.look_until_dead()
        assert {entry.basis for entry in ledger.entries.values()} == {Basis.ORPHANED}

        await journal.settle(charge_of(ended, 70))
        await journal.beat()

        assert await ids_in(link, "org", "paused") == ({running.id}, {ended.id})
        shipper = Shipper(journal, ledger)
        shipper.start()
        assert await shipper.stop(10)
        assert ledger.cost_nusd(ended.id) == 70
        assert ledger.cost_nusd(running.id) == running.cost_nusd
        await journal.settle(charge_of(running, 80))
        shipper.start()
        assert await shipper.stop(10)
        assert ledger.cost_nusd(running.id) == 80
        assert await journal.sign_off()


async def test_nothing_stays_in_redis_of_a_cut_off_instance_that_was_swept_and_shipped_before_it_came_back(
    server, ledger, tmp_path
):
    """What a sweeper could not drop, since balances were being rebuilt, and its owner settled without Redis."""
    with Relay(server.socket) as relay:
        other = await open_link(server.url)
        watch = Watch(other, ledger, tmp_path / "none")
        async with journal_on(f"redis://127.0.0.1:{relay.port}", tmp_path, "cut", timeout_s=0.2) as (journal, link, _):
            settled, voided = make_intent("org", "cut"), make_intent("org", "cut")
            await journal.open(settled)
            await journal.open(voided)
            relay.cut()
            with pytest.raises(RedisError):
                await journal.beat()
            await mark_as_rebuilding(other)
            await watch.look_until_dead()
            shipper = Shipper(journal, ledger)
            shipper.start()
            await journal.settle(charge_of(settled))
            await journal.void(voided)
            assert await shipper.stop(10)

            relay.heal()
            await until(lambda: link.is_connected)
            await journal.beat()
            await other.command("DEL", "obol:{org}:rebuilding")
            await journal.beat()

            assert await ids_in(other, "org", "cut") == (set(), set())
        await other.close()


class Deaf:
    """A link whose answers are lost, though Redis does what it is told."""

    is_connected = True

    def __init__(self, link) -> None:
        self._link = link

    async def command(self, *args):
        return await self._link.command(*args)

    async def script(self, *args):
        await self._link.script(*args)
        raise RedisConnectionError("redis did not answer")


@pytest.mark.parametrize("is_swept", [True, False])
async def test_a_call_that_was_refused_since_redis_did_not_answer_costs_nothing_in_the_end(
    server, ledger, tmp_path, is_swept
):
    """Redis had admitted it: a sweeper charges it as orphaned, and its owner takes that back."""
    async with journal_on(server.url, tmp_path, "deaf") as (journal, link, _):
        before, intent = make_intent("org", "deaf"), make_intent("org", "deaf")
        admission = Admission(RuleBook([budget("org", 100)]).claims(intent, int(time.time() * 1000)), hold_nusd=10)
        await journal.open(before, admission)  # from here on the balance is known
        await journal.void(before)
        journal._admissions._link = Deaf(link)
        with pytest.raises(BudgetsUnavailable):
            await journal.open(intent, admission)
        assert await ids_in(link, "org", "deaf") == ({intent.id}, set())
        if is_swept:
            await Watch(link, ledger, tmp_path).look_until_dead()
            assert ledger.cost_nusd(intent.id) == intent.cost_nusd
            journal._beaten_us = 1  # long ago

        await journal.beat()
        shipper = Shipper(journal, ledger)
        shipper.start()
        assert await shipper.stop(10)

        assert ledger.cost_nusd(intent.id) == (0 if is_swept else None)
        assert await ids_in(link, "org", "deaf") == (set(), set())


async def test_what_a_sweeper_could_not_drop_its_owner_drops_when_it_lives_again(server, ledger, tmp_path):
    async with journal_on(server.url, tmp_path, "paused") as (journal, link, _):
        intent = make_intent("org", "paused")
        await journal.open(intent)
        watch = Watch(link, ledger, tmp_path)
        await mark_as_rebuilding(link)
        await watch.look_until_dead()
        await journal.void(intent)

        await journal.beat()
        await link.command("DEL", "obol:{org}:rebuilding")
        await journal.beat()

        assert await ids_in(link, "org", "paused") == (set(), set())


async def mark_as_rebuilding(link) -> None:
    """Balances are being rebuilt: nothing leaves the journals."""
    far_ms = 1000 * int((await link.command("TIME"))[0]) + 3_600_000
    await link.command("HSET", "obol:{org}:rebuilding", "token", f"read {far_ms}")


async def test_a_charge_settled_between_reading_and_dropping_is_not_dropped(server, tmp_path):
    """The sweeper shipped the orphaned entry; before it drops it, the paused owner comes back, settles and dies."""
    async with journal_on(server.url, tmp_path, "paused") as (journal, link, _):
        intent = make_intent("org", "paused")
        await journal.open(intent)

        class SettlesMeanwhile(MemoryLedger):
            async def write(self, entries):
                if not self.entries:
                    await journal.settle(charge_of(intent, 70))
                await super().write(entries)

        slow = SettlesMeanwhile()
        watch = Watch(link, slow, tmp_path)
        await watch.look_until_dead()
        await watch.look()

    assert slow.cost_nusd(intent.id) == 70


@pytest.mark.parametrize("seed", range(8))
async def test_in_any_order_of_events_every_call_is_counted_once(server, ledger, tmp_path, seed):
    """Two instances open, settle, ship, pause; two sweepers take them for dead whenever they look often enough."""
    chance = random.Random(seed)  # noqa: S311
    costs: dict[str, int] = {}
    watcher_link = await open_link(server.url)
    async with (
        journal_on(server.url, tmp_path, "one") as (one, link, _),
        journal_on(server.url, tmp_path, "two") as (two, _, _),
    ):
        watches = [Watch(link, ledger, tmp_path, "one"), Watch(watcher_link, ledger, tmp_path, "watcher")]
        running: dict[str, list] = {"one": [], "two": []}
        shippers = {journal.instance: Shipper(journal, ledger, linger_s=0) for journal in (one, two)}

        async def step(journal) -> None:
            calls = running[journal.instance]
            match chance.choice(["open", "open", "settle", "settle", "void", "beat", "ship", "look", "look", "flush"]):
                case "open":
                    intent = make_intent(f"org-{chance.randrange(2)}", journal.instance)
                    costs[intent.id] = intent.cost_nusd
                    await journal.open(intent)
                    calls.append(intent)
                case "settle" if calls:
                    charge = charge_of(calls.pop(chance.randrange(len(calls))), chance.randrange(10, 99))
                    costs[charge.id] = charge.cost_nusd
                    await journal.settle(charge)
                case "void" if calls and chance.random() < 0.2:
                    intent = calls.pop()
                    await journal.void(intent)
                    costs[intent.id] = -1
                case "beat":
                    await journal.beat()
                case "ship":
                    await shippers[journal.instance]._ship_batch()
                case "look":
                    await chance.choice(watches).look(chance.randrange(4))
                case "flush" if chance.random() < 0.1:
                    await link.command("FLUSHALL")
                    # Whoever loses Redis and its own life at once loses money; here both live and beat.
                    await one.beat()
                    await two.beat()

        for _ in range(60):
            await asyncio.gather(*(step(chance.choice([one, two])) for _ in range(4)))
        for journal in (one, two):
            await journal.beat()
            shippers[journal.instance].start()
            assert await shippers[journal.instance].stop(10)
            assert journal.unshipped == 0
    await Watch(watcher_link, ledger, tmp_path, "last").look_until_dead()
    await watcher_link.close()

    voided = {attempt_id for attempt_id, cost in costs.items() if cost == -1}
    assert set(ledger.entries) - voided == set(costs) - voided
    assert {one: ledger.cost_nusd(one) for one in costs if one not in voided} == {
        one: cost for one, cost in costs.items() if cost != -1
    }


async def test_files_of_the_dead_are_replayed_and_removed(server, ledger, tmp_path):
    local = LocalJournal(tmp_path, "dead")
    left, ended = make_intent("org", "dead"), make_intent("org", "dead")
    for intent in (left, ended):
        await local.open("org", intent.id, msgspec.json.encode(intent))
    await local.settle("org", ended.id, msgspec.json.encode(charge_of(ended)))
    link = await open_link(server.url)
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


async def test_a_failing_job_runs_again_and_the_others_go_on(caplog):
    ran = Counter()

    async def breaks():
        ran["breaks"] += 1
        raise ValueError("a bug")

    async def works():
        ran["works"] += 1

    runner = JobRunner(Job("breaks", 0.001, breaks))
    runner.add(Job("works", 0.001, works))
    runner.start()
    await until(lambda: ran["breaks"] > 2 and ran["works"] > 2)
    await runner.stop()
    assert "job breaks failed" in caplog.text
