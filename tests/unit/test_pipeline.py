"""The path over fakes behind its own Protocols: whoever leaves at whatever moment, each call ends in one entry."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_parts import (
    CALLER,
    CUT,
    DELTA,
    SMALL,
    STREAM,
    WHOLE,
    Backend,
    deployment,
    event,
    path,
    read,
    request,
    walk,
)

from gateway.api.arrival import Arrival
from gateway.api.chat import parse
from gateway.api.dialects import ClientDialect
from gateway.domain import Basis, Deployment, Endpoint, Meter, Outcome, Provider, Tariff
from gateway.errors import (
    BadRequest,
    GatewayError,
    ModelNotFound,
    RateLimited,
    UnpricedModel,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from policies.pricing import make_rate_card


async def test_a_whole_answer_is_passed_to_the_byte_and_charged_before_it_is_shown():
    pipeline, journal, _ = path(Backend(WHOLE))
    answer = await pipeline.answer(*request())
    (entry,) = journal.settled.values()
    assert await read(answer) == WHOLE[0]
    assert (entry.cost_nusd, entry.baseline_nusd) == (3 * 1000 + 2 * 4000, 3 * 10_000 + 2 * 40_000)
    assert (entry.basis, entry.status, entry.route) == (Basis.REPORTED, Outcome.SUCCEEDED, "auto")


async def test_a_stream_is_settled_before_its_end_is_shown():
    pipeline, journal, _ = path(Backend(STREAM))
    answer = await pipeline.answer(*request(stream=True))
    shown = []
    while (block := await answer.next()) is not None:
        shown.append(block)
        assert (b"[DONE]" in b"".join(shown)) <= bool(journal.settled)
    assert b"".join(shown).endswith(b"data: [DONE]\n\n")


async def test_the_intent_is_durable_before_the_upstream_is_called():
    class Watching(Backend):
        async def open(self, call):
            assert journal.open_entries
            return await super().open(call)

    pipeline, journal, _ = path(Watching(WHOLE))
    await pipeline.answer(*request())
    assert journal.settled


@pytest.mark.parametrize(
    "script", [WHOLE, STREAM, CUT, UpstreamUnreachable("no")], ids=["whole", "stream", "cut", "down"]
)
async def test_a_client_that_leaves_at_any_moment_leaves_exactly_one_entry_per_call(script):
    """Cancel at every turn of the event loop there is, until the walk is too short to be cancelled."""
    for turns in range(60):
        backend = Backend(script)
        pipeline, journal, tasks = path(backend)
        is_stream = script in (STREAM, CUT)
        task = asyncio.create_task(walk(pipeline, *request(stream=is_stream)))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        await asyncio.wait([task])
        await tasks.drain()
        assert not journal.open_entries, f"an intent stayed open, cancelled after {turns} turns"
        assert len(journal.settled) == len(backend.calls)
        assert all(reply.is_closed for reply in backend.replies)
        if was_done:
            return
    pytest.fail("the walk never ended")


@given(failures=st.integers(0, 3))
@settings(max_examples=8)
def test_each_failed_attempt_is_an_unbilled_entry_and_at_most_one_retry_is_on_the_same_deployment(failures):
    async def run():
        scripts = [UpstreamUnreachable("down") for _ in range(failures)]
        backend = Backend(*scripts, WHOLE)
        pipeline, journal, _ = path(backend)
        answer = await pipeline.answer(*request())
        *failed, last = journal.settled.values()
        assert [call.deployment.name for call in backend.calls] == ["small", "small", "big", "big"][: failures + 1]
        assert [entry.attempt for entry in (*failed, last)] == list(range(1, failures + 2))
        assert all((e.basis, e.cost_nusd, e.baseline_nusd) == (Basis.UNBILLED, 0, 0) for e in failed)
        assert answer.cost_nusd == last.cost_nusd > 0

    asyncio.run(run())


async def test_fallback_is_refused_after_the_first_chunk():
    backend = Backend(CUT, WHOLE)
    pipeline, journal, _ = path(backend)
    answer = await pipeline.answer(*request(stream=True))
    with pytest.raises(UpstreamInterrupted):
        await read(answer)
    (entry,) = journal.settled.values()
    assert len(backend.calls) == 1
    assert (entry.status, entry.basis, entry.output_tokens) == (Outcome.INTERRUPTED, Basis.ESTIMATED, 1)


async def test_an_error_event_before_any_text_still_falls_back():
    broken = [b": hello\n\n", event({"error": {"message": "overloaded", "code": "busy"}})]
    backend = Backend(broken, STREAM)
    pipeline, journal, _ = path(backend)
    shown = await read(await pipeline.answer(*request(stream=True)))
    assert b"overloaded" not in shown
    assert [entry.status for entry in journal.settled.values()].count(Outcome.FAILED) == len(backend.calls) - 1


async def test_a_named_model_stays_that_model():
    backend = Backend(UpstreamUnreachable("down"))
    pipeline, journal, _ = path(backend)
    with pytest.raises(UpstreamUnreachable):
        await pipeline.answer(*request("small"))
    assert {call.deployment.name for call in backend.calls} == {"small"}
    assert {entry.route for entry in journal.settled.values()} == {None}


async def test_a_search_that_is_charged_but_not_reported_is_on_the_entry():
    searching = deployment("small", 1, 4)
    card = make_rate_card({Meter.INPUT: 10**9, Meter.OUTPUT: 4 * 10**9, Meter.WEB_SEARCH: 10**13})
    searching = replace(searching, tariff=Tariff({"standard": card}))
    for fields, searches in (({}, 0), ({"web_search_options": {}}, 1)):
        pipeline, journal, _ = path(Backend(WHOLE), searching)
        await pipeline.answer(*request("small", **fields))
        (entry,) = journal.settled.values()
        assert entry.cost_nusd == 3 * 1000 + 2 * 4000 + searches * 10_000_000
        assert [one.quantity for one in entry.meters if one.meter == Meter.WEB_SEARCH] == [1] * searches


async def test_only_model_and_stream_options_change_on_the_way_up():
    backend = Backend(STREAM)
    pipeline, _, _ = path(backend)
    asked = '{ "model":"auto", "stream" : true,"temperature":1.0,"seed":0,"x":{"b":1,"a":[1e3,null]},"messages":[ ] }'
    parsed = parse(Arrival("r", Endpoint.CHAT, asked.encode()))
    await read(await pipeline.answer(parsed, ClientDialect(parsed), CALLER))
    sent = backend.calls[0].body
    assert sent == (
        b'{"model":"real-small","stream":true,"temperature":1.0,"seed":0,"x":{"b":1,"a":[1e3,null]},"messages":[ ],'
        b'"stream_options":{"include_usage":true}}'
    )


async def test_a_client_s_own_stream_options_are_kept():
    backend = Backend(STREAM)
    pipeline, _, _ = path(backend, deployment("own", 1, 1, kind="vllm"))
    await read(
        await pipeline.answer(*request("own", stream=True, stream_options={"vendor": 1, "include_usage": False}))
    )
    options = msgspec.json.decode(backend.calls[0].body)["stream_options"]
    assert options == {"vendor": 1, "include_usage": True, "continuous_usage_stats": True}


async def test_an_intent_is_the_orphaned_entry_that_stands_if_we_die():
    pipeline, journal, _ = path(Backend(WHOLE))
    seen = []
    original = journal.open

    async def keep(entry, admission):
        seen.append(entry)
        return await original(entry, admission)

    journal.open = keep
    await pipeline.answer(*request())
    (intent,) = seen
    assert (intent.basis, intent.status, intent.output_tokens) == (Basis.ORPHANED, Outcome.ORPHANED, 0)
    assert intent.cost_nusd == intent.input_tokens * 1000 > 0


async def test_unknown_and_unpriced_models_are_refused_before_any_call():
    backend = Backend(WHOLE)
    pipeline, journal, _ = path(backend, Deployment("new", Provider("p", "fake"), "new"))
    with pytest.raises(ModelNotFound):
        await pipeline.answer(*request("other"))
    with pytest.raises(UnpricedModel, match="price"):
        await pipeline.answer(*request("new"))
    assert (backend.calls, journal.order) == ([], [])


async def test_a_fault_of_ours_in_charging_leaves_no_call_without_its_entry():
    class Faulty:
        async def count(self, _model, _text):
            raise TypeError("a fault of ours")

    pipeline, journal, tasks = path(Backend(CUT), tokens=Faulty())
    with pytest.raises(TypeError):
        await walk(pipeline, *request(stream=True))
    await tasks.drain()
    (entry,) = journal.settled.values()
    assert not journal.open_entries
    assert (entry.basis, entry.input_tokens > 0) == (Basis.ESTIMATED, True)


async def test_clients_are_told_not_to_multiply_our_own_retries():
    pipeline, _, _ = path(Backend(UpstreamUnreachable("down")))
    with pytest.raises(UpstreamUnreachable) as caught:
        await pipeline.answer(*request())
    assert caught.value.should_retry is False


async def test_an_attempt_that_was_not_repeated_leaves_retrying_to_the_client():
    pipeline, _, _ = path(Backend(UpstreamTimeout("slow")))
    with pytest.raises(UpstreamTimeout) as caught:
        await pipeline.answer(*request("small"))
    assert caught.value.should_retry is None


async def test_text_behind_the_last_usage_report_is_charged_when_the_stream_is_cut():
    first = {**DELTA, "usage": {"prompt_tokens": 3, "completion_tokens": 0}}
    pipeline, journal, _ = path(Backend([event(first), event(DELTA), event(DELTA), UpstreamInterrupted("cut")]))
    with pytest.raises(UpstreamInterrupted):
        await walk(pipeline, *request(stream=True))
    (entry,) = journal.settled.values()
    assert (entry.basis, entry.input_tokens, entry.output_tokens) == (Basis.ESTIMATED, 3, 1)


async def test_a_model_of_another_kind_is_the_client_s_mistake():
    pipeline, _, _ = path(Backend(WHOLE), replace(SMALL, mode="embedding"))
    with pytest.raises(BadRequest, match="embedding"):
        await pipeline.answer(*request("small"))


async def test_while_an_upstream_wishes_to_be_left_alone_clients_hear_for_how_long():
    limited = UpstreamTimeout("limited")
    limited.retry_after_s = 30.0
    pipeline, _, _ = path(Backend(limited))
    with pytest.raises(UpstreamTimeout):
        await pipeline.answer(*request("small"))
    with pytest.raises(RateLimited) as caught:
        await pipeline.answer(*request("small"))
    assert caught.value.headers["retry-after"] == "30"


async def test_a_deployment_that_recovers_is_open_to_all_once_its_probe_begins_to_answer():
    pipeline, _, _ = path(Backend(*[UpstreamUnreachable("down")] * 5, STREAM))
    for _ in range(3):
        with pytest.raises(GatewayError):
            await pipeline.answer(*request("small"))
    pipeline.health._states["small"] = replace(pipeline.health._states["small"], blocked_until_s=0.0)
    await pipeline.answer(*request("small", stream=True))
    assert pipeline.health.why_unavailable("small", 1.0) is None
