"""Organizations, their teams, and the members of those: the admin's side of who spends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Actor
from gateway.errors import Conflict
from gateway.stores import records
from gateway.stores.database import translated
from gateway.stores.key_announcer import Announce, announce_nothing
from gateway.stores.paging import filter_value
from gateway.stores.records import Kind, Place, free_name, new_id
from gateway.stores.tables import admin_keys, faq_versions, keys, members, organizations, route_prompts, teams
from policies.refusal_text import dollars

DEFAULT_ORGANIZATION = "org_default"
DEFAULT_TEAM = "team_default"


@dataclass(frozen=True, slots=True)
class Organization:
    """Owns teams; budgets and limits never reach beyond it. ``contact``: whom refusals tell people to ask."""

    id: str
    name: str
    contact: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Team:
    """Owns keys; what its keys spend is its spend. ``contact``: whom refusals tell people to ask.

    Its targets on routes: ``quality_loss_max``, the share of quality that may be lost, and ``call_cost_max_usd``, the
    most that a call may be expected to cost. ``guards``: what it adds to those of the catalog, as JSON.
    """

    id: str
    name: str
    organization_id: str
    contact: str | None
    quality_loss_max: float | None
    call_cost_max_usd: str | None
    guards: tuple[object, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person of a team; the keys bound to it spend as that person."""

    id: str
    name: str
    email: str | None
    team: str
    organization_id: str
    created_at: datetime


def _read_team(row: Row[*tuple[Any, ...]]) -> Team:
    cap_nusd = row.call_cost_max_nusd
    return Team(
        id=row.id,
        name=row.name,
        organization_id=row.organization_id,
        contact=row.contact,
        quality_loss_max=row.quality_loss_max,
        call_cost_max_usd=None if cap_nusd is None else dollars(cap_nusd),
        guards=tuple(row.guards or ()),
        created_at=row.created_at,
    )


ORGANIZATION = Kind(
    name="organization",
    table=organizations,
    source=organizations,
    columns=(organizations.c.id, organizations.c.name, organizations.c.contact, organizations.c.created_at),
    read=lambda row: Organization(*row),
    place=lambda organization: Place(organization.id),
    organization=organizations.c.id,
    team=None,
    is_found=organizations.c.deleted_at.is_(None),
)
TEAM = Kind(
    name="team",
    table=teams,
    source=teams,
    columns=(
        teams.c.id,
        teams.c.name,
        teams.c.organization_id,
        teams.c.contact,
        teams.c.quality_loss_max,
        teams.c.call_cost_max_nusd,
        teams.c.guards,
        teams.c.created_at,
    ),
    read=_read_team,
    place=lambda team: Place(team.organization_id, team.id),
    organization=teams.c.organization_id,
    team=teams.c.id,
    is_found=teams.c.deleted_at.is_(None),
)
MEMBER = Kind(
    name="member",
    table=members,
    source=members,
    columns=(
        members.c.id,
        members.c.name,
        members.c.email,
        members.c.team_id,
        members.c.organization_id,
        members.c.created_at,
    ),
    read=lambda row: Member(*row),
    place=lambda member: Place(member.organization_id, member.team),
    organization=members.c.organization_id,
    team=members.c.team_id,
    is_found=members.c.deleted_at.is_(None),
)
_ANYWHERE = Place()


class TenantStore:
    """Reads and writes tenants. Every method raises StoreUnavailable while Postgres is away."""

    def __init__(self, engine: AsyncEngine, announce: Announce = announce_nothing) -> None:
        self._engine = engine
        self._announce = announce

    async def organization(self, organization_id: str) -> Organization:
        """Raises NotFound."""
        return await records.get(self._engine, ORGANIZATION, organization_id)

    async def organizations(
        self, within: Place = _ANYWHERE, *, limit: int | str | None = None, cursor: str | None = None
    ) -> tuple[tuple[Organization, ...], str | None]:
        """Those within a place, newest first, and the next cursor. Raises BadRequest."""
        return await records.page(self._engine, ORGANIZATION, within, {}, limit, cursor)

    async def create_organization(self, actor: Actor, name: str, *, contact: str | None = None) -> Organization:
        """Raises Conflict when a live one has this name."""
        values = {"id": new_id("org"), "name": name, "contact": contact}
        with free_name(ORGANIZATION, name):
            async with self._engine.begin() as connection:
                return await records.make(connection, actor, ORGANIZATION, values)

    async def update_organization(
        self, actor: Actor, organization_id: str, changes: Mapping[str, object]
    ) -> Organization:
        """Set name or contact. Raises Conflict and NotFound."""
        with free_name(ORGANIZATION, changes.get("name")):
            async with self._engine.begin() as connection:
                return await records.change(connection, actor, ORGANIZATION, organization_id, changes)

    async def delete_organization(self, actor: Actor, organization_id: str) -> None:
        """Delete one that has no team any more; its admin keys are revoked. Raises Conflict and NotFound."""
        if organization_id == DEFAULT_ORGANIZATION:
            raise Conflict("The default organization cannot be deleted.", code="default_organization")
        with translated():
            async with self._engine.begin() as connection:
                await records.end(connection, actor, ORGANIZATION, organization_id)
                living = select(func.count()).where(
                    teams.c.organization_id == organization_id, teams.c.deleted_at.is_(None)
                )
                if count := (await connection.execute(living)).scalar_one():
                    raise Conflict(
                        f"The organization {organization_id!r} has {count} teams: delete them first.", code="has_teams"
                    )
                await _revoke_admin_keys(connection, Place(organization_id))

    async def team(self, team_id: str) -> Team:
        """Raises NotFound."""
        return await records.get(self._engine, TEAM, team_id)

    async def teams(
        self,
        within: Place = _ANYWHERE,
        *,
        organization: str | None = None,
        limit: int | str | None = None,
        cursor: str | None = None,
    ) -> tuple[tuple[Team, ...], str | None]:
        """Those of an organization, or all, newest first, and the next cursor. Raises BadRequest."""
        filters = {teams.c.organization_id: filter_value(organization, "organization")}
        return await records.page(self._engine, TEAM, within, filters, limit, cursor)

    async def teams_called(self, name: str) -> Sequence[Team]:
        """Every team with that id or name, oldest first."""
        query = TEAM.query().where(or_(teams.c.id == name, teams.c.name == name)).order_by(teams.c.created_at)
        with translated():
            async with self._engine.connect() as connection:
                return [TEAM.read(row) for row in await connection.execute(query)]

    async def team_names(self) -> dict[str, str]:
        """What every team is or was called, by id."""
        with translated():
            async with self._engine.connect() as connection:
                return {row.id: row.name for row in await connection.execute(select(teams.c.id, teams.c.name))}

    async def ensure_default_team(self, actor: Actor) -> Team:
        """The team that the first key belongs to, made with its organization where it is missing."""
        with translated():
            async with self._engine.begin() as connection:
                await _ensure_default_organization(connection)
                await connection.execute(
                    upsert(teams)
                    .values(id=DEFAULT_TEAM, organization_id=DEFAULT_ORGANIZATION, name="default")
                    .on_conflict_do_nothing()
                )
                # Someone may have deleted it, or made another team of that name: the oldest live one stands in.
                found = await connection.execute(
                    TEAM.query()
                    .where(teams.c.organization_id == DEFAULT_ORGANIZATION)
                    .order_by(teams.c.id != DEFAULT_TEAM, teams.c.created_at)
                    .limit(1)
                )
                row = found.first()
        return TEAM.read(row) if row else await self.create_team(actor, "default")

    async def create_team(
        self,
        actor: Actor,
        name: str,
        organization_id: str = DEFAULT_ORGANIZATION,
        *,
        contact: str | None = None,
        quality_loss_max: float | None = None,
        call_cost_max_nusd: int | None = None,
        guards: Sequence[object] = (),
    ) -> Team:
        """Raises Conflict when a live team of the organization has this name, NotFound for an unknown organization."""
        values = {
            "id": new_id("team"),
            "name": name,
            "organization_id": organization_id,
            "contact": contact,
            "quality_loss_max": quality_loss_max,
            "call_cost_max_nusd": call_cost_max_nusd,
            "guards": list(guards) or None,
        }
        with free_name(TEAM, name):
            async with self._engine.begin() as connection:
                if organization_id == DEFAULT_ORGANIZATION:
                    await _ensure_default_organization(connection)
                await records.find(connection, ORGANIZATION, organization_id, keep=True)
                return await records.make(connection, actor, TEAM, values)

    async def update_team(self, actor: Actor, team_id: str, changes: Mapping[str, object]) -> Team:
        """Set name, contact, targets or guards, as columns. Raises Conflict and NotFound."""
        with free_name(TEAM, changes.get("name")):
            async with self._engine.begin() as connection:
                changed = await records.change(connection, actor, TEAM, team_id, changes)
                digests = await _touch_keys(connection, team_id)  # every process knows keys with their team
        await self._announce(digests)
        return changed

    async def delete_team(self, actor: Actor, team_id: str) -> None:
        """Delete a team with its members, kept prompts and questions, revoke its keys; its ledger stays.

        Raises NotFound.
        """
        with translated():
            async with self._engine.begin() as connection:
                team = await records.end(connection, actor, TEAM, team_id)
                await connection.execute(
                    update(members)
                    .where(members.c.team_id == team_id, members.c.deleted_at.is_(None))
                    .values(deleted_at=func.now(), updated_at=func.clock_timestamp())
                )
                await _revoke_admin_keys(connection, Place(team.organization_id, team_id))
                for its_own in (route_prompts, faq_versions):
                    await connection.execute(delete(its_own).where(its_own.c.team_id == team_id))
                digests = await _revoke_keys(connection, team_id=team_id)
        await self._announce(digests)

    async def member(self, member_id: str) -> Member:
        """Raises NotFound."""
        return await records.get(self._engine, MEMBER, member_id)

    async def members(
        self,
        within: Place = _ANYWHERE,
        *,
        organization: str | None = None,
        team: str | None = None,
        limit: int | str | None = None,
        cursor: str | None = None,
    ) -> tuple[tuple[Member, ...], str | None]:
        """Those of an organization or team, or all, newest first, and the next cursor. Raises BadRequest."""
        filters = {
            members.c.organization_id: filter_value(organization, "organization"),
            members.c.team_id: filter_value(team, "team"),
        }
        return await records.page(self._engine, MEMBER, within, filters, limit, cursor)

    async def create_member(self, actor: Actor, team_id: str, name: str, *, email: str | None = None) -> Member:
        """Raises Conflict when a live member of the team has this name, NotFound for an unknown team."""
        with free_name(MEMBER, name):
            async with self._engine.begin() as connection:
                team = await records.find(connection, TEAM, team_id, keep=True)
                values = {
                    "id": new_id("member"),
                    "name": name,
                    "email": email,
                    "team_id": team.id,
                    "organization_id": team.organization_id,
                }
                return await records.make(connection, actor, MEMBER, values)

    async def update_member(self, actor: Actor, member_id: str, changes: Mapping[str, object]) -> Member:
        """Set name or email. Raises Conflict and NotFound."""
        with free_name(MEMBER, changes.get("name")):
            async with self._engine.begin() as connection:
                return await records.change(connection, actor, MEMBER, member_id, changes)

    async def delete_member(self, actor: Actor, member_id: str) -> None:
        """Delete a member and revoke its keys; what it spent stays on the ledger under its id. Raises NotFound."""
        with translated():
            async with self._engine.begin() as connection:
                await records.end(connection, actor, MEMBER, member_id)
                digests = await _revoke_keys(connection, member_id=member_id)
        await self._announce(digests)


async def _ensure_default_organization(connection: AsyncConnection) -> None:
    await connection.execute(
        upsert(organizations).values(id=DEFAULT_ORGANIZATION, name="default").on_conflict_do_nothing()
    )


async def _revoke_keys(
    connection: AsyncConnection, *, team_id: str | None = None, member_id: str | None = None
) -> list[bytes]:
    """Revoke the live keys of a team or a member; the digests by which they are known."""
    whose = keys.c.team_id == team_id if member_id is None else keys.c.member_id == member_id
    revoked = await connection.execute(
        update(keys)
        .where(whose, keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now(), updated_at=func.clock_timestamp())
        .returning(keys.c.secret_sha256, keys.c.previous_sha256)
    )
    return [digest for row in revoked for digest in row if digest is not None]


async def _touch_keys(connection: AsyncConnection, team_id: str) -> list[bytes]:
    """Let every process look the team's live keys up anew; the digests by which they are known."""
    touched = await connection.execute(
        update(keys)
        .where(keys.c.team_id == team_id, keys.c.revoked_at.is_(None))
        .values(updated_at=func.clock_timestamp())
        .returning(keys.c.secret_sha256, keys.c.previous_sha256)
    )
    return [digest for row in touched for digest in row if digest is not None]


async def _revoke_admin_keys(connection: AsyncConnection, place: Place) -> None:
    """Revoke the admin keys whose scope ends."""
    whose = admin_keys.c.organization_id == place.organization_id
    if place.team_id is not None:
        whose = admin_keys.c.team_id == place.team_id
    await connection.execute(
        update(admin_keys)
        .where(whose, admin_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now(), updated_at=func.clock_timestamp())
    )
