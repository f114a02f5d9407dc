"""Questions whose answers are kept, in Redis beside those: all replicas find what one of them was asked.

Keys, in the slot of the answers (answers.py)::

    obol:{answers:<tenant>}:similar         hash: by name, when it ends, who asked, and the question with its vector
    obol:{answers:<tenant>}:similar:ends    sorted set: names by when they end
    obol:{answers:<tenant>}:similar:log     stream: the latest changes, numbered without gaps
    obol:{answers:<tenant>}:similar:state   hash: the run of the log, and its last number

A question ends with its answer. Texts lie there in plain, as answers do; the log holds names alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from redis.exceptions import RedisError

from gateway.domain import Writer
from gateway.domain.similar import KeptQuestion
from gateway.embedding.truth import Change, Changes, Position, StoredQuestion
from gateway.errors import StoreUnavailable
from gateway.stores.answers import SHARED, keys_of, prefix_of, writer_of
from gateway.stores.redis_link import Link, Script

QUESTIONS_MAX = 50_000
_AT_ONCE = 200
_PARTS = 5  # before the question itself: when it ends, and the four of who asked

_KEEP = Script.load("similar_keep", "answers", "similar")
_CHANGES = Script.load("similar_changes")
_DROP = Script.load("similar_drop", "answers", "similar")


class _Question(msgspec.Struct, frozen=True, array_like=True):
    space: str
    digest: str
    text: str
    vector: bytes
    group: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Question).decode


class SimilarQuestions:
    """embedding.Truth over Redis. ``questions_max``: of one organization; those that end first make room."""

    def __init__(self, link: Link, *, questions_max: int = QUESTIONS_MAX) -> None:
        self._link = link
        self._questions_max = questions_max

    @property
    def is_there(self) -> bool:
        """Of embedding.Truth."""
        return self._link.is_connected

    async def keep(self, question: KeptQuestion, vector: bytes) -> bool:
        """Of embedding.Truth."""
        key = question.key
        answer, _, epochs, _ = keys_of(key)
        questions, ends, log, state = _keys(key.tenant)
        name = _name(question.space, key.digest)
        packed = _encode(_Question(question.space, key.digest, question.text, vector, question.group))
        args = (*writer_of(key), question.epoch, name, packed, self._questions_max)
        with _told():
            return await self._link.script(_KEEP, (epochs, answer, questions, ends, log, state), args) == 1

    async def changes(self, tenant: str, since: Position) -> Changes:
        """Of embedding.Truth."""
        questions, _, log, state = _keys(tenant)
        with _told():
            said = await self._link.script(_CHANGES, (state, log, questions), (since.run, since.count, _AT_ONCE))
        match said:
            case [bytes(run), bytes(count)]:
                return Changes(Position(run.decode(), int(count)), None)
            case [bytes(run), bytes(count), list(flat)]:
                threes = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
                return Changes(Position(run.decode(), int(count)), tuple(_change(*three) for three in threes))
            case other:
                raise TypeError(f"what a script of ours never answers: {other!r}")

    async def all_of(self, tenant: str) -> AsyncIterator[list[StoredQuestion]]:
        """Of embedding.Truth."""
        cursor = b"0"
        while True:
            with _told():
                said = await self._link.command("HSCAN", _keys(tenant)[0], cursor, "COUNT", _AT_ONCE)
            match said:
                case [bytes(following), list(flat)]:
                    pairs = zip(flat[::2], flat[1::2], strict=True)
                    yield [one for name, value in pairs if (one := _stored(name.decode(), value)) is not None]
                case other:
                    raise TypeError(f"no answer to HSCAN: {other!r}")
            cursor = following
            if cursor == b"0":
                return

    async def forget(self, tenant: str, space: str, digest: str) -> bool:
        """Of embedding.Truth."""
        return await self._drop(tenant, "any", "", [_name(space, digest)]) == 1

    async def purge(self, writer: Writer) -> int:
        """Erase what they asked, here and on all machines that follow; how many. Raises StoreUnavailable.

        To be called when their answers are purged: what was asked before comes in no more.
        """
        return sum([await self._erase(tenant, writer) for tenant in (writer.organization_id, SHARED)])

    async def _erase(self, tenant: str, writer: Writer) -> int:
        with _told():
            said = await self._link.command("HKEYS", _keys(tenant)[0])
        names = [name.decode() for name in said if isinstance(name, bytes)] if isinstance(said, list) else []
        erased = 0
        for start in range(0, len(names), _AT_ONCE):
            erased += await self._drop(tenant, writer.kind, writer.id, names[start : start + _AT_ONCE])
        return erased

    async def _drop(self, tenant: str, whose: str, of: str, names: Sequence[str]) -> int:
        with _told():
            said = await self._link.script(_DROP, _keys(tenant), (whose, of, *names))
        return said if isinstance(said, int) else 0


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RedisError as exc:
        raise StoreUnavailable("The store of answers is away: try again.") from exc


def _keys(tenant: str) -> tuple[str, str, str, str]:
    """Of the questions, their ends, the log, the state."""
    base = f"{prefix_of(tenant)}similar"
    return base, f"{base}:ends", f"{base}:log", f"{base}:state"


def _name(space: str, digest: str) -> str:
    name = f"{space}:{digest}"
    if not name.isascii() or not name.isprintable() or " " in name:
        raise ValueError("spaces and digests are of printable ASCII, without blanks")
    return name


def _change(what: bytes, names: bytes, value: bytes) -> Change:
    if what == b"-":
        return Change(gone=tuple(names.decode().split("\n")))
    return Change(put=_stored(names.decode(), value))


def _stored(name: str, value: bytes) -> StoredQuestion | None:
    """``None`` for what is gone already, or another version kept."""
    parts = value.split(b" ", _PARTS)
    try:
        found = _decode(parts[_PARTS])
        return StoredQuestion(name, found.space, found.digest, found.text, int(parts[0]), found.vector, found.group)
    except (IndexError, ValueError, msgspec.MsgspecError):
        return None
