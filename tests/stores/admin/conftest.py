"""The admin API of tenants, budgets and limits as the operator sees it, and tenants to try it on."""

from __future__ import annotations

from uuid import uuid4

import pytest
from admin_parts import ADMIN_KEY, NOW, TEN_A_MONTH, Admin, rules_app
from admin_role_parts import Tenants, Time


@pytest.fixture(scope="module")
def clock():
    return Time()


@pytest.fixture(scope="module")
def app(engine, clock):
    return rules_app(engine, NOW.timestamp, clock)


@pytest.fixture(scope="module")
def owner(app):
    return Admin(app, ADMIN_KEY)


@pytest.fixture
async def organization(owner):
    return await owner.post("organizations", name=uuid4().hex)


@pytest.fixture
async def team(owner, organization):
    return await owner.post("teams", name="search", organization=organization["id"])


@pytest.fixture
async def budget(owner, team):
    return await owner.post("budgets", scope={"team": team["id"]}, **TEN_A_MONTH)


@pytest.fixture(scope="module")
async def ours(owner):
    return await Tenants().made_by(owner)


@pytest.fixture(scope="module")
async def theirs(owner):
    return await Tenants().made_by(owner)


@pytest.fixture(scope="module")
async def organization_admin(owner, ours):
    return await owner.become("organization_admin", ours.scope)
