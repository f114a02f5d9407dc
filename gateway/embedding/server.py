"""The embedder: makes vectors of texts and finds what is near them, for all workers of a machine.

It may be away at any time and loses nothing then. What is asked comes with how long its asker waits; who asks while
too many wait is told so at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from gateway.domain import AnswerKey
from gateway.domain.similar import KeptQuestion
from gateway.embedding import frames
from gateway.embedding.following import Following
from gateway.embedding.frames import Asked, Away, Done, Encode, Encoded, Forget, Found, Keep, Near, Said, Wire
from gateway.embedding.index import Index, unit
from gateway.embedding.space import Vector
from gateway.embedding.truth import Truth
from gateway.embedding.turns import Turns
from gateway.errors import StoreUnavailable

_log = logging.getLogger("obol.embedder")

TOKENS_MAX = 256  # the encoder reads no more; a route may stop sooner
NEIGHBOURS_MAX = 8
WAITING_MAX = 8  # urgent questions: at 6 ms each the last of more would come too late
TEXTS_MAX = 4096  # of one request for vectors
TEXT_BYTES_MAX = 16_384
DIMENSIONS_MAX = 8192
_STEPS = 127  # of a number in the store, either side of zero


class Encoder(Protocol):
    """What makes vectors of texts: float32, unit length, one row each."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]: ...

    def count(self, text: str) -> int: ...


class _NotNow(Exception):
    """The request cannot be answered in time; the message says why."""


class Server:
    """``encoder``: None where none is installed: then only vectors that are given are looked for."""

    def __init__(
        self,
        encoder: Encoder | None,
        index: Index,
        turns: Turns,
        truth: Truth,
        following: Following,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        unix_s: Callable[[], float] = time.time,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._encoder = encoder
        self._index = index
        self._turns = turns
        self._truth = truth
        self._following = following
        self._monotonic_s = monotonic_s
        self._unix_s = unix_s
        self._waiting_max = waiting_max
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: set[Wire] = set()
        self._alone_since_s = monotonic_s()

    @property
    def alone_s(self) -> float:
        """For how long nobody has been connected."""
        return 0.0 if self._wires else self._monotonic_s() - self._alone_since_s

    async def listen(self, listening: socket.socket) -> asyncio.Server:
        """Serve who connects there."""
        return await asyncio.get_running_loop().create_unix_server(self._connected, sock=listening)

    def _connected(self) -> Wire:
        wire = Wire(self._asked, self._left)
        self._wires.add(wire)
        return wire

    def _left(self, wire: Wire) -> None:
        self._wires.discard(wire)
        self._alone_since_s = self._monotonic_s()

    def _asked(self, wire: Wire, frame: memoryview) -> None:
        asked = frames.decode_asked(frame)
        task = asyncio.get_running_loop().create_task(self._answer(wire, asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, wire: Wire, asked: Asked) -> None:
        try:
            said = await self._said(asked)
        except (_NotNow, StoreUnavailable) as exc:
            said = Away(asked.number, str(exc))
        except Exception:  # noqa: BLE001 - one request of a worker is not to end all others
            _log.exception("a request to the embedder failed")
            said = Away(asked.number, "the embedder failed")
        wire.send(said)

    async def _said(self, asked: Asked) -> Said:
        match asked:
            case Near():
                return await self._near(asked)
            case Keep():
                return Done(asked.number, await self._keep(asked))
            case Forget():
                is_gone = await self._truth.forget(asked.tenant, asked.space, asked.digest)
                await self._following.catch_up(asked.tenant)
                return Done(asked.number, is_gone)
            case Encode():
                return await self._encode(asked)
        assert_never(asked)

    async def _near(self, asked: Near) -> Found:
        until_s = self._until_s(asked.within_ms)
        if not self._truth.is_there:
            raise _NotNow("the store of answers is away")  # and with it what could be given
        try:
            async with asyncio.timeout(asked.within_ms / 1000):
                await self._following.known(asked.tenant)
        except TimeoutError as exc:
            raise _NotNow("what was asked before is still being read") from exc
        return await self._turns.urgent(lambda: self._found(asked, until_s))

    def _until_s(self, within_ms: int) -> float:
        if self._turns.waiting >= self._waiting_max:
            raise _NotNow("the embedder is busy")
        return self._monotonic_s() + within_ms / 1000

    def _found(self, asked: Near, until_s: float) -> Found:
        """In the computing thread."""
        if self._monotonic_s() > until_s:
            raise _NotNow("the embedder is busy")
        began_ns, tokens, cpu_ns = time.thread_time_ns(), 0, 0
        if asked.vector is None:
            encoder = self._needed()
            tokens = TOKENS_MAX + 1 if len(asked.text.encode()) > TEXT_BYTES_MAX else encoder.count(asked.text)
            if tokens > TOKENS_MAX:
                return Found(asked.number, (), tokens, time.thread_time_ns() - began_ns, b"", is_too_long=True)
            vector: Vector | None = encoder.encode([asked.text])[0]
            cpu_ns = time.thread_time_ns() - began_ns
        else:
            vector = _given(asked.vector)
        if vector is None:
            return Found(asked.number, (), tokens, cpu_ns, b"", is_too_long=False)
        now_ms = int(self._unix_s() * 1000)
        near = self._index.nearest(asked.tenant, asked.space, vector, NEIGHBOURS_MAX, now_ms)
        neighbours = tuple((one.cosine, one.text, one.digest, one.group) for one in near)
        return Found(asked.number, neighbours, tokens, cpu_ns, vector.tobytes(), is_too_long=False)

    async def _keep(self, asked: Keep) -> bool:
        if len(asked.text.encode()) > TEXT_BYTES_MAX:
            return False
        vector = await self._turns.patient(lambda: self._vector_of(asked))
        if vector is None:
            return False
        key = AnswerKey(asked.tenant, asked.digest, asked.organization_id, asked.team_id, asked.key_id, asked.member_id)
        question = KeptQuestion(key, asked.epoch, asked.space, asked.text, group=asked.group)
        is_kept = await self._truth.keep(question, _in_bytes(vector))
        await self._following.catch_up(asked.tenant)
        return is_kept

    def _vector_of(self, asked: Keep) -> Vector | None:
        """In the computing thread."""
        if asked.vector is not None:
            return _given(asked.vector)
        encoder = self._needed()
        if encoder.count(asked.text) > TOKENS_MAX:
            return None
        vector: Vector = encoder.encode([asked.text])[0]
        return vector

    async def _encode(self, asked: Encode) -> Encoded:
        encoder = self._needed()
        if len(asked.texts) > TEXTS_MAX:
            raise _NotNow(f"more than {TEXTS_MAX} texts at once")
        rows: list[NDArray[np.float32]] = []
        until_s = None if asked.within_ms is None else self._until_s(asked.within_ms)
        for text in asked.texts:  # each in a turn of its own, so that nobody waits for all of them
            if until_s is None:
                rows.append(await self._turns.patient(lambda text=text: encoder.encode([text])))  # type: ignore[misc]
            elif self._monotonic_s() > until_s:
                raise _NotNow("the embedder is busy")
            else:
                rows.append(await self._turns.urgent(lambda text=text: encoder.encode([text])))  # type: ignore[misc]
        vectors = np.concatenate(rows) if rows else np.empty((0, 0), np.float32)
        return Encoded(asked.number, vectors.shape[1], vectors.astype(np.float32).tobytes())

    def _needed(self) -> Encoder:
        if self._encoder is None:
            raise _NotNow("no sentence encoder is installed")
        return self._encoder


def _given(vector: bytes) -> Vector | None:
    """The vector that a deployment made, at unit length; ``None`` for what is none."""
    if not vector or len(vector) % 4 or len(vector) > DIMENSIONS_MAX * 4:
        return None
    return unit(np.frombuffer(vector, np.float32))


def _in_bytes(vector: Vector) -> bytes:
    """A number of 8 bits for each dimension: the cosine of two texts moves by about half a thousandth."""
    most = float(np.abs(vector).max())
    steps: NDArray[np.int8] = np.rint(vector * (_STEPS / most)).astype(np.int8)
    return steps.tobytes()
