"""Counts that all replicas add to, in Redis. They may be lost: what is learned from them is learned anew."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from redis.exceptions import RedisError

from gateway.stores.redis_link import Link, Script
from gateway.stores.redis_wire import Arg

_log = logging.getLogger("obol.counts")
_ADD = Script.load("counts_add")
KEPT_S = 90 * 86_400


class RedisCounts:
    """answer_ports.SharedCounts over Redis."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def add(self, name: str, more: Mapping[str, int], gone: Sequence[str] = ()) -> Mapping[str, int] | None:
        """Add, and tell what there is then; ``None``, having added nothing, while Redis is away."""
        args: list[Arg] = [KEPT_S, len(gone), *gone]
        for field, count in more.items():
            args += (field, count)
        try:
            found = await self._link.script(_ADD, (f"obol:counts:{name}",), args)
        except RedisError as exc:
            _log.debug("counts of %s wait for Redis: %s", name, exc)
            return None
        if not isinstance(found, list):
            raise TypeError(f"what a script of ours never answers: {found!r}")
        return {bytes(field).decode(): int(count) for field, count in zip(found[::2], found[1::2], strict=True)}
