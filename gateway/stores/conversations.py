"""What is remembered of conversations, in Redis: small, for as long as a route says after the last turn."""

from __future__ import annotations

import logging

import msgspec
from redis.exceptions import RedisError

from gateway.domain import Conversation
from gateway.stores.redis_link import Link

_log = logging.getLogger("obol.conversations")
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Conversation).decode


class RedisConversations:
    """ports.ConversationStore over Redis. The last answer that is written down counts."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def find(self, conversation: str) -> Conversation | None:
        """By its hash, ``None`` for an unknown one, and while Redis is away."""
        try:
            found = await self._link.command("GET", _key(conversation))
            return _decode(found) if isinstance(found, bytes) else None
        except (RedisError, msgspec.MsgspecError) as exc:  # ... or an older version wrote it
            _log.debug("a conversation begins anew: %s", exc)
            return None

    async def remember(self, conversation: str, state: Conversation, ttl_s: int) -> None:
        """Keep it so long; not at all while Redis is away."""
        try:
            await self._link.command("SET", _key(conversation), _encode(state), "EX", ttl_s)
        except RedisError as exc:
            _log.debug("a conversation is not remembered while Redis is away: %s", exc)


def _key(conversation: str) -> str:
    return f"obol:conversation:{conversation}"
