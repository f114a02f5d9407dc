"""Embedders of several machines over one Valkey, each with a worker's client, in this process."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from uuid import uuid4

from word_encoder import WordEncoder

from gateway.domain import AnswerKey, KeptAnswer, Usage
from gateway.domain.similar import KeptQuestion
from gateway.embedding.client import EmbedderClient
from gateway.embedding.following import Following
from gateway.embedding.index import Index
from gateway.embedding.server import Server
from gateway.embedding.turns import Turns
from gateway.stores.answers import RedisAnswers
from gateway.stores.redis_open import open_link
from gateway.stores.similar_questions import SimilarQuestions

WORDS = WordEncoder()
ANSWER = KeptAnswer(b'{"choices": []}', Usage(input_tokens=3, output_tokens=2))


class Machine:
    """An embedder, its worker's ``client``, and the store of answers as that worker sees it."""

    def __init__(self, link, folder, encoder, *, questions_max, bytes_max, waiting_max, within_s):
        self.link = link
        self.truth = SimilarQuestions(link, questions_max=questions_max)
        self.index, self.turns = Index(bytes_max), Turns()
        self.following = Following(self.truth, self.index, self.turns, time.monotonic)
        self.server = Server(encoder, self.index, self.turns, self.truth, self.following, waiting_max=waiting_max)
        self.path = folder / f"{uuid4().hex[:8]}.sock"
        self.client = EmbedderClient(self.path, lambda: True, within_s=within_s)
        self.answers = RedisAnswers(link, "a worker")

    async def answer(
        self, text, *, tenant="org", organization=None, team="team", key="key", member=None, space="space", ttl_s=1000
    ):
        """A question whose answer is kept; what ``client.keep`` said of it, and the digest."""
        place = AnswerKey(tenant, uuid4().hex, organization or tenant, team, key, member)
        epoch = (await self.answers.look(place, may_lead=False)).epoch
        assert await self.answers.keep(place, epoch, KeptAnswer(f"to {text}".encode(), ANSWER.usage), ttl_s)
        question = KeptQuestion(place, epoch, space, text)
        return await self.client.keep(question), place.digest

    async def texts(self, text, *, tenant="org", space="space"):
        """Of all that is near, nearest first."""
        return [one.text for one in (await self.client.nearest(tenant, space, text)).neighbours]


@asynccontextmanager
async def machine(
    url,
    folder,
    *,
    encoder=WORDS,
    questions_max=1000,
    bytes_max=10**8,
    waiting_max=8,
    within_s=20.0,
):
    """One that follows only when told: ``following.look()``."""
    link = await open_link(url)
    one = Machine(
        link,
        folder,
        encoder,
        questions_max=questions_max,
        bytes_max=bytes_max,
        waiting_max=waiting_max,
        within_s=within_s,
    )
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(one.path))
    listening.listen()
    serving = await one.server.listen(listening)
    await one.client.refresh()
    try:
        yield one
    finally:
        one.client.close()
        serving.close()
        await asyncio.sleep(0)  # the server's side of the connection ends
        one.turns.close()
        await link.close()
