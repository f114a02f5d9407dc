"""What it costs to look: the time that our own processor takes, on the ledger beside the calls that it spares."""

from __future__ import annotations

import msgspec

from gateway.domain import Admission, Basis, Deployment, MeterReading, Outcome, Provider, Purpose
from gateway.domain.similar import Nearest
from gateway.entries import Attempt
from gateway.ids import new_entry_id
from gateway.ports import Services
from gateway.settlement import Settlement

ENCODER = "all-MiniLM-L6-v2"
_US = Provider("obol", "embedder")
_ENCODER = Deployment(f"obol/{ENCODER}", _US, ENCODER, is_unpriced_allowed=True)
_NS_PER_HOUR = 3_600_000_000_000
_METER = "cpu_microsecond"


async def charge_embedding(services: Services, settlement: Settlement, attempt: Attempt, nearest: Nearest) -> None:
    """Charge the vector of a question that was looked for in that attempt's stead, by the processor's time it took."""
    if not nearest.cpu_ns:
        return
    rate_nusd_per_hour = services.cpu_nusd_per_hour
    cost_nusd = -(-nearest.cpu_ns * rate_nusd_per_hour // _NS_PER_HOUR)
    intent = msgspec.structs.replace(
        attempt.intent,
        id=new_entry_id(),
        purpose=Purpose.EMBEDDING,
        deployment=_ENCODER.name,
        provider=_US.name,
        model=ENCODER,
        service_tier=None,
        input_tokens=nearest.tokens,
        output_tokens=0,
        meters=(MeterReading(_METER, nearest.cpu_ns // 1000, rate_nusd_per_hour // 3600),),
        cost_nusd=cost_nusd,
        baseline_nusd=0,
        is_baseline_estimated=False,
        held_nusd=0,
    )
    own = Attempt(_ENCODER, None, intent, attempt.started_s)
    own.admission, own.created_ms = Admission(), attempt.created_ms
    entry = msgspec.structs.replace(
        intent, basis=Basis.REPORTED, status=Outcome.SUCCEEDED, total_ms=nearest.cpu_ns / 1_000_000
    )
    await settlement.charge_own(own, entry)
