"""Scopes in the bodies of budgets and limits, and who may set rules for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.api.admin.access import must_read, must_rule, visible
from gateway.api.admin.fields import PRINTABLE_PATTERN, Body, FilterText, ModelName, Name, PageQuery, printable
from gateway.domain import END_USER_CHARACTERS_MAX, Actor, Dimension
from gateway.stores.rules import Q, RuleRecord, RuleStore
from gateway.stores.scopes import SINGLE, OwnedScope, missing, owned_scope
from gateway.stores.tenants import DEFAULT_ORGANIZATION

_NARROWEST_FIRST = (Dimension.KEY, Dimension.MEMBER, Dimension.TEAM, Dimension.ORGANIZATION)
_EACH = [str(dimension) for dimension in SINGLE]

# As clients send it: a space more is another end user.
EndUser = Annotated[
    str,
    StringConstraints(min_length=1, max_length=END_USER_CHARACTERS_MAX, strict=True),
    AfterValidator(printable),
    Field(json_schema_extra={"pattern": PRINTABLE_PATTERN}),
]


_UNNAMED: JsonDict = {"type": "null"}


def _of_several(each: Dimension, others: Sequence[Dimension]) -> JsonDict:
    """The schema of a scope that counts those apart."""
    properties: JsonDict = {str(other): _UNNAMED for other in others}
    return {"properties": properties | {"each": {"const": str(each)}}}


# Who is named is one, and is not counted apart.
_EACH_OF_SEVERAL: JsonDict = {
    "anyOf": [{"properties": {"each": _UNNAMED}}, *(_of_several(each, others) for each, others in SINGLE.items())]
}


class ScopeBody(Body):
    """Which calls a rule is about: those for which everything that it names is so."""

    model_config = ConfigDict(json_schema_extra=_EACH_OF_SEVERAL)

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

    organization: FilterText = None
    team: FilterText = None
    member: FilterText = None
    key: FilterText = None


async def readable_rule(store: RuleStore[Q], actor: Actor, rule_id: str) -> RuleRecord[Q]:
    """The budget or limit, if the sender may see it. Raises NotFound."""
    record = await store.get(rule_id)
    must_read(actor, record.rule.scope.organization_id, record.team_id, store.missing(rule_id))
    return record


async def writable_rule(store: RuleStore[Q], actor: Actor, rule_id: str) -> RuleRecord[Q]:
    """The budget or limit, if the sender may change it. Raises NotFound and Forbidden."""
    record = await store.get(rule_id)
    must_rule(actor, record.rule.scope, record.team_id, store.missing(rule_id))
    return record


async def writable_scope(engine: AsyncEngine, actor: Actor, body: ScopeBody) -> OwnedScope:
    """The scope that the body names, if the sender may set rules for it.

    Raises NotFound for what is not there or not in the sender's scope, Conflict for what does not belong together,
    Forbidden, BadRequest, StoreUnavailable.
    """
    named = {dimension: value for dimension in Dimension if (value := getattr(body, dimension)) is not None}
    if named.keys().isdisjoint(_NARROWEST_FIRST):
        named[Dimension.ORGANIZATION] = actor.organization_id or DEFAULT_ORGANIZATION
    owned = await owned_scope(engine, named, body.each, visible(actor))
    narrowest = next(dimension for dimension in _NARROWEST_FIRST if dimension in named)
    must_rule(actor, owned.scope, owned.team_id, missing(narrowest, named[narrowest]))
    return owned
