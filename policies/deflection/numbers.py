"""Numbers as people write them, in digits and in words, read exactly and written exactly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

DIGITS_MAX = 40  # of a number that is read
PI = Fraction("3.14159265358979323846264338327950288419716939937510")
_DECIMALS = 6  # of a number that is rounded
_EXACT_DECIMALS = 9  # more than these are rounded
_SIGNIFICANT = 7  # of a rounded number below one

_UNITS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
} | {"fourty": 40}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}
DENOMINATORS = _PARTS | {f"{word}s": value for word, value in _PARTS.items()} | {"halves": 2}
del DENOMINATORS["halfs"]
VULGAR = {
    "½": Fraction(1, 2),
    "⅓": Fraction(1, 3),
    "⅔": Fraction(2, 3),
    "¼": Fraction(1, 4),
    "¾": Fraction(3, 4),
    "⅕": Fraction(1, 5),
    "⅛": Fraction(1, 8),
    "⅜": Fraction(3, 8),
    "⅝": Fraction(5, 8),
    "⅞": Fraction(7, 8),
}
_ORDINAL_UNITS = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "eleventh": 11,
    "twelfth": 12,
    "thirteenth": 13,
    "fourteenth": 14,
    "fifteenth": 15,
    "sixteenth": 16,
    "seventeenth": 17,
    "eighteenth": 18,
    "nineteenth": 19,
    "twentieth": 20,
    "thirtieth": 30,
}
NUMBER_WORDS = frozenset(
    [*_UNITS, *_TENS, *_SCALES, "hundred", "and", "point", "minus", *DENOMINATORS, *_ORDINAL_UNITS]
)
_DIGITS = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+")
# A thousand where the point groups digits, else a one: "1.000 + 1".
_MAY_BE_GROUPED = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{2}0")
_ORDINAL_DIGITS = re.compile(r"([0-9]{1,4})(?:st|nd|rd|th)")


@dataclass(frozen=True, slots=True)
class Read:
    """A number that was read, and how many words it took; ``has_and``: as in "one hundred and five"."""

    value: Fraction
    words: int
    has_and: bool = False


def from_digits(text: str) -> Fraction | None:
    """1,234.5 or .5: a point for decimals, commas only between thousands; 1.000 and 12.500 may be either."""
    if len(text) > DIGITS_MAX or not _DIGITS.fullmatch(text) or _MAY_BE_GROUPED.fullmatch(text):
        return None
    return Fraction(text.replace(",", ""))


def cardinal(words: Sequence[str]) -> Read | None:
    """The longest number that the words begin with: "two hundred and five", "1.5 million", "three point one four"."""
    total, at, has_and, scale_before = Fraction(0), 0, False, None
    while True:
        start = at
        if has_next_and := at > 0 and at < len(words) and words[at] == "and":
            at += 1
        group = _group(words[at:], may_be_article=at == 0)
        if group is None or (at > 0 and (group.value < 0 or group.value.denominator > 1)):
            at = start
            break
        after = at + group.words
        scale = _SCALES.get(words[after]) if after < len(words) else None
        if scale_before is not None and (scale or 1) >= scale_before:
            at = start
            break
        if has_next_and and (scale is not None or group.value >= 100):
            at = start
            break
        has_and = has_and or has_next_and or group.has_and
        total += group.value * (scale or 1)
        at = after + (1 if scale else 0)
        if scale is None:
            break
        scale_before = scale
    if not at:
        return None
    return _with_point(total, words, at, has_and=has_and)


def _with_point(total: Fraction, words: Sequence[str], at: int, *, has_and: bool) -> Read:
    """Decimals that are spoken digit by digit."""
    if at < len(words) and words[at] == "point" and total.denominator == 1:
        end = at + 1
        while end < len(words) and _UNITS.get(words[end], 10) < 10 and end - at <= _EXACT_DECIMALS:
            end += 1
        if end > at + 1:
            decimals = "".join(str(_UNITS[word]) for word in words[at + 1 : end])
            return Read(total + Fraction(int(decimals), 10 ** len(decimals)), end, has_and)
    return Read(total, at, has_and)


def _group(words: Sequence[str], *, may_be_article: bool) -> Read | None:
    """Below a thousand; digits stand for themselves."""
    if not words:
        return None
    first, following = words[0], words[1] if len(words) > 1 else ""
    if (digits := from_digits(first)) is not None:
        if following == "hundred":
            return Read(digits * 100, 2)
        # Two numbers in digits side by side are not one number: only a scale may follow.
        return Read(digits, 1) if may_be_article else None
    if first == "a" and may_be_article:
        if following == "hundred":
            return _hundreds(1, words)
        return Read(Fraction(1), 1) if following in _SCALES else None
    small = _below_hundred(words)
    if small is None:
        return None
    hundred_at = small.words
    if hundred_at < len(words) and words[hundred_at] == "hundred" and 0 < small.value < 100:
        return _hundreds(int(small.value), words[small.words - 1 :], before=small.words - 1)
    return small


def _hundreds(count: int, words: Sequence[str], before: int = 0) -> Read:
    """``words`` begins with the last word of the count."""
    at = 2
    has_and = at < len(words) and words[at] == "and"
    rest = _below_hundred(words[at + has_and :])
    if rest is None or not rest.value:
        return Read(Fraction(count * 100), before + at)
    return Read(count * 100 + rest.value, before + at + has_and + rest.words, has_and)


def _below_hundred(words: Sequence[str]) -> Read | None:
    if not words:
        return None
    if (unit := _UNITS.get(words[0])) is not None:
        return Read(Fraction(unit), 1)
    if (ten := _TENS.get(words[0])) is None:
        return None
    unit = _UNITS.get(words[1], 0) if len(words) > 1 else 0
    return Read(Fraction(ten + unit), 2) if 0 < unit < 10 else Read(Fraction(ten), 1)


def quantity(words: Sequence[str]) -> Read | None:
    """What may be counted: also "a", "half a", "two and a half", "3 1/2", "3/4", "1½"."""
    if not words:
        return None
    if words[0] in ("minus", "negative"):
        found = quantity(words[1:])
        return found and Read(-found.value, found.words + 1)
    if (part := _part(words)) is not None:
        return part
    whole = cardinal(words)
    if whole is None:
        return Read(Fraction(1), 1) if words[0] in ("a", "an") else None
    rest = words[whole.words :]
    if rest[:1] and rest[0] == "and" and (part := _part(rest[1:])) is not None and part.value < 1:
        return Read(whole.value + part.value, whole.words + 1 + part.words)
    if whole.value.denominator == 1 and rest[:1] and (below := _written_part(rest[0])) is not None and below < 1:
        return Read(whole.value + below, whole.words + 1)
    if len(rest) > 0 and rest[0] in DENOMINATORS and whole.value.denominator == 1:
        return Read(whole.value / DENOMINATORS[rest[0]], whole.words + 1)
    return whole


def _part(words: Sequence[str]) -> Read | None:
    """A half, half a, three quarters, 3/4."""
    if not words:
        return None
    if (part := _written_part(words[0])) is not None:
        return Read(part, 1)
    if words[0] == "half":
        return Read(Fraction(1, 2), 2 if words[1:2] and words[1] in ("a", "an") else 1)
    if len(words) > 1 and words[0] in ("a", "an", "one") and words[1] in _PARTS:
        return Read(Fraction(1, _PARTS[words[1]]), 2)
    return None


def _written_part(word: str) -> Fraction | None:
    """3/4, ¾ or 1½."""
    if word and word[-1] in VULGAR:
        whole = from_digits(word[:-1]) if len(word) > 1 else Fraction(0)
        return None if whole is None or whole.denominator > 1 else whole + VULGAR[word[-1]]
    above, slash, below = word.partition("/")
    if slash and above.isdecimal() and below.isdecimal() and above.isascii() and below.isascii():
        too_long = len(word) > DIGITS_MAX or not int(below)
        return None if too_long else Fraction(int(above), int(below))
    return None


def ordinal(words: Sequence[str]) -> Read | None:
    """Third, 3rd, twenty first, up to the hundreds in digits."""
    if not words:
        return None
    if found := _ORDINAL_DIGITS.fullmatch(words[0]):
        return Read(Fraction(int(found.group(1))), 1)
    if words[0] in _ORDINAL_UNITS:
        return Read(Fraction(_ORDINAL_UNITS[words[0]]), 1)
    if words[0] in _TENS and len(words) > 1 and 0 < _ORDINAL_UNITS.get(words[1], 0) < 10:
        return Read(Fraction(_TENS[words[0]] + _ORDINAL_UNITS[words[1]]), 2)
    return None


@dataclass(frozen=True, slots=True)
class Written:
    """A number in decimals: exactly, or rounded half to even."""

    text: str
    is_exact: bool

    @property
    def equals(self) -> str:
        return f"= {self.text}" if self.is_exact else f"≈ {self.text}"


def written(value: Fraction, *, places: int | None = None) -> Written:
    """In digits without separators, so that it can be copied; ``places``: at most so many decimals (about six)."""
    decimals = _terminating(value)
    if decimals is not None and decimals <= (_EXACT_DECIMALS if places is None else places):
        return Written(_fixed(value, decimals), is_exact=True)
    if places is None:
        places = _DECIMALS
        while value and abs(value) * 10**places < 10 ** (_SIGNIFICANT - 1) and places < DIGITS_MAX:
            places += 1
    text = _fixed(value, places)
    return Written(text.rstrip("0").rstrip(".") if "." in text else text, is_exact=False)


def _terminating(value: Fraction) -> int | None:
    """How many decimals write it exactly."""
    below, twos, fives = value.denominator, 0, 0
    while below % 2 == 0:
        below //= 2
        twos += 1
    while below % 5 == 0:
        below //= 5
        fives += 1
    return max(twos, fives) if below == 1 else None


def _fixed(value: Fraction, places: int) -> str:
    shifted = round(value * 10**places)
    whole, part = divmod(abs(shifted), 10**places)
    sign = "-" if shifted < 0 else ""
    return f"{sign}{whole}.{part:0{places}d}" if places else f"{sign}{whole}"
