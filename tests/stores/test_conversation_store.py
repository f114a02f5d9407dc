"""What is remembered of conversations, over a real Valkey: it may be lost, and stops nobody."""

from __future__ import annotations

from uuid import uuid4

import pytest

from gateway.domain import CachedPrefix, Conversation
from gateway.stores.conversations import RedisConversations
from gateway.stores.redis_open import open_link

STATE = Conversation("large", {"large": CachedPrefix(5000, 12.5)}, 70, 3)


@pytest.fixture
async def link(redis_url):
    link = await open_link(redis_url)
    yield link
    await link.close()


async def test_what_was_remembered_last_is_found_for_as_long_as_was_said(link):
    store, name = RedisConversations(link), uuid4().hex
    assert await store.find(name) is None
    await store.remember(name, Conversation("small"), 60)
    await store.remember(name, STATE, 60)
    assert await store.find(name) == STATE
    assert 0 < await link.command("TTL", f"obol:conversation:{name}") <= 60


async def test_what_cannot_be_read_is_a_conversation_that_begins(link):
    name = uuid4().hex
    await link.command("SET", f"obol:conversation:{name}", b"\x93\x01\x02\x03", "EX", 60)
    assert await RedisConversations(link).find(name) is None


async def test_while_redis_is_away_each_request_stands_alone(redis_url):
    link = await open_link(redis_url)
    store = RedisConversations(link)
    await link.close()
    await store.remember("c", STATE, 60)
    assert await store.find("c") is None
