"""Who administers what: roles, and the authenticated sender of an admin request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an admin key may do: everything; all within its organization; all within its team; only read its scope."""

    OWNER = "owner"
    ORGANIZATION_ADMIN = "organization_admin"
    TEAM_ADMIN = "team_admin"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who sends an admin request. ``organization_id`` and ``team_id`` bound what it may see; None is unbounded."""

    id: str  # of the admin key; "admin" for the operator's own
    name: str
    role: Role
    organization_id: str | None = None
    team_id: str | None = None
