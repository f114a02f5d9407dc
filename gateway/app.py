"""Composition root: builds every adapter, starts the jobs, takes all down in order. Only this file knows them all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from fastapi import APIRouter, FastAPI
from prometheus_client import REGISTRY
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from backends.registry import create_backends
from backends.token_count import TiktokenCounter
from gateway.api.admin import admin_router
from gateway.api.admin.admin_keys import add_admin_keys
from gateway.api.admin.audit import add_audit
from gateway.api.admin.budget_report import add_budget_report
from gateway.api.admin.budgets import add_budgets
from gateway.api.admin.cache import add_cache
from gateway.api.admin.cost_report import add_cost_report
from gateway.api.admin.decisions import add_decisions
from gateway.api.admin.feedback import add_feedback
from gateway.api.admin.guarantee import add_guarantee
from gateway.api.admin.guard import any_of
from gateway.api.admin.keys import add_keys
from gateway.api.admin.ledger import add_ledger
from gateway.api.admin.limits import add_limits
from gateway.api.admin.members import add_members
from gateway.api.admin.operator import operator_key
from gateway.api.admin.organizations import add_organizations
from gateway.api.admin.replay import add_replay
from gateway.api.admin.routes import add_routes
from gateway.api.admin.teams import add_teams
from gateway.api.explain import explain_router
from gateway.api.feedback import feedback_router
from gateway.api.me import me_router
from gateway.api.model_calls import ModelCalls
from gateway.api.models import models_router
from gateway.api.stored_responses import stored_responses_router
from gateway.api.surface import Surface, install_errors
from gateway.api.system import Readiness, system_router
from gateway.background import Tasks
from gateway.catalog import discovery
from gateway.catalog.file import CatalogFile
from gateway.catalog.text import CatalogError
from gateway.decide import FORESEEING
from gateway.domain import NANO
from gateway.ids import new_entry_id
from gateway.jobs.alerts import POLL_INTERVAL_S, AlertSender
from gateway.jobs.anomaly import LOOK_INTERVAL_S, SpendWatch
from gateway.jobs.decision_writer import DecisionWriter
from gateway.jobs.flush import FLUSH_S, flusher
from gateway.jobs.prober import PROBE_INTERVAL_S, Prober
from gateway.jobs.runner import Job, JobRunner
from gateway.jobs.shift import LOOK_INTERVAL_S as SHIFT_INTERVAL_S
from gateway.jobs.shift import ShiftWatch
from gateway.jobs.shipper import Shipper
from gateway.jobs.sweeper import SWEEP_INTERVAL_S, Sweeper
from gateway.jobs.unpriced import UnpricedModels
from gateway.jobs.webhook import Webhook
from gateway.pipeline import Pipeline
from gateway.ports import Clock, Services
from gateway.replay.run import Replays
from gateway.router.file import RouterFile
from gateway.settings import Settings
from gateway.stores import answers, database, partitions
from gateway.stores.admin_key_cache import AdminKeyCache
from gateway.stores.admin_keys import AdminKeyStore
from gateway.stores.alert_facts import AlertFacts
from gateway.stores.alert_outbox import AlertOutbox
from gateway.stores.answer_purges import AnswerPurges
from gateway.stores.answers import RedisAnswers
from gateway.stores.audit import AuditLog
from gateway.stores.balances import Balances
from gateway.stores.budget_reports import BudgetReports
from gateway.stores.budgets import BudgetStore
from gateway.stores.conversations import RedisConversations
from gateway.stores.decisions import DecisionStore
from gateway.stores.feedback import FeedbackStore
from gateway.stores.journal import RedisJournal
from gateway.stores.key_announcer import redis_announcer
from gateway.stores.key_cache import KeyCache, follow, look_first, subscription_client
from gateway.stores.keys import KeyStore
from gateway.stores.ledger import LedgerStore
from gateway.stores.ledger_sums import LedgerSums
from gateway.stores.limits import LimitStore
from gateway.stores.local_journal import LocalJournal
from gateway.stores.open_holds import OpenHolds
from gateway.stores.own_account import OwnAccounts
from gateway.stores.recorded import RecordedStore
from gateway.stores.redis_clock import RedisClock
from gateway.stores.redis_link import Link
from gateway.stores.redis_open import open_link
from gateway.stores.report_snapshots import ReportSnapshots
from gateway.stores.reports import ReportStore
from gateway.stores.route_prompts import PromptStore
from gateway.stores.route_questions import RouteQuestions
from gateway.stores.rule_cache import REFRESH_INTERVAL_S, RuleCache
from gateway.stores.rule_source import RuleSource
from gateway.stores.rules import redis_announcer as rules_announcer
from gateway.stores.spend import spend_until
from gateway.stores.stored_responses import StoredResponseStore
from gateway.stores.tenants import TenantStore
from gateway.stores.upstream_limits import RedisUpstreamAdmission
from gateway.telemetry import AlertLog, LineWriter, Metrics, RequestTelemetry, configure_logging
from policies.breaker import Phase

_log = logging.getLogger("obol.app")
_RETRY_PAUSE_S = (0.05, 0.25)
_RETRY_PAUSE_S_MAX = 2.0
_LEAVE_S = 10.0  # for the last charges to reach Postgres; what does not, waits in the journal for a sweeper
_DAY_S = 86_400


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


@dataclass(frozen=True, slots=True)
class _Stores:
    """The adapters that hold our state, of one process."""

    instance: str
    engine: AsyncEngine
    link: Link
    redis: Redis | RedisCluster
    balances: Balances
    journal: RedisJournal
    ledger: LedgerStore
    tenants: TenantStore
    keys: KeyStore
    key_cache: KeyCache
    stored: StoredResponseStore
    decisions: DecisionStore
    prompts: PromptStore
    shipper: Shipper
    limits: RedisUpstreamAdmission
    outbox: AlertOutbox
    alerts: AlertSender
    rules: RuleCache
    answers: RedisAnswers


async def _open_stores(settings: Settings, stack: AsyncExitStack, noticed: AlertLog) -> _Stores:
    """Connect. Whatever is opened last is closed first."""
    instance = new_entry_id()
    engine = database.connect(settings.database_url)
    stack.push_async_callback(engine.dispose)
    link = await open_link(settings.redis_url, client_name=f"obol-{instance[-12:]}")
    stack.push_async_callback(link.close)
    answers_link = link
    if settings.cache_redis_url:  # this one may evict what it holds
        answers_link = await open_link(settings.cache_redis_url, holds_money=False)
        stack.push_async_callback(answers_link.close)
    redis = subscription_client(settings.redis_url)  # for subscriptions, which need a connection of their own
    stack.push_async_callback(redis.aclose)
    local_journal = LocalJournal(settings.data_dir / "journal", instance)
    stack.push_async_callback(local_journal.close)
    balances = Balances(link, LedgerSums(engine))
    clock, outbox = RedisClock(), AlertOutbox(link)
    rules = RuleCache(RuleSource(engine))
    facts = AlertFacts(engine, rules.get)
    alerts = AlertSender(outbox, facts.describe, _webhook(settings, clock, stack), noticed=noticed, draw=random.random)
    stack.push_async_callback(alerts.close)
    journal = RedisJournal(
        link,
        local_journal,
        instance,
        balances,
        clock=clock,
        serves_without_redis=settings.budgets_without_redis == "allow",
        on_alert=alerts.announce,
    )
    stack.push_async_callback(journal.close)
    with contextlib.suppress(RedisError):  # away: until it is back, our own time of day stands in for that of Redis
        await journal.beat()
    announce = redis_announcer(redis)
    ledger, keys = LedgerStore(engine), KeyStore(engine, announce)
    stored = StoredResponseStore(engine)
    stack.push_async_callback(stored.close)
    return _Stores(
        instance=instance,
        engine=engine,
        link=link,
        redis=redis,
        balances=balances,
        journal=journal,
        ledger=ledger,
        tenants=TenantStore(engine, announce),
        keys=keys,
        key_cache=KeyCache(keys, unix_s=clock.unix_s),
        stored=stored,
        decisions=DecisionStore(engine),
        prompts=PromptStore(engine),
        shipper=Shipper(journal, ledger),
        limits=RedisUpstreamAdmission(link, instance),
        outbox=outbox,
        alerts=alerts,
        rules=rules,
        answers=RedisAnswers(answers_link, instance),
    )


def _webhook(settings: Settings, clock: RedisClock, stack: AsyncExitStack) -> Webhook | None:
    """Where alerts go, if anywhere."""
    if not settings.alert_webhook_url:
        return None
    webhook = Webhook(settings.alert_webhook_url, settings.alert_webhook_secret, clock.unix_s)
    stack.push_async_callback(webhook.close)
    return webhook


async def _build(
    settings: Settings, catalog: CatalogFile, framework: FastAPI, surface: Surface, stack: AsyncExitStack
) -> None:
    """Fill in the services, mount the surface and start the jobs."""
    lines = LineWriter(sys.stderr, asyncio.get_running_loop().call_later)
    stack.callback(lines.flush)
    metrics = Metrics(REGISTRY)
    metrics.catalog.labels(catalog.current.hash).set(1)
    stores = await _open_stores(settings, stack, AlertLog(metrics, lines.write, settings.log_level))
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
    )
    pipeline = Pipeline(services)
    surface.model_calls = ModelCalls(services, pipeline, settings.body_bytes_max)
    framework.include_router(models_router(services))
    framework.include_router(explain_router(services, pipeline, settings.body_bytes_max))
    framework.include_router(stored_responses_router(services))
    flush = flusher(stores.shipper, stores.link)
    accounts = OwnAccounts(stores.engine, stores.rules, stores.balances)
    framework.include_router(me_router(services, accounts, flush))
    framework.include_router(feedback_router(services, FeedbackStore(stores.engine), flush))
    admin = _admin(settings, stores, flush)
    add_decisions(admin, stores.decisions, stores.prompts, partial(writer.flush, FLUSH_S))
    _add_routing(admin, settings, catalog, stores, router, lambda: asyncio.gather(flush(), writer.flush(FLUSH_S)))
    framework.include_router(admin)
    framework.include_router(system_router(_readiness(catalog, stores)))

    prober = Prober(services.catalog, backends.probes, pipeline.health, time.monotonic)
    leads = [] if pipeline.flights is None else [Job("leads", answers.RENEW_INTERVAL_S, pipeline.flights.renew)]
    looks = [Job("probe", PROBE_INTERVAL_S, prober.probe), Job("router", 1, router.refresh)]
    jobs = JobRunner(*_jobs(settings, catalog, metrics, stores, pipeline), *looks, *leads)
    if settings.decisions_days:
        writer.start()
        jobs.add(Job("route shift", SHIFT_INTERVAL_S, _shift_watch(catalog, metrics, stores, router).look))
    listener = asyncio.create_task(follow(stores.redis, stores.key_cache, stores.rules))
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


def _admin(settings: Settings, stores: _Stores, flush: Callable[[], Awaitable[None]]) -> APIRouter:
    admin_keys = AdminKeyStore(stores.engine)
    router = admin_router(any_of(operator_key(settings.admin_key), AdminKeyCache(admin_keys).find))
    add_organizations(router, stores.tenants)
    add_teams(router, stores.tenants)
    add_members(router, stores.tenants)
    add_keys(router, stores.tenants, stores.keys)
    announce = rules_announcer(stores.redis)
    add_budgets(router, stores.engine, BudgetStore(stores.engine, announce), stores.journal.clock.unix_s)
    add_limits(router, stores.engine, LimitStore(stores.engine, announce))
    add_admin_keys(router, stores.tenants, admin_keys)
    add_cache(router, stores.tenants, AnswerPurges(stores.engine, stores.answers))
    add_audit(router, AuditLog(stores.engine))
    add_ledger(router, stores.ledger, flush)
    add_feedback(router, FeedbackStore(stores.engine))
    snapshots, now_s = ReportSnapshots(stores.engine), stores.journal.clock.unix_s
    add_cost_report(router, ReportStore(snapshots), flush, now_s)
    budget_reports = BudgetReports(BudgetStore(stores.engine), snapshots, OpenHolds(stores.link))
    add_budget_report(router, budget_reports, flush, now_s)
    return router


def _add_routing(
    admin: APIRouter,
    settings: Settings,
    catalog: CatalogFile,
    stores: _Stores,
    router: RouterFile,
    flush: Callable[[], Awaitable[object]],
) -> None:
    """``flush`` brings what this process has recorded and charged to Postgres."""
    add_guarantee(admin, lambda: catalog.current, router.guarantee)
    add_routes(admin, lambda: catalog.current)
    replays = Replays(RecordedStore(stores.engine), round(settings.cpu_usd_per_hour * NANO), time.monotonic)
    add_replay(admin, replays, router.needed, lambda: catalog.current, flush, stores.journal.clock.unix_s)


def _jobs(settings: Settings, catalog: CatalogFile, metrics: Metrics, stores: _Stores, pipeline: Pipeline) -> list[Job]:
    sweeper = Sweeper(
        stores.link, stores.ledger, instance=stores.instance, local_directory=settings.data_dir / "journal"
    )

    spend = SpendWatch(
        partial(spend_until, stores.engine),
        stores.outbox,
        stores.link,
        multiple=settings.alert_spend_multiple,
        unix_s=stores.journal.clock.unix_s,
        announce=stores.alerts.announce,
    )

    async def reload_catalog() -> None:
        try:
            before = catalog.current.hash
            if catalog.reload_if_changed():
                metrics.catalog.labels(before).set(0)
                metrics.catalog.labels(catalog.current.hash).set(1)
                _log.info("catalog %s is in force, after %s", catalog.current.hash, before)
        except CatalogError as exc:
            _log.error("the changed catalog is refused, %s stays in force: %s", catalog.current.hash, exc)

    async def forget_decisions() -> None:
        now = datetime.fromtimestamp(stores.journal.clock.unix_s(), UTC)
        before = now - timedelta(days=settings.decisions_days)
        await stores.decisions.purge(before)
        await stores.prompts.purge(now, before)

    return [
        Job("heartbeat", 2, stores.journal.beat),
        *_progress(settings, pipeline),
        Job("sweep", SWEEP_INTERVAL_S, sweeper.sweep),
        Job("keys", 10, stores.key_cache.refresh),
        Job("rules", REFRESH_INTERVAL_S, stores.rules.refresh),
        Job("catalog", 1, reload_catalog),
        Job("partitions", _DAY_S, partial(partitions.ensure_all_partitions, stores.engine)),
        Job("stored responses", _DAY_S, stores.stored.purge),
        Job("decisions", _DAY_S, forget_decisions),
        Job("limits", 5, stores.limits.renew),
        Job("alerts", POLL_INTERVAL_S, stores.alerts.poll),
        Job("unusual spend", LOOK_INTERVAL_S, spend.look),
        Job("gauges", 5, _gauges(metrics, stores.journal, pipeline)),
    ]


def _shift_watch(catalog: CatalogFile, metrics: Metrics, stores: _Stores, router: RouterFile) -> ShiftWatch:
    return ShiftWatch(
        router,
        lambda: catalog.current.routes.values(),  # noqa: PLW0108 - the snapshot changes
        RouteQuestions(stores.engine),
        stores.link,
        stores.outbox,
        unix_s=stores.journal.clock.unix_s,
        announce=stores.alerts.announce,
        told=lambda route, is_shifted: metrics.shifted.labels(route).set(is_shifted),
    )


def _progress(settings: Settings, pipeline: Pipeline) -> list[Job]:
    """Where orphans are charged at their hold, what was seen of them changes nothing."""
    return [] if settings.orphaned_charge == "hold" else [Job("progress", 2, pipeline.progress.tell)]


def _gauges(metrics: Metrics, journal: RedisJournal, pipeline: Pipeline) -> Callable[[], Awaitable[None]]:
    async def gauges() -> None:
        metrics.unshipped.set(journal.unshipped)
        phases = pipeline.health.phases()
        seen.update(phases)
        for deployment in seen:  # labels cannot be taken back where several workers share them
            metrics.circuits.labels(deployment).set(phases.get(deployment, Phase.CLOSED) is not Phase.CLOSED)

    seen: set[str] = set()
    return gauges


def _readiness(catalog: CatalogFile, stores: _Stores) -> Readiness:
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
