"""Dates and times: what day and time it is, here or in a city, and how far days and time zones lie apart.

Days are of the Gregorian calendar, also before it was in use. Local questions need the asker's time zone; without it
only those are answered that name a place or a date. Holidays, "next Tuesday" and 03/04/2024 are left to a model.
Zones are those of the tz database, of which zoneinfo reads each zone's file once.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from policies.deflection import clock_phrases as phrases
from policies.deflection.clock_words import Here, Slotted, day_slots, place_slots, time_slots, words_of
from policies.deflection.dates import DayRead, told
from policies.deflection.places import Place
from policies.deflection.text import core

# Without one of these words nothing is asked that we answer.
_TELLING = frozenset(
    "time timezone date day days weekday month year today todays tomorrow tomorrows yesterday clock hour hours late"
    " when convert am pm a.m p.m noon midnight monday tuesday wednesday thursday friday saturday sunday".split()
)
# These alone may be answers, or the beginning of something else.
_BARE = frozenset(
    "date/day/time/weekday/the day/the weekday/today/now/what time/what day/what date/which day/which date".split("/")
)
# These ask what it is to be one, or of something that was not said.
_NOT_OF_NOW = frozenset(
    "what is time/what is date/what is day/what is weekday/whats time/whats date/whats day/whats weekday"
    "/when is it".split("/")
)


def clock(line: str, now: datetime, zone: tzinfo | None) -> str | None:
    """The answer; None unless the whole line asks for a date, a time, a time zone or a distance between them."""
    if line.lower().strip(" ?.!") in _BARE:
        return None
    words = words_of(core(line).lower())
    if words is None or _TELLING.isdisjoint(words):
        return None
    here = Here(now, zone)
    whole = "".join(f"{word} " for word in words)
    if whole.replace("'", "").rstrip() in _NOT_OF_NOW:
        return None
    if (weekday := phrases.IS_IT_WEEKDAY.fullmatch(whole)) and zone is not None:
        is_it = f"{here.today:%A}".lower() == weekday.group("day")
        return f"{'Yes' if is_it else 'No'}: today is {told(here.today)} ({here.name})."
    days, places = day_slots(words), place_slots(words)
    if days.steps and not days.days:
        return _on_day(days, here)
    if days.days:
        return _about_days(days, here)
    if places.places:
        return _about_places(places, words, here)
    if here.zone is None:
        return None
    if phrases.DATE.fullmatch(whole.removesuffix("now ").removesuffix("right ")):
        return f"Today is {told(here.today)} ({here.name})."
    if phrases.TIME.fullmatch(whole):
        return f"It is {_clock_time(here.local)} on {told(here.today)} ({here.name})."
    return None


def _on_day(asked: Slotted, here: Here) -> str | None:
    """A day that is named by its distance from today."""
    step = asked.steps[0]
    if here.zone is None or len(asked.steps) > 1:
        return None
    is_asked = phrases.DATE.fullmatch(asked.text) or (step.is_named and phrases.DATE_BY_NAME.fullmatch(asked.text))
    day = step.on(here.today) if is_asked else None
    if day is None:
        return None
    return f"{step.told} {'was' if day < here.today else 'is'} {told(day)} ({here.name})."


def _about_days(asked: Slotted, here: Here) -> str | None:
    """The weekday of a date, or the days from one to another."""
    if asked.steps:
        return None
    days = asked.days
    this_year = asked.text.endswith("this year ")
    text = asked.text.removesuffix("this year ").removesuffix("in ").removesuffix("on ") if this_year else asked.text
    if phrases.WEEKDAY.fullmatch(text):
        return _weekday(days[0], here, this_year=this_year)
    if this_year:
        return None
    is_since = phrases.DAYS_SINCE.fullmatch(text) is not None
    if is_since or phrases.DAYS_UNTIL.fullmatch(text):
        return _until(days[0], here, since=is_since)
    if phrases.DAYS_BETWEEN.fullmatch(text) and days[0].year and days[1].year:
        first, last = days[0].in_year(days[0].year), days[1].in_year(days[1].year)
        if first is None or last is None:
            return None
        return f"From {told(first)} to {told(last)} it is {_count((last - first).days)}."
    return None


def _weekday(asked: DayRead, here: Here, *, this_year: bool) -> str | None:
    if asked.year is not None:
        day = None if this_year else asked.in_year(asked.year)
        return (
            None if day is None else f"{day:%B} {day.day}, {day.year} {here.was_or_is(day)} a {day:%A}{_calendar(day)}."
        )
    if here.zone is None:
        return None
    this, following = asked.in_year(here.today.year), asked.in_year(here.today.year + 1)
    if this is None or following is None:
        return None
    also = "" if this_year else f" and a {following:%A} in {following.year}"
    return f"{this:%B} {this.day} is a {this:%A} in {this.year}{also}."


def _until(asked: DayRead, here: Here, *, since: bool) -> str | None:
    if here.zone is None:
        return None
    today = here.today
    if asked.year is not None:
        day = asked.in_year(asked.year)
    else:
        year = today.year + ((asked.month, asked.day) < (today.month, today.day)) - since
        day = None if since and asked.month == today.month and asked.day == today.day else asked.in_year(year)
        if since and day is not None and (asked.month, asked.day) < (today.month, today.day):
            day = asked.in_year(today.year)
    if day is None or (day > today if since else day < today):
        return None
    count = abs((day - today).days)
    return f"{_count(count)} {'since' if since else 'until'} {told(day)}, counted from {told(today)} ({here.name})."


def _about_places(asked: Slotted, words: list[str], here: Here) -> str | None:
    """The time or time zone of a place, or the hours between two."""
    if any(not _keeps_to_its_name(place, here) for place in asked.places):
        return None
    first, last = asked.places[0], asked.places[-1]
    if len(asked.places) == 1:
        if phrases.TIME.fullmatch(asked.text) or phrases.TIME_THERE.fullmatch(asked.text):
            local = here.now.astimezone(ZoneInfo(first.zone))
            return (
                f"It is {_clock_time(local)} on {told(local.date())} in {first.name} ({first.zone}, {_offset(local)})."
            )
        if phrases.TIMEZONE.fullmatch(asked.text):
            local = here.now.astimezone(ZoneInfo(first.zone))
            name = f"{local:%Z}, now " if f"{local:%Z}".isalpha() else "now "
            return f"{first.name} is in the time zone {first.zone} ({name}{_offset(local)})."
        return None
    if len(asked.places) != 2 or first.zone == last.zone:
        return None
    if phrases.DIFFERENCE.fullmatch(asked.text):
        return _difference(first, last, here)
    timed = time_slots(words)
    if timed is not None and phrases.ELSEWHERE.fullmatch(timed.text):
        return _elsewhere(timed.minutes, first, last, here)
    if timed is not None and phrases.ELSEWHERE_FIRST.fullmatch(timed.text):
        return _elsewhere(timed.minutes, last, first, here)
    return None


def _keeps_to_its_name(place: Place, here: Here) -> bool:
    """EST is said of summer too; what is meant then is not known."""
    return not place.abbreviation or f"{here.now.astimezone(ZoneInfo(place.zone)):%Z}" == place.abbreviation


def _difference(first: Place, last: Place, here: Here) -> str:
    offsets = [here.now.astimezone(ZoneInfo(one.zone)).utcoffset() or timedelta() for one in (first, last)]
    apart = offsets[1] - offsets[0]
    zones = f"({last.zone} and {first.zone}, today)"
    if not apart:
        return f"{last.name} and {first.name} have the same time {zones}."
    hours, minutes = divmod(abs(apart) // timedelta(minutes=1), 60)
    amount = f"{hours} hour{'' if hours == 1 else 's'}" + (f" {minutes} minutes" if minutes else "")
    return f"{last.name} is {amount} {'ahead of' if apart > timedelta() else 'behind'} {first.name} {zones}."


def _elsewhere(minutes: int, source: Place, target: Place, here: Here) -> str | None:
    """That time of today in the one place, as clocks in the other show it."""
    zone = ZoneInfo(source.zone)
    today = here.now.astimezone(zone).date()
    there = datetime(today.year, today.month, today.day, minutes // 60, minutes % 60, tzinfo=zone)
    is_plain = there.utcoffset() == there.replace(fold=1).utcoffset()  # clocks are not being changed
    shown = there.astimezone(ZoneInfo(target.zone))
    if not is_plain:
        return None
    days = (shown.date() - there.date()).days
    when = {0: "the same day", 1: "the next day", -1: "the day before"}[days]
    return (
        f"{_clock_time(there)} in {source.name} is {_clock_time(shown)} {when} in {target.name}"
        f" ({source.zone}, {_offset(there)}; {target.zone}, {_offset(shown)}; on {told(there.date())})."
    )


def _clock_time(local: datetime) -> str:
    """Both ways in which people read it."""
    hour = local.hour % 12 or 12
    return f"{local:%H:%M} ({hour}:{local:%M} {'AM' if local.hour < 12 else 'PM'})"


def _offset(local: datetime) -> str:
    text = f"{local:%z}"
    return f"UTC{text[:3]}:{text[3:5]}"


def _calendar(day: date) -> str:
    """Before 1582 nobody counted so, and some places did not before 1923."""
    return " (Gregorian calendar)" if day.year < 1924 else ""


def _count(days: int) -> str:
    return f"{days} day{'' if abs(days) == 1 else 's'}"
