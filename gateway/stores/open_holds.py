"""What is held of an organization's budgets now, for people who look: nothing is rebuilt for them."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.stores.books import Keys
from gateway.stores.redis_link import Link, Script

_HOLDS = Script.load("books_holds", "books")


class OpenHolds:
    """Reads the holds of calls under way."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def read(self, organization_id: str) -> Mapping[str, int]:
        """By the balance's name, in nano-dollars; none where nothing is held. Raises RedisError."""
        keys = Keys.of(organization_id, "")
        reply = await self._link.script(_HOLDS, (keys.books, keys.instances), ())
        told = reply if isinstance(reply, list) else []
        return {name.decode(): int(amount) for name, amount in zip(told[::2], told[1::2], strict=True)}
