"""Identifiers sort by birth and are what they say."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import rfc3339, uuid7

moments = st.integers(0, 2**48 - 1)
bits = st.binary(min_size=10, max_size=10)


@given(moments, bits)
def test_an_entry_id_is_a_version_7_uuid_of_its_moment(unix_ms, random_bytes):
    made = uuid.UUID(uuid7(unix_ms, random_bytes))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, unix_ms)


@given(moments, moments, bits, bits)
def test_entry_ids_sort_by_birth(one, other, some, others):
    assert (uuid7(one, some) < uuid7(other, others)) == (one < other) or one == other


@given(st.floats(0, 4e9))
def test_a_moment_is_written_in_utc_with_microseconds(unix_s):
    text = rfc3339(unix_s)
    assert len(text) == len("2026-11-23T04:33:00.000000Z")
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(unix_s, UTC)
