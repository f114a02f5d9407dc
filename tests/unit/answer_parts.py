"""What the tests of answers without a model share: a store in memory, and routes that use it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pipeline_parts import path, request

from gateway.domain import ExactCache, Hit, Miss, UnderWay

RULES = ExactCache()
AGE_S = 5  # of all that is kept, unless a test says otherwise


class Answers:
    """A store in memory, as it is for all processes: ``give_up`` is what the end of a lease does."""

    def __init__(self):
        self.kept, self.leads, self.alone, self.epoch = {}, set(), set(), "1"
        self.is_away = False
        self.looks = 0
        self.age_s, self.ages = AGE_S, {}  # of what is kept from now on, of each that is kept

    async def look(self, key, *, age_s_max=None, may_read=True, may_lead=True, since=""):
        await asyncio.sleep(0)
        self.looks += 1
        if self.is_away:
            return None
        age_s = self.ages.get(key.digest)
        if may_read and age_s is not None and (age_s_max is None or age_s_max >= age_s):
            return Hit(self.kept[key.digest], age_s)
        if key.digest in self.alone:
            return Miss(self.epoch, is_alone=True)
        if key.digest in self.leads:
            return UnderWay(self.epoch)
        is_leader = may_lead and since in {"", self.epoch}
        if is_leader:
            self.leads.add(key.digest)
        return Miss(self.epoch, is_leader=is_leader)

    async def keep(self, key, epoch, answer, _ttl_s, **_):
        await asyncio.sleep(0)
        self.leads.discard(key.digest)
        if self.is_away or epoch != self.epoch:
            return False
        self.kept[key.digest], self.ages[key.digest] = answer, self.age_s
        return True

    def purge(self):
        self.epoch = f"{self.epoch}1"
        self.kept.clear()
        self.ages.clear()

    async def renew(self, keys):
        self.renewed = list(keys)

    async def drop(self, key):
        await asyncio.sleep(0)
        self.leads.discard(key.digest)

    async def release(self, key, **_):
        await asyncio.sleep(0)
        self.leads.discard(key.digest)
        self.alone.add(key.digest)


def caching(backend, *deployments, store=None, rules=RULES, route=None, **more):
    store = store or Answers()
    pipeline, journal, tasks = path(
        backend, *deployments, route={"exact_cache": rules, **(route or {})}, answers=store, answer_secret=b"s", **more
    )
    return pipeline, journal, tasks, store


def asked(control=None, **fields):
    parsed, dialect, caller = request(temperature=0, **fields)
    if control is not None:
        parsed = replace(parsed, cache_control=control)
    return parsed, dialect, caller


async def others_turn():
    """Until all that can go on has gone as far as it can, however busy the machine is."""
    for _ in range(100):
        await asyncio.sleep(0)
