"""A look for what is near, as a worker sees it: the socket, the vector of 50 tokens, the search among 50,000 questions.

The embedder runs alone on one core; its Valkey, and the worker that asks one question after the other, on the others.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from gateway.answer_ports import IndexAway
from gateway.domain import AnswerKey, KeptAnswer, Usage
from gateway.domain.similar import KeptQuestion
from gateway.embedding import SOCKET_NAME
from gateway.embedding.client import EmbedderClient
from gateway.serving.embedder_child import EmbedderChild
from gateway.stores.answers import RedisAnswers
from gateway.stores.child import leave_terminal_and_die_with_parent
from gateway.stores.embedded import EmbeddedStores
from gateway.stores.redis_open import open_link
from gateway.stores.similar_questions import SimilarQuestions
from tests.bench.embedding import texts_of

TENANT, SPACE = "org", "space"
QUESTIONS = 50_000
TOKENS = 50
LOOKS = 500
_CLUSTERS = 5000
_AT_ONCE = 500
_IDLE_SHARE = 0.05  # of a second's CPU: everything has found its place


class Looked(NamedTuple):
    """``looks_ms``: p50 and p95 of a look in each run, as its worker waits; CPU of the embedder for each."""

    read_s: float  # until a started embedder knows everything
    settled_s: float  # ... and has it in order
    memory_mb: float
    p50_ms: Sequence[float]
    p95_ms: Sequence[float]
    cpu_ms: Sequence[float]


def measure(folder: Path, runs: int) -> Looked:
    """In ``folder``, which the encoder's graph is built in too."""
    stores = EmbeddedStores.start(folder)
    try:
        with _embedder(folder, stores.redis_url) as child:
            return asyncio.run(_measure(folder, stores.redis_url, child, runs))
    finally:
        stores.stop()


@contextmanager
def _embedder(folder: Path, redis_url: str) -> Iterator[EmbedderChild]:
    """One that is on the first core, once somebody connects and ``look_after`` is called."""

    def spawn(module: str, *arguments: str, pass_fds: Sequence[int]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=os.environ | {"OBOL_REDIS_URL": redis_url, "OBOL_DATA_DIR": str(folder), "OBOL_LOG_LEVEL": "warning"},
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
            preexec_fn=leave_terminal_and_die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - plain system calls only
        )
        os.sched_setaffinity(process.pid, {0})
        return process

    child = EmbedderChild(folder, spawn, print)
    try:
        yield child
    finally:
        child.stop()


async def _measure(folder: Path, redis_url: str, child: EmbedderChild, runs: int) -> Looked:
    await _fill(redis_url)
    client = EmbedderClient(folder / SOCKET_NAME, lambda: True, within_s=120)
    began_s = time.monotonic()
    await client.refresh()
    child.look_after(time.monotonic())
    dice = random.Random(2)  # noqa: S311 - the same texts each time
    await client.nearest(TENANT, SPACE, texts_of(TOKENS, 1, dice)[0])
    read_s = time.monotonic() - began_s
    process = psutil.Process(child.pid)
    await _until_idle(process)
    settled_s = time.monotonic() - began_s
    p50, p95, cpu = [], [], []
    for _ in range(runs):
        before, taken_ms = process.cpu_times(), []
        for text in texts_of(TOKENS, LOOKS, dice):
            asked_s = time.perf_counter()
            found = await client.nearest(TENANT, SPACE, text)
            taken_ms.append((time.perf_counter() - asked_s) * 1000)
            assert found.neighbours
        after = process.cpu_times()
        p50.append(statistics.median(taken_ms))
        p95.append(statistics.quantiles(taken_ms, n=20)[-1])
        cpu.append((after.user + after.system - before.user - before.system) * 1000 / LOOKS)
    memory_mb = process.memory_info().rss / 1e6
    client.close()
    return Looked(read_s, settled_s, memory_mb, p50, p95, cpu)


async def _until_idle(process: psutil.Process) -> None:
    while True:
        before = process.cpu_times()
        await asyncio.sleep(1)
        after = process.cpu_times()
        if after.user + after.system - before.user - before.system < _IDLE_SHARE:
            return


async def _fill(redis_url: str) -> None:
    """Questions in clusters, with answers that are kept for a day."""
    link = await open_link(redis_url)
    answers, truth = RedisAnswers(link, "bench", tenant_bytes_max=10**9), SimilarQuestions(link)
    dice, random_numbers = random.Random(1), np.random.default_rng(1)  # noqa: S311
    centres = random_numbers.normal(size=(_CLUSTERS, 384))
    answer = KeptAnswer(b"{}", Usage(input_tokens=1))
    key = AnswerKey(TENANT, "0", TENANT, "team", "key")
    found = await answers.look(key, may_lead=False)
    epoch = getattr(found, "epoch", "")

    async def keep(number: int, text: str) -> None:
        one = AnswerKey(TENANT, f"{number:048x}", TENANT, "team", "key")
        vector = centres[random_numbers.integers(_CLUSTERS)] + 0.5 * random_numbers.normal(size=384)
        steps = np.rint(vector * (127 / np.abs(vector).max())).astype(np.int8)
        await answers.keep(one, epoch, answer, 86_400)
        if not await truth.keep(KeptQuestion(one, epoch, SPACE, text), steps.tobytes()):
            raise IndexAway("a question of the bench is not kept")

    for start in range(0, QUESTIONS, _AT_ONCE):
        texts = enumerate(texts_of(TOKENS, _AT_ONCE, dice), start)
        await asyncio.gather(*(keep(number, text) for number, text in texts))
    await link.close()
