"""How scopes are told: as fields of JSON, and to people."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain import Dimension, LedgerEntry, Scope

# The field of a Scope, and of a LedgerEntry but for the model, that holds each dimension.
FIELDS: Mapping[Dimension, str] = {
    Dimension.ORGANIZATION: "organization_id",
    Dimension.TEAM: "team_id",
    Dimension.MEMBER: "member_id",
    Dimension.KEY: "key_id",
    Dimension.END_USER: "end_user",
    Dimension.ROUTE: "route",
    Dimension.MODEL: "model",
}
_OWNED = (Dimension.TEAM, Dimension.MEMBER, Dimension.KEY)  # each is of one organization


def scope_fields(scope: Scope) -> dict[str, str]:
    """The scope as the admin API takes it: only what it names, and the organization where nothing else says it."""
    named = {str(dimension): getattr(scope, field) for dimension, field in FIELDS.items()}
    if any(named[dimension] is not None for dimension in _OWNED):
        del named[Dimension.ORGANIZATION]
    fields = {name: value for name, value in named.items() if value is not None}
    return fields if scope.each is None else {**fields, "each": str(scope.each)}


def subject_of(
    scope: Scope, *, organization: str, team: str | None = None, member: str | None = None, key: str | None = None
) -> str:
    """What a scope is called: "Team search", "Key ci of team search, route auto - each end user".

    The names are those of the scope's organization, team, member and key; ``team`` may also be the one that the key is
    of, where the scope names none.
    """
    parts = []
    if scope.key_id is not None:
        parts.append(f"key {key or scope.key_id}" + (f" of team {team}" if team else ""))
    elif scope.member_id is not None:
        parts.append(f"member {member or scope.member_id}")
    elif scope.team_id is not None:
        parts.append(f"team {team or scope.team_id}")
    if scope.end_user is not None:
        parts.append(f"end user {scope.end_user}")
    if scope.route is not None:
        parts.append(f"route {scope.route}")
    if scope.model is not None:
        parts.append(f"model {scope.model}")
    told = ", ".join(parts) or f"organization {organization}"
    each = "" if scope.each is None else f" - each {scope.each.replace('_', ' ')}"
    return told[0].upper() + told[1:] + each


def is_within(entry: LedgerEntry, scope: Scope, value: str | None) -> bool:
    """Whether a call is one that the scope is about, and of that value where it counts apart."""
    if scope.each is not None and getattr(entry, FIELDS[scope.each]) != value:
        return False
    if scope.model is not None and scope.model not in {entry.model_asked, entry.deployment, entry.model}:
        return False
    return all(
        named is None or named == getattr(entry, field)
        for dimension, field in FIELDS.items()
        if dimension is not Dimension.MODEL
        for named in (getattr(scope, field),)
    )
