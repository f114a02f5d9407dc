"""Tools of an upstream's own, charged by the call: streams that are cut before their usage is reported pay for them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from pipeline_parts import CALLER, Backend, path, walk

from gateway.api.arrival import Arrival
from gateway.api.dialects import APIS, ClientDialect
from gateway.domain import Basis, Deployment, Endpoint, Meter, Outcome, Provider, Tariff
from gateway.errors import UpstreamInterrupted
from policies.pricing import make_rate_card

CARD = make_rate_card(
    {Meter.INPUT: 10**9, Meter.OUTPUT: 4 * 10**9, Meter.WEB_SEARCH: 10**13, Meter.CODE_SESSION: 3 * 10**13}
)


@dataclass(frozen=True)
class Api:
    """How one API streams an answer whose tools ran, up to its end and with it."""

    endpoint: Endpoint
    asked: dict[str, object]
    opening: tuple[dict[str, object], ...]
    end: tuple[dict[str, object], ...]

    @property
    def deployment(self):
        tariff, speaks = Tariff({"standard": CARD}), frozenset({self.endpoint})
        return Deployment("small", Provider("p", "fake"), "m", tariff=tariff, speaks=speaks)


def item(kind, **fields):
    return {"type": "response.output_item.done", "item": {"type": kind, "status": "completed", **fields}}


def block(name, kind="server_tool_use"):
    return {"type": "content_block_start", "content_block": {"type": kind, "name": name, "id": "s", "input": {}}}


SEARCHED = item("web_search_call", action={"type": "search"})
RESPONSES = Api(
    Endpoint.RESPONSES,
    {"model": "small", "input": "look it up", "store": False, "stream": True},
    (
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}},
        SEARCHED,
        SEARCHED,
        item("web_search_call", action={"type": "open_page"}),
        {**SEARCHED, "item": {**SEARCHED["item"], "status": "failed"}},
        item("code_interpreter_call", container_id="c1"),
        item("code_interpreter_call", container_id="c1"),
    ),
    (
        {
            "type": "response.completed",
            "response": {
                "status": "completed",
                "output": [SEARCHED["item"]],
                "usage": {"input_tokens": 7, "output_tokens": 2},
            },
        },
    ),
)
MESSAGES = Api(
    Endpoint.MESSAGES,
    {"model": "small", "max_tokens": 9, "messages": [{"role": "user", "content": "look it up"}], "stream": True},
    (
        {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 7}}},
        block("web_search"),
        block("web_search"),
        block("web_search", kind="tool_use"),
        block("web_fetch"),
        block("bash_code_execution"),
        block("code_execution"),
    ),
    (
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 2, "server_tool_use": {"web_search_requests": 1}},
        },
        {"type": "message_stop"},
    ),
)
BOTH = pytest.mark.parametrize("api", [RESPONSES, MESSAGES], ids=["responses", "messages"])


def blocks(events):
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in events]


def called(entry):
    return {one.meter: one.quantity for one in entry.meters if one.meter in {Meter.WEB_SEARCH, Meter.CODE_SESSION}}


async def begin(api, script):
    pipeline, journal, tasks = path(Backend(script), api.deployment)
    asked = APIS[api.endpoint].parse(Arrival("req_1", api.endpoint, json.dumps(api.asked).encode()))
    return pipeline, journal, tasks, (asked, ClientDialect(asked), CALLER)


@BOTH
async def test_a_stream_that_breaks_off_pays_for_the_tools_that_ran(api):
    pipeline, journal, _, asked = await begin(api, [*blocks(api.opening), UpstreamInterrupted("cut")])
    with pytest.raises(UpstreamInterrupted):
        await walk(pipeline, *asked)
    (entry,) = journal.settled.values()
    assert (entry.status, entry.basis) == (Outcome.INTERRUPTED, Basis.ESTIMATED)
    assert called(entry) == {Meter.WEB_SEARCH: 2, Meter.CODE_SESSION: 1}


@BOTH
async def test_a_client_that_leaves_pays_for_the_tools_that_ran(api):
    pipeline, journal, tasks, asked = await begin(api, blocks(api.opening))
    answer = await pipeline.answer(*asked)
    for _ in api.opening[1:]:
        await answer.next()
    answer.abandon()
    await tasks.drain()
    (entry,) = journal.settled.values()
    assert (entry.status, entry.basis) == (Outcome.CANCELLED, Basis.ESTIMATED)
    assert called(entry) == {Meter.WEB_SEARCH: 2, Meter.CODE_SESSION: 1}


@BOTH
async def test_what_the_upstream_reports_in_the_end_takes_the_place_of_what_was_seen(api):
    pipeline, journal, _, asked = await begin(api, blocks([*api.opening, *api.end]))
    await walk(pipeline, *asked)
    (entry,) = journal.settled.values()
    assert (entry.status, entry.basis) == (Outcome.SUCCEEDED, Basis.REPORTED)
    assert called(entry) == {Meter.WEB_SEARCH: 1}


async def test_the_end_tells_the_output_that_we_had_to_count():
    text = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "nineteen degrees"}}
    end = ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"})
    pipeline, journal, _, asked = await begin(MESSAGES, blocks([MESSAGES.opening[0], text, *end]))
    shown = await walk(pipeline, *asked)
    (entry,) = journal.settled.values()
    assert (entry.basis, entry.output_tokens) == (Basis.ESTIMATED, 2)
    assert b'"usage":{"input_tokens":7,"output_tokens":2,' in shown
