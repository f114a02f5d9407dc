"""Runs jobs at intervals for as long as the process serves."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from redis.exceptions import RedisError

from gateway.errors import StoreUnavailable

log = logging.getLogger("obol.jobs")

_RETRY_S_MAX = 30.0  # a daily job that failed does not wait a day
_JITTER = 0.1  # of the interval, either way: replicas that started together do not stay in step


class Job(NamedTuple):
    """``run`` is awaited at once and ``interval_s`` (give or take a tenth) after each end, sooner if it failed."""

    name: str
    interval_s: float
    run: Callable[[], Awaitable[object]]


class JobRunner:
    """Each job is a loop of its own; a job that fails is logged and tried again at its next turn."""

    def __init__(self, *jobs: Job) -> None:
        self._jobs = list(jobs)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    def add(self, job: Job) -> None:
        """To be called before ``start``."""
        self._jobs.append(job)

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._is_stopping = False
        self._tasks = [loop.create_task(self._repeat(job), name=f"job-{job.name}") for job in self._jobs]

    async def stop(self) -> None:
        """Cancel what runs and wait for its end. Idempotent."""
        self._is_stopping = True  # should a job turn its cancellation into another error, its loop ends all the same
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, job: Job) -> None:
        was_store_away = False
        while not self._is_stopping:
            wait_s = min(job.interval_s, _RETRY_S_MAX)
            try:
                await job.run()
                was_store_away = False
                wait_s = job.interval_s
            except (StoreUnavailable, RedisError) as exc:
                if not was_store_away:
                    log.warning("job %s waits for a store: %s", job.name, exc)
                was_store_away = True
            except Exception:  # a job outlives its bugs: the next turn may succeed, and the others must go on
                log.exception("job %s failed", job.name)
            if not self._is_stopping:
                await asyncio.sleep(wait_s * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - no secret
