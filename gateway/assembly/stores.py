"""The adapters that hold our state, connected and closed in order."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.embedding import SOCKET_NAME
from gateway.embedding.client import EmbedderClient
from gateway.ids import new_entry_id
from gateway.jobs.alerts import AlertSender
from gateway.jobs.shipper import Shipper
from gateway.jobs.webhook import Webhook
from gateway.settings import Settings
from gateway.stores import database
from gateway.stores.alert_facts import AlertFacts
from gateway.stores.alert_outbox import AlertOutbox
from gateway.stores.announcements import subscription_client
from gateway.stores.answers import RedisAnswers
from gateway.stores.balances import Balances
from gateway.stores.decisions import DecisionStore
from gateway.stores.embedded import layout
from gateway.stores.faq_cache import FaqCache
from gateway.stores.faq_lists import FaqStore
from gateway.stores.faq_lists import redis_announcer as faq_announcer
from gateway.stores.journal import RedisJournal
from gateway.stores.key_announcer import redis_announcer
from gateway.stores.key_cache import KeyCache
from gateway.stores.keys import KeyStore
from gateway.stores.ledger import LedgerStore
from gateway.stores.ledger_sums import LedgerSums
from gateway.stores.local_journal import LocalJournal
from gateway.stores.redis_clock import RedisClock
from gateway.stores.redis_link import Link
from gateway.stores.redis_open import open_link
from gateway.stores.route_prompts import PromptStore
from gateway.stores.rule_cache import RuleCache
from gateway.stores.rule_source import RuleSource
from gateway.stores.similar_questions import SimilarQuestions
from gateway.stores.stored_responses import StoredResponseStore
from gateway.stores.tenants import TenantStore
from gateway.stores.upstream_limits import RedisUpstreamAdmission
from gateway.telemetry import AlertLog


@dataclass(frozen=True, slots=True)
class Stores:
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
    questions: SimilarQuestions
    embedder: EmbedderClient
    faq_lists: FaqStore
    faq: FaqCache


async def open_stores(
    settings: Settings, stack: AsyncExitStack, noticed: AlertLog, compares_meaning: Callable[[], bool]
) -> Stores:
    """Connect. Whatever is opened last is closed first. ``compares_meaning``: whether the embedder is wanted."""
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
    socket, within_s = layout(settings.data_dir).run / SOCKET_NAME, settings.similar_within_ms / 1000
    embedder = EmbedderClient(socket, compares_meaning, within_s=within_s)
    stack.callback(embedder.close)
    faq_lists = FaqStore(engine, faq_announcer(redis))
    return Stores(
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
        questions=SimilarQuestions(answers_link),
        embedder=embedder,
        faq_lists=faq_lists,
        faq=FaqCache(faq_lists, embedder.vectors),
    )


def _webhook(settings: Settings, clock: RedisClock, stack: AsyncExitStack) -> Webhook | None:
    """Where alerts go, if anywhere."""
    if not settings.alert_webhook_url:
        return None
    webhook = Webhook(settings.alert_webhook_url, settings.alert_webhook_secret, clock.unix_s)
    stack.push_async_callback(webhook.close)
    return webhook
