"""What to write when the ledger already has an entry for an upstream call and we learn more about it."""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid5

import msgspec

from gateway.domain import Basis, LedgerEntry, MeterReading, Outcome

AMOUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nusd",
    "baseline_nusd",
)


def reconcile(standing: LedgerEntry, incoming: LedgerEntry) -> LedgerEntry | None:
    """The correction that makes the ledger say what ``incoming`` says, or None when it knows nothing better.

    Only an orphaned entry, priced on an estimate because its process died, can be bettered: by the charge of the same
    call, found in a journal later. The correction carries differences (incoming - standing) in every amount and meter,
    and its id follows from the standing one, so that writing it again is recognised.
    """
    if standing.basis != Basis.ORPHANED or incoming.basis == Basis.ORPHANED:
        return None
    differences = {name: getattr(incoming, name) - getattr(standing, name) for name in AMOUNTS}
    return msgspec.structs.replace(
        incoming,
        id=correction_id(standing.id),
        created_at=standing.created_at,
        corrects=standing.id,
        meters=_meter_differences(standing.meters, incoming.meters),
        **differences,
    )


def voided(intent: LedgerEntry) -> LedgerEntry:
    """What takes the intent back should it stand as orphaned: its call was never made, and costs nothing."""
    nothing = dict.fromkeys(AMOUNTS, 0)
    return msgspec.structs.replace(intent, basis=Basis.NONE, status=Outcome.VOIDED, meters=(), **nothing)


def correction_id(entry_id: str) -> str:
    """The id of the one correction that an entry can have."""
    return str(uuid5(UUID(entry_id), "correction"))


def _meter_differences(
    standing: tuple[MeterReading, ...], incoming: tuple[MeterReading, ...]
) -> tuple[MeterReading, ...]:
    """Quantities by meter and rate: a meter whose rate changed is taken back at the old rate, charged at the new."""
    quantities: Counter[tuple[str, int]] = Counter()
    for reading in incoming:
        quantities[reading.meter, reading.rate_nusd_per_mtok] += reading.quantity
    for reading in standing:
        quantities[reading.meter, reading.rate_nusd_per_mtok] -= reading.quantity
    return tuple(
        MeterReading(meter=meter, quantity=quantity, rate_nusd_per_mtok=rate)
        for (meter, rate), quantity in quantities.items()
        if quantity
    )
