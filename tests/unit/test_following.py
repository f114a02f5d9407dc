"""Answers that an upstream keeps, over fakes: written down before they are seen, followed until they are done."""

from __future__ import annotations

import asyncio
import json
from types import MappingProxyType

import pytest

from gateway.api.arrival import Arrival
from gateway.api.dialects import ClientDialect
from gateway.api.responses import parse
from gateway.background import Tasks
from gateway.domain import (
    NO_CLAIMS,
    NO_ROOM_TOLD,
    Basis,
    Caller,
    Deployment,
    Endpoint,
    Meter,
    Outcome,
    Provider,
    Route,
    StoredResponse,
    Tariff,
)
from gateway.errors import BadRequest, NoDeployment, UpstreamInterrupted, UpstreamRefused, UpstreamUnreachable
from gateway.following import FOLLOWED_S_MAX
from gateway.pipeline import Pipeline
from gateway.ports import Clock, Services
from policies.pricing import make_rate_card

CALLER = Caller("key_1", "k", "team_1", "t", "org_1")
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "hello"}]}


def response(status, **fields):
    return {"id": "resp_1", "object": "response", "model": "m-1", "status": status, "output": [], **fields}


DONE = response("completed", output=[MESSAGE], usage=USAGE)


def whole(made):
    return [json.dumps(made).encode()]


def event(number, kind, **fields):
    data = json.dumps({"type": kind, "sequence_number": number, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


CREATED = event(0, "response.created", response=response("queued"))
DELTA = event(1, "response.output_text.delta", delta="hello")
STREAM = [CREATED, DELTA, event(2, "response.completed", response=DONE)]


class Journal:
    def __init__(self):
        self.open_entries, self.settled = {}, {}

    async def open(self, entry, _admission):
        await asyncio.sleep(0)
        self.open_entries[entry.id] = entry
        return NO_ROOM_TOLD

    async def void(self, entry):
        self.open_entries.pop(entry.id, None)

    async def settle(self, entry, _claims, *, is_last=True):
        await asyncio.sleep(0)
        assert is_last or entry.status == Outcome.FAILED
        assert entry.id not in self.settled, "an attempt is charged once"
        self.settled[entry.id] = entry
        self.open_entries.pop(entry.id, None)


class Reply:
    http_status, upstream_request_id, headers = 200, "up-1", MappingProxyType({})

    def __init__(self, blocks):
        self.first, *self.rest = blocks

    async def next(self):
        await asyncio.sleep(0)
        if not self.rest:
            return None
        block = self.rest.pop(0)
        if isinstance(block, Exception):
            raise block
        return block

    def close(self):
        pass

    finish = close


class Upstream:
    """Answers a POST with one script, and each GET with the next of ``later``, the last of them for ever."""

    def __init__(self, answer, *later):
        self.answer, self.later, self.calls = answer, list(later), []

    async def open(self, call):
        self.calls.append(call)
        await asyncio.sleep(0)
        script = self.answer
        if call.method == "GET":
            script = self.later.pop(0) if len(self.later) > 1 else self.later[0]
        if isinstance(script, Exception):
            raise script
        return Reply(script)


class Shelf:
    """Remembers which ids were written down, and what was on the way to the client by then."""

    def __init__(self, *known):
        self.kept = {one.id: one for one in known}

    async def remember(self, one):
        await asyncio.sleep(0)
        self.kept[one.id] = one

    async def find(self, response_id):
        return self.kept.get(response_id)


class Quiet:
    def claims(self, *_):
        return NO_CLAIMS

    async def acquire(self, *_):
        return True

    async def release(self, *_):
        pass

    async def count(self, _model, text):
        return len(text.split())

    def settled(self, entry):
        pass

    refused = settled


class Catalog:
    hash = "h"

    def __init__(self, *deployments):
        self.deployments = {d.name: d for d in deployments}

    def route(self, name):
        return Route("any", tuple(self.deployments)) if name == "any" else None

    def deployment(self, name):
        return self.deployments.get(name)

    reference = deployment


def deployment(name="d", provider="p"):
    tariff = Tariff({"standard": make_rate_card({Meter.INPUT: 10**9, Meter.OUTPUT: 4 * 10**9})})
    speaks = frozenset({Endpoint.RESPONSES})
    return Deployment(name=name, provider=Provider(provider, "fake"), model="m", tariff=tariff, speaks=speaks)


class Path:
    """One pipeline whose time passes only when something sleeps."""

    def __init__(self, upstream, *known, deployments=()):
        self.journal, self.tasks, self.shelf = Journal(), Tasks(), Shelf(*known)
        self.now_s, self.pauses = 0.0, []
        catalog, quiet = Catalog(*(deployments or (deployment(),))), Quiet()
        self.pipeline = Pipeline(
            Services(
                catalog=lambda: catalog,
                backends={"fake": upstream},
                journal=self.journal,
                rules=quiet,
                admission=quiet,
                tokens=quiet,
                keys=None,
                stored=self.shelf,
                telemetry=quiet,
                background=self.tasks,
                clock=Clock(lambda: self.now_s, lambda: 1_700_000_000.0, pause=self._sleep, sleep=self._sleep),
                instance="i",
            )
        )

    async def _sleep(self, pause_s):
        self.pauses.append(pause_s)
        self.now_s += pause_s or 0.0
        await asyncio.sleep(0)

    async def answer(self, model="d", **fields):
        body = {"model": model, "input": "say hello now", **fields}
        asked = parse(Arrival("req_1", Endpoint.RESPONSES, json.dumps(body).encode()))
        return await self.pipeline.answer(asked, ClientDialect(asked), CALLER)

    async def entry(self):
        """The only entry, once it is there."""
        for _ in range(20_000):
            if self.journal.settled:
                break
            await asyncio.sleep(0)
        (entry,) = self.journal.settled.values()
        return entry


async def read(answer):
    blocks = []
    while (block := await answer.next()) is not None:
        blocks.append(block)
    return b"".join(blocks)


@pytest.mark.parametrize("script", [whole(DONE), STREAM], ids=["whole", "stream"])
async def test_an_id_is_written_down_before_its_client_sees_it(script):
    path = Path(Upstream(script))
    answer = await path.answer(stream=script is STREAM)
    assert path.shelf.kept["resp_1"] == StoredResponse("resp_1", "org_1", "team_1", "key_1", "d")
    assert b"resp_1" in await read(answer)


async def test_an_id_that_only_the_end_tells_is_written_down_before_the_end_is_shown():
    path = Path(Upstream([event(0, "response.output_text.delta", delta="x"), STREAM[-1]]))
    answer = await path.answer(stream=True)
    assert b"resp_1" not in await answer.next()
    assert path.shelf.kept == {}
    assert b"resp_1" in await answer.next()
    assert "resp_1" in path.shelf.kept


async def test_what_is_not_to_be_stored_is_not_written_down():
    path = Path(Upstream(whole(DONE)))
    await path.answer(store=False)
    assert path.shelf.kept == {}


async def test_an_answer_in_the_background_is_shown_at_once_and_charged_when_it_is_done():
    queued = whole(response("queued"))
    path = Path(Upstream(queued, queued, whole(response("in_progress")), whole(DONE)))
    answer = await path.answer(background=True)
    assert (await read(answer), answer.cost_nusd) == (queued[0], None)
    assert path.journal.open_entries
    entry = await path.entry()
    assert (entry.status, entry.basis, entry.cost_nusd) == (Outcome.SUCCEEDED, Basis.REPORTED, 3 * 1000 + 2 * 4000)
    assert path.journal.open_entries == {}


async def test_it_is_asked_after_ever_more_slowly_and_at_last_charged_by_its_question():
    path = Path(Upstream(whole(response("queued")), whole(response("in_progress"))))
    await path.answer(background=True)
    entry = await path.entry()
    assert (path.pauses[0], path.pauses[-1]) == (1.0, 10.0)
    assert path.pauses == sorted(path.pauses)
    assert path.now_s >= FOLLOWED_S_MAX
    assert (entry.status, entry.basis, entry.output_tokens) == (Outcome.INTERRUPTED, Basis.ESTIMATED, 0)
    assert entry.input_tokens > 0


async def test_an_upstream_that_is_away_for_a_while_is_asked_again():
    busy = [
        UpstreamRefused("wait", http_status=code, status=code, type_="x", code=None) for code in (408, 409, 429, 503)
    ]
    lost = [UpstreamUnreachable("no"), *busy, whole({"error": {"message": "busy"}}), [b"{"], whole(DONE)]
    path = Path(Upstream(whole(response("queued")), *lost))
    await path.answer(background=True)
    entry = await path.entry()
    assert (entry.status, entry.basis, len(path.pauses)) == (Outcome.SUCCEEDED, Basis.REPORTED, 8)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 422])
async def test_what_the_upstream_will_not_tell_any_more_is_charged_by_its_question(status):
    gone = UpstreamRefused("gone", http_status=status, status=status, type_="x", code=None)
    path = Path(Upstream(whole(response("queued")), gone))
    await path.answer(background=True)
    entry = await path.entry()
    assert (entry.status, entry.basis) == (Outcome.INTERRUPTED, Basis.ESTIMATED)
    assert len(path.pauses) == 1


async def test_a_process_that_stops_leaves_the_intent_of_what_it_followed():
    path = Path(Upstream(whole(response("queued")), whole(response("in_progress"))))
    await path.answer(background=True)
    await path.tasks.drain()
    (left,) = path.journal.open_entries.values()
    assert left.status is Outcome.ORPHANED
    assert path.journal.settled == {}


@pytest.mark.parametrize("script", [STREAM, [CREATED, DELTA, UpstreamInterrupted("cut")]], ids=["good", "cut"])
async def test_a_stream_in_the_background_has_one_entry_whenever_its_client_leaves(script):
    """Cancel at every turn of the event loop there is, until the walk is too short to be cancelled."""
    for turns in range(60):
        path = Path(Upstream(list(script), whole(DONE)))

        async def walk(path=path):
            answer = await path.answer(stream=True, background=True)
            try:
                await read(answer)
            except asyncio.CancelledError:
                answer.abandon()
                raise

        task = asyncio.create_task(walk())
        for _ in range(turns):
            await asyncio.sleep(0)
        was_done = task.done()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        for _ in range(200):
            await asyncio.sleep(0)
        await path.tasks.drain()
        assert path.journal.open_entries == {}, f"an intent stayed open, cancelled after {turns} turns"
        assert len(path.journal.settled) <= 1
        if was_done:
            assert path.journal.settled
            return
    pytest.fail("the walk never ended")


def stored(team="team_1", at="d"):
    return StoredResponse("resp_0", "org_1", team, "key_1", at)


async def test_a_request_goes_on_where_its_response_is():
    upstream = Upstream(whole(DONE))
    path = Path(upstream, stored())
    await path.answer(previous_response_id="resp_0")
    assert upstream.calls[0].deployment.name == "d"


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ([], "Previous response with id 'resp_0' not found."),
        ([stored(team="team_2")], "Previous response with id 'resp_0' not found."),
        ([stored(at="left")], "its deployment 'left' is not in the catalog any more"),
        ([stored(at="elsewhere")], "it is kept by 'q', which 'd' does not reach"),
    ],
    ids=["unknown", "another team's", "left the catalog", "another provider's"],
)
async def test_a_response_that_no_candidate_can_know_is_refused_before_any_call(known, words):
    upstream = Upstream(whole(DONE))
    path = Path(upstream, *known, deployments=(deployment(), deployment("elsewhere", "q")))
    with pytest.raises(BadRequest, match=words) as refused:
        await path.answer(previous_response_id="resp_0")
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")
    assert upstream.calls == []


async def test_where_the_only_deployment_that_can_know_it_is_out_its_reason_is_told():
    path = Path(Upstream(UpstreamUnreachable("down")), stored(), deployments=(deployment(), deployment("e", "q")))
    for _ in range(3):  # of two tries each
        with pytest.raises(UpstreamUnreachable):
            await path.answer("d")
    with pytest.raises(NoDeployment, match="d: circuit open"):
        await path.answer("any", previous_response_id="resp_0")


async def test_a_process_that_stops_at_any_moment_leaves_either_the_intent_or_the_charge():
    for turns in range(40):
        path = Path(Upstream(whole(response("queued")), whole(response("in_progress")), whole(DONE)))
        await path.answer(background=True)
        for _ in range(turns):
            await asyncio.sleep(0)
        was_charged = bool(path.journal.settled)
        await path.tasks.drain()
        assert len(path.journal.open_entries) + len(path.journal.settled) == 1
        if was_charged:
            return
    pytest.fail("it was never charged")
