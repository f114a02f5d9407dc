"""When the window of a budget begins and ends, by the calendar of its time zone, and what its balance is called.

Instants are milliseconds since 1970. Calendar windows of one budget tile time: each begins where the one before ends,
also where clocks are set forward or back.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from gateway.domain import Budget, Limit, Period, Window

_HOUR_S = 3600
_MINUTE_MS = 60_000
# The length of a cell in milliseconds, and how many of them make the window: a rolling month is 30 days.
_ROLLING: dict[Window, tuple[int, int]] = {
    Window.HOUR: (_MINUTE_MS, 60),
    Window.DAY: (15 * _MINUTE_MS, 96),
    Window.WEEK: (60 * _MINUTE_MS, 168),
    Window.MONTH: (60 * _MINUTE_MS, 720),
}
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_NO_ZONES = {"localtime", "posixrules", "Factory"}  # what a host makes of them is nobody else's time
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_DIGEST_DIGITS = 32


def zone_of(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises ValueError for any other."""
    if _ZONE.fullmatch(name) and name not in _NO_ZONES and not name.startswith(("posix/", "right/")):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # said below, once
    raise ValueError(f"there is no time zone {name[:64]!r}")


def zone_names() -> frozenset[str]:
    """Every name that ``zone_of`` takes, but for what only this host may have."""
    return frozenset(available_timezones() - _NO_ZONES)


def can_roll(window: Window) -> bool:
    """Whether a window of this length can be rolling: the total never passes."""
    return window in _ROLLING


def period_of(budget: Budget, at_ms: int) -> Period:
    """The window in force at that moment.

    After a reset the window that it falls into begins anew with it; for a moment before, it is the window as it was,
    so that what was admitted before a reset settles in the old balance.
    """
    reset_ms = budget.reset_at_ms
    if reset_ms is not None and reset_ms > at_ms:
        reset_ms = None
    if budget.is_rolling:
        return Period(reset_ms or 0, None, *_ROLLING[budget.window])
    start_ms, end_ms = calendar_window(budget.window, zone_of(budget.time_zone), at_ms)
    return Period(start_ms if reset_ms is None else max(start_ms, reset_ms), end_ms)


def balance_name(budget: Budget, period: Period, value: str | None) -> str:
    """What the balance of one period, and of one value of what is counted apart, is called in its organization."""
    # With the number of its cells, so that a window of another length finds none of its.
    mark = f"r{period.cells}." if budget.is_rolling else ""
    return f"{budget.id}:{mark}{period.start_ms}{_suffix(value)}"


def counter_name(limit: Limit, value: str | None) -> str:
    """What the counters of a limit, and of one value of what is counted apart, are called in its organization."""
    return f"{limit.id}{_suffix(value)}"


def _suffix(value: str | None) -> str:
    if value is None:
        return ""
    if _PLAIN_VALUE.fullmatch(value):
        return f":{value}"
    # Clients choose their end users' names: whatever they hold becomes a short word that no other name shares.
    return f":{hashlib.sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGEST_DIGITS]}"


def calendar_window(window: Window, zone: ZoneInfo, at_ms: int) -> tuple[int, int | None]:
    """Where the window of the zone's calendar that the moment is in begins and ends; the total never ends."""
    if window is Window.TOTAL:
        return 0, None
    at_s = at_ms // 1000
    if window is Window.HOUR:
        start_s, end_s = _hour(zone, at_s)
        return start_s * 1000, end_s * 1000
    first = _first_day(window, datetime.fromtimestamp(at_s, zone).date())
    # Where clocks change at midnight, a date can begin twice or in the middle: its first beginning counts.
    while _midnight_s(zone, first) > at_s:
        first = _first_day(window, first - timedelta(days=1))
    while _midnight_s(zone, after := _first_day_after(window, first)) <= at_s:
        first = after
    return _midnight_s(zone, first) * 1000, _midnight_s(zone, after) * 1000


def _first_day(window: Window, day: date) -> date:
    """The day on which the day, week or month begins that this day is in."""
    if window is Window.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if window is Window.MONTH else day


def _first_day_after(window: Window, first: date) -> date:
    if window is Window.MONTH:
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if window is Window.WEEK else 1)


def _midnight_s(zone: ZoneInfo, day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _hour(zone: ZoneInfo, at_s: int) -> tuple[int, int]:
    """The full hour of the zone's clocks. A change by a part of an hour cuts the hour that it falls into."""
    offset_s = _offset_s(zone, at_s)
    start_s = at_s - (at_s + offset_s) % _HOUR_S
    end_s = start_s + _HOUR_S
    if (_offset_s(zone, start_s) - offset_s) % _HOUR_S:
        start_s = _change_s(zone, start_s, at_s)
    if (_offset_s(zone, end_s - 1) - offset_s) % _HOUR_S:
        end_s = _change_s(zone, at_s, end_s - 1)
    return start_s, end_s


def _change_s(zone: ZoneInfo, before_s: int, after_s: int) -> int:
    """The first second of the clocks as they are at ``after_s``, which they are not yet at ``before_s``."""
    new_s = _offset_s(zone, after_s)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset_s(zone, middle_s) == new_s:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s


def _offset_s(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
