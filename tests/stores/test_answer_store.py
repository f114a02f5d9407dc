"""Kept answers over a real Valkey: who leads, who waits, what a purge leaves, and how much a tenant may hold."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from gateway.domain import AnswerKey, Hit, KeptAnswer, Miss, UnderWay, Usage, Writer, WriterKind
from gateway.errors import StoreUnavailable
from gateway.stores.answers import LEASE_MS, RedisAnswers
from gateway.stores.redis_open import open_link

ANSWER = KeptAnswer(b'{"choices": []}', Usage(input_tokens=3, output_tokens=2), finish_reason="stop")


@pytest.fixture
async def link(redis_url):
    link = await open_link(redis_url)
    yield link
    await link.close()


@pytest.fixture
def key():
    return AnswerKey(f"org_{uuid4().hex}", uuid4().hex, "org", "team")


@pytest.fixture
def store(link):
    return RedisAnswers(link, "instance-1")


@pytest.fixture
def other(link):
    return RedisAnswers(link, "instance-2")


async def kept(store, key, answer=ANSWER, ttl_s=60):
    found = await store.look(key)
    return await store.keep(key, found.epoch, answer, ttl_s)


async def test_who_looks_first_leads_and_the_others_wait_until_the_answer_is_there(store, other, key):
    leads = await store.look(key)
    assert isinstance(leads, Miss)
    assert leads.is_leader
    assert await other.look(key) == await store.look(key) == UnderWay(leads.epoch)
    assert await store.keep(key, leads.epoch, ANSWER, 60)
    found = await other.look(key)
    assert isinstance(found, Hit)
    assert (found.answer, found.age_s) == (ANSWER, 0)


async def test_a_large_answer_takes_less_room_than_it_has_bytes(store, link, key):
    large = replace_whole(b'{"text": "' + b"word " * 5000 + b'"}')
    assert await kept(store, key, large)
    found = await store.look(key)
    assert found.answer == large
    size = int(await link.command("HGET", f"obol:{{answers:{key.tenant}}}:{key.digest}", "size"))
    assert size < 2000


def replace_whole(whole):
    return KeptAnswer(whole, ANSWER.usage)


async def test_everything_ends_by_itself_about_when_it_was_said_to(store, link, key):
    ttls = set()
    for number in range(20):
        one = replace(key, digest=f"{key.digest}{number}")
        await kept(store, one, ttl_s=1000)
        ttls.add(int(await link.command("PTTL", f"obol:{{answers:{key.tenant}}}:{one.digest}")))
    assert 899_000 < min(ttls) < max(ttls) <= 1_100_000
    assert len(ttls) > 10
    await store.look(replace(key, digest="led"))
    assert 0 < await link.command("PTTL", f"obol:{{answers:{key.tenant}}}:led:lead") <= LEASE_MS


async def test_when_the_leader_gives_up_one_of_the_others_leads(store, other, key):
    leads = await store.look(key)
    await other.drop(key)  # it is not its own
    assert await other.look(key) == UnderWay(leads.epoch)
    await store.drop(key)
    assert await other.look(key) == leads
    assert await store.look(key) == UnderWay(leads.epoch)


async def test_when_an_answer_cannot_be_kept_nobody_waits_for_the_next_one(store, other, link, key):
    await store.look(key)
    await store.release(key, is_lasting=True)
    for _ in range(2):
        found = await other.look(key)
        assert (found.is_leader, found.is_alone) == (False, True)
    lead = f"obol:{{answers:{key.tenant}}}:{key.digest}:lead"
    assert await link.command("PTTL", lead) > 30_000
    await link.command("DEL", lead)
    await store.look(key)
    await store.release(key, is_lasting=False)
    assert 0 < await link.command("PTTL", lead) <= 2000


async def test_a_lead_is_renewed_by_its_holder_alone(store, other, link, key):
    await store.look(key)
    lead = f"obol:{{answers:{key.tenant}}}:{key.digest}:lead"
    await link.command("PEXPIRE", lead, 1000)
    await other.renew([key])
    assert await link.command("PTTL", lead) <= 1000
    await store.renew([key])
    assert await link.command("PTTL", lead) > 1000


async def test_an_answer_is_read_and_led_for_as_its_client_says(store, link, key):
    await kept(store, key)
    assert isinstance(await store.look(key, age_s_max=10), Hit)
    found = await store.look(key, may_read=False, may_lead=False)
    assert (found.is_leader, found.is_alone) == (False, False)
    name = f"obol:{{answers:{key.tenant}}}:{key.digest}"
    await link.command("HINCRBY", name, "at", -9000)
    assert (await store.look(key, age_s_max=10)).age_s == 9
    assert (await store.look(key, age_s_max=8)).is_leader
    assert isinstance(await store.look(key, may_lead=False), Hit)
    waits = await store.look(key, age_s_max=8, may_lead=False)
    assert isinstance(waits, UnderWay)
    assert waits.epoch


@pytest.mark.parametrize("team_id", ["team", None])
async def test_a_purge_ends_at_once_what_was_kept_and_what_is_under_way(store, other, team_id):
    organization = f"org_{uuid4().hex}"
    key = AnswerKey(organization, uuid4().hex, organization, "team")
    neighbour = AnswerKey(organization, uuid4().hex, organization, "another team")
    shared = AnswerKey("all", uuid4().hex, organization, "team")
    for one in (key, neighbour, shared):
        await kept(store, one)
    kind = WriterKind.ORGANIZATION if team_id is None else WriterKind.TEAM
    writer = Writer(kind, team_id or organization, organization, team_id)
    under_way = replace(key, digest=uuid4().hex)
    before = await store.look(under_way)
    assert await other.purge(writer) == (3 if team_id is None else 2)
    assert isinstance(await store.look(key, may_lead=False), Miss)
    # By its writer: whoever reads it.
    assert isinstance(await store.look(replace(shared, organization_id="x", team_id="y"), may_lead=False), Miss)
    assert isinstance(await store.look(neighbour, may_lead=False), Hit) is (team_id is not None)
    assert not await store.keep(under_way, before.epoch, ANSWER, 60)
    assert isinstance(await store.look(under_way, may_lead=False), Miss)


@pytest.mark.parametrize("kind", [WriterKind.KEY, WriterKind.MEMBER])
async def test_a_purge_of_a_key_or_a_member_ends_what_it_asked_and_nothing_else(store, other, link, key, kind):
    asked_by = {WriterKind.KEY: {"key_id": "key_1"}, WriterKind.MEMBER: {"member_id": "member_1"}}[kind]
    key = replace(key, organization_id=key.tenant)
    its = replace(key, digest=uuid4().hex, **asked_by)
    under_way = replace(its, digest=uuid4().hex)
    for one in (key, its):
        await kept(store, one)
    before = await store.look(under_way)
    assert await other.purge(Writer(kind, next(iter(asked_by.values())), key.organization_id, key.team_id)) == 1
    assert not await link.command("EXISTS", f"obol:{{answers:{key.tenant}}}:{its.digest}")
    assert not await store.keep(under_way, before.epoch, ANSWER, 60)
    assert isinstance(await store.look(key, may_lead=False), Hit)
    assert await kept(store, its)
    assert isinstance(await store.look(its, may_lead=False), Hit)


async def test_what_was_asked_before_a_purge_does_not_lead_after_it_and_may_wait(store, other, key):
    key = replace(key, organization_id=key.tenant)
    before = await store.look(key)
    await store.drop(key)
    assert await store.look(key, since=before.epoch) == before
    await store.drop(key)
    await other.purge(Writer(WriterKind.TEAM, key.team_id, key.organization_id, key.team_id))
    found = await store.look(key, since=before.epoch)
    assert (found.is_leader, found.epoch == before.epoch) == (False, False)
    assert (await other.look(key)).is_leader
    assert await store.look(key, since=before.epoch) == UnderWay(found.epoch)


async def test_room_that_a_purge_makes_is_counted(store, link, key):
    key = replace(key, organization_id=key.tenant)
    await kept(store, key)
    await store.purge(Writer(WriterKind.ORGANIZATION, key.organization_id, key.organization_id))
    before = int(await link.command("HGET", f"obol:{{answers:{key.tenant}}}:epochs", "bytes"))
    await kept(store, key)
    after = int(await link.command("HGET", f"obol:{{answers:{key.tenant}}}:epochs", "bytes"))
    assert 0 <= before < after


async def test_epochs_that_are_lost_bring_nothing_back(store, link, key):
    await kept(store, key)
    await store.purge(Writer(WriterKind.TEAM, key.team_id, key.organization_id, key.team_id))
    await link.command("DEL", f"obol:{{answers:{key.tenant}}}:epochs")
    assert isinstance(await store.look(key, may_lead=False), Miss)


async def test_an_answer_that_was_lost_and_is_kept_again_counts_once(store, link, key):
    prefix = f"obol:{{answers:{key.tenant}}}:"
    await kept(store, key)
    total = await link.command("HGET", f"{prefix}epochs", "bytes")
    await link.command("DEL", f"{prefix}{key.digest}")  # as it ends, or is evicted
    assert await kept(store, key)
    assert await link.command("HGET", f"{prefix}epochs", "bytes") == total


async def test_a_tenant_holds_so_many_bytes_and_what_ends_first_makes_room(link, key):
    store = RedisAnswers(link, "i", tenant_bytes_max=4000)
    keys = [replace(key, digest=f"{key.digest}-{number}") for number in range(12)]
    whole = uuid4().hex.encode() * 10
    for number, one in enumerate(keys):
        await kept(store, one, replace_whole(whole), ttl_s=1000 * 2**number)
    held = [isinstance(await store.look(one, may_lead=False), Hit) for one in keys]
    assert held == sorted(held)
    assert 4 <= sum(held) <= 8
    total = int(await link.command("HGET", f"obol:{{answers:{key.tenant}}}:epochs", "bytes"))
    assert 0 < total <= 4000
    for _ in range(5):  # the same one again takes no more room
        await store.keep(keys[-1], (await store.look(keys[-1], may_read=False, may_lead=False)).epoch, ANSWER, 9000)
    assert isinstance(await store.look(keys[-2], may_lead=False), Hit)


async def test_what_cannot_be_read_is_not_there(store, link, key):
    await kept(store, key)
    await link.command("HSET", f"obol:{{answers:{key.tenant}}}:{key.digest}", "answer", b"\x01nonsense")
    assert await store.look(key) is None


async def test_while_redis_is_away_nothing_is_found_and_nothing_kept(redis_url, key):
    link = await open_link(redis_url)
    store = RedisAnswers(link, "i")
    await link.close()
    assert await store.look(key) is None
    assert not await store.keep(key, "1:1", ANSWER, 60)
    await store.renew([key])
    await store.drop(key)
    await store.release(key, is_lasting=True)
    with pytest.raises(StoreUnavailable):
        await store.purge(Writer(WriterKind.ORGANIZATION, "org", "org"))
