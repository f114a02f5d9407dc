"""The guard that is a webhook, against real servers, as requirements."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from asking_parts import FakeAsking

from backends.guards.hooks import Hooks
from backends.guards.webhook import ANSWER_BYTES_MAX, WebhookGuard
from gateway.domain import Finding, GuardRule, Place, WebhookSettings, Where
from gateway.errors import GuardFailed
from policies.breaker import FAILURES_TO_OPEN, PAUSE_S_MIN

KEY = b"a key of thirty-two bytes, roughly"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
PASS = {"verdict": "pass"}
TEXTS = ["Mail to ada@example.com", "Hello"]
LONG_S = 30.0  # for looks that shall not end by their deadline
SHORT_S = 0.2

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Got:
    """What the hook was sent, and what it says to it: in turn, the last again and again."""

    answers: list[Answer]
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def receive(self, request: web.Request) -> web.StreamResponse:
        answer = self.answers[min(len(self.bodies), len(self.answers) - 1)]
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(await request.read())
        self.arrived.release()
        return await answer(request)


@asynccontextmanager
async def hook(*answers: Answer) -> AsyncIterator[Got]:
    got = Got(list(answers))
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/look", got.receive)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    got.url = f"http://127.0.0.1:{runner.addresses[0][1]}/look"
    try:
        yield got
    finally:
        await runner.cleanup()


def says(answer: object = PASS, status: int = 200, **headers: str) -> Answer:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    async def answered(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answered


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def dies(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def dies_within_its_answer(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"verdict": "pass"')
    assert request.transport is not None
    request.transport.abort()
    return response


async def never_ends(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


@dataclass
class Clock:
    """Stands still but for pauses, which take no time."""

    now_s: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.now_s += pause_s


@asynccontextmanager
async def hooks_by(clock: Clock) -> AsyncIterator[Hooks]:
    hooks = Hooks(monotonic_s=lambda: clock.now_s, unix_s=lambda: 1_790_000_000 + clock.now_s, sleep=clock.sleep)
    try:
        yield hooks
    finally:
        await hooks.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def hooks(clock: Clock) -> AsyncIterator[Hooks]:
    async with hooks_by(clock) as made:
        yield made


def guard(url: str, hooks: Hooks, *, timeout_s: float = LONG_S, retries: int = 1) -> WebhookGuard:
    settings = WebhookSettings(url, SECRET, retries)
    return WebhookGuard(GuardRule("ours", "webhook", settings, timeout_s=timeout_s), settings, hooks)


async def test_a_hook_is_told_what_is_looked_at_and_in_whose_name(hooks: Hooks):
    async with hook(says()) as got:
        found = await guard(got.url, hooks).look(TEXTS, FakeAsking(where=Where.OUTPUT))

    assert json.loads(got.bodies[0]) == {
        "guard": "ours",
        "where": "output",
        "request_id": "req_1",
        "organization_id": "org_default",
        "team_id": "team_1",
        "key_id": "key_1",
        "model": "auto",
        "end_user": "somebody",
        "texts": TEXTS,
    }
    assert got.headers[0]["content-type"] == "application/json"
    assert found == Finding(places=[])


async def test_what_a_hook_gets_is_signed_as_alerts_are(hooks: Hooks, clock: Clock):
    async with hook(says()) as got:
        await guard(got.url, hooks).look(TEXTS, FakeAsking())

    sent = got.headers[0]
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + got.bodies[0]
    wanted = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert sent["webhook-signature"] == f"v1,{wanted}"
    assert sent["webhook-timestamp"] == str(int(1_790_000_000 + clock.now_s))


async def test_a_hook_says_what_is_where(hooks: Hooks):
    spans = [{"text": 0, "start": 8, "end": 23, "category": "email"}]
    said = {"verdict": "block", "categories": ["personal"], "score": 1, "spans": spans}

    async with hook(says(said)) as got:
        found = await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert found == Finding(True, ("personal", "email"), 1.0, [Place(0, 8, 23, "email")])


async def test_places_are_counted_in_characters_whatever_bytes_they_have(hooks: Hooks):
    text = "\N{PILE OF POO}é漢 ada"
    spans = [{"text": 0, "start": 4, "end": 7, "category": "name"}]

    async with hook(says({"verdict": "block", "spans": spans})) as got:
        found = await guard(got.url, hooks).look([text], FakeAsking())
        with pytest.raises(GuardFailed, match="no text"):
            await guard(got.url, hooks).look([text[:-1]], FakeAsking())

    assert [text[place.start : place.end] for place in found.places] == ["ada"]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"OK",
        b"[]",
        b"{}",
        b'{"verdict": "allow"}',
        b'{"verdict": true}',
        b'{"verdict": "pass"} trailing',
        b'{"verdict": "pass", "score": 7}',
        b'{"verdict": "pass", "score": "high"}',
        b'{"verdict": "pass", "categories": "x"}',
        b'{"verdict": "block", "spans": [{"text": 0, "start": 0, "end": 99, "category": "x"}]}',
        b'{"verdict": "block", "spans": [{"text": 2, "start": 0, "end": 1, "category": "x"}]}',
        b'{"verdict": "block", "spans": [{"text": -1, "start": 0, "end": 1, "category": "x"}]}',
        b'{"verdict": "block", "spans": [{"text": 0, "start": 3, "end": 3, "category": "x"}]}',
        b'{"verdict": "block", "spans": [{"text": 0, "start": -3, "end": 3, "category": "x"}]}',
        b'{"verdict": "block", "spans": [{"text": 0, "start": 0.5, "end": 3, "category": "x"}]}',
        b'{"verdict": "block", "spans": [{"text": 0, "start": 0, "end": 1e30, "category": "x"}]}',
        b'{"verdict": "block", "spans": [{"text": 0, "start": 0, "end": 1}]}',
        b'{"verdict": "pass", "spans": [{"text": 0, "start": 0, "end": 1, "category": "x"}]}',
        b"[" * 20_000,
        b'{"verdict": "pass", "categories": ["\xff"]}',
    ],
)
async def test_nonsense_is_no_verdict_and_not_asked_for_again(hooks: Hooks, nonsense: bytes):
    async with hook(says(nonsense)) as got:
        with pytest.raises(GuardFailed):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert len(got.bodies) == 1


@pytest.mark.parametrize("failing", [dies, dies_within_its_answer, says(b"", 500), says(b"", 503), says(b"", 429)])
async def test_a_hook_that_stumbles_is_asked_again_with_the_same_message(hooks: Hooks, clock: Clock, failing: Answer):
    async with hook(failing, says({"verdict": "block"})) as got:
        found = await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert found.is_adverse
    assert len(got.bodies) == 2
    assert got.headers[0]["webhook-id"] == got.headers[1]["webhook-id"]
    assert len(clock.pauses) == 1


async def test_each_look_is_a_message_of_its_own(hooks: Hooks):
    async with hook(says()) as got:
        for _ in range(2):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert got.headers[0]["webhook-id"] != got.headers[1]["webhook-id"]


async def test_a_hook_is_asked_no_more_often_than_its_rule_says(hooks: Hooks):
    async with hook(says(b"", 503)) as got:
        with pytest.raises(GuardFailed, match="HTTP 503"):
            await guard(got.url, hooks, retries=2).look(TEXTS, FakeAsking())
        assert len(got.bodies) == 3

        with pytest.raises(GuardFailed):
            await guard(got.url, hooks, retries=0).look(TEXTS, FakeAsking())
        assert len(got.bodies) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_a_hook_that_does_not_want_the_message_is_not_asked_again(hooks: Hooks, status: int):
    async with hook(says(PASS, status)) as got:
        with pytest.raises(GuardFailed, match=f"HTTP {status}"):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert len(got.bodies) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(hooks: Hooks, status: int):
    async with hook(says()) as elsewhere, hook(says(b"", status, location=elsewhere.url)) as got:
        with pytest.raises(GuardFailed, match=f"HTTP {status}"):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert elsewhere.bodies == []


async def test_a_pause_that_a_hook_asks_for_is_kept_to_if_the_deadline_leaves_it(hooks: Hooks, clock: Clock):
    async with hook(says(b"", 429, retry_after="3"), says()) as got:
        await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert clock.pauses == [3.0]


async def test_a_pause_beyond_the_deadline_ends_the_look_and_those_until_it_is_over(hooks: Hooks, clock: Clock):
    async with hook(says(b"", 429, retry_after="40"), says()) as got:
        looking = guard(got.url, hooks)
        for _ in range(2):
            with pytest.raises(GuardFailed):
                await looking.look(TEXTS, FakeAsking())
        assert (clock.pauses, len(got.bodies)) == ([], 1)

        clock.now_s += 40
        await looking.look(TEXTS, FakeAsking())


@pytest.mark.parametrize("size", ["stated", "endless"])
async def test_an_answer_of_more_than_a_megabyte_is_refused(hooks: Hooks, size: str):
    huge = says(b'{"verdict": "pass", "x": "' + b"x" * ANSWER_BYTES_MAX + b'"}')
    async with hook(huge if size == "stated" else never_ends) as got:
        with pytest.raises(GuardFailed, match="1 MB"):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert len(got.bodies) == 1


async def test_an_answer_is_not_unpacked(hooks: Hooks):
    packed = gzip.compress(json.dumps(PASS).encode() + b" " * 50_000_000)
    async with hook(says(packed, content_encoding="gzip")) as got:
        with pytest.raises(GuardFailed, match="not of the form"):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())


async def test_a_hook_that_hangs_is_given_up_before_its_rule_s_timeout(hooks: Hooks):
    async with hook(hangs) as got, asyncio.timeout(LONG_S):
        with pytest.raises(GuardFailed, match=r"no answer within 0\.19 s"):
            await guard(got.url, hooks, timeout_s=SHORT_S).look(TEXTS, FakeAsking())

    assert len(got.bodies) == 1


async def test_a_dead_hook_is_left_alone_for_some_seconds_then_tried_once(hooks: Hooks, clock: Clock):
    async with hook(hangs) as got, asyncio.timeout(LONG_S):
        looking = guard(got.url, hooks, timeout_s=SHORT_S)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(GuardFailed, match="no answer"):
                await looking.look(TEXTS, FakeAsking())
        for _ in range(20):
            with pytest.raises(GuardFailed, match="left alone"):
                await looking.look(TEXTS, FakeAsking())
        assert len(got.bodies) == FAILURES_TO_OPEN

        clock.now_s += PAUSE_S_MIN
        looks = await asyncio.gather(*(looking.look(TEXTS, FakeAsking()) for _ in range(10)), return_exceptions=True)

    assert len(got.bodies) == FAILURES_TO_OPEN + 1
    assert all(isinstance(one, GuardFailed) for one in looks)


async def test_a_hook_that_is_back_is_asked_as_before(hooks: Hooks, clock: Clock):
    async with hook(*[says(b"", 500)] * FAILURES_TO_OPEN, says()) as got:
        looking = guard(got.url, hooks, retries=0)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(GuardFailed, match="HTTP 500"):
                await looking.look(TEXTS, FakeAsking())
        clock.now_s += PAUSE_S_MIN

        for _ in range(3):
            await looking.look(TEXTS, FakeAsking())

    assert len(got.bodies) == FAILURES_TO_OPEN + 3


async def test_a_flapping_hook_answers_whenever_it_can(hooks: Hooks):
    async with hook(*[says(b"", 500), says()] * 20) as got:
        looking = guard(got.url, hooks, retries=0)
        said = [await asyncio.gather(looking.look(TEXTS, FakeAsking()), return_exceptions=True) for _ in range(40)]

    assert [isinstance(one[0], Finding) for one in said] == [False, True] * 20


async def test_texts_that_a_hook_chokes_on_do_not_keep_others_from_being_looked_at(hooks: Hooks):
    async with hook(*[says(b"nonsense")] * 20, *[says(PASS, 422)] * 20, says()) as got:
        looking = guard(got.url, hooks)
        for _ in range(40):
            with pytest.raises(GuardFailed):
                await looking.look(["made for it"], FakeAsking())

        assert not (await looking.look(TEXTS, FakeAsking())).is_adverse


async def test_a_client_that_leaves_says_nothing_of_the_hook(hooks: Hooks):
    async with hook(*[hangs] * (FAILURES_TO_OPEN + 1), says()) as got, asyncio.timeout(LONG_S):
        looking = guard(got.url, hooks)
        for _ in range(FAILURES_TO_OPEN + 1):
            look = asyncio.create_task(looking.look(TEXTS, FakeAsking()))
            await got.arrived.acquire()
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)

        assert not (await looking.look(TEXTS, FakeAsking())).is_adverse


async def test_a_hook_where_nobody_listens_is_no_verdict(hooks: Hooks, clock: Clock):
    async with hook(says()) as got:
        url = got.url
    with pytest.raises(GuardFailed, match="ClientConnectorError"):
        await guard(url, hooks).look(TEXTS, FakeAsking())

    assert len(clock.pauses) == 1


async def test_a_hook_that_was_restarted_is_asked_over_a_new_connection(hooks: Hooks):
    async with hook(says(), dies, says()) as got:
        looking = guard(got.url, hooks)
        for _ in range(2):
            assert not (await looking.look(TEXTS, FakeAsking())).is_adverse


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://127.0.0.1:1/look", "http://[::1/"])
async def test_an_address_that_cannot_be_is_no_verdict(hooks: Hooks, url: str):
    with pytest.raises(GuardFailed):
        await guard(url, hooks).look(TEXTS, FakeAsking())


async def test_a_prompt_of_ten_megabytes_arrives_whole_and_signed(hooks: Hooks):
    text = "0123456789" * 1_000_000
    async with hook(says()) as got:
        await guard(got.url, hooks).look([text], FakeAsking())

    sent = got.headers[0]
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + got.bodies[0]
    assert json.loads(got.bodies[0])["texts"] == [text]
    assert sent["webhook-signature"] == f"v1,{base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()}"


async def test_half_a_pair_of_surrogates_keeps_its_place(hooks: Hooks):
    async with hook(says()) as got:
        await guard(got.url, hooks).look(["a\ud800b"], FakeAsking())

    assert json.loads(got.bodies[0])["texts"] == ["a?b"]


def test_a_version_tells_nothing_of_the_secret_and_changes_with_the_address(hooks_of: Hooks):
    one = WebhookGuard(*_rule("http://a/", "first"), hooks_of)
    other_secret = WebhookGuard(*_rule("http://a/", "second"), hooks_of)
    other_address = WebhookGuard(*_rule("http://b/", "first"), hooks_of)

    assert one.version == other_secret.version != other_address.version


def test_a_secret_that_is_none_is_refused(hooks_of: Hooks):
    with pytest.raises(ValueError, match="base64"):
        WebhookGuard(*_rule("http://a/", "whsec_?"), hooks_of)


@pytest.fixture
def hooks_of() -> Hooks:
    return Hooks()


def _rule(url: str, secret: str) -> tuple[GuardRule, WebhookSettings]:
    settings = WebhookSettings(url, secret)
    return GuardRule("ours", "webhook", settings), settings
