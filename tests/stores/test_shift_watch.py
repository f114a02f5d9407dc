"""Shifted routes, from recorded decisions in a real Postgres to what every replica knows and whom it tells."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from decision_parts import made
from router_parts import a_track, word_table
from sqlalchemy import text

from gateway.domain import Considered, Route
from gateway.ids import rfc3339
from gateway.jobs.shift import ShiftWatch
from gateway.router import artifact
from gateway.router.file import RouterFile
from gateway.router.training import to_artifact, train
from gateway.stores.alert_outbox import AlertOutbox, Taken
from gateway.stores.decisions import DecisionStore
from gateway.stores.route_questions import RouteQuestions
from gateway.stores.tenants import DEFAULT_ORGANIZATION
from policies.routing.features import features

WORDS = word_table()
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
CANDIDATES = (Considered("large", "m", 1, quality=0.9), Considered("small", "m", 2, quality=0.5))


@pytest.fixture
def route():
    return Route(f"route-{uuid4().hex}", ("large", "small"), policy="cheapest_adequate", quality_loss_max=0.1)


@pytest.fixture
async def path(tmp_path, route):
    return write(tmp_path / "router.obol", route, 0)


def write(path, route, seed):
    track = a_track(400, seed, WORDS)
    track = replace(track, pool=replace(track.pool, track=route.name))
    artifact.write(to_artifact(train([track], WORDS), {}), path)
    return path


class Replica:
    """One process: its router, and what it tells."""

    def __init__(self, path, route, engine, link):
        self.router = RouterFile(path, lambda: True)
        self.outbox = AlertOutbox(link)
        self.gauge, self.announced = {}, []
        self.watch = ShiftWatch(
            self.router,
            lambda: [route, Route("other", ("a",))],
            RouteQuestions(engine),
            link,
            self.outbox,
            unix_s=NOW.timestamp,
            announce=self.announced.append,
            told=self.gauge.__setitem__,
        )

    async def shift(self, route):
        """What it knows of the route after another look."""
        await self.router.refresh()
        await self.watch.look()
        return self.router.guarantee(route).shift


@pytest.fixture
async def replica(path, route, engine, link):
    found = Replica(path, route, engine, link)
    await found.router.refresh()
    return found


async def asked(engine, replica, route, vectors, minutes_ago, chosen="large"):
    """Record one decision a second for each question, the first so many minutes ago; their ids."""
    records = [
        made(
            rfc3339((NOW - timedelta(minutes=minutes_ago, seconds=-at)).timestamp()),
            route=route.name,
            router_version=replica.router.version,
            features=one.astype(np.float16).tobytes(),
            chosen=chosen,
            candidates=CANDIDATES,
        )
        for at, one in enumerate(vectors)
    ]
    await DecisionStore(engine).write(records)
    return [one.request_id for one in records]


async def next_look(link):
    """As when the interval is over."""
    for key in await link.command("KEYS", "obol:route-shift:*:look"):
        await link.command("DEL", key)


def like(count, seed=5):
    return a_track(count, seed, WORDS).features


def strange(count):
    return [features(f"Übersetze {'§ ' * number}des Vertrags!", WORDS) for number in range(count)]


async def alerts(replica):
    found = []
    while isinstance(taken := await replica.outbox.take(DEFAULT_ORGANIZATION), Taken):
        found.append(taken.alert)
    return found


async def test_questions_like_those_of_the_calibration_are_no_shift(engine, replica, route):
    await asked(engine, replica, route, like(300), 60)
    shift = await replica.shift(route)
    assert (shift.is_shifted, shift.since, shift.reason) == (False, None, None)
    assert 100 <= shift.n <= 300
    assert replica.gauge == {route.name: False}
    assert replica.router.guarantee(route).certified


async def test_a_shift_is_found_once_told_once_and_known_to_every_replica(engine, link, replica, route, path):
    await asked(engine, replica, route, strange(150), 60)
    shift = await replica.shift(route)
    assert (shift.is_shifted, shift.since, shift.n) == (True, "2026-11-29T11:00:00Z", 150)
    other = Replica(path, route, engine, link)
    assert await other.shift(route) == shift
    await next_look(link)
    assert await other.shift(route) == shift
    assert other.gauge == {route.name: True}
    told = other.router.guarantee(route)
    assert (told.certified, told.fallback) == (False, "large")
    assert replica.announced == [DEFAULT_ORGANIZATION]
    assert other.announced == []
    (alert,) = await alerts(other)
    assert (alert.kind, alert.route, alert.model, alert.reason) == ("route_shift", route.name, "large", shift.reason)


async def test_it_is_over_when_questions_are_as_they_were(engine, link, replica, route):
    await asked(engine, replica, route, strange(150), 60)
    assert (await replica.shift(route)).is_shifted
    await asked(engine, replica, route, like(300), 30)
    await next_look(link)
    shift = await replica.shift(route)
    assert not shift.is_shifted
    assert replica.router.guarantee(route).certified


async def test_another_router_begins_anew(engine, replica, route, path):
    await asked(engine, replica, route, strange(150), 60)
    assert (await replica.shift(route)).is_shifted
    write(path, route, 1)
    os.utime(path, ns=(1, 1))
    assert await replica.shift(route) is None
    assert replica.gauge == {route.name: False}


async def test_few_questions_and_the_same_again_and_again_say_nothing(engine, replica, route):
    await asked(engine, replica, route, strange(99), 60)
    await asked(engine, replica, route, strange(1) * 300, 30)
    assert await replica.shift(route) is None


async def test_what_redis_lost_is_found_again(engine, link, replica, route):
    await asked(engine, replica, route, strange(150), 60)
    await replica.shift(route)
    await link.command("FLUSHALL")
    assert (await replica.shift(route)).is_shifted


async def test_clients_who_find_answers_worse_than_predicted_are_a_shift(engine, replica, route):
    ids = await asked(engine, replica, route, like(150), 60)
    async with engine.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO feedback (id, created_at, request_id, organization_id, team_id, key_id, score, body_sha256)
                SELECT gen_random_uuid()::text, now(), id, 'o', 't', 'k', 0.2, decode(md5(random()::text), 'hex')
                FROM unnest(cast(:ids AS text[])) AS id
            """),
            {"ids": ids},
        )
    shift = await replica.shift(route)
    assert (shift.is_shifted, shift.reason) == (True, "clients score its answers 0.20, where 0.90 was predicted")
