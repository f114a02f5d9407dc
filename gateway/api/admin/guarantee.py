"""``/admin/routes/{name}/guarantee``: what is promised of a route's quality. Routes are everybody's, so is this."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from gateway.api.admin.fields import PathId
from gateway.domain import Route
from gateway.domain.guarantee import Guarantee
from gateway.errors import NotFound
from gateway.ports import Catalog


def add_guarantee(router: APIRouter, catalog: Callable[[], Catalog], promised: Callable[[Route], Guarantee]) -> None:
    """The route. A name may have slashes in it."""

    @router.get("/routes/{name:path}/guarantee")
    async def read_guarantee(name: PathId) -> Guarantee:
        route = catalog().route(name)
        if route is None:
            raise NotFound(f"There is no route {name!r}.", param="name")
        return promised(route)
