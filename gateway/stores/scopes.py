"""Whom a rule is about: its columns in Postgres, and what a scope that somebody names means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, Select, Table, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain import Dimension, Scope
from gateway.errors import BadRequest, Conflict, NotFound
from gateway.stores.database import translated
from gateway.stores.records import Place
from gateway.stores.tables import keys, members, organizations, teams
from gateway.stores.tenants import DEFAULT_ORGANIZATION
from policies.scopes import subject_of

# What a scope may not name beside counting this apart, because there is only one of it then.
SINGLE: Mapping[Dimension, tuple[Dimension, ...]] = {
    Dimension.TEAM: (Dimension.TEAM, Dimension.MEMBER, Dimension.KEY),
    Dimension.MEMBER: (Dimension.MEMBER, Dimension.KEY),
    Dimension.KEY: (Dimension.KEY,),
    Dimension.END_USER: (Dimension.END_USER,),
}

_ANYWHERE = Place()
_bound_member = members.alias("bound_member")  # the one that a scope's key is bound to


@dataclass(frozen=True, slots=True)
class OwnedScope:
    """A scope whose parts exist and fit together. ``team_id``: the team that it lies within, if it names any of one."""

    scope: Scope
    team_id: str | None


def source_of(rules: Table) -> FromClause:
    """The table of budgets or limits, beside the names of whom they are about."""
    return (
        rules.join(organizations, organizations.c.id == rules.c.organization_id)
        .outerjoin(members, members.c.id == rules.c.member_id)
        .outerjoin(keys, keys.c.id == rules.c.key_id)
        .outerjoin(_bound_member, _bound_member.c.id == keys.c.member_id)
        .outerjoin(teams, teams.c.id == team_of(rules))
    )


def team_of(rules: Table) -> ColumnElement[str]:
    """The team that a rule lies within: its own, or that of its member or key."""
    return func.coalesce(rules.c.team_id, members.c.team_id, keys.c.team_id)


def columns_of(rules: Table) -> tuple[ColumnElement[Any], ...]:
    """What every rule's row holds; ``scope_in`` and ``subject_in`` read them."""
    return (
        rules.c.id,
        rules.c.created_at,
        rules.c.updated_at,
        rules.c.organization_id,
        rules.c.team_id,
        rules.c.member_id,
        rules.c.key_id,
        rules.c.end_user,
        rules.c.route,
        rules.c.model,
        rules.c.each,
        team_of(rules).label("within_team_id"),
        organizations.c.name.label("organization_name"),
        teams.c.name.label("team_name"),
        members.c.name.label("member_name"),
        keys.c.name.label("key_name"),
        func.coalesce(members.c.email, _bound_member.c.email, teams.c.contact, organizations.c.contact).label(
            "contact"
        ),
    )


def scope_in(row: Row[*tuple[Any, ...]]) -> Scope:
    """The scope that a row holds."""
    return Scope(
        organization_id=row.organization_id,
        team_id=row.team_id,
        member_id=row.member_id,
        key_id=row.key_id,
        end_user=row.end_user,
        route=row.route,
        model=row.model,
        each=None if row.each is None else Dimension(row.each),
    )


def subject_in(row: Row[*tuple[Any, ...]], scope: Scope) -> str:
    """What people call whom the row is about."""
    return subject_of(
        scope, organization=row.organization_name, team=row.team_name, member=row.member_name, key=row.key_name
    )


def scope_values(scope: Scope) -> dict[str, str | None]:
    """The scope as columns."""
    return {
        "organization_id": scope.organization_id,
        "team_id": scope.team_id,
        "member_id": scope.member_id,
        "key_id": scope.key_id,
        "end_user": scope.end_user,
        "route": scope.route,
        "model": scope.model,
        "each": None if scope.each is None else str(scope.each),
    }


def is_same_scope(rules: Table, scope: Scope) -> ColumnElement[bool]:
    """The condition that a row is about the same."""
    return and_(*(rules.c[name].is_not_distinct_from(value) for name, value in scope_values(scope).items()))


async def owned_scope(
    engine: AsyncEngine, named: Mapping[Dimension, str], each: Dimension | None, within: Place = _ANYWHERE
) -> OwnedScope:
    """The scope of what somebody who sees ``within`` names, in the organization that follows from it.

    Raises NotFound for a part that is not there (any more, or for them), Conflict for parts that do not belong
    together, BadRequest for an ``each`` of which the scope names the only one, StoreUnavailable.
    """
    _check_each(named, each)
    if named.keys().isdisjoint(_OWNERS):
        named = {**named, Dimension.ORGANIZATION: DEFAULT_ORGANIZATION}
    known: dict[Dimension, str | None] = {}
    with translated():
        async with engine.connect() as connection:
            for dimension in _OWNERS:
                if dimension in named:
                    known |= await _owners(connection, dimension, named, within)
    scope = Scope(
        organization_id=known[Dimension.ORGANIZATION] or DEFAULT_ORGANIZATION,
        team_id=named.get(Dimension.TEAM),
        member_id=named.get(Dimension.MEMBER),
        key_id=named.get(Dimension.KEY),
        end_user=named.get(Dimension.END_USER),
        route=named.get(Dimension.ROUTE),
        model=named.get(Dimension.MODEL),
        each=each,
    )
    return OwnedScope(scope, known.get(Dimension.TEAM))


def missing(dimension: Dimension, value: str) -> NotFound:
    """What says that a part of a scope is not there: the same for one that somebody may not know of."""
    return NotFound(f"There is no {dimension} {value!r}.", param=f"scope.{dimension}")


async def _owners(
    connection: AsyncConnection, dimension: Dimension, named: Mapping[Dimension, str], within: Place
) -> dict[Dimension, str | None]:
    """A named organization, team, member or key and what it belongs to."""
    value = named[dimension]
    row = (await connection.execute(_OWNERS[dimension].where(_ID_OF[dimension] == value))).first()
    if row is None:
        raise missing(dimension, value)
    owners = {Dimension(name): owner for name, owner in row._mapping.items()}  # noqa: SLF001 - its public name
    if _lies_outside(owners, within):
        raise missing(dimension, value)
    for other, owner in owners.items():
        if named.get(other, owner) != owner:
            raise Conflict(
                f"The {dimension} {value!r} is not of the {other} {named[other]!r}.",
                param=f"scope.{other}",
                code="contradicting_scope",
            )
    return owners


def _lies_outside(owners: Mapping[Dimension, str | None], place: Place) -> bool:
    """Whether something with those owners is of another organization than the place, or of another team."""
    bounds = {Dimension.ORGANIZATION: place.organization_id, Dimension.TEAM: place.team_id}
    return any(bound is not None and owners.get(dimension, bound) != bound for dimension, bound in bounds.items())


def _check_each(named: Mapping[Dimension, str], each: Dimension | None) -> None:
    if each is None:
        return
    if each not in SINGLE:
        raise BadRequest(f"each is one of {', '.join(SINGLE)}", param="scope.each", code="invalid_value")
    for other in SINGLE[each]:
        if other in named:
            raise BadRequest(
                f"A scope that names a {other.replace('_', ' ')} has only one {each.replace('_', ' ')} to count.",
                param="scope.each",
                code="contradicting_scope",
            )


_OWNERS: Mapping[Dimension, Select[*tuple[Any, ...]]] = {
    Dimension.ORGANIZATION: select(organizations.c.id.label("organization")).where(
        organizations.c.deleted_at.is_(None)
    ),
    Dimension.TEAM: select(teams.c.organization_id.label("organization"), teams.c.id.label("team")).where(
        teams.c.deleted_at.is_(None)
    ),
    Dimension.MEMBER: select(
        members.c.organization_id.label("organization"), members.c.team_id.label("team"), members.c.id.label("member")
    ).where(members.c.deleted_at.is_(None)),
    Dimension.KEY: select(
        teams.c.organization_id.label("organization"), keys.c.team_id.label("team"), keys.c.member_id.label("member")
    )
    .join(teams, teams.c.id == keys.c.team_id)
    .where(keys.c.revoked_at.is_(None)),
}
_ID_OF = {
    Dimension.ORGANIZATION: organizations.c.id,
    Dimension.TEAM: teams.c.id,
    Dimension.MEMBER: members.c.id,
    Dimension.KEY: keys.c.id,
}
