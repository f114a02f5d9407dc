"""Buckets of reports: every instant is in exactly one, and it is the hour, day or month that a clock there shows."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import Window
from policies.report_buckets import bucket_starts, buckets_max

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Cairo", "America/Havana", "Pacific/Apia"]
SPANS = {Window.HOUR: timedelta(days=3), Window.DAY: timedelta(days=90), Window.MONTH: timedelta(days=900)}
instants = st.datetimes(datetime(2012, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def on_the_wall(bucket, instant, zone):
    local = instant.astimezone(zone)
    match bucket:
        case Window.HOUR:
            return (local.date(), local.hour, local.utcoffset())
        case Window.DAY:
            return local.date()
        case _:
            return (local.year, local.month)


@given(
    bucket=st.sampled_from(list(SPANS)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    from_at=instants,
    share=st.floats(0.001, 1),
    places=st.lists(st.floats(0, 0.999999), min_size=1, max_size=20),
)
def test_instants_share_a_bucket_exactly_if_a_calendar_on_the_wall_shows_the_same(bucket, zone, from_at, share, places):
    span = SPANS[bucket] * share
    starts = list(bucket_starts(bucket, from_at, from_at + span, zone))

    found = {}
    for place in places:
        instant = from_at + span * place
        found.setdefault(on_the_wall(bucket, instant, zone), set()).add(bisect_right(starts, instant))
    assert all(len(numbers) == 1 for numbers in found.values())
    assert len({min(numbers) for numbers in found.values()}) == len(found)


@given(
    bucket=st.sampled_from(list(SPANS)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    from_at=instants,
    share=st.floats(0.001, 1),
)
def test_buckets_follow_one_another_from_the_one_that_the_span_begins_in(bucket, zone, from_at, share):
    to_at = from_at + SPANS[bucket] * share
    starts = list(bucket_starts(bucket, from_at, to_at, zone))

    assert starts[0] <= from_at
    assert all(before < after for before, after in pairwise(starts))
    assert starts[-1] < to_at
    assert len(starts) <= buckets_max(bucket, from_at, to_at)


def of_berlin(bucket, *span):
    zone = ZoneInfo("Europe/Berlin")
    from_at, to_at = (datetime(*moment, tzinfo=zone).astimezone(UTC) for moment in span)
    return [start.astimezone(zone).isoformat() for start in bucket_starts(bucket, from_at, to_at, zone)]


def test_the_day_on_which_clocks_are_set_back_is_one_bucket_of_25_hours():
    assert of_berlin(Window.DAY, (2026, 10, 25), (2026, 10, 27)) == [
        "2026-10-25T00:00:00+02:00",
        "2026-10-26T00:00:00+01:00",
    ]


def test_the_hour_that_comes_twice_is_two_buckets():
    assert of_berlin(Window.HOUR, (2026, 10, 25, 1), (2026, 10, 25, 4)) == [
        "2026-10-25T01:00:00+02:00",
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]


def test_a_month_begins_at_its_midnight_there_also_when_the_span_begins_later():
    assert of_berlin(Window.MONTH, (2024, 2, 29), (2024, 4, 1)) == [
        "2024-02-01T00:00:00+01:00",
        "2024-03-01T00:00:00+01:00",
    ]


def test_the_total_is_no_bucket():
    with pytest.raises(ValueError, match="bucket"):
        list(
            bucket_starts(
                Window.TOTAL, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), ZoneInfo("UTC")
            )
        )
