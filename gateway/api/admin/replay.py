"""``POST /admin/replay``: what recorded decisions of a route would have cost, and been worth, under another policy."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from gateway.api.admin.access import must_own, visible
from gateway.api.admin.entry_query import FROM, TO, moment
from gateway.api.admin.fields import Body, Name
from gateway.api.admin.guard import Sender
from gateway.domain import Actor
from gateway.errors import NotFound
from gateway.ports import Catalog
from gateway.replay.plan import Plan, ReplayPart, make_plan, read_part, read_router
from gateway.replay.run import Replays
from gateway.stores.entry_filter import EntryFilter
from gateway.stores.recorded import Sample
from policies.refusal_text import dollars

if TYPE_CHECKING:
    from gateway.replay.tally import Figures, Outcome, Quality, Sums
    from policies.off_policy import Estimate
    from policies.routing.router import Router

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LAST = "7d"
_LAST_PATTERN = r"^[1-9][0-9]{0,3}[mhd]$"


class ReplayBody(Body):
    """``POST /admin/replay``. ``policy`` is one of the catalog's routes, and perhaps ``router``, a file on the gateway.

    ``last``: as in 7d (which it is without ``from``), 24h or 30m, up to ``to``, which is now unless told otherwise.
    """

    route: Name
    policy: Annotated[dict[str, Any], Field(description="As below routes in a catalog; also router: FILE.")]
    last: Annotated[str, StringConstraints(pattern=_LAST_PATTERN, strict=True)] | None = None
    from_: Annotated[str | None, FROM] = None
    to: Annotated[str | None, TO] = None
    organization: Name | None = None
    team: Name | None = None
    key: Name | None = None
    sample: Annotated[float, Field(gt=0, le=1, description="Of all conversations, this share.")] = 1.0


class Interval(BaseModel):
    """A value and where it lies with 95 % confidence; null: nobody can say."""

    value: float
    low: float | None
    high: float | None


class Amounts(BaseModel):
    """``saving_net`` is ``baseline`` less ``cost`` and ``router``; the other parts are in ``cost``."""

    cost_nusd: int
    cost_usd: str
    baseline_nusd: int
    baseline_usd: str
    saving_net_nusd: int
    saving_net_usd: str
    saving_net_share: float | None
    router_nusd: int
    embedding_nusd: int
    guard_nusd: int
    judge_nusd: int
    shadow_nusd: int
    audit_nusd: int
    escalation_nusd: int
    lost_cache_nusd: int


class QualityAnswer(BaseModel):
    """Mean quality, 0 to 1. ``is_identified``: what was recorded tells it; else it rests on predictions."""

    recorded: Interval
    replayed: Interval
    difference: Interval
    feedbacks: int
    effective_feedbacks: float
    no_overlap_share: float
    is_identified: bool
    note: str


class ReplayFigures(BaseModel):
    """What decisions come to. ``cost_estimate``: nano-dollars, by what was recorded alone; null where that is mute."""

    requests: int
    changed: int
    recorded: Amounts
    replayed: Amounts
    difference_nusd: int
    difference_usd: str
    cost_estimate: Interval | None
    quality: QualityAnswer | None


class TeamFigures(ReplayFigures):
    """Of one team; its name is null when it has none any more."""

    team: str
    team_name: str | None


class ReplayAnswer(BaseModel):
    """What a replay found. ``kept``: decisions left as they were, by reason; ``unknown``: deployments without records.

    ``recorded_firsts``, ``replayed_firsts``: how often each deployment was, and would have been, asked first.
    """

    route: str
    policy: str
    router_version: str | None
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    sample: float
    kept: dict[str, int]
    unknown: dict[str, int]
    recorded_firsts: dict[str, int]
    replayed_firsts: dict[str, int]
    totals: ReplayFigures
    teams: list[TeamFigures]


def add_replay(
    router: APIRouter,
    replays: Replays,
    router_in_force: Callable[[], Awaitable[Router | None]],
    catalog: Callable[[], Catalog],
    flush: Callable[[], Awaitable[object]],
    now_s: Callable[[], float],
) -> None:
    """The route. ``flush`` writes what this process has recorded and charged; ``now_s`` is the ledger's clock."""

    @router.post("/replay")
    async def replay(body: ReplayBody, actor: Sender) -> ReplayAnswer:
        """Changes nothing, so that viewers may; a router's file is named by owners alone."""
        from_at, to_at = _span(body, datetime.fromtimestamp(now_s(), UTC))
        await flush()
        sample = Sample(_chosen(body, actor, from_at, to_at), body.sample)
        if not await replays.count(sample):
            raise NotFound(f"No decision of the route {body.route!r} is recorded there.", param="route")
        part = read_part(body.policy)
        plan = make_plan(body.route, part, await _router(part, actor, router_in_force), catalog().deployment)
        outcome, unknown = await replays.run(plan, sample)
        names = await replays.team_names(list(outcome.teams))
        return _answer(body, plan, outcome, unknown, names, from_at, to_at)


async def _router(part: ReplayPart, actor: Actor, in_force: Callable[[], Awaitable[Router | None]]) -> Router | None:
    if part.router is None:
        return await in_force()
    must_own(actor, "name a router's file")
    return await asyncio.to_thread(read_router, part.router)


def _span(body: ReplayBody, now: datetime) -> tuple[datetime, datetime]:
    """Since when and until when: ``last`` counts back from the end, and both it and ``from`` are kept to."""
    to_at = moment(body.to, "to") or now
    from_at = moment(body.from_, "from")
    last = body.last or (_LAST if from_at is None else None)
    starts = [] if last is None else [to_at - int(last[:-1]) * _UNITS[last[-1]]]
    return max(starts if from_at is None else [*starts, from_at]), to_at


def _chosen(body: ReplayBody, actor: Actor, from_at: datetime, to_at: datetime) -> EntryFilter:
    bounds = visible(actor)
    return EntryFilter(
        route=body.route,
        organization=body.organization,
        team=body.team,
        key=body.key,
        from_at=from_at,
        to_at=to_at,
        within_organization=bounds.organization_id,
        within_team=bounds.team_id,
    )


def _answer(
    body: ReplayBody,
    plan: Plan,
    outcome: Outcome,
    unknown: dict[str, int],
    names: Mapping[str, str],
    from_at: datetime,
    to_at: datetime,
) -> ReplayAnswer:
    teams = [
        TeamFigures(team=team, team_name=names.get(team), **_figures(figures))
        for team, figures in sorted(outcome.teams.items(), key=lambda one: -one[1].recorded.costs.cost_nusd)
    ]
    return ReplayAnswer(
        route=body.route,
        policy=plan.route.policy,
        router_version=plan.router.version if plan.router is not None else None,
        **{"from": from_at},
        to=to_at,
        sample=body.sample,
        kept=outcome.kept,
        unknown=unknown,
        recorded_firsts=outcome.recorded_firsts,
        replayed_firsts=outcome.replayed_firsts,
        totals=ReplayFigures(**_figures(outcome.totals)),
        teams=teams,
    )


def _figures(figures: Figures) -> dict[str, Any]:
    """The fields of ReplayFigures."""
    more = figures.replayed.costs.cost_nusd - figures.recorded.costs.cost_nusd
    return {
        "requests": figures.requests,
        "changed": figures.changed,
        "recorded": _amounts(figures.recorded),
        "replayed": _amounts(figures.replayed),
        "difference_nusd": more,
        "difference_usd": dollars(more),
        "cost_estimate": None if figures.cost_estimate is None else _interval(figures.cost_estimate),
        "quality": None if figures.quality is None else _quality(figures.quality),
    }


def _amounts(sums: Sums) -> Amounts:
    costs = sums.costs._asdict()
    parts = {name: value for name, value in costs.items() if name in Amounts.model_fields}
    return Amounts(
        **parts,
        cost_usd=dollars(sums.costs.cost_nusd),
        baseline_usd=dollars(sums.costs.baseline_nusd),
        saving_net_nusd=sums.saving_net_nusd,
        saving_net_usd=dollars(sums.saving_net_nusd),
        saving_net_share=sums.saving_net_share,
        router_nusd=sums.router_nusd,
    )


def _quality(quality: Quality) -> QualityAnswer:
    return QualityAnswer(
        recorded=_interval(quality.recorded),
        replayed=_interval(quality.replayed),
        difference=_interval(quality.difference),
        feedbacks=quality.feedbacks,
        effective_feedbacks=quality.effective_feedbacks,
        no_overlap_share=quality.no_overlap_share,
        is_identified=quality.is_identified,
        note=quality.note,
    )


def _interval(estimate: Estimate) -> Interval:
    bounds = [None if math.isinf(bound) else bound for bound in (estimate.low, estimate.high)]
    return Interval(value=estimate.value, low=bounds[0], high=bounds[1])
