"""Replays over HTTP and a real Postgres: what is added up is what the ledger has, within the reader's bounds."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest
from admin_parts import Admin
from decision_parts import made
from fastapi import FastAPI
from postgres_parts import encoded, make_entry, orphan_of
from sqlalchemy import text

from gateway.api.admin import admin_router
from gateway.api.admin.replay import add_replay
from gateway.api.surface import install_errors
from gateway.domain import Actor, Considered, MeterReading, Rates, Role
from gateway.replay import run
from gateway.replay.run import Replays
from gateway.stores import recorded
from gateway.stores.decisions import DecisionStore
from gateway.stores.recorded import RecordedStore

NOW_S = 1_793_836_800.0  # 2026-11-05
CHEAP, DEAR = Rates(10**9, 10**8, 2 * 10**9, 2 * 10**9), Rates(5 * 10**9, 5 * 10**8, 25 * 10**9, 25 * 10**9)
CANDIDATES = (Considered("cheap", "m-1", 1, rates=CHEAP), Considered("dear", "m-2", 2, rates=DEAR))
SAME = {"deployments": ["cheap", "dear"]}
OTHER = {"deployments": ["dear", "cheap"]}


class Empty:
    """A catalog in which nothing is."""

    def deployment(self, _name):
        return None


@pytest.fixture
def place():
    """An organization, a team of it, and a route that nobody else asks."""
    return uuid4().hex, uuid4().hex, f"route-{uuid4().hex}"


@pytest.fixture
def admin(engine, place):
    """Makes the view of an admin of that scope."""
    organization, team, _ = place
    actors = {
        "owner": Actor("a", "owner", Role.OWNER),
        "viewer": Actor("b", "of all", Role.VIEWER, organization),
        "team": Actor("c", "of the team", Role.TEAM_ADMIN, organization, team),
    }

    async def find(secret):
        return actors.get(secret)

    async def nothing():
        return None

    app, router = FastAPI(), admin_router(find)
    install_errors(app)
    replays = Replays(RecordedStore(engine), 40_000_000, lambda: 0.0)
    add_replay(router, replays, nothing, Empty, nothing, lambda: NOW_S)
    app.include_router(router)
    return lambda who: Admin(app, who)


@pytest.fixture
async def write(engine, ledger, place):
    """Writes one decision with its attempts, and returns its id. Others' fields by name."""
    organization, team, route = place

    async def written(*attempts, score=None, chosen="cheap", **fields):
        whose = {"organization_id": organization, "team_id": team}
        values = {"created_at": "2026-11-03T12:00:00.000000Z", "route": route, "candidates": CANDIDATES}
        values |= {"policy": "ordered", "propensity": 1.0, "conversation": None, "chosen": chosen, "draw": 0.5}
        record = made(**(whose | values | fields))
        await DecisionStore(engine).write([record])
        entries = [
            make_entry(
                request_id=record.request_id,
                created_at=record.created_at,
                attempt=number,
                organization_id=record.organization_id,
                team_id=record.team_id,
                meters=(MeterReading("input", 1, 1), MeterReading("output", 1, 1)),
                **one,
            )
            for number, one in enumerate(attempts, 1)
        ]
        await ledger.write(encoded(*entries))
        if score is not None:
            await say(engine, record, score)
        return record.request_id

    return written


async def say(engine, record, score):
    values = {"id": uuid4().hex, "request": record.request_id, "team": record.team_id, "score": score}
    async with engine.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO feedback (id, request_id, organization_id, team_id, key_id, score, body_sha256)
                VALUES (:id, :request, 'o', :team, 'k', :score, decode(md5(:id), 'hex'))
            """),
            values,
        )


def attempt(deployment="cheap", cost=1000, baseline=2000, tokens=(10, 0, 20), **fields):
    asked, cached, answered = tokens
    used = {"input_tokens": asked, "cached_input_tokens": cached, "output_tokens": answered, "reasoning_tokens": 0}
    return {"deployment": deployment, "cost_nusd": cost, "baseline_nusd": baseline} | used | fields


async def test_under_the_same_policy_the_cost_is_the_ledgers_to_the_nano_dollar(admin, write, place):
    await write(attempt(cost=1001))
    await write(attempt(cost=3, status="failed", baseline=0), attempt("dear", 70_000), chosen="dear")
    await write(attempt(cost=17, status="cancelled"), chosen=None)
    await write(attempt("words", 5, purpose="embedding", baseline=5), attempt(cost=11, status="interrupted"))
    await write()
    told = await admin("owner").post("replay", route=place[2], policy=SAME, last="7d")
    cost = 1001 + 3 + 70_000 + 17 + 5 + 11
    totals = told["totals"]
    assert (totals["requests"], totals["changed"], totals["difference_nusd"]) == (5, 0, 0)
    assert totals["recorded"]["cost_nusd"] == totals["replayed"]["cost_nusd"] == cost
    assert totals["recorded"]["baseline_nusd"] == 2000 * 3 + 5 + 2000
    assert totals["recorded"]["embedding_nusd"] == 5
    assert totals["recorded"]["escalation_nusd"] == 3
    assert (told["kept"], told["unknown"]) == ({}, {})


async def test_another_policy_costs_what_it_does_by_hand(admin, write, place):
    await write(attempt(tokens=(10, 4, 20)))
    told = await admin("viewer").post("replay", route=place[2], policy=OTHER, last="7d")
    totals = told["totals"]
    assert (totals["changed"], totals["replayed"]["cost_nusd"]) == (1, 10 * 5000 + 20 * 25_000)
    assert totals["replayed"]["lost_cache_nusd"] == 4 * 4500
    assert totals["replayed"]["saving_net_nusd"] == 2000 - 550_000
    assert totals["difference_nusd"] == 549_000
    assert (told["recorded_firsts"], told["replayed_firsts"]) == ({"cheap": 1, "dear": 0}, {"cheap": 0, "dear": 1})
    assert told["teams"][0]["team"] == place[1]


async def test_a_correction_counts_with_what_it_corrects(admin, write, place, ledger):
    request_id = await write()
    whole = make_entry(
        request_id=request_id,
        created_at="2026-11-03T12:00:00.000Z",
        deployment="cheap",
        cost_nusd=900,
        input_tokens=5,
        cached_input_tokens=0,
        output_tokens=6,
    )
    await ledger.write(encoded(orphan_of(whole)))
    await ledger.write(encoded(whole))
    same = await admin("owner").post("replay", route=place[2], policy=SAME, last="7d")
    other = await admin("owner").post("replay", route=place[2], policy=OTHER, last="7d")
    assert same["totals"]["recorded"]["cost_nusd"] == same["totals"]["replayed"]["cost_nusd"] == 900
    assert same["totals"]["recorded"]["escalation_nusd"] == 0
    assert other["totals"]["replayed"]["cost_nusd"] == 5 * 5000 + 6 * 25_000


async def test_feedback_is_the_mean_of_what_clients_said(admin, write, place):
    for score in (0.0, 0.5, 1.0, 1.0):
        await write(attempt(), score=score)
    quality = (await admin("owner").post("replay", route=place[2], policy=SAME, last="7d"))["totals"]["quality"]
    assert (quality["feedbacks"], quality["is_identified"]) == (4, True)
    assert quality["recorded"]["value"] == quality["replayed"]["value"] == pytest.approx(0.625)
    assert quality["difference"] == {"value": 0, "low": 0, "high": 0}


async def test_pages_make_no_difference(admin, write, place, monkeypatch):
    for number in range(7):
        await write(attempt(cost=10**number), created_at=f"2026-11-03T12:00:0{number % 3}.000000Z")
    monkeypatch.setattr(recorded, "_PAGE", 2)
    told = await admin("owner").post("replay", route=place[2], policy=SAME, last="7d")
    assert told["totals"]["replayed"]["cost_nusd"] == 1_111_111


async def test_everybody_replays_what_lies_in_its_scope(admin, write, place):
    organization, team, route = place
    await write(attempt(cost=1))
    await write(attempt(cost=10), team_id="another")
    await write(attempt(cost=100), team_id="elsewhere", organization_id="else")
    found = {}
    for who in ("owner", "viewer", "team"):
        found[who] = (await admin(who).post("replay", route=route, policy=SAME, last="7d"))["totals"]
    assert {who: one["recorded"]["cost_nusd"] for who, one in found.items()} == {"owner": 111, "viewer": 11, "team": 1}
    narrowed = await admin("owner").post("replay", route=route, policy=SAME, last="7d", organization=organization)
    assert {one["team"] for one in narrowed["teams"]} == {team, "another"}
    assert await admin("team").refused(
        "POST", "replay", {"route": route, "policy": SAME, "last": "7d", "team": "another"}
    ) == (404, "not_found", "route")


async def test_a_time_and_a_sample_are_kept_to(admin, write, place):
    await write(attempt(cost=1), created_at="2026-11-01T00:00:00.000000Z")
    await write(attempt(cost=10), created_at="2026-11-04T00:00:00.000000Z")

    async def cost(**asked):
        return (await admin("owner").post("replay", route=place[2], policy=SAME, **asked))["totals"]["recorded"]

    assert (await cost(last="30d"))["cost_nusd"] == 11
    assert (await cost(last="48h"))["cost_nusd"] == 10
    assert (await cost(**{"from": "2026-11-01", "to": "2026-11-02"}))["cost_nusd"] == 1
    assert (await cost())["cost_nusd"] == 11
    assert (await cost(last="30d", **{"from": "2026-11-03"}))["cost_nusd"] == 10
    assert (await cost(last="24h", to="2026-11-02"))["cost_nusd"] == 1
    assert (await cost(last="30d", sample=1))["cost_nusd"] == 11
    for number in range(60):
        await write(attempt(cost=1), conversation=f"c{number % 20}")
    sampled = await admin("owner").post("replay", route=place[2], policy=SAME, last="7d", sample=0.5)
    assert 0 < sampled["totals"]["requests"] < 61


async def test_what_was_recorded_too_early_is_kept_and_counted(admin, write, place):
    await write(attempt(cost=5), draw=None)
    told = await admin("owner").post("replay", route=place[2], policy=OTHER, last="7d")
    assert (told["kept"], told["totals"]["difference_nusd"]) == ({"recorded_too_early": 1}, 0)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"policy": {"deployments": ["cheap"], "polcy": "ordered"}}, (400, "invalid_value", "policy")),
        ({"policy": {}}, (400, "invalid_value", "policy")),
        ({"policy": {"deployments": ["cheap"], "weights": {"cheap": 1}}}, (400, "invalid_value", "policy")),
        ({"policy": {"deployments": ["nobody"]}}, (400, "invalid_value", "policy")),
        ({"policy": {"deployments": ["cheap"], "regions": ["eu"]}}, (400, None, "policy")),
        ({"policy": SAME | {"router": "/nowhere"}}, (400, None, "policy")),
        ({"last": "seven days"}, (400, "invalid_value", "last")),
        ({"sample": 0}, (400, "invalid_value", "sample")),
        ({"route": "nowhere"}, (404, "not_found", "route")),
        ({"rout": "auto"}, (400, "unknown_parameter", "rout")),
    ],
)
async def test_what_means_nothing_is_refused_by_name(admin, write, place, changes, refusal):
    await write(attempt())
    body = {"route": place[2], "policy": SAME, "last": "7d"} | changes
    body = {name: value for name, value in body.items() if value is not None}
    found = await admin("owner").refused("POST", "replay", body)
    assert (found[0], found[2]) == (refusal[0], refusal[2])


async def test_a_misspelled_key_of_the_policy_is_named_with_the_nearest_one(admin, write, place):
    await write(attempt())
    body = {"route": place[2], "policy": {"deployments": ["cheap"], "polcy": "ordered"}, "last": "7d"}
    refused = await admin("owner").send("POST", "replay", body)
    assert "unknown key polcy (did you mean policy?)" in refused.json()["error"]["message"]


async def test_only_an_owner_names_a_file_of_the_gateway(admin, write, place):
    await write(attempt())
    body = {"route": place[2], "policy": SAME | {"router": "/etc/hostname"}, "last": "7d"}
    assert await admin("team").refused("POST", "replay", body) == (403, "role_not_allowed", None)
    refused = await admin("owner").send("POST", "replay", body)
    assert "is no router that can be read here" in refused.json()["error"]["message"]


async def test_too_many_decisions_are_refused_with_advice(admin, write, place, monkeypatch):
    for _ in range(3):
        await write(attempt())
    monkeypatch.setattr(run, "DECISIONS_MAX", 2)
    body = {"route": place[2], "policy": SAME, "last": "7d"}
    assert await admin("owner").refused("POST", "replay", body) == (400, "replay_too_large", "sample")


async def test_features_and_candidates_come_back_as_they_were_written(engine, write, place):
    request_id = await write(attempt(), features=b"\x00\x01")
    pages = [page async for page in RecordedStore(engine).pages(recorded.Sample(recorded.EntryFilter(route=place[2])))]
    ((one,),) = pages
    assert (one.record.request_id, one.record.features, one.record.candidates) == (request_id, b"\x00\x01", CANDIDATES)
    assert msgspec.json.decode(msgspec.json.encode(one.record))["draw"] == 0.5
