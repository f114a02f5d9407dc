"""The hours, days and months that a report sums up over: those of the calendar that budgets go by. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.domain import Window
from policies.windows import calendar_window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# The shortest that one commonly is: how many a span holds, known before any is made.
_LENGTH = {Window.HOUR: timedelta(hours=1), Window.DAY: timedelta(hours=23), Window.MONTH: timedelta(days=28)}


def buckets_max(bucket: Window, from_at: datetime, to_at: datetime) -> int:
    """About the most that can touch the span."""
    return (to_at - from_at) // _LENGTH[bucket] + 2


def bucket_starts(bucket: Window, from_at: datetime, to_at: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Where those that touch [from_at, to_at) begin, in UTC, ascending; the first may begin before ``from_at``.

    Each ends where the next begins.
    """
    at = from_at
    while at < to_at:
        start_ms, end_ms = calendar_window(bucket, zone, (at - _EPOCH) // _MILLISECOND)
        if end_ms is None:
            raise ValueError("the total is no bucket")
        yield _EPOCH + start_ms * _MILLISECOND
        at = _EPOCH + end_ms * _MILLISECOND
