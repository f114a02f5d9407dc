"""A cascade on the path of streams: nothing is shown of what is not accepted."""

from __future__ import annotations

import json

from cascading_parts import (
    ACCEPTED,
    CERTAIN,
    DOUBTFUL,
    ESCALATED,
    SURE,
    VERIFIED,
    cascading,
    entries,
    rejected,
    stream,
    told,
    whole,
)
from pipeline_parts import request, walk

from gateway.domain import Outcome
from gateway.errors import UpstreamInterrupted
from policies.gates import Gate


async def test_probabilities_that_only_the_gate_asked_for_are_not_shown():
    for is_stream, answer in ((False, whole("cheap", CERTAIN)), (True, stream("cheap", CERTAIN))):
        pipeline, _, _, backend = cascading(SURE, answer)
        shown = await walk(pipeline, *request(stream=is_stream))
        assert json.loads(backend.calls[0].body)["logprobs"] is True
        assert b"cheap" in shown
        assert b'"logprobs":{' not in shown
        assert b"-0.01" not in shown


async def test_a_stream_shows_nothing_of_an_answer_that_is_rejected_and_the_last_step_as_it_comes():
    pipeline, journal, _, _ = cascading(SURE, stream("cheap", DOUBTFUL), stream("strong"))
    answer = await pipeline.answer(*request(stream=True, stream_options={"include_usage": True}))
    blocks = []
    while (block := await answer.next()) is not None:
        blocks.append(block)
    shown = b"".join(blocks)
    assert b"cheap" not in shown
    assert b"strong" in blocks[0]
    assert len(blocks) > 2
    assert told(journal) == [rejected(Gate.LOGPROB), ESCALATED]
    cost = sum(entry.cost_nusd for entry in entries(journal))
    assert f'"cost":{cost / 1e9:.9f}'.rstrip("0").encode() in shown.replace(b" ", b"")


async def test_a_held_stream_is_shown_whole_once_it_is_accepted():
    pipeline, journal, _, _ = cascading(SURE, stream("cheap", CERTAIN))
    shown = await walk(pipeline, *request(stream=True))
    assert b"cheap" in shown
    assert shown.endswith(b"data: [DONE]\n\n")
    assert told(journal) == [ACCEPTED]


async def test_a_cheap_upstream_that_breaks_off_gives_way_to_the_next_since_nothing_was_shown():
    cut = [stream("cheap", CERTAIN)[0], UpstreamInterrupted("cut")]
    pipeline, journal, _, _ = cascading(SURE, cut, stream("strong"))
    shown = await walk(pipeline, *request(stream=True))
    assert b"strong" in shown
    assert b"cheap" not in shown
    assert [one[2] for one in told(journal)] == [Outcome.FAILED, Outcome.SUCCEEDED]


async def test_a_verifier_judges_streams_as_well():
    pipeline, journal, _, backend = cascading(VERIFIED, stream("cheap"), whole('{"score": 0.9}'))
    assert b"cheap" in await walk(pipeline, *request(stream=True))
    assert [call.is_stream for call in backend.calls] == [True, False]
    assert told(journal)[0] == ACCEPTED
