"""One thread that computes for everybody: what is urgent first, what can wait in between, one piece at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
_Piece = tuple[Callable[[], Any], asyncio.Future[Any]]


class Turns:
    """Pieces run one after the other and never at once, so that what they touch needs no lock."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._urgent: deque[_Piece] = deque()
        self._patient: deque[_Piece] = deque()
        self._is_busy = False

    @property
    def waiting(self) -> int:
        """How many urgent pieces have not begun."""
        return len(self._urgent)

    async def urgent(self, piece: Callable[[], T]) -> T:
        """Run it before all that can wait."""
        return await self._queued(self._urgent, piece)

    async def patient(self, piece: Callable[[], T]) -> T:
        """Run it when nothing is urgent. It should be done in a few milliseconds."""
        return await self._queued(self._patient, piece)

    def close(self) -> None:
        """Begin no other piece; returns when the last has ended."""
        self._is_busy = True
        self._thread.shutdown()

    async def _queued(self, queue: deque[_Piece], piece: Callable[[], T]) -> T:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        queue.append((piece, done))
        self._begin_next()
        return await done

    def _begin_next(self) -> None:
        while not self._is_busy and (self._urgent or self._patient):
            piece, done = (self._urgent or self._patient).popleft()
            if done.done():  # whoever wanted it is gone
                continue
            self._is_busy = True
            running = asyncio.get_running_loop().run_in_executor(self._thread, piece)
            running.add_done_callback(lambda ran, done=done: self._ended(ran, done))  # type: ignore[misc]

    def _ended(self, ran: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
        self._is_busy = False
        error = ran.exception()
        if done.done():
            pass
        elif error is None:
            done.set_result(ran.result())
        else:
            done.set_exception(error)
        self._begin_next()
