"""Dates and times are told from the moment of asking, with their time zone, and never guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.deflection.clock import clock
from policies.deflection.places import PLACES
from policies.deflection.text import plain

NOW = datetime(2026, 11, 29, 17, 5, tzinfo=UTC)  # a Sunday
SUMMER = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
HERE = ZoneInfo("Europe/Paris")


def asked(text, now=NOW, zone=HERE):
    line = plain(text)
    return None if line is None else clock(line, now, zone)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("what time is it?", "It is 18:05 (6:05 PM) on Sunday, November 29, 2026 (Europe/Paris)."),
        ("could you tell me today's date please", "Today is Sunday, November 29, 2026 (Europe/Paris)."),
        ("what day is it", "Today is Sunday, November 29, 2026 (Europe/Paris)."),
        ("is it monday today", "No: today is Sunday, November 29, 2026 (Europe/Paris)."),
        ("what's the date tomorrow", "Tomorrow is Monday, November 30, 2026 (Europe/Paris)."),
        ("what is the date in 3 weeks", "3 weeks from today is Sunday, December 20, 2026 (Europe/Paris)."),
        ("what was the date 90 days ago", "90 days ago was Monday, August 31, 2026 (Europe/Paris)."),
        ("what day will it be in two months", "2 months from today is Friday, January 29, 2027 (Europe/Paris)."),
        (
            "what time is it in new york",
            "It is 12:05 (12:05 PM) on Sunday, November 29, 2026 in New York (America/New_York, UTC-05:00).",
        ),
        (
            "what is the time in sydney, australia",
            "It is 04:05 (4:05 AM) on Monday, November 30, 2026 in Sydney (Australia/Sydney, UTC+11:00).",
        ),
        ("reno's time zone is what", "Reno is in the time zone America/Los_Angeles (PST, now UTC-08:00)."),
        (
            "time difference between india and ivory coast",
            "Ivory Coast is 5 hours 30 minutes behind India (Africa/Abidjan and Asia/Kolkata, today).",
        ),
        (
            "if it's ten pm in california what time is it in alabama",
            (
                "22:00 (10:00 PM) in California is 00:00 (12:00 AM) the next day in Alabama"
                " (America/Los_Angeles, UTC-08:00; America/Chicago, UTC-06:00; on Sunday, November 29, 2026)."
            ),
        ),
        ("what day of the week was July 4, 1776", "July 4, 1776 was a Thursday (Gregorian calendar)."),
        ("what day does april 16 fall on", "April 16 is a Thursday in 2026 and a Friday in 2027."),
        (
            "how many days until june 5",
            "188 days until Saturday, June 5, 2027, counted from Sunday, November 29, 2026 (Europe/Paris).",
        ),
        (
            "how many days between 2024-02-28 and 2024-03-01",
            "From Wednesday, February 28, 2024 to Friday, March 1, 2024 it is 2 days.",
        ),
    ],
)
def test_an_answer_states_day_and_zone(message, answer):
    assert asked(message) == answer


def test_without_the_askers_zone_only_what_names_a_place_or_a_date_is_answered():
    assert asked("what time is it", zone=None) is None
    assert asked("what's today's date", zone=None) is None
    assert asked("what day is it in 3 days", zone=None) is None
    assert "in Tokyo" in asked("what time is it in tokyo", zone=None)
    assert "Thursday" in asked("what day was july 4 1776", zone=None)


def test_standard_time_is_told_only_while_clocks_show_it():
    assert "UTC-05:00" in asked("what time is it in est")
    assert asked("what time is it in est", now=SUMMER) is None
    assert "UTC-04:00" in asked("what time is it in the eastern time zone", now=SUMMER)


@pytest.mark.parametrize(
    "message",
    [
        "what day is 03/04/2024",
        "what time is it in portland",
        "what time is it in georgia",
        "what time is it in australia",
        "what time is it in paris, texas",
        "what timezone is russia in",
        "what is the time in ist",
        "what day is easter",
        "how many days until christmas",
        "what is the date next tuesday",
        "what day does my birthday fall on",
        "what is today's weather",
        "what's happening today",
        "what's on my calendar tomorrow",
        "what date is it and write a haiku about it",
        "what is the time value of money",
        "hey, what is time?",
        "What's time",
        "what is date",
        "when is it",
        "set a timer for 5 minutes",
        "what time is my meeting today",
        "what time does the store open in dallas",
        "when was the last time it rained in paris",
        "what day is february 30",
        "date",
        "what time?",
        "today",
    ],
)
def test_what_needs_more_than_a_clock_is_left_to_a_model(message):
    assert asked(message) is None


DAYS = st.dates(min_value=date(1000, 1, 1), max_value=date(2999, 12, 31))


def weekday_by_zeller(day):
    month, year = (day.month, day.year) if day.month > 2 else (day.month + 12, day.year - 1)
    number = (day.day + 13 * (month + 1) // 5 + year + year // 4 - year // 100 + year // 400) % 7
    return ["Saturday", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday"][number]


@settings(deadline=None)
@given(DAYS)
def test_weekdays_are_those_of_zellers_congruence(day):
    answer = asked(f"what day of the week was {day:%B} {day.day}, {day.year}")
    assert f"a {weekday_by_zeller(day)}" in answer


@settings(deadline=None)
@given(DAYS, DAYS)
def test_days_between_are_counted_by_the_calendar(first, last):
    answer = asked(f"how many days between {first.isoformat()} and {last.isoformat()}")
    assert f"it is {last.toordinal() - first.toordinal()} day" in answer


@settings(deadline=None)
@given(st.integers(0, 5000))
def test_days_from_now_are_counted_from_the_askers_day(count):
    then = date(2026, 11, 29) + timedelta(days=count)
    assert f"{then:%A}, {then:%B} {then.day}, {then.year}" in asked(f"what date will it be {count} days from now")


PLACE_NAMES = st.sampled_from(sorted(PLACES))


@settings(deadline=None)
@given(PLACE_NAMES, st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31)))  # noqa: DTZ001 - made aware below
def test_every_place_has_a_time_which_is_that_of_its_zone(name, moment):
    now = moment.replace(tzinfo=UTC)
    answer = asked(f"what time is it in {name}", now=now)
    if answer is None:  # standard time in summer
        assert PLACES[name].abbreviation
        return
    assert f"It is {now.astimezone(ZoneInfo(PLACES[name].zone)):%H:%M} " in answer


@settings(deadline=None)
@given(PLACE_NAMES, PLACE_NAMES, st.integers(0, 23), st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31)))  # noqa: DTZ001
def test_a_time_elsewhere_lies_as_far_off_as_the_zones_do(one, other, hour, moment):
    now = moment.replace(tzinfo=UTC)
    answer = asked(f"if it is {hour:02d}:00 in {one} what time is it in {other}", now=now)
    if answer is None:
        return
    source, target = ZoneInfo(PLACES[one].zone), ZoneInfo(PLACES[other].zone)
    local = now.astimezone(source)
    there = datetime(local.year, local.month, local.day, hour, tzinfo=source)
    assert f"is {there.astimezone(target):%H:%M} (" in answer
