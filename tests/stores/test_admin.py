"""The admin API over HTTP and a real Postgres: teams, keys, the ledger, and every way to ask wrongly."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from postgres_parts import encoded, make_entry

from gateway.api import body
from gateway.api.admin import admin_router, guard
from gateway.api.admin.guard_lists import GuardLists
from gateway.api.admin.keys import add_keys
from gateway.api.admin.ledger import add_ledger
from gateway.api.admin.operator import operator_key
from gateway.api.admin.teams import add_teams
from gateway.api.surface import install_errors
from gateway.stores import database
from gateway.stores.key_secrets import digest
from gateway.stores.keys import KeyStore
from gateway.stores.ledger import LedgerStore
from gateway.stores.tenants import TenantStore

ADMIN_KEY = "the-ädmin-key"


def client_of(tenants, keys, ledger, flush, authorization=f"Bearer {ADMIN_KEY}"):
    app = FastAPI()
    install_errors(app)
    router = admin_router(operator_key(ADMIN_KEY))
    lists = GuardLists(dict)
    add_teams(router, tenants, lists)
    add_keys(router, tenants, keys, lists)
    add_ledger(router, ledger, flush)
    app.include_router(router)
    headers = {"authorization": authorization.encode()} if authorization is not None else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://obol", headers=headers)


class Unshipped:
    """Charges that this process has not shipped yet."""

    def __init__(self, ledger: LedgerStore) -> None:
        self._ledger = ledger
        self.entries: list[bytes] = []

    async def __call__(self) -> None:
        await self._ledger.write(self.entries)


@pytest.fixture
def unshipped(ledger):
    return Unshipped(ledger)


@pytest.fixture
async def client(tenants, keys, ledger, unshipped):
    async with client_of(tenants, keys, ledger, unshipped) as client:
        yield client


@pytest.fixture
async def team(client):
    return (await client.post("/admin/teams", json={"name": uuid4().hex})).json()


def error_of(response, status):
    """The error of an answer that must be an OpenAI error object and nothing else."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    return response.json()["error"]


async def test_a_team_is_made_listed_and_deleted(client):
    name = uuid4().hex
    made = await client.post("/admin/teams", json={"name": f"  {name} "})

    assert made.status_code == 201
    targets = {"quality_loss_max", "call_cost_max_usd", "guards"}
    assert set(made.json()) == {"id", "name", "organization_id", "contact", "created_at"} | targets
    assert made.json()["name"] == name
    assert made.json() in (await client.get("/admin/teams")).json()["data"]
    deleted = await client.delete(f"/admin/teams/{made.json()['id']}")
    assert deleted.json() == {"id": made.json()["id"], "deleted": True}
    assert made.json() not in (await client.get("/admin/teams")).json()["data"]
    error_of(await client.delete(f"/admin/teams/{made.json()['id']}"), 404)


async def test_a_taken_team_name_is_a_conflict(client, team):
    error = error_of(await client.post("/admin/teams", json={"name": team["name"]}), 409)

    assert (error["param"], error["code"]) == ("name", "already_exists")


async def test_a_key_is_made_once_with_its_secret_and_never_shown_again(client, team, keys):
    expires_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {
        "team": team["id"],
        "name": "laptop",
        "expires_at": expires_at,
        "models": ["auto", "not yet in the catalog"],
    }

    made = await client.post("/admin/keys", json=body)

    key = made.json()
    assert made.status_code == 201
    assert set(key) == {
        "id", "key", "name", "team", "member", "organization_id", "prefix", "models", "allowed_ips", "guards",
        "expires_at", "previous_expires_at", "created_at", "revoked_at",
    }  # fmt: skip
    assert datetime.fromisoformat(key["expires_at"]) == datetime.fromisoformat(expires_at)
    assert (key["team"], key["models"]) == (team["id"], body["models"])
    assert (await keys.lookup(digest(key["key"]))).key_id == key["id"]
    listed = await client.get("/admin/keys", params={"team": team["id"]})
    assert listed.json() == {"data": [{name: key[name] for name in key if name != "key"}], "next_cursor": None}
    assert key["key"] not in listed.text


async def test_a_revoked_key_says_when(client, team, keys):
    key = (await client.post("/admin/keys", json={"team": team["id"], "name": "k"})).json()

    revoked = await client.delete(f"/admin/keys/{key['id']}")

    assert revoked.status_code == 200
    assert revoked.json()["revoked_at"] is not None
    assert await keys.lookup(digest(key["key"])) is None


async def test_keys_are_listed_by_pages(client, team):
    made = [(await client.post("/admin/keys", json={"team": team["id"], "name": "k"})).json()["id"] for _ in range(3)]

    first = (await client.get("/admin/keys", params={"team": team["id"], "limit": 2, "cursor": ""})).json()
    rest = (
        await client.get("/admin/keys", params={"team": team["id"], "limit": 2, "cursor": first["next_cursor"]})
    ).json()

    assert [key["id"] for key in first["data"] + rest["data"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_a_reader_of_the_ledger_finds_its_own_last_call(client, unshipped):
    entry = make_entry()
    unshipped.entries += encoded(entry)

    page = await client.get("/admin/ledger", params={"request": entry.request_id})

    (found,) = page.json()["data"]
    assert page.json()["next_cursor"] is None
    assert (found["id"], found["cost_nusd"], found["baseline_nusd"]) == (entry.id, 42_500, 50_000)
    assert isinstance(found["cost_nusd"], int)
    assert (found["basis"], found["source"], found["purpose"], found["status"]) == (
        "reported", "upstream", "answer", "succeeded",
    )  # fmt: skip
    assert (found["created_at"], found["attempt"], found["deployment"]) == (entry.created_at, 1, "mini")
    assert (found["input_tokens"], found["cached_input_tokens"], found["output_tokens"]) == (10, 4, 20)
    assert found["meters"][0] == {"meter": "input", "quantity": 10, "rate_nusd_per_mtok": 250_000_000}


async def test_the_ledger_is_read_by_pages_and_filters(client, ledger):
    team, key = uuid4().hex, uuid4().hex
    entries = [make_entry(team_id=team, key_id=key) for _ in range(5)]
    await ledger.write(encoded(*entries, make_entry(team_id=team)))

    seen, cursor = [], ""
    while cursor is not None:
        query = {"team": team, "key": key, "limit": 2, "cursor": cursor}
        page = (await client.get("/admin/ledger", params=query)).json()
        cursor = page["next_cursor"]
        seen += [entry["id"] for entry in page["data"]]

    newest_first = sorted(entries, key=lambda entry: (entry.created_at, entry.id), reverse=True)
    assert seen == [entry.id for entry in newest_first]


async def test_the_spend_of_a_deleted_team_stays(client, team, ledger):
    await ledger.write(encoded(make_entry(team_id=team["id"])))

    await client.delete(f"/admin/teams/{team['id']}")

    assert len((await client.get("/admin/ledger", params={"team": team["id"]})).json()["data"]) == 1


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {ADMIN_KEY}",
        ADMIN_KEY,
        f"Bearer {ADMIN_KEY}x",
        "Bearer é",
    ],
)
@pytest.mark.parametrize("path", ["/admin/teams", "/admin/keys", "/admin/ledger"])
async def test_nobody_enters_without_the_admin_key(tenants, keys, ledger, unshipped, authorization, path):
    async with client_of(tenants, keys, ledger, unshipped, authorization) as client:
        error = error_of(await client.get(path), 401)
        error_of(await client.post("/admin/teams", content=b"not even JSON"), 401)

    assert error["code"] == "invalid_api_key"
    assert ADMIN_KEY not in error["message"]


async def test_the_scheme_of_the_admin_key_may_have_any_case(tenants, keys, ledger, unshipped):
    async with client_of(tenants, keys, ledger, unshipped, f"bEARER  {ADMIN_KEY}") as client:
        assert (await client.get("/admin/teams")).status_code == 200


def test_an_empty_admin_key_opens_nothing():
    with pytest.raises(ValueError, match="empty"):
        operator_key("")


BAD_TEAMS = [
    {},
    {"name": ""},
    {"name": "   "},
    {"name": "a\0b"},
    {"name": "a\nb"},
    {"name": "a\u202eb"},
    {"name": "n" * 201},
    {"name": 5},
    {"name": None},
    {"name": ["x"]},
    {"name": "x", "organization_id": "org_other"},
    [],
    "x",
]


@pytest.mark.parametrize("body", BAD_TEAMS, ids=lambda body: json.dumps(body)[:40])
async def test_a_team_without_a_proper_name_is_refused(client, body):
    assert error_of(await client.post("/admin/teams", json=body), 400)["type"] == "invalid_request_error"


BAD_KEYS = [
    ({"name": "k"}, "team"),
    ({"name": ""}, "name"),
    ({"team": 7}, "team"),
    ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
    ({"expires_at": "tomorrow"}, "expires_at"),
    ({"expires_at": 10**30}, "expires_at"),
    ({"expires_at": 4102444800}, "expires_at"),
    ({"expires_at": "4102444800"}, "expires_at"),
    ({"models": []}, "models"),
    ({"models": "auto"}, "models"),
    ({"models": ["a", ""]}, "models.1"),
    ({"models": ["a\0"]}, "models.0"),
    ({"models": ["m" * 501]}, "models.0"),
    ({"models": ["m"] * 1001}, "models"),
    ({"budget": 5}, "budget"),
]


@pytest.mark.parametrize(("fields", "param"), BAD_KEYS, ids=lambda value: json.dumps(value)[:40])
async def test_a_key_with_a_bad_field_is_refused_by_its_name(client, team, fields, param):
    body = {"team": team["id"], "name": "k"} | fields
    if param == "team" and fields == {"name": "k"}:
        del body["team"]

    assert error_of(await client.post("/admin/keys", json=body), 400)["param"] == param


async def test_a_key_for_an_unknown_team_is_not_found(client):
    error = error_of(await client.post("/admin/keys", json={"team": "team_none", "name": "k"}), 404)

    assert error["param"] == "team"


@pytest.mark.parametrize("path", ["/admin/keys/key_none", "/admin/teams/team_none", "/admin/keys/%C3%A9"])
async def test_what_is_not_there_cannot_be_deleted(client, path):
    error_of(await client.delete(path), 404)


@pytest.mark.parametrize("path", ["/admin/keys/a%00b", "/admin/teams/a%00b"])
async def test_an_id_with_a_nul_is_refused(client, path):
    error_of(await client.delete(path), 400)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"[" * 100_000])
async def test_a_body_that_is_no_json_is_refused(client, body):
    error_of(await client.post("/admin/teams", content=body, headers={"content-type": "application/json"}), 400)


async def test_an_enormous_body_is_refused_before_it_is_read_whole(client):
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 1000:
            sent += 1
            yield b"x" * 65536

    error = error_of(await client.post("/admin/teams", content=endless()), 413)

    assert error["code"] == "request_too_large"
    assert sent <= guard.BODY_BYTES_MAX // 65536 + 1


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=nonsense", "cursor"),
        ("team=a%00", "team"),
    ],
)
@pytest.mark.parametrize("path", ["/admin/ledger", "/admin/keys"])
async def test_a_list_asked_for_wrongly_is_refused_by_the_name_of_the_parameter(client, path, query, param):
    assert error_of(await client.get(f"{path}?{query}"), 400)["param"] == param


async def test_a_list_cursor_is_no_ledger_cursor(client, team):
    for _ in range(2):
        await client.post("/admin/keys", json={"team": team["id"], "name": "k"})
    cursor = (await client.get("/admin/keys", params={"limit": 1})).json()["next_cursor"]

    assert error_of(await client.get("/admin/ledger", params={"cursor": cursor}), 400)["param"] == "cursor"


async def test_while_postgres_is_away_admins_are_told(tmp_path, unshipped):
    engine = database.connect(f"postgresql://nobody@/none?host={tmp_path}")
    async with client_of(TenantStore(engine), KeyStore(engine), LedgerStore(engine), unshipped) as client:
        for path in ("/admin/teams", "/admin/keys", "/admin/ledger"):
            assert error_of(await client.get(path), 503)["code"] == "store_unavailable"
    await engine.dispose()


async def test_a_body_that_does_not_come_is_not_waited_for(client, monkeypatch):
    monkeypatch.setattr(body, "SILENCE_S_MAX", 0.01)

    async def silent():
        yield b"{"
        await asyncio.Event().wait()

    assert error_of(await client.post("/admin/teams", content=silent()), 408)["code"] == "request_timeout"
