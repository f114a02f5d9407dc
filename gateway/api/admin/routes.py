"""``/admin/routes`` and ``/admin/deployments``: what the catalog in force says of a name, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel

from gateway.api.admin.fields import PathId
from gateway.api.admin.guard import Sender
from gateway.domain import Deployment, Meter
from gateway.errors import NotFound
from gateway.ports import Catalog
from policies.pricing import rates_of


class Price(BaseModel):
    """Nano-USD per million tokens, of the standard tier and a short prompt."""

    input: int
    cached_input: int
    output: int
    reasoning: int


class DeploymentShown(BaseModel):
    """One deployment. ``price``: null where nobody stated one; ``is_unpriced_allowed``: it may be called even so."""

    name: str
    provider: str
    model: str
    mode: str
    price: Price | None
    is_unpriced_allowed: bool
    context_tokens_max: int | None
    output_tokens_max: int | None


class RouteShown(BaseModel):
    """One route; ``deployments``: those that can be called, in its order; ``guards``: by name."""

    name: str
    policy: str
    quality_loss_max: float
    baseline: str | None
    output_tokens_max_default: int | None
    guards: list[str]
    deployments: list[DeploymentShown]


def add_routes(router: APIRouter, catalog: Callable[[], Catalog]) -> None:
    """The two routes of the admin API. Whoever has an admin key may read them: the catalog is nobody's own."""

    @router.get("/routes/{name}")
    async def read_route(name: PathId, actor: Sender) -> RouteShown:
        del actor
        current = catalog()
        route = current.route(name)
        if route is None:
            raise NotFound(f"There is no route {name!r}.", param="name")
        named = (current.deployment(one) for one in route.deployments)
        return RouteShown(
            name=route.name,
            policy=route.policy,
            quality_loss_max=route.quality_loss_max,
            baseline=route.baseline,
            output_tokens_max_default=route.output_tokens_max_default,
            guards=list(route.guards),
            deployments=[_shown(one) for one in named if one is not None],
        )

    @router.get("/deployments/{name:path}")
    async def read_deployment(name: PathId, actor: Sender) -> DeploymentShown:
        del actor
        found = catalog().deployment(name)
        if found is None:
            raise NotFound(f"There is no deployment {name!r}.", param="name")
        return _shown(found)


def _shown(one: Deployment) -> DeploymentShown:
    rates = None if one.tariff is None else rates_of(one.tariff, 0, None)
    return DeploymentShown(
        name=one.name,
        provider=one.provider.name,
        model=one.model,
        mode=one.mode,
        price=None
        if rates is None
        else Price(
            input=rates[Meter.INPUT],
            cached_input=rates[Meter.CACHED_INPUT],
            output=rates[Meter.OUTPUT],
            reasoning=rates[Meter.REASONING],
        ),
        is_unpriced_allowed=one.is_unpriced_allowed,
        context_tokens_max=one.context_tokens_max,
        output_tokens_max=one.output_tokens_max,
    )
