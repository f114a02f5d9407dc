"""The journal on a Redis cluster: each script stays on the node of its organization."""

from __future__ import annotations

import asyncio

from journal_parts import MemoryLedger, charge_of, ids_in, journal_on, make_intent

from gateway.domain import Deployment, Provider, UpstreamLimits
from gateway.jobs import SWEEP_INTERVAL_S, Shipper, Sweeper
from gateway.stores.redis_cluster import ClusterLink
from gateway.stores.redis_open import open_link
from gateway.stores.upstream_limits import RedisUpstreamAdmission


async def test_the_whole_life_of_charges_on_a_cluster(cluster_url, tmp_path):
    ledger = MemoryLedger()
    async with journal_on(cluster_url, tmp_path, "dead") as (journal, link, _):
        assert isinstance(link, ClusterLink)
        intents = [make_intent(f"org-{number % 7}", "dead") for number in range(60)]
        await asyncio.gather(*(journal.open(intent) for intent in intents))
        shipped = [charge_of(intent) for intent in intents[:20]]
        await asyncio.gather(*(journal.settle(charge) for charge in shipped))
        shipper = Shipper(journal, ledger, linger_s=0)
        shipper.start()
        assert await shipper.stop(30)
        assert ledger.entries == {charge.id: charge for charge in shipped}
        await journal.settle(charge_of(intents[20]))
        await journal.restore()
        assert (await ids_in(link, "org-6", "dead"))[1] == {intents[20].id}

    now_s = 0.0
    link = await open_link(cluster_url)
    sweeper = Sweeper(link, ledger, instance="other", local_directory=tmp_path, monotonic_s=lambda: now_s)
    for _ in range(4):
        await sweeper.sweep()
        now_s += SWEEP_INTERVAL_S
    assert set(ledger.entries) == {intent.id for intent in intents}
    assert ledger.corrections == {}

    admission = RedisUpstreamAdmission(link, "other")
    limits = UpstreamLimits(requests_per_minute=1, tokens_per_minute=100, parallel_requests=1)
    deployment = Deployment("odd}name{", Provider("p", "simulator"), "m", limits=limits)
    assert await admission.acquire(deployment, "a", 1)
    assert not await admission.acquire(deployment, "b", 1)
    await admission.renew()
    await admission.release(deployment, "a")
    await link.close()
