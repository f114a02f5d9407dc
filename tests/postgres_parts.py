"""What tests over a real Postgres share: databases of their own, and ledger entries."""

from __future__ import annotations

import os
import time
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import msgspec

from gateway.domain import Basis, GuardVerdict, LedgerEntry, MeterReading, Outcome, Stage
from gateway.ids import new_entry_id, rfc3339
from gateway.stores.database import dsn


async def make_database(database_url: str) -> str:
    """A new empty database on the same server; its URL."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(dsn(database_url))
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))


def make_entry(**fields: object) -> LedgerEntry:
    """The charge of one call, with every kind of column filled."""
    values = {
        "id": new_entry_id(),
        "request_id": "req_" + os.urandom(16).hex(),
        "created_at": rfc3339(time.time()),
        "instance": "instance-1",
        "attempt": 1,
        "organization_id": "org_default",
        "team_id": "team_1",
        "key_id": "key_1",
        "end_user": "someone",
        "endpoint": "chat/completions",
        "is_stream": True,
        "route": "auto",
        "deployment": "mini",
        "provider": "openai",
        "model_asked": "auto",
        "model": "gpt-5-mini",
        "model_answered": "gpt-5-mini-2025-08-07",
        "basis": Basis.REPORTED,
        "status": Outcome.SUCCEEDED,
        "http_status": 200,
        "finish_reason": "stop",
        "input_tokens": 10,
        "cached_input_tokens": 4,
        "output_tokens": 20,
        "meters": (MeterReading("input", 10, 250_000_000), MeterReading("output", 20, 2_000_000_000)),
        "cost_nusd": 42_500,
        "baseline_nusd": 50_000,
        "first_token_ms": 12.25,
        "total_ms": 80.5,
        "tags": ("blue", "green, with a comma", '"quoted"'),
        "guards": (GuardVerdict("pii", "1", "input", "block", "passed", 0.25),),
        "stages": (Stage("auth", 0.0, 0.125), Stage("inference", 1.5, 80.5, "mini", "e")),
        "stage": "inference",
    }
    return LedgerEntry(**(values | fields))


def encoded(*entries: LedgerEntry) -> list[bytes]:
    return [msgspec.json.encode(entry) for entry in entries]


def orphan_of(entry: LedgerEntry, cost_nusd: int = 7) -> LedgerEntry:
    """The intent of a call, as it is entered when its process dies."""
    return msgspec.structs.replace(
        entry,
        basis=Basis.ORPHANED,
        status=Outcome.ORPHANED,
        input_tokens=3,
        cached_input_tokens=0,
        output_tokens=0,
        meters=(MeterReading("input", 3, 250_000_000),),
        cost_nusd=cost_nusd,
        baseline_nusd=cost_nusd,
        finish_reason=None,
    )
