"""`obol router train --from-decisions`: from recorded decisions that were judged, without trying anything anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gateway.commands import CommandFailed
from gateway.commands.calibrate import base_router
from gateway.commands.stores import as_command_failures, reachable
from gateway.domain import NANO
from gateway.router import artifact
from gateway.router.recorded import ANSWERS_MIN, Recorded, learned, missing, vectors
from gateway.router.training import alike, from_artifact, with_tracks
from gateway.settings import Settings
from gateway.stores import database
from gateway.stores.judged_decisions import JudgedDecision, JudgedDecisions, judged_decisions
from policies.routing.router import KnownPool


def train_recorded(settings: Settings, out: Path) -> list[str]:
    """Write the router with a track for each route of which enough is known; lines about it. Raises CommandFailed."""
    base = base_router(settings.router, out)
    versions, length = alike(base), len(from_artifact(base).general.feature_mean)
    found = _read(settings)
    usable = [one for one in found.decisions if one.router_version in versions and _is_whole(one, length)]
    others = len(found.decisions) - len(usable)
    told = [
        (
            f"{found.judgements:,} judgements; {found.used:,} have a score and say whose: {found.people:,} people's, "
            f"by {found.keys:,} keys.\n{len(usable):,} decisions were judged so; {others:,} more are left out, whose "
            "routers saw other things in a prompt."
        )
    ]
    pools: dict[str, KnownPool] = {}
    counts: dict[str, int] = {}
    for route in sorted({one.route for one in usable}):
        recorded = _recorded([one for one in usable if one.route == route])
        if few := missing(recorded):
            listed = ", ".join(f"{name} has {count}" for name, count in few.items())
            told.append(f"{route}: nothing is learned, each deployment needs {ANSWERS_MIN} judged answers: {listed}.")
            continue
        pools[route], counts[route] = learned(recorded), len(recorded.score)
        told += _about(route, recorded, pools[route])
    if not pools:
        raise CommandFailed(" ".join([*told, "So there is nothing to learn from."]))
    version = artifact.write(with_tracks(base, pools, counts), out)
    return [*told, "Nothing is certified by this: `obol router calibrate` does that.", f"router {version}: {out}"]


def _read(settings: Settings) -> JudgedDecisions:
    async def read(database_url: str) -> JudgedDecisions:
        engine = database.connect(database_url)
        try:
            return await judged_decisions(engine)
        finally:
            await engine.dispose()

    with reachable(settings) as ready, as_command_failures(ready.database_url):
        return asyncio.run(read(ready.database_url))


def _is_whole(one: JudgedDecision, length: int) -> bool:
    """Whether its features are those of a router of so many, and numbers."""
    if len(one.features) != length * np.dtype(np.float16).itemsize:
        return False
    return bool(np.isfinite(np.frombuffer(one.features, np.float16)).all())


def _recorded(decisions: Sequence[JudgedDecision]) -> Recorded:
    """Of one route. Its deployments are those that it had last; what others answered is left out."""
    models = tuple(sorted(decisions[-1].offered))
    places = {name: place for place, name in enumerate(models)}
    kept = [one for one in decisions if one.chosen in places]
    return Recorded(
        models,
        np.array([places[one.chosen] for one in kept], dtype=np.int64),
        vectors([one.features for one in kept]),
        np.array([one.score for one in kept]),
        np.array([one.cost_nusd / NANO for one in kept]),
    )


def _about(route: str, recorded: Recorded, pool: KnownPool) -> list[str]:
    counts = np.bincount(recorded.chosen, minlength=len(recorded.models)).tolist()
    means = pool.predictor.quality_mean.tolist()
    each = "; ".join(
        f"{name} {count:,} answers, quality {mean:.2f} over all prompts"
        for name, count, mean in zip(recorded.models, counts, means, strict=True)
    )
    return [f"{route}: {len(recorded.score):,} answers were learned from: {each}."]
