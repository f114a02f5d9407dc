"""The guard that is a webhook, against real servers: what it is told, and what it may say."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json

import pytest
from asking_parts import FakeAsking
from webhook_parts import KEY, PASS, TEXTS, Clock, guard, hook, never_ends, says

from backends.guards.hooks import Hooks
from backends.guards.webhook import ANSWER_BYTES_MAX, WebhookGuard
from gateway.domain import Finding, GuardRule, Place, WebhookSettings, Where
from gateway.errors import GuardFailed


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


async def test_each_look_is_a_message_of_its_own(hooks: Hooks):
    async with hook(says()) as got:
        for _ in range(2):
            await guard(got.url, hooks).look(TEXTS, FakeAsking())

    assert got.headers[0]["webhook-id"] != got.headers[1]["webhook-id"]


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
