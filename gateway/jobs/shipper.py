"""Brings charges from the journal of this process to the ledger, in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from gateway.errors import StoreUnavailable
from gateway.ports import LedgerSink
from gateway.stores.journal import RedisJournal

log = logging.getLogger("obol.jobs")

# More gain nothing (27 us of CPU per entry at 200 as at 1000) and keep the loop from others for longer.
BATCH_MAX = 250
LINGER_S = 0.1  # so that a busy second costs some ten inserts instead of thousands; readers flush
BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 2.0


class Shipper:
    """One task that takes what is settled, writes it to the sink, and lets the journal drop it."""

    def __init__(
        self, journal: RedisJournal, sink: LedgerSink, *, linger_s: float = LINGER_S, batch_max: int = BATCH_MAX
    ) -> None:
        self._journal = journal
        self._sink = sink
        self._linger_s = linger_s
        self._batch_max = batch_max
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._flushes = 0
        self._progress = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="shipper")

    async def flush(self, timeout_s: float) -> bool:
        """Ship all that is settled by now, without lingering; false when that took longer than ``timeout_s``."""
        waiting = self._journal.charges.ids()
        self._flushes += 1
        self._hurry.set()
        try:
            async with asyncio.timeout(timeout_s):
                while self._journal.charges.has_any(waiting):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        finally:
            self._flushes -= 1
            if self._flushes == 0:
                self._hurry.clear()
        return True

    async def stop(self, timeout_s: float) -> bool:
        """Ship the rest and end; false when charges are left, which the journal keeps for a sweeper."""
        is_flushed = await self.flush(timeout_s) if self._task is not None else self._journal.unshipped == 0
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return is_flushed

    async def _run(self) -> None:
        backoff_s = BACKOFF_S_MIN
        while True:
            await self._journal.charges.wait()
            if self._journal.charges.ready < self._batch_max:
                await self._pause(self._linger_s)
            try:
                await self._ship_batch()
                backoff_s = BACKOFF_S_MIN
            except Exception as exc:  # noqa: BLE001 - whatever keeps the ledger from taking charges, they wait here
                if backoff_s == BACKOFF_S_MIN:
                    self._log_failure(exc)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)

    async def _ship_batch(self) -> None:
        batch = self._journal.charges.take(self._batch_max)
        if not batch:
            return
        try:
            await self._sink.write([charge.entry for charge in batch])
        except BaseException:  # also a cancellation: whether it was written or not, once more does no harm
            self._journal.charges.put_back(batch)
            raise
        await self._journal.acknowledge(batch)
        self._progress.set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    def _log_failure(self, exc: Exception) -> None:
        count = self._journal.unshipped
        if isinstance(exc, StoreUnavailable):
            log.error("the ledger is away, %d charges wait in the journal: %s", count, exc)
        else:
            log.error("the ledger refused a batch, %d charges wait in the journal", count, exc_info=exc)
