"""What a request goes through on the path, as its entries tell it: stages in order, each call with its entry."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from pipeline_parts import BIG, CALLER, SMALL, STREAM, WHOLE, Backend, path, request, walk

from gateway.api.dialects import ClientDialect
from gateway.domain import Chain, Deflection, GuardVerdict, Outcome, StageName, UpstreamLimits
from gateway.errors import UpstreamUnreachable

VERDICT = GuardVerdict("pii", "1", "input", "flag", "flagged", 0.5)


def ticking():
    """A clock on which every look is a millisecond later."""
    count = itertools.count()
    return lambda: next(count) / 1000


def chained(model="auto", **fields):
    parsed, _, _ = request(model, **fields)
    parsed = replace(parsed, chain=Chain(0.0))
    return parsed, ClientDialect(parsed), CALLER


def told(entry):
    return [(one.stage, one.name, one.entry) for one in entry.stages]


async def test_an_answer_tells_what_its_request_went_through_the_call_itself_included():
    pipeline, journal, _ = path(Backend(WHOLE), clock=ticking())
    await walk(pipeline, *chained())
    (entry,) = journal.settled.values()
    assert told(entry) == [
        (StageName.ROUTING, None, None),
        (StageName.LIMITS, "small", None),
        (StageName.INFERENCE, "small", entry.id),
    ]
    ends = [one.started_ms + one.ms for one in entry.stages]
    assert ends == sorted(ends)
    assert all(one.ms > 0 for one in entry.stages)


async def test_a_stream_is_a_stage_until_it_is_settled():
    pipeline, journal, _ = path(Backend(STREAM), clock=ticking())
    await walk(pipeline, *chained(stream=True))
    (entry,) = journal.settled.values()
    (limits, inference) = entry.stages[-2:]
    assert entry.total_ms == pytest.approx(inference.started_ms + inference.ms - limits.started_ms)


async def test_each_attempt_tells_those_before_it():
    backend = Backend(UpstreamUnreachable("no"), UpstreamUnreachable("no"), WHOLE)
    pipeline, journal, _ = path(backend, clock=ticking())
    await walk(pipeline, *chained())
    entries = list(journal.settled.values())
    assert [one.status for one in entries] == [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]
    for count, entry in enumerate(entries, 1):
        calls = [one.entry for one in entry.stages if one.stage == StageName.INFERENCE]
        assert calls == [one.id for one in entries[:count]]


async def test_a_place_within_the_limits_of_a_provider_is_waited_for_as_a_stage():
    limited = replace(SMALL, limits=UpstreamLimits(requests_per_minute=5))
    pipeline, journal, _ = path(Backend(WHOLE), limited, BIG, clock=ticking())
    await walk(pipeline, *chained())
    (entry,) = journal.settled.values()
    assert [one.name for one in entry.stages if one.stage == StageName.LIMITS] == ["small", "small"]


async def test_a_deflected_request_tells_its_deflector_and_no_call():
    rules = Deflection(("arithmetic",))
    pipeline, journal, _ = path(Backend(WHOLE), route={"deflection": rules}, clock=ticking())
    await walk(pipeline, *chained(messages=[{"role": "user", "content": "what is 15% of 80"}]))
    (entry,) = journal.settled.values()
    assert [(one.stage, one.name) for one in entry.stages] == [
        (StageName.DEFLECTION, "arithmetic"),
        (StageName.LIMITS, "obol/arithmetic"),
    ]


async def test_verdicts_go_to_answers():
    pipeline, journal, _ = path(Backend(WHOLE))
    parsed, dialect, caller = chained()
    parsed.chain.verdicts.append(VERDICT)
    await walk(pipeline, parsed, dialect, caller)
    (entry,) = journal.settled.values()
    assert entry.guards == (VERDICT,)


async def test_intents_tell_nothing_so_that_they_stay_small():
    pipeline, journal, _ = path(Backend(WHOLE))
    opened, admit = [], journal.open

    async def open_(entry, admission):
        opened.append(entry)
        return await admit(entry, admission)

    journal.open = open_
    await walk(pipeline, *chained())
    assert [(one.stages, one.guards) for one in opened] == [((), ())]
