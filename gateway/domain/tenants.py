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


class WriterKind(StrEnum):
    """Who can have asked, from all to one."""

    ORGANIZATION = "organization"
    TEAM = "team"
    KEY = "key"
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Writer:
    """Somebody whose traces can be purged, and where it belongs. ``team_id``: None for an organization."""

    kind: WriterKind
    id: str
    organization_id: str
    team_id: str | None = None
