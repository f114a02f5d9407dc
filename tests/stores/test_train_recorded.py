"""`obol router train --from-decisions` on a database with decisions, their costs and what people said of answers."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import numpy as np
import pytest
from decision_parts import made
from postgres_parts import encoded, make_entry
from router_parts import prompts_of

from gateway.commands import CommandFailed
from gateway.commands.train_recorded import train_recorded
from gateway.domain import Caller, Considered
from gateway.domain.feedback import Feedback
from gateway.router import artifact
from gateway.router.training import from_artifact
from gateway.settings import Settings
from gateway.stores import database, migrate
from gateway.stores.decisions import DecisionStore
from gateway.stores.feedback import FeedbackStore
from gateway.stores.ledger import LedgerStore

COUNT = 260


@pytest.fixture(scope="module")
def router():
    return from_artifact(artifact.read(artifact.DEFAULT))


@pytest.fixture
async def engine(empty_database):
    """On a database of the test's own: whatever is in it is learned from."""
    await asyncio.to_thread(migrate.upgrade, empty_database)
    engine = database.connect(empty_database)
    yield engine
    await engine.dispose()


@pytest.fixture
def judged(engine, router):
    """Records questions to a route; ``strong`` and ``weak`` in turn answer, the weak one wrong where it is hard."""

    async def record(route, count, version):
        caller = Caller(uuid4().hex, "k", uuid4().hex, "t", uuid4().hex, member_id="member_1")
        texts, is_hard = prompts_of(count, seed=2)
        vectors = router.features(texts).astype(np.float16)
        candidates = (Considered("strong", "s", 1), Considered("weak", "w", 2))
        decisions = [
            made(
                route=route,
                chosen=("strong", "weak")[at % 2],
                features=vector.tobytes(),
                candidates=candidates,
                router_version=version,
            )
            for at, vector in enumerate(vectors)
        ]
        await DecisionStore(engine).write(decisions)
        entries = [
            make_entry(request_id=one.request_id, team_id=caller.team_id, deployment=one.chosen, cost_nusd=cost)
            for one, cost in zip(decisions, [10_000, 1_000] * count, strict=False)
        ]
        await LedgerStore(engine).write(encoded(*entries))
        store = FeedbackStore(engine)
        for one, hard in zip(decisions, is_hard, strict=True):
            await store.give(caller, Feedback(one.request_id, float(one.chosen == "strong" or not hard)))

    return record


async def train(empty_database, out):
    settings = Settings(database_url=empty_database, data_dir=out.parent)
    return "\n".join(await asyncio.to_thread(train_recorded, settings, out))


async def test_a_route_is_learned_from_what_people_said_of_its_answers(empty_database, judged, router, tmp_path):
    route = uuid4().hex
    await judged(route, COUNT, router.version)
    out = tmp_path / "router.obol"
    told = await train(empty_database, out)
    assert f"{route}: {COUNT} answers were learned from: strong 130 answers" in told
    assert "Nothing is certified" in told
    made_of = from_artifact(artifact.read(out))
    assert set(made_of.known) == {*router.known, route}
    pool = made_of.known[route]
    texts, is_hard = prompts_of(100, seed=3)
    predicted = pool.predictor.predict(made_of.features(texts)).quality
    gain = predicted[:, 0] - predicted[:, 1]
    assert gain[is_hard].mean() > gain[~is_hard].mean() + 0.2


async def test_too_little_and_what_other_routers_saw_is_refused_with_its_counts(
    empty_database, judged, router, tmp_path
):
    few, other = f"few-{uuid4().hex}", f"other-{uuid4().hex}"
    await judged(few, 20, router.version)
    await judged(other, COUNT, "another")
    with pytest.raises(CommandFailed) as refused:
        await train(empty_database, tmp_path / "router.obol")
    assert f"{few}: nothing is learned, each deployment needs 100 judged answers: strong has 10, weak has 10" in str(
        refused.value
    )
    assert other not in str(refused.value)
    assert not (tmp_path / "router.obol").exists()
