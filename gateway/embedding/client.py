"""A worker's view of the embedder (answer_ports.SemanticIndex): one connection for all its requests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.answer_ports import IndexAway
from gateway.domain.similar import KeptQuestion, Nearest, Neighbour
from gateway.embedding.frames import (
    Asked,
    Away,
    Done,
    Encode,
    Encoded,
    Forget,
    Found,
    Keep,
    Near,
    Said,
    Wire,
    decode_said,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WITHIN_S = 0.03
WRITE_WITHIN_S = 2.0
BATCH_WITHIN_S = 60.0
REFRESH_INTERVAL_S = 1.0
LATELY_S = 600.0


class EmbedderClient:
    """``refresh`` connects while ``is_wanted``, or somebody asked lately; until then whoever asks is told so.

    ``within_s``: how long a look may take. The embedder itself starts when somebody connects.
    """

    def __init__(
        self,
        path: Path,
        is_wanted: Callable[[], bool] = lambda: False,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        within_s: float = WITHIN_S,
    ) -> None:
        self._path = path
        self._is_wanted = is_wanted
        self._monotonic_s = monotonic_s
        self._within_s = within_s
        self._asked_s = -LATELY_S
        self._wire: Wire | None = None
        self._waiting: dict[int, asyncio.Future[Said]] = {}
        self._numbers = itertools.count(1)

    @property
    def is_connected(self) -> bool:
        """Whether somebody may be there to answer."""
        return self._wire is not None

    async def refresh(self) -> None:
        """Connect where that is wanted, and give the connection up where it is not: the embedder then ends."""
        if not self._is_wanted() and self._monotonic_s() - self._asked_s >= LATELY_S:
            self.close()
        elif self._wire is None:
            loop = asyncio.get_running_loop()
            with contextlib.suppress(OSError):  # nobody listens there: tried again at the next refresh
                _, wire = await loop.create_unix_connection(lambda: Wire(self._said, self._lost), str(self._path))
                self._wire = wire if wire.is_open else None  # it may have been lost before we came to know it

    def close(self) -> None:
        """Whoever waits is told that nobody is there."""
        if self._wire is not None:
            self._wire.abort()
            self._lost(self._wire)

    async def nearest(self, tenant: str, space: str, text: str, vector: bytes | None = None) -> Nearest:
        """Of answer_ports.SemanticIndex."""
        within_ms = int(self._within_s * 1000)
        said = await self._ask(Near(next(self._numbers), tenant, space, text, vector, within_ms), self._within_s)
        if not isinstance(said, Found):
            raise IndexAway("the embedder does not understand us")
        found = tuple(Neighbour(*one) for one in said.neighbours)
        return Nearest(found, said.tokens, said.cpu_ns, said.vector, said.is_too_long)

    async def keep(self, question: KeptQuestion) -> bool:
        """Of answer_ports.SemanticIndex."""
        key = question.key
        asked = Keep(
            next(self._numbers),
            tenant=key.tenant,
            space=question.space,
            digest=key.digest,
            epoch=question.epoch,
            text=question.text,
            vector=question.vector,
            organization_id=key.organization_id,
            team_id=key.team_id,
            key_id=key.key_id,
            member_id=key.member_id,
            group=question.group,
        )
        said = await self._ask(asked, WRITE_WITHIN_S)
        return isinstance(said, Done) and said.is_so

    async def forget(self, tenant: str, space: str, digest: str) -> None:
        """Of answer_ports.SemanticIndex."""
        await self._ask(Forget(next(self._numbers), tenant, space, digest), WRITE_WITHIN_S)

    async def vectors(self, texts: Sequence[str], *, is_urgent: bool = False) -> NDArray[np.float32]:
        """Of answer_ports.SemanticIndex."""
        import numpy as np  # noqa: PLC0415 - for those who ask for vectors

        within_s = self._within_s if is_urgent else BATCH_WITHIN_S
        within_ms = int(within_s * 1000) if is_urgent else None
        said = await self._ask(Encode(next(self._numbers), tuple(texts), within_ms), within_s)
        if not isinstance(said, Encoded):
            raise IndexAway("the embedder does not understand us")
        return np.frombuffer(said.vectors, np.float32).reshape(len(texts), said.dimensions)

    async def _ask(self, asked: Asked, within_s: float) -> Said:
        """Raises IndexAway."""
        self._asked_s = self._monotonic_s()
        if self._wire is None:
            raise IndexAway("no embedder is there")
        if not self._wire.is_read:
            raise IndexAway("the embedder hangs")
        waiting: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._waiting[asked.number] = waiting
        self._wire.send(asked)
        try:
            async with asyncio.timeout(within_s):
                said = await waiting
        except TimeoutError as exc:
            raise IndexAway(f"the embedder did not answer within {within_s} s") from exc
        finally:
            self._waiting.pop(asked.number, None)
        if isinstance(said, Away):
            raise IndexAway(said.why)
        return said

    def _said(self, wire: Wire, frame: memoryview) -> None:
        del wire
        said = decode_said(frame)
        waiting = self._waiting.get(said.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(said)

    def _lost(self, wire: Wire) -> None:
        if self._wire is not wire:
            return
        self._wire = None
        for number, waiting in self._waiting.items():
            if not waiting.done():
                waiting.set_result(Away(number, "the embedder is gone"))
