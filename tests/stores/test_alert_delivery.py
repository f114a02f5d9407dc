"""Alerts from the outbox in a real Valkey to a real HTTP receiver."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest
from alert_parts import CROSSED_AT_MS, SECRET, crossing, http_receiver
from journal_parts import until

from gateway.domain.alert import Alert, AlertKind
from gateway.jobs.alerts import AlertSender
from gateway.jobs.webhook import Webhook
from gateway.stores.alert_outbox import LEASE_MS, AlertOutbox
from gateway.stores.redis_open import open_link
from policies.alerts import GIVE_UP_MS, RETRY_S_MAX

KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


class Clock:
    """Stands in for the clock of Redis."""

    def __init__(self):
        self.now_ms = CROSSED_AT_MS + 1_000_000

    def __call__(self):
        return self.now_ms


class Replica:
    """A sender with its own link, as one process has it."""

    def __init__(self, link, receiver, clock):
        self.outbox = AlertOutbox(link, now_ms=clock)
        self.noticed = []
        self.webhook = Webhook(receiver.url, SECRET, lambda: 1_790_000_123.5, timeout_s=5) if receiver else None
        self.sender = AlertSender(
            self.outbox,
            self.describe,
            self.webhook,
            noticed=lambda alert, data: self.noticed.append((alert.id, data)),
            draw=lambda: 0.0,
        )

    async def describe(self, organization_id, alert):
        return {"organization": {"id": organization_id}, "spent_nusd": alert.spent_nusd}

    async def settle(self):
        """Until this replica has nothing to do."""
        while self.sender._sending:
            await asyncio.gather(*self.sender._sending.values())

    async def poll(self):
        await self.sender.poll()
        await self.settle()

    async def close(self):
        await self.sender.close()
        if self.webhook is not None:
            await self.webhook.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def organization():
    return f"org_{uuid4().hex}"


@asynccontextmanager
async def replica_of(link, receiver, clock):
    replica = Replica(link, receiver, clock)
    try:
        yield replica
    finally:
        await replica.close()


async def write(link, organization, alert):
    """As the journal's scripts do, in the step that crosses the threshold."""
    await link.command("SADD", "obol:organizations", organization)
    await link.command("HSET", f"obol:{{{organization}}}:alerts", alert["id"], json.dumps(alert))


async def left_of(link, organization):
    """Everything that Redis holds of an organization's alerts."""
    keys = await link.command("KEYS", f"obol:{{{organization}}}:alerts*")
    return sorted(key.decode() for key in keys)


async def test_an_alert_is_signed_as_standard_webhooks_says_and_leaves_nothing_behind(link, clock, organization):
    alert = crossing()
    await write(link, organization, alert)
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        await replica.poll()
        [message] = receiver.got
        assert message.is_signed_with(KEY)
        assert message.timestamp == "1790000123"
        assert message.json["id"] == message.id
        assert message.json["type"] == "budget_soft_limit"
        assert message.json["timestamp"].startswith("2026-09-21T")
        assert message.json["data"] == {"organization": {"id": organization}, "spent_nusd": 8_000_000_001}
    assert await left_of(link, organization) == []


async def test_an_announced_alert_is_told_without_waiting_for_a_poll(link, clock, organization):
    await write(link, organization, crossing())
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        replica.sender.announce(organization)
        await replica.settle()
        assert len(receiver.got) == 1


async def test_what_is_announced_while_others_are_sent_is_sent_too(link, clock, organization):
    await write(link, organization, crossing())
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        receiver.answers_when = asyncio.Event()
        replica.sender.announce(organization)
        await until(lambda: len(receiver.got) == 1)
        await write(link, organization, crossing())
        replica.sender.announce(organization)
        receiver.answers_when.set()
        await replica.settle()
        assert len(receiver.got) == 2


async def test_alerts_are_told_in_the_order_in_which_they_happened(link, clock, organization):
    alerts = [crossing(pct) for pct in (50, 80, 95)]
    for alert in reversed(alerts):
        await write(link, organization, alert)
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        await replica.poll()
        told = [message.json["timestamp"] for message in receiver.got]
        assert len(told) == 3
        assert told == sorted(told)


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503, 301, 307])
async def test_anything_but_a_2xx_is_tried_again_under_the_same_id(link, clock, organization, status):
    await write(link, organization, crossing())
    async with http_receiver(status, status) as receiver, replica_of(link, receiver, clock) as replica:
        for _ in range(3):
            await replica.poll()
            clock.now_ms += int(RETRY_S_MAX * 1000)
        assert [message.status for message in receiver.got] == [status, status, 204]
        assert len({message.id for message in receiver.got}) == 1
        await replica.poll()
        assert len(receiver.got) == 3
    assert await left_of(link, organization) == []


async def test_the_waits_between_tries_double_up_to_an_hour(link, clock, organization):
    await write(link, organization, crossing())
    async with http_receiver(*[500] * 20) as receiver, replica_of(link, receiver, clock) as replica:
        waits = []
        for _ in range(15):
            await replica.poll()
            waits.append(await replica.outbox.take(organization))
            clock.now_ms += int(waits[-1] * 1000)
        assert len(receiver.got) == 15
        assert waits == [min(2**number, 3600) for number in range(15)]


async def test_an_alert_that_nobody_took_for_a_day_is_dropped(link, clock, organization):
    alert = crossing()
    await write(link, organization, alert)
    clock.now_ms = int(alert["at_ms"]) + GIVE_UP_MS
    async with http_receiver(500, 500, 500) as receiver, replica_of(link, receiver, clock) as replica:
        await replica.poll()
        assert await left_of(link, organization) != []
        clock.now_ms += int(RETRY_S_MAX * 1000)
        await replica.poll()
        assert len(receiver.got) == 2
    assert await left_of(link, organization) == []


async def test_an_alert_that_waited_for_a_day_is_tried_once_all_the_same(link, clock, organization):
    alert = crossing()
    await write(link, organization, alert)
    clock.now_ms = int(alert["at_ms"]) + 2 * GIVE_UP_MS
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        await replica.poll()
        assert len(receiver.taken) == 1


async def test_a_receiver_that_is_not_there_counts_as_one_that_refused(link, clock, organization):
    await write(link, organization, crossing())
    async with http_receiver() as receiver:
        pass  # its address, and nobody there
    async with replica_of(link, receiver, clock) as replica:
        await replica.poll()
    assert await replica.outbox.take(organization) == 1.0


async def test_of_two_replicas_one_tells(valkey, link, clock, organization):
    for _ in range(20):
        await write(link, organization, crossing())
    other_link = await open_link(valkey.url)
    async with (
        http_receiver() as receiver,
        replica_of(link, receiver, clock) as one,
        replica_of(other_link, receiver, clock) as other,
    ):
        await asyncio.gather(one.poll(), other.poll())
        assert len(receiver.got) == 20
        assert len({message.id for message in receiver.got}) == 20
        assert len(one.noticed) + len(other.noticed) == 20
    await other_link.close()


async def test_a_process_that_dies_between_delivery_and_removal_has_another_tell_again_under_the_same_id(
    valkey, link, clock, organization
):
    await write(link, organization, crossing())
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as survivor:
        dying_link = await open_link(valkey.url)
        dying = Replica(dying_link, receiver, clock)
        receiver.answers_when = asyncio.Event()
        dying.sender.announce(organization)
        await until(lambda: len(receiver.got) == 1)
        await dying.close()  # the receiver has it, its answer reaches nobody
        await dying_link.close()
        receiver.answers_when.set()
        await survivor.poll()
        assert len(receiver.got) == 1, "within the lease it is the dead process's"
        clock.now_ms += LEASE_MS
        await survivor.poll()
        first, second = receiver.got
        assert first.id == second.id
        assert first.body == second.body
        assert survivor.noticed == [], "it was logged when it was first taken"
    assert await left_of(link, organization) == []


async def test_the_same_alert_after_a_loss_of_redis_has_the_same_id(link, clock, organization):
    alert = crossing()
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        for _ in range(2):
            await write(link, organization, alert)
            await replica.poll()
            await link.command("FLUSHALL")
        first, second = receiver.got
        assert first.id == second.id


async def test_the_same_alert_id_in_two_organizations_is_two_messages(link, clock):
    alert = crossing()
    await write(link, "org_a", alert)
    await write(link, "org_b", alert)
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        await replica.poll()
        assert len({message.id for message in receiver.got}) == 2


async def test_without_a_webhook_an_alert_is_noticed_once_and_gone(link, clock, organization):
    alert = crossing()
    await write(link, organization, alert)
    async with replica_of(link, None, clock) as replica:
        await replica.poll()
        await replica.poll()
        assert [identity for identity, _ in replica.noticed] == [alert["id"]]
    assert await left_of(link, organization) == []


async def test_an_alert_that_cannot_be_read_does_not_hold_up_the_next(link, clock, organization):
    await link.command("HSET", f"obol:{{{organization}}}:alerts", "broken", '{"kind": "nonsense", "at_ms": "1"')
    alert = crossing()
    await write(link, organization, alert)
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        await replica.poll()
        assert len(receiver.got) == 1
    assert await left_of(link, organization) == []


async def test_what_several_processes_put_is_told_once(link, clock, organization):
    alert = Alert(id="unpriced:m:2026-09-21", kind=AlertKind.UNPRICED_MODEL, at_ms=clock.now_ms, model="m")
    async with http_receiver() as receiver, replica_of(link, receiver, clock) as replica:
        assert await replica.outbox.put(organization, alert)
        await replica.poll()
        assert not await replica.outbox.put(organization, alert)
        await replica.poll()
        assert len(receiver.got) == 1


async def test_an_alert_comes_out_of_the_outbox_as_it_was_put(link, clock, organization):
    outbox = AlertOutbox(link, now_ms=clock)
    alert = Alert(
        id='spend:"team"\n:hour',
        kind=AlertKind.SPEND_ANOMALY,
        at_ms=clock.now_ms,
        team="team",
        spent_nusd=2**53 + 1,
        usual_nusd=-5,
    )
    await outbox.put(organization, alert)
    taken = await outbox.take(organization)
    assert taken.alert == alert
    assert taken.id == alert.id
    assert taken.tries == 1


async def test_amounts_that_a_double_cannot_hold_arrive_exactly(link, clock, organization):
    await write(link, organization, crossing(spent_nusd=str(2**53 + 1)))
    taken = await AlertOutbox(link, now_ms=clock).take(organization)
    assert taken.alert.spent_nusd == 2**53 + 1


async def test_a_thousand_alerts_at_once_all_come_out(link, clock, organization):
    for _ in range(1200):
        await write(link, organization, crossing())
    async with replica_of(link, None, clock) as replica:
        await replica.poll()
        assert len({identity for identity, _ in replica.noticed}) == 1200
    assert await left_of(link, organization) == []


def test_the_lease_outlasts_a_try():
    from gateway.jobs.webhook import TIMEOUT_S  # noqa: PLC0415
    from gateway.stores.alert_facts import _NAMES_S  # noqa: PLC0415

    assert (TIMEOUT_S + _NAMES_S) * 1000 < LEASE_MS


def test_alerts_are_encoded_as_the_scripts_write_them():
    written = json.dumps(crossing()).encode()
    assert set(msgspec.to_builtins(msgspec.json.decode(written, type=Alert, strict=False))) <= set(json.loads(written))
