"""Runs a replay: pages of what was recorded are chosen, priced and summed up in a thread, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.decide import FORESEEING
from gateway.errors import BadRequest, StoreUnavailable
from gateway.replay.plan import Plan
from gateway.stores.recorded import Recorded, RecordedStore, Sample

if TYPE_CHECKING:
    from gateway.replay.choosing import Chooser
    from gateway.replay.costing import Coster
    from gateway.replay.tally import Outcome, Tally

DECISIONS_MAX = 200_000
SECONDS_MAX = 240.0


class Replays:
    """One at a time in each process: it is numbers and Python, and requests want the processor too."""

    def __init__(self, store: RecordedStore, cpu_nusd_per_hour: int, monotonic_s: Callable[[], float]) -> None:
        self._store = store
        self._cpu_nusd_per_hour = cpu_nusd_per_hour
        self._monotonic_s = monotonic_s
        self._turn = asyncio.Semaphore(1)

    async def count(self, sample: Sample) -> int:
        """How many decisions there are. Raises BadRequest for too many, and StoreUnavailable."""
        count = await self._store.count(sample, DECISIONS_MAX + 1)
        if count > DECISIONS_MAX:
            raise BadRequest(
                f"there are more than {DECISIONS_MAX:,} decisions: ask for a shorter time, one team, or a sample",
                param="sample",
                code="replay_too_large",
            )
        return count

    async def team_names(self, ids: Sequence[str]) -> Mapping[str, str]:
        """By id, of those that have a name. Raises StoreUnavailable."""
        return await self._store.team_names(ids)

    async def run(self, plan: Plan, sample: Sample) -> tuple[Outcome, dict[str, int]]:
        """What they come to, at least one; and which deployments records do not have, how often.

        Raises StoreUnavailable, also where it takes too long.
        """
        async with self._turn:
            return await self._run(plan, sample)

    async def _run(self, plan: Plan, sample: Sample) -> tuple[Outcome, dict[str, int]]:
        from gateway.replay.choosing import Chooser  # noqa: PLC0415 - numpy
        from gateway.replay.costing import Coster  # noqa: PLC0415
        from gateway.replay.tally import Tally  # noqa: PLC0415

        chooser, tally = Chooser(plan), Tally(self._cpu_nusd_per_hour)
        coster = Coster(asks_router=plan.route.policy in FORESEEING)
        until_s = self._monotonic_s() + SECONDS_MAX
        async for page in self._store.pages(sample, has_features=plan.route.policy in FORESEEING):
            await asyncio.to_thread(_take, page, chooser, coster, tally)
            if self._monotonic_s() > until_s:
                raise StoreUnavailable(
                    "The replay takes too long: ask for a shorter time, for one team, or for a sample.",
                    code="replay_too_large",
                )
        if strangers := [name for name, count in chooser.unknown.items() if count == len(tally)]:
            raise BadRequest(
                f"policy: no record has {', '.join(strangers)}: what the route did not offer cannot be tried",
                param="policy",
                code="invalid_value",
            )
        return await asyncio.to_thread(tally.outcome), dict(chooser.unknown)


def _take(page: list[Recorded], chooser: Chooser, coster: Coster, tally: Tally) -> None:
    for one, choice in zip(page, chooser.choices([each.record for each in page]), strict=True):
        tally.add(one, choice, coster.price(one, choice))
