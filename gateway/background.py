"""Work that outlives its request, kept from being collected and drained at shutdown (ports.Background)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

_log = logging.getLogger("obol.background")


class Tasks:
    """The background tasks of one process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._lasting: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Start the work now; an error in it is logged."""
        self._start(work, self._tasks)

    def spawn_lasting(self, work: Coroutine[object, object, None]) -> None:
        """Start work that may take hours: ``drain`` does not wait for it but cancels it."""
        self._start(work, self._lasting)

    def _start(self, work: Coroutine[object, object, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        among.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._lasting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background work failed", exc_info=error)

    async def drain(self) -> None:
        """Return when everything spawned has ended, also what was spawned meanwhile."""
        while self._tasks or self._lasting:
            for task in self._lasting:
                task.cancel()
            await asyncio.wait(self._tasks | self._lasting)
