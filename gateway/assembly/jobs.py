"""What a worker does besides requests, again and again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from gateway.answers.error_budget import SHARE_INTERVAL_S
from gateway.assembly.stores import Stores
from gateway.catalog.file import CatalogFile
from gateway.catalog.text import CatalogError
from gateway.embedding.client import REFRESH_INTERVAL_S as EMBEDDER_INTERVAL_S
from gateway.jobs.alerts import POLL_INTERVAL_S
from gateway.jobs.anomaly import LOOK_INTERVAL_S, SpendWatch
from gateway.jobs.runner import Job
from gateway.jobs.shift import ShiftWatch
from gateway.jobs.sweeper import SWEEP_INTERVAL_S, Sweeper
from gateway.pipeline import Pipeline
from gateway.router.file import RouterFile
from gateway.settings import Settings
from gateway.stores import partitions
from gateway.stores.answers import RENEW_INTERVAL_S
from gateway.stores.faq_cache import REFRESH_INTERVAL_S as FAQ_INTERVAL_S
from gateway.stores.journal import RedisJournal
from gateway.stores.route_questions import RouteQuestions
from gateway.stores.rule_cache import REFRESH_INTERVAL_S
from gateway.stores.spend import spend_until
from gateway.telemetry import Metrics
from policies.breaker import Phase

_log = logging.getLogger("obol.app")
_DAY_S = 86_400


def background_jobs(
    settings: Settings, catalog: CatalogFile, metrics: Metrics, stores: Stores, pipeline: Pipeline
) -> list[Job]:
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
        *_answers(pipeline),
        Job("sweep", SWEEP_INTERVAL_S, sweeper.sweep),
        Job("keys", 10, stores.key_cache.refresh),
        Job("rules", REFRESH_INTERVAL_S, stores.rules.refresh),
        Job("catalog", 1, reload_catalog),
        Job("partitions", _DAY_S, partial(partitions.ensure_all_partitions, stores.engine)),
        Job("stored responses", _DAY_S, stores.stored.purge),
        Job("decisions", _DAY_S, forget_decisions),
        Job("limits", 5, stores.limits.renew),
        Job("faq", FAQ_INTERVAL_S, stores.faq.refresh),
        Job("embedder", EMBEDDER_INTERVAL_S, stores.embedder.refresh),
        Job("alerts", POLL_INTERVAL_S, stores.alerts.poll),
        Job("unusual spend", LOOK_INTERVAL_S, spend.look),
        Job("gauges", 5, _gauges(metrics, stores.journal, pipeline)),
    ]


def shift_watch(catalog: CatalogFile, metrics: Metrics, stores: Stores, router: RouterFile) -> ShiftWatch:
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


def _answers(pipeline: Pipeline) -> list[Job]:
    """What answers without a model need: leads that are renewed, error budgets that all replicas know."""
    flights, similarities = pipeline.flights, pipeline.similarities
    leads = [] if flights is None else [Job("leads", RENEW_INTERVAL_S, flights.renew)]
    shares = [] if similarities is None else [Job("error budgets", SHARE_INTERVAL_S, similarities.budgets.share)]
    return [*leads, *shares]


def _gauges(metrics: Metrics, journal: RedisJournal, pipeline: Pipeline) -> Callable[[], Awaitable[None]]:
    async def gauges() -> None:
        metrics.unshipped.set(journal.unshipped)
        phases = pipeline.health.phases()
        seen.update(phases)
        for deployment in seen:  # labels cannot be taken back where several workers share them
            metrics.circuits.labels(deployment).set(phases.get(deployment, Phase.CLOSED) is not Phase.CLOSED)

    seen: set[str] = set()
    return gauges
