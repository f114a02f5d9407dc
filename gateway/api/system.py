"""Liveness, readiness and metrics."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

Readiness = Callable[[], Awaitable[tuple[bool, dict[str, object]]]]


def system_router(readiness: Readiness) -> APIRouter:
    """``readiness`` says whether requests can be served, and what it saw."""
    router = APIRouter()

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/health/ready", responses={503: {"description": "Not yet, or not any more."}})
    async def ready() -> JSONResponse:
        is_ready, seen = await readiness()
        status = "ready" if is_ready else "not ready"
        return JSONResponse({"status": status, **seen}, status_code=200 if is_ready else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return Response(generate_latest(_registry()), media_type=CONTENT_TYPE_LATEST)

    return router


def _registry() -> CollectorRegistry:
    """The registry of this process, or that of all workers where the supervisor gave them a folder to share."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
