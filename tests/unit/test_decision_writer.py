"""The writer of decisions over a fake sink: nobody waits for it, memory is bounded, and an outage is told once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain import DecisionRecord, KeptPrompt
from gateway.errors import StoreUnavailable
from gateway.jobs import decision_writer
from gateway.jobs.decision_writer import DecisionWriter

PATIENCE_S = 30.0  # for what never comes


def record(number):
    return DecisionRecord(
        request_id=f"req_{number}",
        created_at="2026-11-01T00:00:00.000000Z",
        organization_id="org_1",
        team_id="team_1",
        key_id="key_1",
        endpoint="chat/completions",
        route="auto",
        policy="ordered",
        input_tokens=1,
        candidates=(),
    )


RECORDS = [record(number) for number in range(10)]


class Sink:
    """``is_away``: it can be reached by nobody. ``refuses``: ids that it will never take."""

    def __init__(self):
        self.written, self.batches, self.is_away, self.error = [], [], False, None
        self.refuses = set()

    async def write(self, records):
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")
        if self.error is not None:
            raise self.error
        taken = [one for one in records if one.request_id not in self.refuses]
        self.written += taken
        self.batches.append(len(records))
        return len(records) - len(taken)


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
async def make(sink, pauses):
    """Makes writers whose pauses pass at once, and that linger until somebody flushes."""
    made = []

    async def sleep(pause_s):
        pauses.append(pause_s)
        await asyncio.sleep(0)

    def writer(prompts=None, **settings):
        dropped = []
        one = DecisionWriter(sink, prompts, on_dropped=dropped.append, linger_s=PATIENCE_S, sleep=sleep, **settings)
        made.append(one)
        one.dropped = dropped
        return one

    yield writer
    for one in made:
        sink.is_away, sink.error = False, None
        await one.stop(PATIENCE_S)


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_is_recorded_is_written_in_its_order_and_in_batches(make, sink):
    writer = make(batch_max=4)
    writer.start()
    for one in RECORDS:
        writer.record(one)

    assert await writer.flush(PATIENCE_S)
    assert sink.written == RECORDS
    assert sink.batches == [4, 4, 2]
    assert writer.waiting == 0


class Prompts:
    def __init__(self):
        self.written, self.is_away = [], False

    async def write(self, prompts):
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreUnavailable("away")
        self.written += prompts


def prompt_of(number, text="Why?"):
    one = RECORDS[number]
    return KeptPrompt(
        request_id=one.request_id,
        created_at=one.created_at,
        organization_id=one.organization_id,
        team_id=one.team_id,
        route=one.route,
        text=text,
        expires_at=one.created_at,
    )


async def test_prompts_that_are_kept_are_written_with_their_records(make, sink):
    prompts = Prompts()
    writer = make(prompts)
    writer.start()
    writer.record(RECORDS[0], prompt_of(0))
    writer.record(RECORDS[1])

    assert await writer.flush(PATIENCE_S)
    assert (sink.written, prompts.written) == (RECORDS[:2], [prompt_of(0)])


async def test_prompts_wait_for_postgres_as_records_do(make, pauses):
    prompts = Prompts()
    prompts.is_away = True
    writer = make(prompts, batch_max=1)
    writer.start()
    writer.record(RECORDS[0], prompt_of(0))
    await turns()
    assert pauses
    prompts.is_away = False
    assert await writer.flush(PATIENCE_S)
    assert prompts.written == [prompt_of(0)]


async def test_prompts_that_wait_are_bounded_by_their_size_and_their_records_stay(make, sink, monkeypatch):
    monkeypatch.setattr(decision_writer, "PROMPTS_CHARACTERS_MAX", 10)
    prompts = Prompts()
    writer = make(prompts, waiting_max=3)
    for number, size in enumerate((6, 6, 4, 7)):
        writer.record(RECORDS[number], prompt_of(number, "x" * size))  # the last one takes the first one's room
    writer.start()
    assert await writer.flush(PATIENCE_S)
    assert sink.written == RECORDS[1:4]
    assert [one.request_id for one in prompts.written] == ["req_2"]
    writer.record(RECORDS[5], prompt_of(5, "x" * 10))
    assert await writer.flush(PATIENCE_S)
    assert [one.request_id for one in prompts.written] == ["req_2", "req_5"]


async def test_a_few_records_wait_for_more_until_somebody_reads(make, sink):
    writer = make()
    writer.start()
    writer.record(RECORDS[0])
    await turns()
    assert sink.written == []

    assert await writer.flush(PATIENCE_S)
    assert sink.written == RECORDS[:1]


async def test_a_flush_of_nothing_ends_at_once(make):
    writer = make()
    writer.start()

    assert await writer.flush(PATIENCE_S)


async def test_records_wait_while_postgres_is_away_and_are_written_when_it_is_back(make, sink, pauses):
    writer = make(batch_max=4)
    writer.start()
    sink.is_away = True
    for one in RECORDS:
        writer.record(one)
    await turns(60)
    assert writer.waiting == len(RECORDS)
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(pauses) == 5.0

    sink.is_away = False
    assert await writer.flush(PATIENCE_S)
    assert sink.written == RECORDS
    assert writer.dropped == []


async def test_beyond_the_bound_the_oldest_are_dropped_and_counted_and_told_once(make, sink, caplog):
    writer = make(waiting_max=3)
    for one in RECORDS:
        writer.record(one)
    assert writer.waiting == 3
    assert sum(writer.dropped) == 7
    assert caplog.records == []

    writer.start()
    assert await writer.flush(PATIENCE_S)
    assert sink.written == RECORDS[7:]
    (line,) = caplog.records
    assert "7 decisions" in line.message


async def test_what_is_being_written_counts_for_the_bound(make, sink):
    writer = make(waiting_max=4, batch_max=2)
    writer.start()
    for one in RECORDS[:2]:
        writer.record(one)
    await asyncio.sleep(0)  # the writer has taken both
    sink.is_away = True
    for one in RECORDS[2:6]:
        writer.record(one)
        assert writer.waiting <= 4
    await turns()
    assert writer.waiting == 4

    sink.is_away = False
    assert await writer.flush(PATIENCE_S)
    assert len(sink.written) == 4
    assert sink.written[-2:] == RECORDS[4:6]


async def test_each_outage_has_a_line_of_its_own(make, sink, caplog):
    writer = make(waiting_max=2)
    writer.start()
    for _ in range(2):
        sink.is_away = True
        for one in RECORDS[:5]:
            writer.record(one)
        await turns()
        sink.is_away = False
        await writer.flush(PATIENCE_S)

    assert ["3 decisions" in line.message for line in caplog.records] == [True, True]


async def test_records_that_postgres_refuses_are_counted_as_dropped(make, sink):
    sink.refuses = {"req_1"}
    writer = make()
    writer.start()
    for one in RECORDS[:3]:
        writer.record(one)
    await writer.flush(PATIENCE_S)

    assert sink.written == [RECORDS[0], RECORDS[2]]
    assert writer.dropped == [1]


async def test_a_fault_of_the_sink_costs_its_batch_and_not_the_writer(make, sink, caplog):
    writer = make()
    writer.start()
    sink.error = ValueError("a bug")
    writer.record(RECORDS[0])
    await writer.flush(PATIENCE_S)
    sink.error = None
    writer.record(RECORDS[1])
    await writer.flush(PATIENCE_S)

    assert sink.written == [RECORDS[1]]
    assert writer.dropped == [1]
    assert "cannot be written down" in caplog.text


async def test_at_the_end_what_waits_is_written(make, sink):
    writer = make()
    writer.start()
    writer.record(RECORDS[0])

    assert await writer.stop(PATIENCE_S)
    assert sink.written == RECORDS[:1]


async def test_at_the_end_what_cannot_be_written_in_time_is_lost_and_told(make, sink, caplog):
    writer = make()
    writer.start()
    sink.is_away = True
    for one in RECORDS:
        writer.record(one)

    assert not await writer.stop(0)
    assert (writer.waiting, sum(writer.dropped)) == (0, 10)
    assert "10 decisions" in caplog.text
