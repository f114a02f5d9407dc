"""The journal over a real Valkey while both live."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest
from journal_parts import charge_of, ids_in, journal_on, make_intent

from gateway.domain import LedgerEntry
from gateway.stores.books import Keys
from gateway.stores.instances import INSTANCES, ORGANIZATIONS


@pytest.fixture
async def parts(redis_url, tmp_path):
    instance = uuid4().hex
    async with journal_on(redis_url, tmp_path, instance) as parts:
        yield parts


async def test_an_intent_is_in_redis_before_open_returns(parts):
    journal, link, _ = parts
    org = uuid4().hex
    intent = make_intent(org, journal.instance)

    await journal.open(intent)

    raw = await link.command("HGET", Keys.of(org, journal.instance).open, intent.id)
    assert msgspec.json.decode(raw, type=LedgerEntry) == intent
    assert await link.command("SISMEMBER", ORGANIZATIONS, org) == 1
    assert await link.command("SMEMBERS", Keys.of(org, journal.instance).instances) == [journal.instance.encode()]


async def test_settling_moves_the_call_from_open_to_journal_in_one_step(parts):
    journal, link, _ = parts
    intent = make_intent(uuid4().hex, journal.instance)
    await journal.open(intent)

    await journal.settle(charge_of(intent))

    assert await ids_in(link, intent.organization_id, journal.instance) == (set(), {intent.id})
    assert journal.in_flight == 0
    assert journal.unshipped == 1


async def test_an_acknowledged_charge_is_dropped_everywhere(parts):
    journal, link, _ = parts
    intents = [make_intent(uuid4().hex, journal.instance) for _ in range(3)]
    for intent in intents:
        await journal.open(intent)
        await journal.settle(charge_of(intent))

    taken = journal.charges.take(10)
    await journal.acknowledge(taken)

    assert [charge.id for charge in taken] == [intent.id for intent in intents]
    assert journal.unshipped == 0
    for intent in intents:
        assert await ids_in(link, intent.organization_id, journal.instance) == (set(), set())


async def test_a_charge_that_was_not_taken_by_the_ledger_comes_first_the_next_time(parts):
    journal, _, _ = parts
    intents = [make_intent("org", journal.instance) for _ in range(3)]
    for intent in intents:
        await journal.settle(charge_of(intent))

    journal.charges.put_back(journal.charges.take(2))

    assert [charge.id for charge in journal.charges.take(3)] == [intent.id for intent in intents]


async def test_settling_twice_ships_what_was_said_last(parts):
    journal, link, _ = parts
    intent = make_intent(uuid4().hex, journal.instance)
    await journal.settle(charge_of(intent, 7))
    first = journal.charges.take(1)
    await journal.settle(charge_of(intent, 8))

    await journal.acknowledge(first)

    assert await ids_in(link, intent.organization_id, journal.instance) == (set(), {intent.id})
    (again,) = journal.charges.take(1)
    assert msgspec.json.decode(again.entry, type=LedgerEntry).cost_nusd == 8


async def test_a_voided_intent_leaves_nothing(parts):
    journal, link, _ = parts
    intent = make_intent(uuid4().hex, journal.instance)
    await journal.open(intent)

    await journal.void(intent)

    assert await ids_in(link, intent.organization_id, journal.instance) == (set(), set())
    assert journal.in_flight == 0


async def test_keys_that_hold_money_never_expire(parts):
    journal, link, _ = parts
    first, second = make_intent(uuid4().hex, journal.instance), make_intent(uuid4().hex, journal.instance)
    await journal.open(first)
    await journal.settle(charge_of(second))

    for key in (*Keys.of(first.organization_id, journal.instance), *Keys.of(second.organization_id, journal.instance)):
        assert await link.command("TTL", key) in (-1, -2)
    assert await link.command("TTL", INSTANCES) == -1
    assert await link.command("TTL", ORGANIZATIONS) == -1


async def test_a_clean_end_leaves_no_trace(parts):
    journal, link, _ = parts
    intent = make_intent(uuid4().hex, journal.instance)
    await journal.open(intent)
    await journal.settle(charge_of(intent))
    await journal.acknowledge(journal.charges.take(1))

    assert await journal.sign_off()

    assert await link.command("HEXISTS", INSTANCES, journal.instance) == 0
    assert await link.command("EXISTS", *Keys.of(intent.organization_id, journal.instance)[1:]) == 0


async def test_an_end_with_open_calls_leaves_them_to_the_sweepers(parts):
    journal, link, _ = parts
    intent = make_intent(uuid4().hex, journal.instance)
    await journal.open(intent)

    assert not await journal.sign_off()

    assert await link.command("HEXISTS", INSTANCES, journal.instance) == 1
    assert await ids_in(link, intent.organization_id, journal.instance) == ({intent.id}, set())
