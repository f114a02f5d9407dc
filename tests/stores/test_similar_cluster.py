"""Kept answers and questions on a Redis cluster: all of an organization is on one node, and all is found and purged."""

from __future__ import annotations

from embedder_parts import machine

from gateway.domain import Writer, WriterKind
from gateway.stores.redis_cluster import ClusterLink

TENANTS = [*(f"org-{number}" for number in range(6)), "all"]


async def test_questions_on_a_cluster_are_kept_followed_and_purged(cluster_url, tmp_path):
    async with machine(cluster_url, tmp_path) as here, machine(cluster_url, tmp_path) as there:
        assert isinstance(here.link, ClusterLink)
        for tenant in TENANTS:
            assert await there.texts("question", tenant=tenant) == []
            for number in range(3):
                assert (await here.answer(f"question {number}", tenant=tenant, organization="org-1"))[0]
        await there.following.look()
        for tenant in TENANTS:
            assert len(await there.texts("question", tenant=tenant)) == 3
        writer = Writer(WriterKind.ORGANIZATION, "org-1", "org-1")
        assert await here.answers.purge(writer) == 6
        assert await here.truth.purge(writer) == 6
        await there.following.look()
        for tenant in TENANTS:
            assert bool(await there.texts("question", tenant=tenant)) is (tenant not in {"org-1", "all"})
