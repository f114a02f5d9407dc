"""Identifiers: made from a time and random bits that the caller passes in, so that they sort by birth."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def uuid7(unix_ms: int, random_bytes: bytes) -> str:
    """A version 7 UUID (RFC 9562, 5.7) from milliseconds since 1970 and 10 random bytes."""
    tail = int.from_bytes(random_bytes, "big")
    version, variant = 0x7 << 76, 0b10 << 62
    high, low = tail >> 62 & 0xFFF, tail & (1 << 62) - 1
    digits = f"{(unix_ms & 0xFFFF_FFFF_FFFF) << 80 | version | high << 64 | variant | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_request_id() -> str:
    """``req_`` and 32 hexadecimal digits, as clients know it from the OpenAI API."""
    return "req_" + os.urandom(16).hex()


def new_entry_id() -> str:
    """The id of one upstream attempt and of its ledger entry."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def rfc3339(unix_s: float) -> str:
    """The moment in UTC with microseconds: ``2026-11-23T04:33:00.000000Z``."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def unix_ms(moment: str) -> int:
    """Whole milliseconds since 1970 of an RFC 3339 moment, exactly: a float would put some into the one before."""
    return (datetime.fromisoformat(moment) - _EPOCH) // _MILLISECOND
