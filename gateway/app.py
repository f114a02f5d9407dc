"""Composition root: builds every adapter, starts the jobs, takes all down in order. Only here all of them are known."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from prometheus_client import REGISTRY

from backends.registry import create_backends
from backends.token_count import TiktokenCounter
from gateway.api.admin.decisions import add_decisions
from gateway.api.explain import explain_router
from gateway.api.feedback import feedback_router
from gateway.api.me import me_router
from gateway.api.model_calls import ModelCalls
from gateway.api.models import models_router
from gateway.api.stored_responses import stored_responses_router
from gateway.api.surface import Surface, install_errors
from gateway.api.system import Readiness, system_router
from gateway.assembly.admin import add_routing, admin_surface
from gateway.assembly.guards import GuardsInForce
from gateway.assembly.jobs import background_jobs, shift_watch
from gateway.assembly.stores import Stores, open_stores
from gateway.background import Tasks
from gateway.catalog import discovery
from gateway.catalog.file import CatalogFile
from gateway.decide import FORESEEING
from gateway.domain import NANO
from gateway.jobs.decision_writer import DecisionWriter
from gateway.jobs.flush import FLUSH_S, flusher
from gateway.jobs.prober import PROBE_INTERVAL_S, Prober
from gateway.jobs.runner import Job, JobRunner
from gateway.jobs.shift import LOOK_INTERVAL_S as SHIFT_INTERVAL_S
from gateway.jobs.unpriced import UnpricedModels
from gateway.pipeline import Pipeline
from gateway.ports import Clock, Services
from gateway.router.file import RouterFile
from gateway.settings import Settings
from gateway.stores import answers, database
from gateway.stores.announcements import follow, look_first
from gateway.stores.conversations import RedisConversations
from gateway.stores.feedback import FeedbackStore
from gateway.stores.own_account import OwnAccounts
from gateway.stores.shared_counts import RedisCounts
from gateway.telemetry import AlertLog, LineWriter, Metrics, RequestTelemetry, configure_logging

_RETRY_PAUSE_S = (0.05, 0.25)
_RETRY_PAUSE_S_MAX = 2.0
_LEAVE_S = 10.0  # for the last charges to reach Postgres; what does not, waits in the journal for a sweeper


def create_app(settings: Settings) -> Surface:
    """The ASGI application of one worker. Raises CatalogError for a catalog that cannot serve."""
    configure_logging(settings.log_level)
    catalog = discovery.load(settings, os.environ)

    @asynccontextmanager
    async def lifespan(framework: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _build(settings, catalog, framework, surface, stack)
            yield

    framework = FastAPI(title="Obol", openapi_url="/openapi.json", docs_url=None, redoc_url=None, lifespan=lifespan)
    # A redirect would say http:// and whatever host the client named, and have it send its key there.
    framework.router.redirect_slashes = False
    framework.add_api_route("/admin/openapi.json", framework.openapi, include_in_schema=False)
    framework.state.catalog = lambda: catalog.current
    install_errors(framework)
    surface = Surface(framework, settings.cors_origins)
    return surface


async def _build(
    settings: Settings, catalog: CatalogFile, framework: FastAPI, surface: Surface, stack: AsyncExitStack
) -> None:
    """Fill in the services, mount the surface and start the jobs."""
    lines = LineWriter(sys.stderr, asyncio.get_running_loop().call_later)
    stack.callback(lines.flush)
    metrics = Metrics(REGISTRY)
    metrics.catalog.labels(catalog.current.hash).set(1)
    noticed = AlertLog(metrics, lines.write, settings.log_level)
    stores = await open_stores(settings, stack, noticed, lambda: catalog.current.compares_meaning)
    await look_first(stores.key_cache, stores.rules)
    backends = create_backends()
    stack.push_async_callback(backends.close)
    tokens = TiktokenCounter()
    stack.callback(tokens.close)
    background = Tasks()
    unix_s = stores.journal.clock.unix_s
    writer = DecisionWriter(stores.decisions, stores.prompts, on_dropped=metrics.decisions_dropped.inc)
    router = RouterFile(settings.router, lambda: not FORESEEING.isdisjoint(catalog.current.policies))
    await router.refresh()
    unpriced = UnpricedModels(stores.outbox, background, unix_s=unix_s, announce=stores.alerts.announce)
    guards = GuardsInForce(lambda: catalog.current, backends.guard)
    services = Services(
        catalog=lambda: catalog.current,
        backends=backends.by_kind,
        journal=stores.journal,
        rules=stores.rules,
        admission=stores.limits,
        tokens=tokens,
        keys=stores.key_cache,
        stored=stores.stored,
        telemetry=RequestTelemetry(metrics, lines.write, settings.log_level, unpriced.noticed),
        background=background,
        clock=Clock(monotonic_s=time.monotonic, unix_s=unix_s, pause=_pause, sleep=asyncio.sleep),
        instance=stores.instance,
        is_content_logged=settings.content_logging,
        are_orphans_charged_at_hold=settings.orphaned_charge == "hold",
        trusted_proxies=settings.trusted_proxies,
        decisions=writer if settings.decisions_days else None,
        forecaster=router,
        conversations=RedisConversations(stores.link),
        answers=stores.answers,
        answer_secret=answers.secret_of(settings.admin_key),
        faq=stores.faq,
        semantic=stores.embedder,
        counts=RedisCounts(stores.link),
        guards=guards,
        cpu_nusd_per_hour=round(settings.cpu_usd_per_hour * NANO),
    )
    pipeline = Pipeline(services)
    surface.model_calls = ModelCalls(services, pipeline, settings.body_bytes_max)
    explain = explain_router(services, pipeline, settings.body_bytes_max)
    for surfaces in (models_router(services), explain, stored_responses_router(services, pipeline)):
        framework.include_router(surfaces)
    flush = flusher(stores.shipper, stores.link)
    accounts = OwnAccounts(stores.engine, stores.rules, stores.balances)
    framework.include_router(me_router(services, accounts, flush))
    framework.include_router(feedback_router(services, FeedbackStore(stores.engine), flush))
    admin = admin_surface(settings, catalog, guards, stores, flush)
    add_decisions(admin, stores.decisions, stores.prompts, partial(writer.flush, FLUSH_S))
    add_routing(admin, settings, catalog, stores, router, lambda: asyncio.gather(flush(), writer.flush(FLUSH_S)))
    framework.include_router(admin)
    framework.include_router(system_router(_readiness(catalog, stores)))

    prober = Prober(services.catalog, backends.probes, pipeline.health, time.monotonic)
    looks = [Job("probe", PROBE_INTERVAL_S, prober.probe), Job("router", 1, router.refresh)]
    jobs = JobRunner(*background_jobs(settings, catalog, metrics, stores, pipeline), *looks)
    if settings.decisions_days:
        writer.start()
        jobs.add(Job("route shift", SHIFT_INTERVAL_S, shift_watch(catalog, metrics, stores, router).look))
    listener = asyncio.create_task(follow(stores.redis, stores.key_cache, stores.rules, stores.faq))
    stack.callback(listener.cancel)
    jobs.start()
    stores.shipper.start()

    async def leave() -> None:
        """Charge what is under way, bring every charge to Postgres, and sign off, while the stores are still open."""
        await background.drain()
        await jobs.stop()
        await asyncio.gather(stores.shipper.stop(_LEAVE_S), writer.stop(_LEAVE_S))
        await stores.journal.sign_off()

    stack.push_async_callback(leave)


def _readiness(catalog: CatalogFile, stores: Stores) -> Readiness:
    """Ready once Postgres has been seen: while it or Redis is away later, serving goes on, and so does readiness."""
    has_seen_postgres = False

    async def readiness() -> tuple[bool, dict[str, object]]:
        nonlocal has_seen_postgres
        is_up = await database.answers(stores.engine)
        has_seen_postgres = has_seen_postgres or is_up
        return has_seen_postgres, {
            "catalog": catalog.current.hash,
            "postgres": "up" if is_up else "away",
            "redis": "up" if stores.link.is_connected else "away",
            "charges_unshipped": stores.journal.unshipped,
        }

    return readiness


async def _pause(retry_after_s: float | None) -> None:
    """The wait before a retry: what the upstream asked for, else a short random time so that clients do not align."""
    wanted_s = random.uniform(*_RETRY_PAUSE_S) if retry_after_s is None else retry_after_s  # noqa: S311 - no secret
    await asyncio.sleep(min(wanted_s, _RETRY_PAUSE_S_MAX))
