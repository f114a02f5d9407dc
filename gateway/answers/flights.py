"""Equal requests that are on their way at once: one leads and asks, the others follow and are given its answer.

Within a process the followers wait for their leader itself; across processes one of them asks the store for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from gateway.answer_ports import AnswerStore
from gateway.domain import AnswerKey, CacheControl, Found, Hit, KeptAnswer, Miss, UnderWay
from gateway.ports import Background, Clock

_POLL_S, _POLL_S_MAX, _POLL_GROWTH = 0.02, 0.25, 1.5


class Landing(Enum):
    """How a flight ends that brings no answer."""

    AGAIN = "again"  # its leader is gone: one of those who wait leads next
    ALONE = "alone"  # what it brought cannot be kept: each asks for itself


class _Flight:
    __slots__ = ("asked", "followers", "key", "landed", "until_s")

    def __init__(self, key: AnswerKey, until_s: float) -> None:
        self.key = key
        self.until_s = until_s
        self.followers = 0
        self.asked = 0  # how often the store was asked for what may end it
        self.landed: asyncio.Future[Hit | Landing] = asyncio.get_running_loop().create_future()

    def land(self, how: Hit | Landing) -> None:
        if not self.landed.done():
            self.landed.set_result(how)


class Flights:
    """Those of one process."""

    def __init__(self, store: AnswerStore, background: Background, clock: Clock) -> None:
        self._store = store
        self._background = background
        self._clock = clock
        self._led: dict[str, _Flight] = {}
        self._followed: dict[tuple[str, int | None], _Flight] = {}

    async def look(
        self, key: AnswerKey, control: CacheControl, total_s: float, *, may_lead: bool, since: str = ""
    ) -> Found | None:
        """The answer, or whether somebody is at it; who is told to lead must ``keep``, ``drop`` or ``release``.

        ``total_s``: how long an answer may take. ``since``: as AnswerStore has it. ``None`` while the store is away.
        """
        while True:
            is_led_here = may_lead and key.digest in self._led
            found = await self._store.look(
                key,
                age_s_max=control.age_s_max,
                may_read=control.may_read,
                may_lead=may_lead and not is_led_here,
                since=since,
            )
            if isinstance(found, Miss) and found.is_leader:
                self._led[key.digest] = _Flight(key, self._clock.monotonic_s() + total_s)
            if not is_led_here or not (found is None or (isinstance(found, Miss) and not found.is_alone)):
                return found
            if key.digest in self._led:  # though the store does not know it, or is away
                return UnderWay(found.epoch if found else "")

    async def look_beside(self, key: AnswerKey, digest: str, age_s_max: int | None) -> Found | None:
        """What is kept under another digest, for a leader and those who wait for it; ``None`` as above."""
        if (flight := self._led.get(key.digest)) is not None:
            flight.asked += 1
        return await self._store.look(replace(key, digest=digest), age_s_max=age_s_max, may_lead=False)

    async def follow(self, key: AnswerKey, control: CacheControl, total_s: float) -> Hit | Landing:
        """Wait for what the leader is given, wherever it is.

        Who came when the store had been asked already looks again: what it said may have been purged before they came.
        """
        age_s_max = control.age_s_max
        flight = self._led.get(key.digest) or self._followed.get((key.digest, age_s_max))
        if flight is None:
            flight = self._followed[key.digest, age_s_max] = _Flight(key, self._clock.monotonic_s() + total_s)
            self._background.spawn_lasting(self._watch(flight, age_s_max))
        flight.followers += 1
        asked_before = flight.asked
        try:
            async with asyncio.timeout(total_s):
                landed = await asyncio.shield(flight.landed)
        except TimeoutError:
            return Landing.ALONE
        finally:
            flight.followers -= 1
        return Landing.AGAIN if isinstance(landed, Hit) and flight.asked == asked_before else landed

    async def _watch(self, flight: _Flight, age_s_max: int | None) -> None:
        """Ask the store how a leader elsewhere fares, while anybody waits for it.

        What was too old when they came stays so, however long they wait.
        """
        how: Hit | Landing = Landing.ALONE
        since_s = self._clock.monotonic_s()
        try:
            pause_s = _POLL_S
            while flight.followers:
                await self._clock.sleep(pause_s)
                pause_s = min(pause_s * _POLL_GROWTH, _POLL_S_MAX)
                oldest_s = None if age_s_max is None else age_s_max + self._clock.monotonic_s() - since_s
                flight.asked += 1
                match await self._store.look(flight.key, age_s_max=oldest_s, may_lead=False):
                    case UnderWay():
                        continue
                    case Hit() as hit:
                        how = hit
                    case Miss(is_alone=False):
                        how = Landing.AGAIN
                    case _:
                        pass
                break
        finally:
            self._followed.pop((flight.key.digest, age_s_max), None)
            flight.land(how)

    async def keep(self, key: AnswerKey, epoch: str, answer: KeptAnswer, ttl_s: int, *, is_leader: bool) -> bool:
        """Keep an answer, and give it to those who wait for it; false where it may not be kept."""
        if is_leader and (flight := self._led.get(key.digest)) is not None:
            flight.asked += 1
        is_kept = await self._store.keep(key, epoch, answer, ttl_s, is_leader=is_leader)
        if is_leader:
            self._land(key, Hit(answer, 0) if is_kept else Landing.AGAIN)
        return is_kept

    async def drop(self, key: AnswerKey) -> None:
        """The leader goes without an answer: another one is to lead."""
        await self._store.drop(key)
        self._land(key, Landing.AGAIN)

    async def pass_on(self, key: AnswerKey, hit: Hit) -> int:
        """The leader was given an answer that is not kept under this key: so are those who wait for it here.

        Returns how many they are.
        """
        followers = self._land(key, hit)
        await self._store.drop(key)
        return followers

    async def release(self, key: AnswerKey, *, is_lasting: bool) -> None:
        """Nobody is to wait: there is no answer, or none that may be kept, as will be so again if ``is_lasting``."""
        await self._store.release(key, is_lasting=is_lasting)
        self._land(key, Landing.ALONE)

    async def renew(self) -> None:
        """Go on leading, to be run every few seconds. No lead lasts longer than an answer may take."""
        now_s = self._clock.monotonic_s()
        await self._store.renew([one.key for one in self._led.values() if now_s < one.until_s])

    def _land(self, key: AnswerKey, how: Hit | Landing) -> int:
        """How many wait for it."""
        flight = self._led.pop(key.digest, None)
        if flight is None:
            return 0
        flight.land(how)
        return flight.followers

    @property
    def led(self) -> Mapping[str, object]:
        """What this process asks for just now, by its digest."""
        return self._led
