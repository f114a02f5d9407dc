"""The admin surface, put together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter

from gateway.api.admin import admin_router
from gateway.api.admin.admin_keys import add_admin_keys
from gateway.api.admin.audit import add_audit
from gateway.api.admin.budget_report import add_budget_report
from gateway.api.admin.budgets import add_budgets
from gateway.api.admin.cost_report import add_cost_report
from gateway.api.admin.faq import add_faq
from gateway.api.admin.feedback import add_feedback
from gateway.api.admin.guarantee import add_guarantee
from gateway.api.admin.guard import any_of
from gateway.api.admin.guard_lists import GuardLists
from gateway.api.admin.guards import add_guards
from gateway.api.admin.keys import add_keys
from gateway.api.admin.ledger import add_ledger
from gateway.api.admin.limits import add_limits
from gateway.api.admin.members import add_members
from gateway.api.admin.operator import operator_key
from gateway.api.admin.organizations import add_organizations
from gateway.api.admin.purges import add_purges
from gateway.api.admin.replay import add_replay
from gateway.api.admin.requests import add_requests
from gateway.api.admin.routes import add_routes
from gateway.api.admin.similar import add_similar
from gateway.api.admin.teams import add_teams
from gateway.assembly.guards import GuardsInForce
from gateway.assembly.stores import Stores
from gateway.catalog.file import CatalogFile
from gateway.domain import NANO
from gateway.replay.run import Replays
from gateway.router.file import RouterFile
from gateway.settings import Settings
from gateway.stores.admin_key_cache import AdminKeyCache
from gateway.stores.admin_keys import AdminKeyStore
from gateway.stores.audit import AuditLog
from gateway.stores.budget_reports import BudgetReports
from gateway.stores.budgets import BudgetStore
from gateway.stores.feedback import FeedbackStore
from gateway.stores.limits import LimitStore
from gateway.stores.open_holds import OpenHolds
from gateway.stores.purges import Purges
from gateway.stores.recorded import RecordedStore
from gateway.stores.report_snapshots import ReportSnapshots
from gateway.stores.reports import ReportStore
from gateway.stores.rules import redis_announcer as rules_announcer
from gateway.stores.shared_counts import RedisCounts


def admin_surface(
    settings: Settings,
    catalog: CatalogFile,
    guards: GuardsInForce,
    stores: Stores,
    flush: Callable[[], Awaitable[None]],
) -> APIRouter:
    admin_keys = AdminKeyStore(stores.engine)
    router = admin_router(any_of(operator_key(settings.admin_key), AdminKeyCache(admin_keys).find))
    lists = GuardLists(lambda: catalog.current.guards)
    add_organizations(router, stores.tenants)
    add_teams(router, stores.tenants, lists)
    add_members(router, stores.tenants)
    add_keys(router, stores.tenants, stores.keys, lists)
    add_guards(router, lambda: catalog.current, lists, guards, stores.tenants, stores.keys)
    announce = rules_announcer(stores.redis)
    add_budgets(router, stores.engine, BudgetStore(stores.engine, announce), stores.journal.clock.unix_s)
    add_limits(router, stores.engine, LimitStore(stores.engine, announce))
    add_admin_keys(router, stores.tenants, admin_keys)
    add_purges(router, Purges(stores.engine, stores.answers, stores.questions))
    add_faq(router, stores.tenants, stores.faq_lists, stores.faq)
    add_audit(router, AuditLog(stores.engine))
    add_ledger(router, stores.ledger, flush)
    add_requests(router, stores.ledger, flush)
    add_feedback(router, FeedbackStore(stores.engine))
    snapshots, now_s = ReportSnapshots(stores.engine), stores.journal.clock.unix_s
    add_cost_report(router, ReportStore(snapshots), flush, now_s)
    budget_reports = BudgetReports(BudgetStore(stores.engine), snapshots, OpenHolds(stores.link))
    add_budget_report(router, budget_reports, flush, now_s)
    return router


def add_routing(
    admin: APIRouter,
    settings: Settings,
    catalog: CatalogFile,
    stores: Stores,
    router: RouterFile,
    flush: Callable[[], Awaitable[object]],
) -> None:
    """``flush`` brings what this process has recorded and charged to Postgres."""
    add_guarantee(admin, lambda: catalog.current, router.guarantee)
    add_similar(admin, lambda: catalog.current, RedisCounts(stores.link))
    add_routes(admin, lambda: catalog.current)
    replays = Replays(RecordedStore(stores.engine), round(settings.cpu_usd_per_hour * NANO), time.monotonic)
    add_replay(admin, replays, router.needed, lambda: catalog.current, flush, stores.journal.clock.unix_s)
