"""Opens the link that an address asks for: to one Redis, or to a cluster."""

from __future__ import annotations

from gateway.stores.redis_link import Link, RedisLink


async def open_link(
    url: str, *, holds_money: bool = True, timeout_s: float = 2.0, client_name: str | None = None
) -> Link:
    """Connect to the Redis or cluster at ``url``, or come back with a link that keeps trying.

    A cluster is named by ``redis+cluster://h1:p1,h2:p2`` (``rediss+cluster`` for TLS), several hosts, or
    ``?cluster=true``; a lone address whose server says that it is part of a cluster is one too.
    Raises UnsafeRedis for a money Redis that evicts, or wrong credentials, at start only.
    """
    from gateway.stores.redis_cluster import ClusterLink, is_cluster_url  # noqa: PLC0415 - loads what few need

    if is_cluster_url(url):
        cluster = ClusterLink(url, holds_money=holds_money, timeout_s=timeout_s)
        await cluster.connect()
        return cluster
    link = RedisLink(url, holds_money=holds_money, timeout_s=timeout_s, client_name=client_name)
    await link.connect()
    if link.is_cluster_node:
        await link.close()
        cluster = ClusterLink(url, holds_money=holds_money, timeout_s=timeout_s)
        await cluster.connect()
        return cluster
    return link
