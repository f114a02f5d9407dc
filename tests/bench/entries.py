"""Calls of the bench, as the path writes them down."""

from __future__ import annotations

import time

import msgspec

from gateway.domain import Basis, LedgerEntry, MeterReading, Outcome
from gateway.ids import new_entry_id, new_request_id, rfc3339


def charge_of_call() -> LedgerEntry:
    return LedgerEntry(
        id=new_entry_id(),
        request_id=new_request_id(),
        created_at=rfc3339(time.time()),
        instance="bench",
        attempt=1,
        organization_id="org_default",
        team_id="team_1",
        key_id="key_1",
        endpoint="chat/completions",
        is_stream=False,
        route="static",
        deployment="static-upstream",
        provider="nginx",
        model_asked="static",
        model="bench",
        model_answered="bench",
        basis=Basis.REPORTED,
        status=Outcome.SUCCEEDED,
        http_status=200,
        finish_reason="stop",
        input_tokens=120,
        output_tokens=90,
        meters=(MeterReading("input", 120, 250_000_000), MeterReading("output", 90, 2_000_000_000)),
        cost_nusd=210_000,
        baseline_nusd=210_000,
        first_token_ms=12.25,
        total_ms=80.5,
    )


def intent_of(entry: LedgerEntry) -> LedgerEntry:
    return msgspec.structs.replace(entry, basis=Basis.ORPHANED, status=Outcome.ORPHANED)
