"""``/admin/guards``: the guards of the catalog, and what guards make of a text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Protocol

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from gateway.api.admin.access import must_read
from gateway.api.admin.fields import Body, Name
from gateway.api.admin.guard import Sender
from gateway.api.admin.guard_lists import AddedGuards, GuardLists
from gateway.catalog.guard_rules import asked_by
from gateway.catalog.snapshot import CatalogSnapshot
from gateway.domain import Actor, Asker, GuardRule, Where
from gateway.errors import Conflict, NotFound
from gateway.guard_ports import Guard
from gateway.screening.trying import Tried, tried
from gateway.stores.keys import KEY, KeyStore
from gateway.stores.tenants import TEAM, TenantStore

TEXTS_MAX = 100
TEXT_CHARACTERS_MAX = 1_000_000


class StandingGuards(Protocol):
    """Which guards stand before what, without a request. ``added``: a JSON list, as ``Caller.guards``."""

    def standing(self, route: str | None, added: str) -> Sequence[tuple[GuardRule, Guard]]:
        """Before a route (None: before a deployment), of everybody's, the route's and those added."""

    def alone(self, added: str) -> Sequence[tuple[GuardRule, Guard]]:
        """Those added and no others."""


class GuardShown(BaseModel):
    """A guard of the catalog. ``routes``: those that name it; ``deployment``: whom it asks, if anybody."""

    name: str
    kind: str
    where: str
    mode: str
    on_error: str
    timeout_s: float
    release: str
    on_block: str
    always: bool
    routes: list[str]
    deployment: str | None


class GuardsShown(BaseModel):
    """All guards of the catalog, in its order."""

    data: list[GuardShown]


_Text = Annotated[str, StringConstraints(strict=True, max_length=TEXT_CHARACTERS_MAX)]


class GuardTrialBody(Body):
    """``POST /admin/guards/try``: one ``text``, or several, each looked at alone; nothing is sent on to a model.

    Who is tried: ``guards``, as a team would add them; else those that stand before requests of a ``key`` or ``team``
    to a ``route``, all of which may be left out.
    """

    text: _Text | None = None
    texts: Annotated[list[_Text], Field(min_length=1, max_length=TEXTS_MAX)] | None = None
    where: Literal["input", "output"] = "input"
    guards: AddedGuards | None = None
    route: Name | None = None
    team: Name | None = None
    key: Name | None = None


class TriedVerdict(BaseModel):
    """What one guard said. ``error``: why it gave no answer."""

    guard: str
    version: str
    mode: str
    verdict: str
    categories: list[str]
    score: float | None
    ms: float
    error: str | None


class TriedText(BaseModel):
    """``text``: as guards in mode redact leave it."""

    text: str
    guards: list[TriedVerdict]


class GuardTrial(BaseModel):
    """What the guards made of each text, in their order."""

    where: str
    data: list[TriedText]


def add_guards(
    router: APIRouter,
    catalog: Callable[[], CatalogSnapshot],
    lists: GuardLists,
    standing: StandingGuards,
    tenants: TenantStore,
    keys: KeyStore,
) -> None:
    """The routes. Whoever has an admin key may read the catalog's guards, which are nobody's own."""

    @router.get("/guards")
    async def list_guards(actor: Sender) -> GuardsShown:
        del actor
        current = catalog()
        return GuardsShown(data=[_shown(rule, current) for rule in current.guards.values()])

    async def chosen(body: GuardTrialBody, actor: Actor) -> tuple[Sequence[tuple[GuardRule, Guard]], Asker]:
        """Raises NotFound and Conflict."""
        asker = Asker("try", actor.organization_id or "", "", "", Where(body.where), body.route or "")
        if body.guards is not None:
            return standing.alone(_as_text(await lists.checked(body.guards))), asker
        if body.route is not None and catalog().route(body.route) is None:
            raise NotFound(f"There is no route {body.route!r}.", param="route")
        added: tuple[object, ...] = ()
        team_id = body.team
        if body.key is not None:
            key = await keys.key(body.key)
            must_read(actor, key.organization_id, key.team, KEY.missing(body.key))
            team_id, added = key.team, key.guards
        if team_id is not None:
            team = await tenants.team(team_id)
            must_read(actor, team.organization_id, team.id, TEAM.missing(team_id))
            added = (*team.guards, *added)
            asker = Asker("try", team.organization_id, team.id, body.key or "", Where(body.where), body.route or "")
        return standing.standing(body.route, _as_text(added)), asker

    @router.post("/guards/try")
    async def try_guards(body: GuardTrialBody, actor: Sender) -> GuardTrial:
        """Changes nothing and is charged to nobody: guards that would ask a deployment fail, and say so."""
        texts = _texts(body)
        guards, asker = await chosen(body, actor)
        data = []
        for text in texts:
            data.append(_told(await tried(guards, text, asker, time.monotonic)))
            await asyncio.sleep(0)  # others want to be served, too
        return GuardTrial(where=body.where, data=data)


def _texts(body: GuardTrialBody) -> Sequence[str]:
    """Raises Conflict for what contradicts itself."""
    if (body.text is None) == (body.texts is None):
        raise Conflict("State either text or texts.", param="text", code="invalid_value")
    if body.guards is not None and (body.route is not None or body.team is not None or body.key is not None):
        raise Conflict("State either guards, or route, team and key.", param="guards", code="invalid_value")
    if body.team is not None and body.key is not None:
        raise Conflict("State either a team or a key, whose team is known.", param="team", code="invalid_value")
    return [body.text] if body.text is not None else body.texts or []


def _as_text(added: Sequence[object]) -> str:
    return msgspec.json.encode(added).decode() if added else ""


def _shown(rule: GuardRule, catalog: CatalogSnapshot) -> GuardShown:
    return GuardShown(
        name=rule.name,
        kind=rule.kind,
        where=rule.where,
        mode=rule.mode,
        on_error=rule.on_error,
        timeout_s=rule.timeout_s,
        release=rule.release,
        on_block=rule.on_block,
        always=rule.name in catalog.always,
        routes=[name for name, route in catalog.routes.items() if rule.name in route.guards],
        deployment=asked_by(rule),
    )


def _told(one: Tried) -> TriedText:
    verdicts = [
        TriedVerdict(
            guard=verdict.guard,
            version=verdict.version,
            mode=verdict.mode,
            verdict=verdict.verdict,
            categories=list(verdict.categories),
            score=verdict.score,
            ms=verdict.ms,
            error=verdict.error,
        )
        for verdict in one.verdicts
    ]
    return TriedText(text=one.text, guards=verdicts)
