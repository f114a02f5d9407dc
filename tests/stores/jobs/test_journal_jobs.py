"""Jobs over a real Valkey, with a ledger in memory: charges are shipped, and jobs that fail run again."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from journal_parts import charge_of, ids_in, journal_on, make_intent, until

from gateway.jobs import Job, JobRunner, Shipper


async def test_settled_charges_reach_the_ledger_and_leave_the_journal(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path) as (journal, link, _):
        shipper = Shipper(journal, ledger)
        shipper.start()
        charges = [charge_of(make_intent()) for _ in range(50)]
        await asyncio.gather(*(journal.settle(charge) for charge in charges))
        assert await shipper.flush(10)
        assert list(ledger.entries.values()) == charges
        assert await ids_in(link, "org", "one") == (set(), set())
        assert await shipper.stop(10)


async def test_batches_are_bounded_and_gathered(valkey, ledger, tmp_path):
    async with journal_on(valkey.url, tmp_path) as (journal, _, _):
        shipper = Shipper(journal, ledger, batch_max=100, linger_s=10)
        await asyncio.gather(*(journal.settle(charge_of(make_intent())) for _ in range(250)))
        shipper.start()
        assert await shipper.stop(10)
    assert ledger.batches == [100, 100, 50]


@pytest.mark.parametrize("failure", [None, RuntimeError("a bug"), OSError("a cut")])
async def test_no_charge_is_lost_when_the_ledger_fails(valkey, ledger, tmp_path, failure):
    async with journal_on(valkey.url, tmp_path) as (journal, link, _):
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


async def test_a_shipper_that_is_stopped_while_the_ledger_is_away_keeps_its_charges(valkey, ledger, tmp_path):
    ledger.is_away = True
    async with journal_on(valkey.url, tmp_path) as (journal, link, _):
        shipper = Shipper(journal, ledger, linger_s=0)
        shipper.start()
        charge = charge_of(make_intent())
        await journal.settle(charge)
        assert not await shipper.stop(0.1)
        assert not await journal.sign_off()
        assert await ids_in(link, "org", "one") == (set(), {charge.id})
        assert journal.unshipped == 1


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
