"""One request over HTTP: its stages and entries, within the bounds of whoever asks."""

from __future__ import annotations

from uuid import uuid4

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from postgres_parts import encoded, make_entry, orphan_of

from gateway.api.admin import admin_router
from gateway.api.admin.requests import add_requests
from gateway.api.surface import install_errors
from gateway.domain import Actor, Purpose, Role, Stage
from policies.reconciliation import correction_id


@pytest.fixture
def actors():
    """Secrets of admin keys and whose they are."""
    return {"owner": Actor(id="admin", name="operator", role=Role.OWNER)}


@pytest.fixture
async def client(ledger, actors):
    async def find(secret):
        return actors.get(secret)

    async def flush():
        pass

    app, router = FastAPI(), admin_router(find)
    install_errors(app)
    add_requests(router, ledger, flush)
    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://obol") as client:
        yield client


@pytest.fixture
async def answer(ledger):
    """An answer with all of its stages, and a call that a guard of its made."""
    team = uuid4().hex
    made = make_entry(team_id=team, organization_id=f"org of {team}", stage=None, total_ms=78.0)
    stages = (Stage("auth", 0, 0.5), Stage("limits", 2.0, 1.0, "mini"), Stage("inference", 3.0, 77.0, "mini", made.id))
    made = msgspec.structs.replace(made, stages=stages)
    asked = make_entry(
        request_id=made.request_id, team_id=team, organization_id=made.organization_id, created_at=made.created_at,
        purpose=Purpose.GUARD, stage="output_moderation", cost_nusd=3, total_ms=4.0, guards=(), stages=(),
    )  # fmt: skip
    await ledger.write(encoded(asked, made))
    return made


async def read(client, request_id, who="owner"):
    return await client.get(f"/admin/requests/{request_id}", headers={"authorization": f"Bearer {who}"})


async def test_a_request_is_its_stages_with_what_they_cost_and_all_of_its_entries(client, answer):
    found = (await read(client, answer.request_id)).json()

    assert [(row["stage"], row["name"], row["cost_nusd"]) for row in found["stages"]] == [
        ("auth", None, 0),
        ("limits", "mini", 0),
        ("output_moderation", "mini", 3),
        ("inference", "mini", 42_500),
    ]
    assert found["stages"][3] == {
        "stage": "inference", "name": "mini", "started_ms": 3.0, "ms": 77.0,
        "tokens": {"input": 10, "cached_input": 4, "cache_write": 0, "output": 20, "reasoning": 0},
        "cost_nusd": 42_500, "baseline_nusd": 50_000, "entry_id": answer.id, "status": "succeeded", "verdict": None,
    }  # fmt: skip
    assert found["cost_nusd"] == 42_503
    assert (found["team_id"], found["route"], found["total_ms"]) == (answer.team_id, "auto", 80.0)
    assert [guard["guard"] for guard in found["guards"]] == ["pii"]
    assert {entry["id"] for entry in found["entries"]} >= {answer.id}
    assert len(found["entries"]) == 2


async def test_a_correction_takes_part(client, ledger, answer):
    orphan = orphan_of(make_entry(team_id=answer.team_id, stage=None, stages=(), guards=()))
    await ledger.write(encoded(orphan))
    charge = msgspec.structs.replace(
        answer, id=orphan.id, created_at=orphan.created_at, request_id=orphan.request_id, cost_nusd=50
    )
    await ledger.write(encoded(charge))

    found = (await read(client, orphan.request_id)).json()

    assert [entry["id"] for entry in found["entries"]] == [orphan.id, correction_id(orphan.id)]
    assert found["cost_nusd"] == sum(row["cost_nusd"] for row in found["stages"]) == 50


async def test_what_nobody_knows_is_404(client):
    refused = await read(client, "req_unknown")

    assert refused.status_code == 404
    assert refused.json()["error"]["param"] == "request_id"


@pytest.mark.parametrize("role", [Role.ORGANIZATION_ADMIN, Role.TEAM_ADMIN, Role.VIEWER])
async def test_whoever_asks_sees_the_requests_of_its_scope_and_no_other(client, actors, answer, role):
    team = answer.team_id if role is Role.TEAM_ADMIN else None
    actors["its"] = Actor(id="a", name="its", role=role, organization_id=answer.organization_id, team_id=team)
    actors["other"] = Actor(id="b", name="other", role=role, organization_id="another", team_id=team)
    actors["colleague"] = Actor(id="c", name="c", role=role, organization_id=answer.organization_id, team_id="another")

    assert (await read(client, answer.request_id, "its")).status_code == 200
    assert (await read(client, answer.request_id, "other")).status_code == 404
    assert (await read(client, answer.request_id, "colleague")).status_code == 404
    assert (await read(client, answer.request_id, "nobody's")).status_code == 401
