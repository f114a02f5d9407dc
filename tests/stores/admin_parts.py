"""The admin API of tenants over a real Postgres, as one app, and what tests of it share."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
from faq_parts import vectors_of
from fastapi import FastAPI

from gateway.api.admin import admin_router
from gateway.api.admin.admin_keys import add_admin_keys
from gateway.api.admin.audit import add_audit
from gateway.api.admin.budgets import add_budgets
from gateway.api.admin.faq import add_faq
from gateway.api.admin.guard import any_of
from gateway.api.admin.guard_lists import GuardLists
from gateway.api.admin.keys import add_keys
from gateway.api.admin.limits import add_limits
from gateway.api.admin.members import add_members
from gateway.api.admin.operator import operator_key
from gateway.api.admin.organizations import add_organizations
from gateway.api.admin.teams import add_teams
from gateway.api.surface import install_errors
from gateway.stores.admin_key_cache import AdminKeyCache
from gateway.stores.admin_keys import AdminKeyStore
from gateway.stores.audit import AuditLog
from gateway.stores.budgets import BudgetStore
from gateway.stores.faq_cache import FaqCache
from gateway.stores.faq_lists import FaqStore
from gateway.stores.keys import KeyStore
from gateway.stores.limits import LimitStore
from gateway.stores.tenants import TenantStore

ADMIN_KEY = "the-operators-key"
NOW = datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
TEN_A_MONTH = {"limit_usd": "10.00", "window": "month"}


async def words_as_vectors(texts, **_urgency):
    return vectors_of(texts)


def tenants_app(engine, monotonic_s=lambda: 0.0, announce=None, embed=words_as_vectors, guards=dict):
    """All routes of tenants. ``monotonic_s``: the clock by which admin keys are believed; ``guards``: the catalog's."""
    app = FastAPI(openapi_url="/admin/openapi.json")
    install_errors(app)
    stores = (engine,) if announce is None else (engine, announce)
    tenants, keys, admin_keys = TenantStore(*stores), KeyStore(*stores), AdminKeyStore(engine)
    router = admin_router(any_of(operator_key(ADMIN_KEY), AdminKeyCache(admin_keys, monotonic_s).find))
    add_organizations(router, tenants)
    lists_of_guards = GuardLists(guards)
    add_teams(router, tenants, lists_of_guards)
    add_members(router, tenants)
    add_keys(router, tenants, keys, lists_of_guards)
    add_admin_keys(router, tenants, admin_keys)
    lists = FaqStore(engine)
    add_faq(router, tenants, lists, FaqCache(lists, embed))
    add_audit(router, AuditLog(engine))
    app.include_router(router)
    return app


def rules_app(engine, now_s, monotonic_s=lambda: 0.0):
    """The routes of tenants, budgets and limits. ``now_s`` is the clock that windows go by."""
    app = tenants_app(engine, monotonic_s)
    router = admin_router(any_of(operator_key(ADMIN_KEY), AdminKeyCache(AdminKeyStore(engine), monotonic_s).find))
    add_budgets(router, engine, BudgetStore(engine), now_s)
    add_limits(router, engine, LimitStore(engine))
    app.include_router(router)
    return app


class Admin:
    """One admin's view of the API: answers as JSON, refusals as errors."""

    def __init__(self, app: FastAPI, secret: str) -> None:
        self._app = app
        self._secret = secret

    async def send(self, method, path, body=None, query=None):
        transport = httpx.ASGITransport(self._app)
        headers = {"authorization": f"Bearer {self._secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://obol", headers=headers) as client:
            return await client.request(method, f"/admin/{path}", json=body, params=query)

    async def post(self, path, **body):
        return _good(await self.send("POST", path, body))

    async def get(self, path, **query):
        return _good(await self.send("GET", path, query=query))

    async def patch(self, path, **body):
        return _good(await self.send("PATCH", path, body))

    async def put(self, path, **body):
        return _good(await self.send("PUT", path, body))

    async def delete(self, path):
        return _good(await self.send("DELETE", path))

    async def listed(self, path, **query):
        """The ids of every page."""
        found, cursor = [], ""
        while cursor is not None:
            page = await self.get(path, cursor=cursor, limit=50, **query)
            cursor = page["next_cursor"]
            found += [row["id"] for row in page["data"]]
        return found

    async def refused(self, method, path, body=None, query=None):
        """The status, code and param of a refusal, which is an OpenAI error object and nothing else."""
        response = await self.send(method, path, body, query)
        assert response.status_code >= 400, response.text
        assert set(response.json()) == {"error"}
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return response.status_code, error["code"], error["param"]

    async def become(self, role, scope=None, name="someone"):
        """The admin that a new admin key makes."""
        body = {"name": name, "role": role} | ({} if scope is None else {"scope": scope})
        return Admin(self._app, (await self.post("admin-keys", **body))["key"])


def _good(response):
    assert response.status_code < 300, response.text
    return response.json()
