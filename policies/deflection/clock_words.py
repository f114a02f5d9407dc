"""Questions about dates and times with their days, places and times taken out: what is left is matched as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from policies.deflection.dates import MONTHS, DayRead, Step, read_day, read_step
from policies.deflection.numbers import NUMBER_WORDS, cardinal
from policies.deflection.places import PLACE_WORDS_MAX, PLACES, REGIONS, Place

_WORDS_MAX = 20
_WORD = re.compile(r"'s(?= |$)|[^\s,']+(?:'(?!s(?: |$))[a-z]+)?")
_KEPT = re.compile(r"\b(?:what|it|that|where|clock)'s\b")
_NAMED_DAYS = {
    ("the", "day", "after", "tomorrow"): (2, "The day after tomorrow"),
    ("day", "after", "tomorrow"): (2, "The day after tomorrow"),
    ("the", "day", "before", "yesterday"): (-2, "The day before yesterday"),
    ("day", "before", "yesterday"): (-2, "The day before yesterday"),
    ("today",): (0, "Today"),
    ("todays",): (0, "Today"),
    ("tomorrow",): (1, "Tomorrow"),
    ("tomorrows",): (1, "Tomorrow"),
    ("yesterday",): (-1, "Yesterday"),
}
_BEGINNINGS = frozenset({"in", "after", "a", "an", *NUMBER_WORDS, *MONTHS, *(name[0] for name in _NAMED_DAYS)})
_HOURS = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(am|pm|a\.m|p\.m)?")
_HALVES = {"am": 0, "a.m": 0, "pm": 12, "p.m": 12}


@dataclass(frozen=True, slots=True)
class Here:
    """The moment of asking, aware, and the asker's time zone, if it is known."""

    now: datetime
    zone: tzinfo | None

    @property
    def local(self) -> datetime:
        return self.now.astimezone(self.zone)

    @property
    def today(self) -> date:
        return self.local.date()

    @property
    def name(self) -> str:
        return str(self.zone)

    def was_or_is(self, day: date) -> str:
        return "was" if day < self.today else "is"


@dataclass(frozen=True, slots=True)
class Slotted:
    """``text``: the question, a space behind each word, with @ for each thing taken out of it and # for a time."""

    text: str
    steps: Sequence[Step] = ()
    days: Sequence[DayRead] = ()
    places: Sequence[Place] = ()
    minutes: int = 0


def words_of(question: str) -> list[str] | None:
    """Without commas and full stops; "'s" a word of its own except in "what's", "time zone" as one word."""
    spaced = question.replace("time zone", "timezone").replace("twenty-", "twenty ").replace("thirty-", "thirty ")
    held = _KEPT.sub(lambda found: found.group().replace("'", "\0"), spaced)
    words = [word.replace("\0", "'").rstrip(".") or "." for word in _WORD.findall(held)]
    return words if 0 < len(words) <= _WORDS_MAX else None


def day_slots(words: Sequence[str]) -> Slotted:
    """Tomorrow, in 3 weeks, July 4 1776."""
    steps: list[Step] = []
    days: list[DayRead] = []
    left: list[str] = []
    at = 0
    while at < len(words):
        rest = words[at:]
        taken = 0
        if rest[0] not in _BEGINNINGS and not rest[0][0].isdigit():
            pass
        elif step := _step(rest):
            steps.append(step[0])
            taken = step[1]
        elif day := read_day(rest):
            days.append(day)
            taken = day.words
        left.append("@" if taken else words[at])
        at += taken or 1
    return Slotted(_spaced(left), steps=steps, days=days)


def _step(words: Sequence[str]) -> tuple[Step, int] | None:
    """A day by its distance from today."""
    for name, (days, told) in _NAMED_DAYS.items():
        if tuple(words[: len(name)]) == name:
            return Step(days, 0, told, is_named=True), len(name)
    is_in = words[0] in ("in", "after")
    counted = read_step(words[1:] if is_in else words)
    if counted is None:
        return None
    step, taken = counted
    taken += is_in
    after = tuple(words[taken : taken + 2])
    if after in (("from", "now"), ("from", "today")):
        return Step(step.days, step.months, f"{step.told} from today"), taken + 2
    if after[:1] == ("ago",) and not is_in:
        return Step(-step.days, -step.months, f"{step.told} ago"), taken + 1
    return (Step(step.days, step.months, f"{step.told} from today"), taken) if is_in else None


def _spaced(words: Sequence[str]) -> str:
    return "".join(f"{word} " for word in words)


def place_slots(words: Sequence[str]) -> Slotted:
    """Paris; Sydney, Australia; the eastern time zone."""
    places: list[Place] = []
    left: list[str] = []
    at = 0
    while at < len(words):
        place, taken = _place(words[at:])
        if place is not None:
            places.append(place)
        left.append("@" if place else words[at])
        at += taken
    return Slotted(_spaced(left), places=places)


def _place(words: Sequence[str]) -> tuple[Place | None, int]:
    for length in range(min(PLACE_WORDS_MAX, len(words)), 0, -1):
        place = PLACES.get(" ".join(words[:length]))
        if place is None:
            continue
        for more in range(min(3, len(words) - length), 0, -1):
            region = " ".join(words[length : length + more])
            if region in REGIONS and place.zone.startswith(REGIONS[region]):
                return place, length + more
            if region in PLACES and PLACES[region].zone == place.zone and not PLACES[region].is_clock_name:
                return place, length + more
        return place, length
    return None, 1


def time_slots(words: Sequence[str]) -> Slotted | None:
    """The question with one time of day taken out, besides its places; None if there is none, or it may be two."""
    for at in range(len(words)):
        found = _time_of_day(words[at:])
        if found is not None:
            minutes, taken = found
            places = place_slots([*words[:at], "#", *words[at + taken :]])
            return Slotted(places.text, places=places.places, minutes=minutes)
    return None


def _time_of_day(words: Sequence[str]) -> tuple[int, int] | None:
    """Eight am, 8:30 pm, 17:05, noon; in minutes. Eight o'clock may be two times."""
    if words[0] in ("noon", "midnight"):
        return (720 if words[0] == "noon" else 0), 1
    hour = minute = half = None
    taken = 1
    if found := _HOURS.fullmatch(words[0]):
        hour, minute, half = int(found.group(1)), int(found.group(2) or 0), found.group(3)
        is_spelled_out = found.group(2) is not None
    elif number := cardinal(words[:1]):
        hour, minute, is_spelled_out = int(number.value), 0, False
        following = cardinal(words[1:3])
        if following is not None and 10 <= following.value < 60:
            minute, taken = int(following.value), 1 + following.words
    else:
        return None
    if half is None and words[taken : taken + 1] and words[taken] in _HALVES:
        half, taken = words[taken], taken + 1
    if minute > 59:
        return None
    if half is None:
        return (hour * 60 + minute, taken) if is_spelled_out and 13 <= hour < 24 else None
    return ((hour % 12 + _HALVES[half]) * 60 + minute, taken) if 1 <= hour <= 12 else None
