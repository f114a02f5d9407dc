"""Intents of open streams are renewed by what was seen, so that a process which dies leaves charges for that too."""

from __future__ import annotations

from pipeline_parts import CUT, DELTA, SMALL, STREAM, USAGE, WHOLE, Backend, event, path, read, request

from gateway.domain import Basis, Outcome

TEXT = "forty bytes of text in each of the chunks"
LONG_DELTA = {"id": "c", "model": "m-1", "choices": [{"index": 0, "delta": {"content": TEXT}, "finish_reason": None}]}
LONG = [*[event(LONG_DELTA)] * 8, *STREAM[2:]]


async def test_an_open_stream_is_charged_for_what_was_seen_of_it_if_its_process_dies():
    pipeline, journal, _ = path(Backend(LONG))
    answer = await pipeline.answer(*request(stream=True))
    for _ in range(4):
        await answer.next()
    await pipeline.progress.tell()
    (entry,) = journal.renewed
    (intent,) = journal.open_entries.values()
    assert (entry.id, entry.basis, entry.status) == (intent.id, Basis.ORPHANED, Outcome.ORPHANED)
    assert entry.output_tokens == 4 * len(TEXT) // 4
    assert entry.cost_nusd == entry.input_tokens * 1000 + entry.output_tokens * 4000 > intent.cost_nusd


async def test_only_streams_that_grew_are_told_of_again():
    pipeline, journal, _ = path(Backend(LONG))
    answer = await pipeline.answer(*request(stream=True))
    await answer.next()
    for _ in range(3):
        await pipeline.progress.tell()
    assert len(journal.renewed) == 1
    await answer.next()
    await pipeline.progress.tell()
    assert [entry.output_tokens for entry in journal.renewed] == [10, 20]


async def test_usage_that_the_upstream_reports_on_its_way_is_taken_as_it_is():
    running = {**DELTA, "usage": {"prompt_tokens": 70, "completion_tokens": 900, "total_tokens": 970}}
    pipeline, journal, _ = path(Backend([event(DELTA), event(running), *STREAM[2:]]))
    answer = await pipeline.answer(*request(stream=True))
    await answer.next()
    await answer.next()
    await pipeline.progress.tell()
    assert [(entry.input_tokens, entry.output_tokens) for entry in journal.renewed] == [(70, 900)]


async def test_an_answer_that_is_over_is_not_told_of():
    for script in (STREAM, CUT):
        pipeline, journal, tasks = path(Backend(script))
        answer = await pipeline.answer(*request(stream=True))
        await answer.next()
        if script is STREAM:
            await read(answer)
        else:
            answer.abandon()
            await tasks.drain()
        await pipeline.progress.tell()
        assert journal.renewed == []


async def test_a_whole_answer_is_not_told_of():
    pipeline, journal, _ = path(Backend(WHOLE), SMALL)
    await pipeline.answer(*request())
    await pipeline.progress.tell()
    assert journal.renewed == []


async def test_looking_at_a_stream_changes_nothing_of_what_it_is_charged():
    charges = []
    for looks in (True, False):
        pipeline, journal, _ = path(Backend([*LONG[:-2], event(USAGE), LONG[-1]]))
        answer = await pipeline.answer(*request(stream=True))
        while await answer.next() is not None:
            if looks:
                await pipeline.progress.tell()
        (entry,) = journal.settled.values()
        charges.append((entry.output_tokens, entry.cost_nusd, entry.basis))
    assert charges[0] == charges[1]
