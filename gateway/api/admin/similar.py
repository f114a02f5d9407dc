"""``/admin/routes/{name}/similar``: how a route's answers to similar questions stand with its error budget."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from gateway.answer_ports import SharedCounts
from gateway.api.admin.fields import PathId
from gateway.errors import NotFound, StoreUnavailable
from gateway.ports import Catalog
from policies.semantic.standing import Standing, standing


def add_similar(router: APIRouter, catalog: Callable[[], Catalog], counts: SharedCounts) -> None:
    """The route. A name may have slashes in it; routes are everybody's, so is this."""

    @router.get("/routes/{name:path}/similar")
    async def read_similar(name: PathId) -> Standing:
        route = catalog().route(name)
        if route is None:
            raise NotFound(f"There is no route {name!r}.", param="name")
        if route.semantic_cache is None:
            raise NotFound(f"The route {name!r} gives no answers to similar questions.", param="name")
        found = await counts.add(name, {})
        if found is None:
            raise StoreUnavailable("Redis, where this is counted, is away: try again.")
        return standing(found, route.semantic_cache.wrong_answers_max)
