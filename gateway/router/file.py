"""The router in force in a process: read when a route first wants one, and again when its file changes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.domain import Deployment, Forecast, Request, Route
from gateway.domain.guarantee import Guarantee, Shift

if TYPE_CHECKING:
    from policies.routing.router import KnownPool, Router

_log = logging.getLogger("obol.router")


class Calibrated(NamedTuple):
    """A route that the router in force was calibrated for, as it is."""

    route: str
    router_version: str
    pool: KnownPool


class RouterFile:
    """``forecast`` is the path's; ``refresh`` keeps what it needs ready. numpy is imported with the first router."""

    def __init__(self, path: Path | None, is_wanted: Callable[[], bool]) -> None:
        """``path``: None for the router that ships with the package. ``is_wanted``: whether any route asks for one."""
        self._path = path
        self._is_wanted = is_wanted
        self._router: Router | None = None
        self._seen: tuple[int, int] | None = None
        #: By name and router version: routes how their questions look beside those of their calibration.
        self.shifts: Mapping[tuple[str, str], Shift] = {}

    @property
    def version(self) -> str | None:
        """Of the router in force."""
        return self._router.version if self._router is not None else None

    async def refresh(self) -> None:
        """Read the file if it has changed. A bad one is logged, and the last good router stays in force."""
        if self._is_wanted():
            await asyncio.to_thread(self._refresh)

    async def needed(self) -> Router | None:
        """The router in force, read now if no route has asked for one; ``None`` if it cannot be."""
        if self._router is None:
            await asyncio.to_thread(self._refresh)
        return self._router

    def _refresh(self) -> None:
        from gateway.router.artifact import DEFAULT, BadArtifact, read  # noqa: PLC0415 - numpy
        from gateway.router.training import from_artifact  # noqa: PLC0415

        path = self._path or DEFAULT
        seen = _state_of(path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            router = from_artifact(read(path))
        except (BadArtifact, OSError) as exc:
            _log.error("the router is refused, %s stays in force: %s", self.version or "none", exc)
            return
        _log.info("router %s is in force, after %s", router.version, self.version)
        self._router = router

    def forecast(
        self,
        route: Route,
        candidates: Sequence[Deployment],
        request: Request,
        question: str,
        cached_tokens: Mapping[str, int],
    ) -> Forecast | None:
        """What the router expects of them; ``None`` while there is none."""
        if self._router is None:
            return None
        from policies.routing.forecast import forecast  # noqa: PLC0415 - numpy

        began_ns = time.thread_time_ns()
        shift = self.shifts.get((route.name, self._router.version))
        foreseen = forecast(
            self._router,
            route,
            candidates,
            question,
            input_tokens=request.text_tokens,
            cached_tokens=cached_tokens,
            output_tokens_max=request.output_tokens_max,
            quality_loss_max=route.quality_loss_max,
            is_shifted=shift is not None and shift.is_shifted,
        )
        return replace(foreseen, router_us=-(-(time.thread_time_ns() - began_ns) // 1000))

    def guarantee(self, route: Route) -> Guarantee:
        """What it promises of that route, and why nothing."""
        from policies.routing.guarantee import guarantee  # noqa: PLC0415 - numpy

        if self._router is None:
            return guarantee(route, None, None)
        shift = self.shifts.get((route.name, self._router.version))
        return guarantee(route, self._router.known, self._router.version, shift)

    def calibrated(self, routes: Iterable[Route]) -> list[Calibrated]:
        """Those of the routes that something may be promised of."""
        router = self._router
        if router is None:
            return []
        from policies.routing.guarantee import unlike  # noqa: PLC0415 - numpy

        return [
            Calibrated(route.name, router.version, router.known[route.name])
            for route in routes
            if unlike(route, router.known, router.version) is None
        ]


def _state_of(path: Path) -> tuple[int, int]:
    """What changes with the file; of one that is not there always the same, so that it is told of once."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
