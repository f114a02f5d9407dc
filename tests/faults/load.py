"""Official SDK clients that ask without pause, remember what they saw, and never ask twice in one user's name."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import openai

CLIENTS = 8
TEXT = "One word after another, eight of them here."
WORDS = 8
ANSWERS_S_MAX = 30.0


class Load:
    """What was asked and what came of it, by the ``user`` field of each call."""

    def __init__(self, prefix: str, chance: random.Random) -> None:
        self.prefix = prefix
        self._chance = chance
        self._numbers = itertools.count()
        self.asked: set[str] = set()
        self.answered: set[str] = set()  # the client holds a whole answer
        self.failed: dict[str, str] = {}

    @property
    def in_flight(self) -> set[str]:
        return self.asked - self.answered - self.failed.keys()

    async def ask_until(self, stop: asyncio.Event, client: openai.AsyncOpenAI) -> None:
        while not stop.is_set():
            user = f"{self.prefix}-{next(self._numbers)}"
            self.asked.add(user)
            try:
                await self._ask(client, user)
                self.answered.add(user)
            except (openai.APIError, httpx.HTTPError, AssertionError) as exc:  # the SDK lets httpx's own through
                self.failed[user] = f"{type(exc).__name__}: {exc}"
                await asyncio.sleep(0.02)  # nobody there: try again soon, in another name

    async def _ask(self, client: openai.AsyncOpenAI, user: str) -> None:
        script = {"text": TEXT, "delay_ms": self._chance.uniform(0, 40), "chunk_ms": self._chance.uniform(0, 8)}
        question = {
            "model": "mini",
            "messages": [{"role": "user", "content": "a question"}],
            "user": user,
            "extra_body": {"script": script},
        }
        if self._chance.random() < 0.5:
            answer = await client.chat.completions.create(**question)
            assert answer.choices[0].message.content == TEXT
            return
        stream = await client.chat.completions.create(**question, stream=True)
        text, finish = "", None
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason or finish
        if finish is None:  # to the SDK a connection that closes early is a good end; to this test it is not
            raise AssertionError("the stream was cut")
        assert text == TEXT


@asynccontextmanager
async def under_load(base_url: str, api_key: str, prefix: str, chance: random.Random) -> AsyncIterator[Load]:
    """Clients at work until the block ends; then every call is brought to its end."""
    load, stop = Load(prefix, chance), asyncio.Event()
    client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=30)
    async with client, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(load.ask_until(stop, client))
        try:
            yield load
        finally:
            stop.set()


async def met(load: Load, answers: int) -> None:
    """Wait until so many more answers have come."""
    goal, deadline = len(load.answered) + answers, time.monotonic() + ANSWERS_S_MAX
    while len(load.answered) < goal:
        if time.monotonic() > deadline:
            raise AssertionError(f"no answers any more; the last failures: {list(load.failed.items())[-3:]}")
        await asyncio.sleep(0.005)
