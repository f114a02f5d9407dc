"""Repair on the path: who is asked, what the client sees, and that each call has its one entry."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_parts import ANSWER, Backend, Rules, event, path, read, request, walk

from gateway.domain import Claims, Limit, LimitClaim, Outcome, Repair, RepairStatus, Scope
from gateway.errors import (
    BudgetExceeded,
    RateLimited,
    UpstreamBroken,
    UpstreamInterrupted,
    UpstreamRefused,
    UpstreamUnreachable,
)

LIMITS = Claims(limits=(LimitClaim(Limit("limit_1", Scope("org_1"), requests_per_minute=5), None, "limit_1"),))
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
ASKED = {"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}}
GOOD, BROKEN, MENDED, HOPELESS = '{"name": "Ada"}', "{'name': 'Ada',}", '{"name":"Ada"}', "I am Ada."


def whole(text, **choice):
    choices = [{**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}, **choice}]
    return [json.dumps({**ANSWER, "choices": choices}).encode()]


def stream(text):
    chunks = [
        *({"id": "c", "choices": [{"index": 0, "delta": {"content": one}, "finish_reason": None}]} for one in text),
        {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"id": "c", "choices": [], "usage": ANSWER["usage"]},
    ]
    return [*map(event, chunks), b"data: [DONE]\n\n"]


#: By name, so that examples can be read.
REPLIES = {
    "good": whole(GOOD),
    "broken": whole(BROKEN),
    "hopeless": whole(HOPELESS),
    "cut": whole('{"name": "A', finish_reason="length"),
    "no answer": [b"<html>"],
    "down": UpstreamUnreachable("no connection"),
}


def repairing(*scripts, asks_again=True, backend=Backend, **options):
    backend = backend(*scripts)
    pipeline, journal, tasks = path(backend, route={"repair": Repair(asks_again)}, **options)
    return pipeline, journal, tasks, backend


def entries(journal):
    return sorted(journal.settled.values(), key=lambda entry: entry.attempt)


def told(journal):
    return [(one.deployment, one.status, one.error_code) for one in entries(journal)]


SHOWN, REJECTED = ("small", Outcome.SUCCEEDED, None), ("small", Outcome.REJECTED, "schema")


async def test_a_good_answer_passes_byte_for_byte_whole_or_streamed():
    for is_stream, reply in ((False, whole(GOOD)), (True, stream(GOOD))):
        pipeline, journal, _, _ = repairing(reply)
        answer = await pipeline.answer(*request(stream=is_stream, **ASKED))
        shown = await read(answer)
        assert shown == b"".join(one for one in reply if b'"usage"' not in one or not is_stream)
        assert (answer.repair, told(journal)) == (RepairStatus.NONE, [SHOWN])


async def test_who_asks_for_no_json_is_shown_the_stream_as_it_comes():
    pipeline, _, _, backend = repairing(stream(BROKEN))
    answer = await pipeline.answer(*request(stream=True))
    await answer.next()
    assert (answer.repair, bool(backend.replies[0].rest)) == (None, True)
    answer.abandon()


async def test_the_second_call_holds_what_it_can_cost_itself():
    pipeline, journal, _, backend = repairing(whole("x" * 4000), whole(GOOD))
    await walk(pipeline, *request(**ASKED))
    first, second = journal.admissions
    assert second.input_tokens > first.input_tokens + 900
    assert [call.deployment.name for call in backend.calls] == ["small", "small"]
    assert journal.lasts == [entries(journal)[1].id]


@pytest.mark.parametrize("error", [BudgetExceeded("no room", details={}), RateLimited("many", details={"limit": {}})])
async def test_without_room_for_a_second_call_the_client_gets_the_first_answer(error):
    class Spent(Backend):
        async def open(self, call):
            journal.refuses["small"] = error
            return await super().open(call)

    pipeline, journal, _, _ = repairing(whole(HOPELESS), backend=Spent)
    answer = await pipeline.answer(*request(**ASKED))
    assert HOPELESS.encode() in await read(answer)
    assert (answer.repair, told(journal)) == (RepairStatus.FAILED, [SHOWN])
    assert journal.lasts == [entries(journal)[0].id]


async def test_an_upstream_that_breaks_off_gives_way_to_the_next_since_nothing_was_shown():
    pipeline, journal, _, _ = repairing([stream(GOOD)[0], UpstreamInterrupted("cut")], stream(BROKEN))
    shown = await walk(pipeline, *request(stream=True, **ASKED))
    assert shown.count(b"[DONE]") == 1
    assert [one[:2] for one in told(journal)] == [("small", Outcome.FAILED), ("big", Outcome.SUCCEEDED)]


async def test_what_one_upstream_refuses_of_the_clients_own_words_all_would_refuse():
    told = {"http_status": 400, "status": 400, "type_": "x", "code": "x"}
    refused = UpstreamRefused("no such field", **told, can_fall_back=False)
    pipeline, _, _, backend = repairing(refused)
    with pytest.raises(UpstreamRefused):
        await walk(pipeline, *request(**ASKED))
    assert len(backend.calls) == 1


async def test_what_the_client_had_begun_of_the_answer_itself_is_left_alone():
    messages = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "{"}]
    pipeline, _, _, _ = repairing(whole('"name": "Ada"}'))
    answer = await pipeline.answer(*request(messages=messages, **ASKED))
    assert (answer.repair, b'\\"name\\": \\"Ada\\"}' in await read(answer)) == (None, True)


@given(
    replies=st.lists(st.sampled_from(sorted(REPLIES)), min_size=1, max_size=6),
    asks_again=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_upstreams_say_each_call_has_one_entry_and_an_answer_one_baseline_and_one_cost(replies, asks_again):
    async def run():
        scripts = (REPLIES[one] for one in replies)
        pipeline, journal, tasks, backend = repairing(*scripts, asks_again=asks_again, rules=Rules(LIMITS))
        try:
            answer = await pipeline.answer(*request(**ASKED))
        except (UpstreamUnreachable, UpstreamBroken):
            answer = None
        await tasks.drain()
        assert journal.open_entries == {}
        assert len(journal.settled) == len(backend.calls)
        shown = [one for one in entries(journal) if one.status == Outcome.SUCCEEDED]
        assert [one.baseline_nusd > 0 for one in entries(journal)].count(True) == len(shown)
        if answer is None:
            assert (shown, bool(journal.left)) == ([], True)
            return
        assert (journal.lasts, answer.deployment) == ([shown[0].id], shown[0].deployment)
        assert answer.cost_nusd == sum(entry.cost_nusd for entry in entries(journal))
        said = json.loads(await read(answer))["choices"][0]["message"]["content"]
        assert (said in (GOOD, MENDED)) == (answer.repair is not RepairStatus.FAILED)

    asyncio.run(run())


SCRIPTS = {
    "good": (False, [whole(GOOD)]),
    "a stream mended": (True, [stream(BROKEN)]),
    "asked again": (False, [whole(HOPELESS), whole(GOOD)]),
    "a stream asked again": (True, [stream(HOPELESS), stream(BROKEN)]),
    "in vain": (False, [whole(HOPELESS), whole(HOPELESS)]),
    "in vain, and then gone": (True, [stream(HOPELESS), UpstreamUnreachable("gone")]),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_whenever_the_client_leaves_every_call_has_exactly_one_entry_and_no_place_is_kept(name):
    is_stream, scripts = SCRIPTS[name]
    for turns in range(160):
        pipeline, journal, tasks, backend = repairing(*scripts, rules=Rules(LIMITS))
        client = asyncio.create_task(walk(pipeline, *request(stream=is_stream, **ASKED)))
        for _ in range(turns):
            await asyncio.sleep(0)
        is_over = client.done()
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        await tasks.drain()
        assert journal.open_entries == {}
        assert len(backend.calls) == len(journal.settled)
        assert journal.left or journal.lasts or not journal.admissions
        assert all(reply.is_closed for reply in backend.replies)
        assert pipeline.progress._running == {}
        if is_over:
            break
    assert is_over
