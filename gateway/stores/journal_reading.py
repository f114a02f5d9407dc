"""Reads the journals of all instances of an organization, for those who must know what the ledger has not yet."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from gateway.domain import LedgerEntry
from gateway.stores.books import Keys
from gateway.stores.ledger_sums import LedgerSnapshot
from gateway.stores.redis_link import Link

_BATCH = 500

_decode = msgspec.json.Decoder(LedgerEntry).decode


async def journaled_outside(
    link: Link, organization_id: str, token: str, ledger: LedgerSnapshot
) -> AsyncIterator[LedgerEntry]:
    """Charges that neither the snapshot nor the tap of the rebuild ``token`` has, each once.

    Raises RedisError and StoreUnavailable.
    """
    keys = Keys.of(organization_id, "")
    journaled: dict[bytes, bytes] = {}
    for instance in _texts(await link.command("SMEMBERS", keys.instances)):
        journal = Keys.of(organization_id, instance).journal
        cursor = b"0"
        while True:
            reply = await link.command("HSCAN", journal, cursor, "COUNT", _BATCH)
            cursor, flat = reply if isinstance(reply, list) else (b"0", [])
            journaled.update(zip(flat[::2], flat[1::2], strict=True))
            if cursor == b"0":
                break
    # Read after the journals: whatever was settled since the tap began, and so may be in both, is in this.
    tapped = await link.command("HKEYS", f"{keys.books.removesuffix('books')}tap:{token}")
    for attempt_id in tapped if isinstance(tapped, list) else ():
        journaled.pop(attempt_id, None)
    entries = list(journaled.values())
    for start in range(0, len(entries), _BATCH):
        for entry in await ledger.lacking([_decode(one) for one in entries[start : start + _BATCH]]):
            yield entry


def _texts(reply: object) -> list[str]:
    return [one.decode() for one in reply] if isinstance(reply, list) else []
