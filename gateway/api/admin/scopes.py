"""Scopes in the bodies of budgets and limits, and who may set rules for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.api.admin.access import must_rule
from gateway.api.admin.fields import Body, ModelName, Name, PageQuery, printable
from gateway.domain import Actor, Dimension
from gateway.stores.scopes import OwnedScope, missing, owned_scope
from gateway.stores.tenants import DEFAULT_ORGANIZATION

END_USER_CHARACTERS_MAX = 500
_NARROWEST_FIRST = (Dimension.KEY, Dimension.MEMBER, Dimension.TEAM, Dimension.ORGANIZATION)
_EACH = [str(dimension) for dimension in (Dimension.TEAM, Dimension.MEMBER, Dimension.KEY, Dimension.END_USER)]

# As clients send it: a space more is another end user.
EndUser = Annotated[
    str, StringConstraints(min_length=1, max_length=END_USER_CHARACTERS_MAX, strict=True), AfterValidator(printable)
]


class ScopeBody(Body):
    """Which calls a rule is about: those for which everything that it names is so."""

    organization: Annotated[Name | None, Field(description="Follows from team, member or key; else the sender's.")] = (
        None
    )
    team: Name | None = None
    member: Name | None = None
    key: Name | None = None
    end_user: EndUser | None = None
    route: ModelName | None = None
    model: Annotated[
        ModelName | None, Field(description="What the client asks for, the deployment, or the provider's name for it.")
    ] = None
    each: Annotated[
        Dimension | None,
        Field(
            description="Counts every one of these apart, each up to the same amount.",
            json_schema_extra={"enum": _EACH},
        ),
    ] = None


class RuleQuery(PageQuery):
    """The filters of the lists. A team's rules are also those of its members and keys."""

    organization: str | None = None
    team: str | None = None
    member: str | None = None
    key: str | None = None


async def writable_scope(engine: AsyncEngine, actor: Actor, body: ScopeBody) -> OwnedScope:
    """The scope that the body names, if the sender may set rules for it.

    Raises NotFound for what is not there or not in the sender's scope, Forbidden, BadRequest, StoreUnavailable.
    """
    named = {dimension: value for dimension in Dimension if (value := getattr(body, dimension)) is not None}
    if named.keys().isdisjoint(_NARROWEST_FIRST):
        named[Dimension.ORGANIZATION] = actor.organization_id or DEFAULT_ORGANIZATION
    owned = await owned_scope(engine, named, body.each)
    narrowest = next(dimension for dimension in _NARROWEST_FIRST if dimension in named)
    must_rule(actor, owned.scope, owned.team_id, missing(narrowest, named[narrowest]))
    return owned
