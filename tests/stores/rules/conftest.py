"""Budgets and limits as Postgres keeps them, and a new team with a member for them to be about."""

from __future__ import annotations

from uuid import uuid4

import pytest
from rule_parts import ACTOR

from gateway.domain import Scope
from gateway.stores.budgets import BudgetStore
from gateway.stores.limits import LimitStore


@pytest.fixture
def budgets(engine):
    return BudgetStore(engine)


@pytest.fixture
def limits(engine):
    return LimitStore(engine)


@pytest.fixture
async def organization(tenants):
    return await tenants.create_organization(ACTOR, uuid4().hex, contact="office@example.com")


@pytest.fixture
async def team(tenants, organization):
    return await tenants.create_team(ACTOR, "search", organization.id, contact="owner@example.com")


@pytest.fixture
async def member(tenants, team):
    return await tenants.create_member(ACTOR, team.id, "ann", email="ann@example.com")


@pytest.fixture
def scope(organization, team):
    return Scope(organization.id, team_id=team.id)
