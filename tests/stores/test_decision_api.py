"""Decisions over HTTP: what is answered, and that nobody sees what lies outside its scope."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest
from admin_parts import Admin
from decision_parts import made
from fastapi import FastAPI

from gateway.api.admin import admin_router
from gateway.api.admin.decisions import add_decisions
from gateway.api.surface import install_errors
from gateway.domain import Actor, KeptPrompt, Role
from gateway.stores.decisions import DecisionStore
from gateway.stores.route_prompts import PromptStore
from policies.explanation import explanation


@pytest.fixture
def place():
    """An organization and one of its teams."""
    return uuid4().hex, uuid4().hex


@pytest.fixture
def flushes():
    return []


@pytest.fixture
def admin(engine, place, flushes):
    """Makes the view of an admin of that scope."""
    organization, team = place
    actors = {
        "owner": Actor("a", "owner", Role.OWNER),
        "organization": Actor("b", "of all", Role.VIEWER, organization),
        "team": Actor("c", "of the team", Role.TEAM_ADMIN, organization, team),
    }

    async def find(secret):
        return actors.get(secret)

    async def flush():
        flushes.append(True)

    app, router = FastAPI(), admin_router(find)
    install_errors(app)
    add_decisions(router, DecisionStore(engine), PromptStore(engine), flush)
    app.include_router(router)
    return lambda who: Admin(app, who)


@pytest.fixture
async def records(engine, place):
    """Of the team, of another team of its organization, and of somebody else."""
    organization, team = place
    found = (
        made("2026-11-01T00:00:00.000000Z", organization_id=organization, team_id=team, key_id=uuid4().hex),
        made("2026-11-02T00:00:00.000000Z", organization_id=organization, team_id=uuid4().hex, route=uuid4().hex),
        made("2026-11-03T00:00:00.000000Z", organization_id=uuid4().hex, team_id=uuid4().hex),
    )
    await DecisionStore(engine).write(found)
    return found


def told(*records):
    return [msgspec.json.decode(msgspec.json.encode(one)) for one in records]


async def test_a_decision_is_told_as_it_was_recorded_once_all_is_written(admin, records, flushes):
    owner = admin("owner")
    assert await owner.get(f"decisions/{records[0].request_id}") == told(records[0])[0] | {
        "prompt": None,
        "explanation": explanation(records[0]),
    }
    assert (await owner.get("decisions", request=records[2].request_id))["data"] == told(records[2])
    assert flushes == [True, True]


async def test_a_kept_prompt_is_told_with_its_decision_alone_and_to_no_viewer(admin, engine, records):
    mine = records[0]
    kept = KeptPrompt(
        request_id=mine.request_id,
        created_at=mine.created_at,
        organization_id=mine.organization_id,
        team_id=mine.team_id,
        route=mine.route,
        text="Why?",
        expires_at="2999-01-01T00:00:00Z",
    )
    await PromptStore(engine).write([kept])
    path = f"decisions/{mine.request_id}"
    told = [(await admin(who).get(path))["prompt"] for who in ("owner", "team", "organization")]
    assert told == ["Why?", "Why?", None]
    (listed,) = (await admin("owner").get("decisions", request=mine.request_id))["data"]
    assert "prompt" not in listed


@pytest.mark.parametrize(("who", "count"), [("owner", 3), ("organization", 2), ("team", 1)])
async def test_everybody_finds_what_lies_in_its_scope_and_for_the_rest_there_is_nothing(admin, records, who, count):
    reader = admin(who)
    for number, record in enumerate(records):
        path = f"decisions/{record.request_id}"
        listed = await reader.get("decisions", request=record.request_id, team=record.team_id)
        if number < count:
            assert (await reader.get(path))["request_id"] == record.request_id
            assert listed["data"] == told(record)
        else:
            assert await reader.refused("GET", path) == await reader.refused("GET", "decisions/req_none")
            assert await reader.refused("GET", path) == (404, "not_found", "request_id")
            assert listed["data"] == []


async def test_filters_and_pages_are_those_of_the_ledger(admin, records):
    reader = admin("organization")
    first, second, _ = records
    assert (await reader.get("decisions"))["data"] == told(second, first)
    assert (await reader.get("decisions", key=first.key_id))["data"] == told(first)
    assert (await reader.get("decisions", route=second.route))["data"] == told(second)
    assert (await reader.get("decisions", **{"from": "2026-11-02"}))["data"] == told(second)
    assert (await reader.get("decisions", to="2026-11-02"))["data"] == told(first)
    page = await reader.get("decisions", limit=1)
    assert page["data"] == told(second)
    page = await reader.get("decisions", limit=1, cursor=page["next_cursor"])
    assert (page["data"], page["next_cursor"]) == (told(first), None)


@pytest.mark.parametrize(
    ("query", "param"),
    [({"limit": "0"}, "limit"), ({"cursor": "x"}, "cursor"), ({"rout": "auto"}, "rout"), ({"from": "soon"}, "from")],
)
async def test_a_query_that_means_nothing_is_refused(admin, query, param):
    assert (await admin("owner").refused("GET", "decisions", query=query))[::2] == (400, param)
