"""What tests of similar questions share: an index and counts that are fakes, and a path over them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
from answer_parts import asked, caching
from pipeline_parts import read, walk

from gateway.answer_ports import IndexAway
from gateway.domain import SemanticCache
from gateway.domain.similar import Nearest, Neighbour

CACHED, SIMILAR = "How do I enable login by code?", "how can I enable login by code"
CPU_NS = 8_000_000
RULES = SemanticCache(wrong_answers_max=0.2)


class Index:
    """One process's view of vectors: everything of a space is near everything else in it."""

    def __init__(self):
        self.spaces, self.forgotten, self.is_away = {}, [], False
        self.tokens, self.vector, self.given = 8, b"v", []
        self.groups = {}

    async def nearest(self, tenant, space, _text, vector=None):
        await asyncio.sleep(0)
        if self.is_away:
            raise IndexAway("away")
        self.given.append(vector)
        found = self.spaces.get((tenant, space), {})
        neighbours = tuple(
            Neighbour(0.97, text, digest, self.groups.get(digest) or digest) for digest, text in found.items()
        )
        return Nearest(neighbours, self.tokens, CPU_NS, vector or self.vector)

    async def late(self, *_):
        raise IndexAway("late")

    async def keep(self, question):
        if self.is_away:
            raise IndexAway("away")
        self.spaces.setdefault((question.key.tenant, question.space), {})[question.key.digest] = question.text
        self.groups[question.key.digest] = question.group
        return True

    async def forget(self, tenant, space, digest):
        self.spaces[tenant, space].pop(digest)
        self.forgotten.append(digest)

    async def vectors(self, texts, **_):
        return np.array([[1.0, 0.0] if text == texts[0] else [0.0, 1.0] for text in texts], np.float32)


class Counts:
    """What all replicas have counted."""

    def __init__(self):
        self.of, self.is_away = {}, False

    async def add(self, name, more, gone=()):
        if self.is_away:
            return None
        found = self.of.setdefault(name, {})
        for field in gone:
            found.pop(field, None)
        for field, count in more.items():
            found[field] = found.get(field, 0) + count
        return dict(found)


class Draw:
    """``random`` says what decides whether an answer is asked for again."""

    def __init__(self, drawn=0.99):
        self.drawn = drawn

    def random(self):
        return self.drawn


def similar(backend, *, rules=RULES, drawn=0.99, store=None, **more):
    index, counts = Index(), Counts()
    pipeline, journal, tasks, store = caching(
        backend,
        store=store,
        route={"semantic_cache": rules},
        semantic=index,
        counts=counts,
        cpu_nusd_per_hour=40_000_000,
        random=Draw(drawn),
        **more,
    )
    return pipeline, journal, tasks, store, index, counts


def question(text, *, wrong_max=None, control=None, **fields):
    parsed, dialect, caller = asked(control, messages=[{"role": "user", "content": text}], **fields)
    return replace(parsed, wrong_answers_max=wrong_max), dialect, caller


async def both(pipeline, tasks, first=CACHED, second=SIMILAR, **more):
    """The answer to the second, after the first was answered and kept."""
    await walk(pipeline, *question(first))
    await tasks.drain()
    answer = await pipeline.answer(*question(second, **more))
    shown = await read(answer)
    await tasks.drain()
    return answer, shown
