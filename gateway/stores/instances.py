"""What all processes together have in Redis: who lives, which organizations have books, how much is journaled."""

from __future__ import annotations

from gateway.stores.books import Keys
from gateway.stores.redis_link import Link, Script

ORGANIZATIONS = "obol:organizations"
INSTANCES = "obol:instances"

_DOUBT = Script.load("books_doubt", "books")


async def doubt(link: Link, organization_id: str) -> None:
    """Have every balance of the organization rebuilt when it is next used. Raises RedisError."""
    await link.script(_DOUBT, (Keys.of(organization_id, "").books,), ())


async def count_journaled(link: Link) -> int:
    """How many charges of all instances Postgres may not have yet. Raises RedisError."""
    organizations = await link.command("SMEMBERS", ORGANIZATIONS)
    count = 0
    for organization in organizations if isinstance(organizations, list) else ():
        name = organization.decode()
        instances = await link.command("SMEMBERS", Keys.of(name, "").instances)
        for instance in instances if isinstance(instances, list) else ():
            length = await link.command("HLEN", Keys.of(name, instance.decode()).journal)
            count += length if isinstance(length, int) else 0
    return count
