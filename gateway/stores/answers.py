"""Answers that are given again, in Redis: for as long as their route says, and bounded for each tenant.

Keys, all of one tenant in one slot of a cluster::

    obol:{answers:<tenant>}:<digest>        hash: the answer, when it was kept, by whom, under which epoch
    obol:{answers:<tenant>}:<digest>:lead   who asks for it just now; expires unless it is renewed
    obol:{answers:<tenant>}:epochs          hash: what answers of each team are kept under; a purge changes it
    obol:{answers:<tenant>}:sizes           sorted set: answers and their bytes, by when they end

Nothing of this is money: it may be lost or evicted at any time.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from random import Random

import msgspec
from redis.exceptions import RedisError

from gateway.domain import AnswerKey, Found, Hit, KeptAnswer, Miss, UnderWay, Writer
from gateway.errors import StoreUnavailable
from gateway.stores.redis_link import Link, Script
from gateway.stores.redis_wire import Arg

_log = logging.getLogger("obol.answers")

LEASE_MS = 6000
RENEW_INTERVAL_S = 2.0
ALONE_MS, ALONE_BRIEFLY_MS = 60_000, 2000  # nobody waits: what cannot be kept, what went wrong once
TENANT_BYTES_MAX = 64 * 1024 * 1024
SHARED = "all"  # the tenant of what is shared by all
_ERASED_AT_ONCE = 200
_COMPRESSED_FROM = 1024
_TTL_JITTER = 0.1  # so that what was asked at one time does not end at one time
_PLAIN, _DEFLATED = b"\0", b"\1"
_ANY_AGE, _UNREAD = -1, -2

_LOOK = Script.load("answers_look", "answers")
_KEEP = Script.load("answers_keep", "answers")
_LEASE = Script.load("answers_lease")
_PURGE = Script.load("answers_purge", "answers")
_ERASE = Script.load("answers_erase")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptAnswer).decode


def secret_of(admin_key: str) -> bytes:
    """What answers are keyed with: the same on all replicas, and no way back to the admin key."""
    return blake2b(admin_key.encode(), digest_size=32, person=b"obol answers").digest()


class RedisAnswers:
    """answer_ports.AnswerStore over Redis. ``instance`` is who leads here; leads are renewed every RENEW_INTERVAL_S."""

    def __init__(self, link: Link, instance: str, *, tenant_bytes_max: int = TENANT_BYTES_MAX) -> None:
        self._link = link
        self._instance = instance
        self._random = Random()  # noqa: S311 - it spreads times, it keeps no secret
        self._tenant_bytes_max = tenant_bytes_max

    async def look(
        self,
        key: AnswerKey,
        *,
        age_s_max: float | None = None,
        may_read: bool = True,
        may_lead: bool = True,
        since: str = "",
    ) -> Found | None:
        """The answer, or who asks for it; ``None`` while Redis is away."""
        age_ms_max = _UNREAD if not may_read else _ANY_AGE if age_s_max is None else int(age_s_max * 1000)
        try:
            return await self._look(key, age_ms_max, LEASE_MS if may_lead else 0, since)
        except (RedisError, msgspec.MsgspecError, zlib.error) as exc:  # ... or another version kept it
            _log.debug("no answer is looked for: %s", exc)
            return None

    async def _look(self, key: AnswerKey, age_ms_max: int, lease_ms: int, since: str) -> Found:
        args = (*writer_of(key), self._instance, lease_ms, age_ms_max, since)
        match await self._link.script(_LOOK, keys_of(key)[:3], args):
            case [b"hit", int(age_ms), bytes(packed)]:
                return Hit(_unpacked(packed), age_ms // 1000)
            case [b"lead", bytes(epoch)]:
                return Miss(epoch.decode(), is_leader=True)
            case [b"wait", bytes(epoch)]:
                return UnderWay(epoch.decode())
            case [kind, bytes(epoch)]:
                return Miss(epoch.decode(), is_alone=kind == b"alone")
            case other:
                raise TypeError(f"what a script of ours never answers: {other!r}")

    async def keep(self, key: AnswerKey, epoch: str, answer: KeptAnswer, ttl_s: int, *, is_leader: bool = True) -> bool:
        """Keep it and give up the lead; false where its team's answers have been purged meanwhile, or Redis is away."""
        ttl_ms = int(ttl_s * 1000 * self._random.uniform(1 - _TTL_JITTER, 1 + _TTL_JITTER))
        args: Sequence[Arg] = (
            *writer_of(key),
            self._instance if is_leader else "",
            epoch,
            _packed(answer),
            ttl_ms,
            self._tenant_bytes_max,
        )
        try:
            return await self._link.script(_KEEP, keys_of(key), args) == 1
        except RedisError as exc:
            _log.debug("an answer is not kept: %s", exc)
            return False

    async def renew(self, keys: Iterable[AnswerKey]) -> None:
        """Go on leading."""
        for key in keys:
            await self._lease(key, "renew", LEASE_MS)

    async def drop(self, key: AnswerKey) -> None:
        """Give up the lead: one of those who wait is to take it."""
        await self._lease(key, "drop", 0)

    async def release(self, key: AnswerKey, *, is_lasting: bool) -> None:
        """Give up the lead: nobody is to wait for this, for a minute if ``is_lasting``."""
        await self._lease(key, "alone", ALONE_MS if is_lasting else ALONE_BRIEFLY_MS)

    async def _lease(self, key: AnswerKey, what: str, ms: int) -> None:
        try:
            await self._link.script(_LEASE, (keys_of(key)[1],), (self._instance, what, ms))
        except RedisError as exc:
            _log.debug("a lead ends by itself: %s", exc)

    async def purge(self, writer: Writer) -> int:
        """Give nothing again that they were answered until now, and erase it; how many. Raises StoreUnavailable.

        The first is in force at once, also for what is under way; what they are answered meanwhile may be erased too.
        """
        tenants = (writer.organization_id, SHARED)
        try:
            for tenant in tenants:
                await self._link.script(_PURGE, (f"{prefix_of(tenant)}epochs",), (f"{writer.kind}:{writer.id}",))
            return sum([await self._erase(tenant, writer) for tenant in tenants])
        except RedisError as exc:
            raise StoreUnavailable("The store of answers is away: try again.") from exc

    async def _erase(self, tenant: str, writer: Writer) -> int:
        epochs, sizes = f"{prefix_of(tenant)}epochs", f"{prefix_of(tenant)}sizes"
        said = await self._link.command("ZRANGE", sizes, 0, -1)
        held = [one for one in said if isinstance(one, bytes)] if isinstance(said, list) else []
        erased = 0
        for start in range(0, len(held), _ERASED_AT_ONCE):
            some = held[start : start + _ERASED_AT_ONCE]
            count = await self._link.script(_ERASE, (epochs, sizes), (writer.kind, writer.id, *some))
            erased += count if isinstance(count, int) else 0
        return erased


def prefix_of(tenant: str) -> str:
    """What the keys of a tenant begin with: all of them are in one slot of a cluster."""
    return f"obol:{{answers:{tenant}}}:"


def keys_of(key: AnswerKey) -> tuple[str, str, str, str]:
    """Of the answer, of the lead, of the epochs, of the sizes."""
    prefix = prefix_of(key.tenant)
    return f"{prefix}{key.digest}", f"{prefix}{key.digest}:lead", f"{prefix}epochs", f"{prefix}sizes"


def writer_of(key: AnswerKey) -> tuple[str, str, str, str]:
    """Organization, team, key and member that ask, as scripts take them."""
    return key.organization_id, key.team_id, key.key_id, key.member_id or ""


def _packed(answer: KeptAnswer) -> bytes:
    packed = _encode(answer)
    return _PLAIN + packed if len(packed) < _COMPRESSED_FROM else _DEFLATED + zlib.compress(packed, 1)


def _unpacked(packed: bytes) -> KeptAnswer:
    data = packed[1:]
    return _decode(data if packed[:1] == _PLAIN else zlib.decompress(data))
