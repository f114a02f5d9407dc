"""Instances that were taken for dead and live, over a real Valkey, with a ledger in memory."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from books_parts import budget
from journal_parts import MemoryLedger, charge_of, ids_in, journal_on, make_intent, until
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from relay import Relay
from sweeping_parts import Watch

from gateway.domain import Admission, Basis
from gateway.errors import BudgetsUnavailable
from gateway.jobs import Shipper
from gateway.stores.redis_open import open_link
from policies.rule_book import RuleBook


async def test_a_paused_instance_that_was_swept_corrects_its_entries_when_it_goes_on(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path, "paused") as (journal, link, _):
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
    valkey, ledger, tmp_path
):
    """What a sweeper could not drop, since balances were being rebuilt, and its owner settled without Redis."""
    with Relay(valkey.socket) as relay:
        other = await open_link(valkey.url)
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
    valkey, ledger, tmp_path, is_swept
):
    """Redis had admitted it: a sweeper charges it as orphaned, and its owner takes that back."""
    async with journal_on(valkey.url, tmp_path, "deaf") as (journal, link, _):
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


async def test_what_a_sweeper_could_not_drop_its_owner_drops_when_it_lives_again(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path, "paused") as (journal, link, _):
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


async def test_a_charge_settled_between_reading_and_dropping_is_not_dropped(valkey, tmp_path):
    """The sweeper shipped the orphaned entry; before it drops it, the paused owner comes back, settles and dies."""
    async with journal_on(valkey.url, tmp_path, "paused") as (journal, link, _):
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
async def test_in_any_order_of_events_every_call_is_counted_once(valkey, ledger, tmp_path, seed):
    """Two instances open, settle, ship, pause; two sweepers take them for dead whenever they look often enough."""
    chance = random.Random(seed)  # noqa: S311
    costs: dict[str, int] = {}
    watcher_link = await open_link(valkey.url)
    async with (
        journal_on(valkey.url, tmp_path, "one") as (one, link, _),
        journal_on(valkey.url, tmp_path, "two") as (two, _, _),
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
