"""Brings the decisions of routes from this process to Postgres, beside the requests: in batches, and never for long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from gateway.domain import DecisionRecord, KeptPrompt
from gateway.errors import StoreUnavailable

_log = logging.getLogger("obol.decisions")

WAITING_MAX = 20_000  # some 20 MB of four deployments each; beyond that the oldest are dropped, since they are no money
PROMPTS_CHARACTERS_MAX = 32_000_000  # of prompts that wait, since one may have 64 kB
BATCH_MAX = 250
LINGER_S = 0.5  # so that a busy second costs a few inserts; readers flush
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 5.0


class DecisionSink(Protocol):
    """Where records come to rest."""

    async def write(self, records: Sequence[DecisionRecord]) -> int:
        """Write them all or raise StoreUnavailable; return how many were refused for good."""


class PromptSink(Protocol):
    """Where the prompts come to rest that routes keep."""

    async def write(self, prompts: Sequence[KeptPrompt]) -> None:
        """Write them all or raise StoreUnavailable."""


class _Decided(NamedTuple):
    record: DecisionRecord
    prompt: KeptPrompt | None


class DecisionWriter:
    """The DecisionLog of one process (ports.DecisionLog). What waits here when the process dies is lost."""

    def __init__(
        self,
        sink: DecisionSink,
        prompts: PromptSink | None = None,
        *,
        on_dropped: Callable[[int], None] = lambda _: None,
        waiting_max: int = WAITING_MAX,
        batch_max: int = BATCH_MAX,
        linger_s: float = LINGER_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sink = sink
        self._prompts = prompts
        self._on_dropped = on_dropped
        self._waiting_max = waiting_max
        self._batch_max = batch_max
        self._linger_s = linger_s
        self._sleep = sleep
        self._waiting: deque[_Decided] = deque()
        self._prompts_characters = 0  # of those that wait
        self._being_written = 0
        self._dropped = 0  # since Postgres took the last batch
        self._arrival = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many records are not written yet."""
        return len(self._waiting) + self._being_written

    def record(self, record: DecisionRecord, prompt: KeptPrompt | None = None) -> None:
        """Keep it until it is written; beyond the bound the oldest that waits makes room.

        A prompt beyond the bound of all that wait is not kept; its record is.
        """
        if len(self._waiting) + self._being_written >= self._waiting_max and self._waiting:
            self._taken(self._waiting.popleft())
            self._drop(1)
        if prompt is not None and self._prompts_characters + len(prompt.text) > PROMPTS_CHARACTERS_MAX:
            prompt = None
        self._prompts_characters += 0 if prompt is None else len(prompt.text)
        self._waiting.append(_Decided(record, prompt))
        if not self._arrival.is_set():
            self._arrival.set()
            self._idle.clear()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="decision-writer")

    async def flush(self, timeout_s: float) -> bool:
        """Write what waits, without lingering; false when that took longer than ``timeout_s``."""
        if self._task is None:
            return self.waiting == 0
        self._hurry.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        finally:
            self._hurry.clear()
        return True

    async def stop(self, timeout_s: float) -> bool:
        """Write the rest and end; false when records are lost."""
        await self.flush(timeout_s)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        lost = len(self._waiting)
        self._waiting.clear()
        self._prompts_characters = 0
        if lost:
            self._drop(lost)
        self._tell_dropped()
        return lost == 0

    async def _run(self) -> None:
        while True:
            await self._arrival.wait()
            if len(self._waiting) < self._batch_max:
                await self._linger()
            await self._write_all()
            if not self._waiting:
                self._arrival.clear()
                self._idle.set()

    async def _linger(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._linger_s):
                await self._hurry.wait()

    async def _write_all(self) -> None:
        """Write what waits by now, and try again for as long as Postgres is away."""
        backoff_s = BACKOFF_S_MIN
        while self._waiting:
            try:
                await self._write_batch()
            except StoreUnavailable:
                await self._sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)
            else:
                backoff_s = BACKOFF_S_MIN
                self._tell_dropped()

    async def _write_batch(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(self._batch_max, len(self._waiting)))]
        self._being_written = len(batch)
        try:
            refused = await self._sink.write([one.record for one in batch])
            prompts = [one.prompt for one in batch if one.prompt is not None]
            if prompts and self._prompts is not None:
                await self._prompts.write(prompts)
        except (StoreUnavailable, asyncio.CancelledError):  # whether it was written or not, once more does no harm
            self._waiting.extendleft(reversed(batch))
            raise
        except Exception:  # noqa: BLE001 - whatever Postgres has against these, it would have against them for ever
            _log.exception("%d decisions cannot be written down", len(batch))
            refused = len(batch)
        finally:
            self._being_written = 0
        for one in batch:
            self._taken(one)
        if refused:
            self._on_dropped(refused)

    def _taken(self, decided: _Decided) -> None:
        """It waits no more, written or not."""
        self._prompts_characters -= 0 if decided.prompt is None else len(decided.prompt.text)

    def _drop(self, count: int) -> None:
        self._dropped += count
        self._on_dropped(count)

    def _tell_dropped(self) -> None:
        """One line for a whole outage: the metric tells of it while it lasts."""
        if self._dropped:
            _log.warning("Postgres was away or too slow: %d decisions of routes were dropped unwritten", self._dropped)
            self._dropped = 0
