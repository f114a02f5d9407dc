"""Dates as people write them: by a month's name or as 2024-03-04. 03/04/2024 is read two ways, so it is not read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from policies.deflection.numbers import cardinal, ordinal

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sep sept",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_YEAR = re.compile(r"[0-9]{4}")
_STEPS = {"day": 1, "days": 1, "week": 7, "weeks": 7, "fortnight": 14, "fortnights": 14}
_MONTH_STEPS = {"month": 1, "months": 1, "year": 12, "years": 12}
_DAY_MAX = 31
_STEP_MAX = 100_000


@dataclass(frozen=True, slots=True)
class DayRead:
    """A day that was read, and how many words it took; without a year it is that day of any year."""

    month: int
    day: int
    year: int | None
    words: int

    def in_year(self, year: int) -> date | None:
        """None where there is no such day."""
        try:
            return date(year, self.month, self.day)
        except ValueError:
            return None


def read_day(words: Sequence[str]) -> DayRead | None:
    """July 4 1776, july 4th, the fourth of july, 4 july 1776, 1776-07-04."""
    if not words:
        return None
    if iso := _ISO.fullmatch(words[0]):
        year, month, day = map(int, iso.groups())
        return DayRead(month, day, year, 1) if _exists(month, day, year) else None
    at = 1 if words[0] == "the" else 0
    found = _month_and_day(words, at) or _day_and_month(words, at)
    if found is None:
        return None
    month, day, at = found
    year_read = None
    after = at + (list(words[at : at + 1]) == ["in"])
    if words[after : after + 1] and _YEAR.fullmatch(words[after]):
        year_read = int(words[after])
        at = after + 1
    return DayRead(month, day, year_read, at) if _exists(month, day, year_read or 2000) else None


def _month_and_day(words: Sequence[str], at: int) -> tuple[int, int, int] | None:
    """The month, the day, and where they end: july (the) 4th."""
    month = MONTHS.get(words[at]) if at < len(words) else None
    at += 2 if list(words[at + 1 : at + 2]) == ["the"] else 1
    day = _day(words[at:]) if month else None
    return (month, day[0], at + day[1]) if month and day else None


def _day_and_month(words: Sequence[str], at: int) -> tuple[int, int, int] | None:
    """4 july, fourth of july."""
    day = _day(words[at:])
    if day is None:
        return None
    at += day[1]
    at += list(words[at : at + 1]) == ["of"]
    month = MONTHS.get(words[at]) if at < len(words) else None
    return (month, day[0], at + 1) if month else None


def _day(words: Sequence[str]) -> tuple[int, int] | None:
    read = ordinal(words)
    if read is None:
        read = cardinal(words[:2])
    if read is None or read.value.denominator != 1 or not 1 <= read.value <= _DAY_MAX:
        return None
    return int(read.value), read.words


def _exists(month: int, day: int, year: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Step:
    """So many days or months forth (or back), as it was said."""

    days: int
    months: int
    told: str
    is_named: bool = False

    def on(self, day: date) -> date | None:
        """None past the calendar, and where a month is too short to have that day."""
        try:
            month = day.month - 1 + self.months
            return day.replace(year=day.year + month // 12, month=month % 12 + 1) + timedelta(days=self.days)
        except (ValueError, OverflowError):
            return None


def read_step(words: Sequence[str]) -> tuple[Step, int] | None:
    """Three weeks; 100 days; a month."""
    number = cardinal(words)
    if number is None and words and words[0] in ("a", "an"):
        count, taken = 1, 1
    elif number is not None and number.value.denominator == 1 and 0 <= number.value <= _STEP_MAX:
        count, taken = int(number.value), number.words
    else:
        return None
    unit = words[taken] if taken < len(words) else ""
    if unit not in _STEPS and unit not in _MONTH_STEPS:
        return None
    name = unit.rstrip("s") + ("" if count == 1 else "s")
    step = Step(count * _STEPS.get(unit, 0), count * _MONTH_STEPS.get(unit, 0), f"{count} {name}")
    return step, taken + 1


def told(day: date) -> str:
    """Sunday, November 29, 2026."""
    return f"{day:%A}, {day:%B} {day.day}, {day.year}"
