"""Who makes tenants and keys in tests."""

from __future__ import annotations

from gateway.domain import Actor, Role

OWNER = Actor(id="admin_owner", name="owner", role=Role.OWNER)
