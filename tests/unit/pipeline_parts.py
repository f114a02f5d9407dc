"""What the tests of the path share: fakes behind its Protocols, deployments, answers and a walk to the end."""

from __future__ import annotations

import asyncio
import json
from types import MappingProxyType

from gateway.api.arrival import Arrival
from gateway.api.chat import parse
from gateway.api.dialects import ClientDialect
from gateway.background import Tasks
from gateway.domain import NO_CLAIMS, NO_ROOM_TOLD, Caller, Deployment, Endpoint, Meter, Provider, Route, Tariff
from gateway.errors import GatewayError, UpstreamInterrupted
from gateway.pipeline import Pipeline
from gateway.ports import Clock, Services
from policies.pricing import make_rate_card

CALLER = Caller("key_1", "k", "team_1", "t", "org_1")
ANSWER = {
    "id": "c",
    "model": "m-1",
    "choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
WHOLE = [json.dumps(ANSWER).encode()]
DELTA = {"id": "c", "model": "m-1", "choices": [{"index": 0, "delta": {"content": "he"}, "finish_reason": None}]}
LAST = {"id": "c", "model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"id": "c", "model": "m-1", "choices": [], "usage": ANSWER["usage"]}


def event(data):
    return b"data: " + json.dumps(data).encode() + b"\n\n"


STREAM = [event(DELTA), event(DELTA), event(LAST), event(USAGE), b"data: [DONE]\n\n"]
CUT = [event(DELTA), event(DELTA), UpstreamInterrupted("cut")]


class Journal:
    """Keeps what was asked of it; every step gives others a turn, so that a cancellation can fall anywhere.

    ``refuses``: what it raises to whom, by deployment. ``room``: what it tells of limits.
    """

    def __init__(self):
        self.open_entries, self.settled = {}, {}
        self.order, self.admissions, self.claims, self.left, self.renewed = [], [], {}, [], []
        self.lasts = []  # the entries whose settlement was said to be the request's last
        self.refuses, self.room = {}, NO_ROOM_TOLD

    async def open(self, entry, admission):
        await asyncio.sleep(0)
        if entry.deployment in self.refuses:
            raise self.refuses[entry.deployment]
        self.admissions.append(admission)
        self.open_entries[entry.id] = entry
        self.order.append(("open", entry.id))
        await asyncio.sleep(0)
        return self.room

    async def void(self, entry):
        await asyncio.sleep(0)
        self.open_entries.pop(entry.id, None)
        self.order.append(("void", entry.id))

    async def settle(self, entry, claims, *, is_last=True):
        await asyncio.sleep(0)
        self.settled[entry.id] = entry
        self.claims[entry.id] = claims
        if is_last:
            self.lasts.append(entry.id)
        self.open_entries.pop(entry.id, None)
        self.order.append(("settle", entry.id))
        await asyncio.sleep(0)

    async def leave(self, request_id, organization_id):
        await asyncio.sleep(0)
        self.left.append((request_id, organization_id))
        self.order.append(("leave", request_id))

    async def progress(self, entries):
        self.renewed += entries


class Rules:
    """The same claims for every call, and when they were asked for."""

    def __init__(self, claims=NO_CLAIMS):
        self.every, self.asked_ms = claims, []

    def claims(self, _entry, now_ms):
        self.asked_ms.append(now_ms)
        return self.every


class Reply:
    http_status, upstream_request_id, headers = 200, "up-1", MappingProxyType({})

    def __init__(self, blocks):
        self.first, *self.rest = blocks
        self.is_closed = False

    async def next(self):
        await asyncio.sleep(0)
        if not self.rest:
            return None
        block = self.rest.pop(0)
        if isinstance(block, Exception):
            raise block
        return block

    def close(self):
        self.is_closed = True

    finish = close


class Backend:
    def __init__(self, *scripts):
        self.scripts, self.calls, self.replies = list(scripts), [], []

    async def open(self, call):
        self.calls.append(call)
        await asyncio.sleep(0)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, Exception):
            raise script
        self.replies.append(Reply(script))
        return self.replies[-1]


class Quiet:
    async def acquire(self, *_):
        return True

    async def release(self, *_):
        pass

    async def count(self, _model, text):
        await asyncio.sleep(0)
        return len(text.split())

    def settled(self, entry):
        pass

    refused = settled

    def unpriced(self, organization_id, model):
        pass

    def recalled(self, route, status):
        pass

    def deflected(self, route, deflector, *, is_repeated):
        pass

    def repaired(self, route, status):
        pass

    def guarded(self, kind, verdict):
        pass


class Catalog:
    """All deployments, and the route ``auto`` over them with whatever else ``route`` says of it."""

    hash = "h"

    def __init__(self, *deployments, **route):
        self.deployments = {d.name: d for d in deployments}
        self.auto = Route("auto", tuple(self.deployments), **{"baseline": "big", **route})

    def route(self, name):
        return self.auto if name == "auto" else None

    def deployment(self, name):
        return self.deployments.get(name)

    reference = deployment


def deployment(name, usd_in, usd_out, kind="fake"):
    tariff = Tariff({"standard": make_rate_card({Meter.INPUT: usd_in * 10**9, Meter.OUTPUT: usd_out * 10**9})})
    return Deployment(name=name, provider=Provider("p", kind), model=f"real-{name}", tariff=tariff)


SMALL, BIG = deployment("small", 1, 4), deployment("big", 10, 40)


def path(
    backend,
    *deployments,
    tokens=None,
    rules=None,
    admission=None,
    telemetry=None,
    route=None,
    clock=None,
    random=None,
    catalog_of=Catalog,
    **settings,
):
    async def pause(_):
        await asyncio.sleep(0)

    catalog = catalog_of(*(deployments or (SMALL, BIG)), **(route or {}))
    journal, quiet, tasks = Journal(), Quiet(), Tasks()
    services = Services(
        catalog=lambda: catalog,
        backends={"fake": backend, "vllm": backend},
        journal=journal,
        rules=rules or Rules(),
        admission=admission or quiet,
        tokens=tokens or quiet,
        keys=None,
        stored=None,
        telemetry=telemetry or quiet,
        background=tasks,
        clock=Clock(monotonic_s=clock or (lambda: 1.0), unix_s=lambda: 1_700_000_000.0, pause=pause, sleep=pause),
        instance="i",
        **settings,
    )
    return Pipeline(services, random), journal, tasks


def request(model="auto", **fields):
    body = {"model": model, "messages": [{"role": "user", "content": "say hello now"}], **fields}
    parsed = parse(Arrival("req_1", Endpoint.CHAT, json.dumps(body).encode()))
    return parsed, ClientDialect(parsed), CALLER


async def read(answer):
    blocks = []
    while (block := await answer.next()) is not None:
        blocks.append(block)
    return b"".join(blocks)


async def walk(pipeline, *asked):
    """What the API does with an answer: read it to its end, abandon it when that is cut short."""
    answer = await pipeline.answer(*asked)
    try:
        return await read(answer)
    except GatewayError:
        raise
    except BaseException:
        answer.abandon()
        raise
