"""What is written down of a call: the entry of the ledger, and the words in it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.domain.chain import Stage
from gateway.domain.screening import GuardVerdict


class Basis(StrEnum):
    """How we know the usage of an entry."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    ORPHANED = "orphaned"
    UNBILLED = "unbilled"
    NONE = "none"


class Source(StrEnum):
    """Who answered."""

    UPSTREAM = "upstream"
    CACHE_EXACT = "cache_exact"
    CACHE_SEMANTIC = "cache_semantic"
    DEFLECTED = "deflected"
    GUARD = "guard"  # nobody: one blocked the request


class Purpose(StrEnum):
    """Why the call was made."""

    ANSWER = "answer"
    EMBEDDING = "embedding"
    GUARD = "guard"
    JUDGE = "judge"
    SHADOW = "shadow"
    AUDIT = "audit"


class Outcome(StrEnum):
    """How an upstream attempt ended: the ``status`` of its ledger entry."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # refused or broken before the first byte: unbilled, unless it had generated text
    INTERRUPTED = "interrupted"  # the upstream broke off after the first byte
    REJECTED = "rejected"  # whole, but no gate of a cascade let it through: ``error_code`` says which
    CANCELLED = "cancelled"  # the client went away
    ORPHANED = "orphaned"  # the process that made the call died
    VOIDED = "voided"  # the call was never made: takes back what stands as orphaned, and is nothing else


class MeterReading(msgspec.Struct, frozen=True):
    """A charge line as the ledger stores it."""

    meter: str
    quantity: int
    rate_nusd_per_mtok: int


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable row per upstream attempt; its JSON is the same in Redis, in the local journal and for Postgres.

    ``created_at`` is RFC 3339 in UTC, fixed when the attempt starts, so that ``(id, created_at)`` is the same whoever
    writes the entry and however often. ``instance`` names the process that owns the attempt. A correction is a new
    entry whose ``corrects`` names the old one and whose amounts are differences.
    """

    id: str
    request_id: str
    created_at: str
    instance: str
    attempt: int
    organization_id: str
    team_id: str
    key_id: str
    end_user: str | None = None
    endpoint: str
    is_stream: bool
    route: str | None = None
    deployment: str
    provider: str
    model_asked: str
    model: str
    model_answered: str | None = None
    purpose: str = Purpose.ANSWER
    source: str = Source.UPSTREAM
    basis: str
    status: str
    http_status: int | None = None
    error_code: str | None = None
    finish_reason: str | None = None
    service_tier: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    meters: tuple[MeterReading, ...] = ()
    cost_nusd: int = 0
    baseline_nusd: int = 0
    is_baseline_estimated: bool = False
    first_token_ms: float | None = None
    total_ms: float | None = None
    upstream_request_id: str | None = None
    tags: tuple[str, ...] = ()
    corrects: str | None = None
    content: object = None  # only with content logging on: {"request", "answer"}
    member_id: str | None = None
    held_nusd: int = 0  # what admission set aside; a cost beyond that is what the upstream billed on top
    deflector: str | None = None  # which one answered; where a model did: before, so that the same was asked again
    guards: tuple[GuardVerdict, ...] = ()  # what they said of the request, and of this answer
    stages: tuple[Stage, ...] = ()  # what the request went through until now
    stage: str | None = None  # which one the entry pays for, where its purpose does not say
