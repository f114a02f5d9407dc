"""Phone numbers: by calling code, by the ways people group them, and by the words around them."""

from __future__ import annotations

import re
from enum import IntEnum

from policies.screening.pii.calling_codes import is_international


class Strength(IntEnum):
    """How much a number looks like a phone's."""

    NONE = 0
    IN_CONTEXT = 1  # once a word near it says so
    BY_FORM = 2  # unless a word near it says that it is something else
    CERTAIN = 3  # an international number


_DIGITS_MIN, _DIGITS_MAX = 6, 15
# At most the area code, or what follows the calling code, stands in brackets.
_PLAUSIBLE = re.compile(r"(?:\(?[0-9]+\)?|[0-9]{1,3}[ ]?\([0-9]{1,5}\))(?:[ ./-]{1,2}[0-9]+|(?<=\))[0-9]+)*")
_PAIRS = re.compile(r"[0-9]{2,3}(?:[ .-][0-9]{2,3}){2}")
_SHORT_MAX = 7
_NORTH_AMERICAN = re.compile(
    r"(?:(?:\+?1|001)[ .-]?)?(?:\([2-9][0-9]{2}\)[ .-]?|[2-9][0-9]{2}([ .-]))[2-9][0-9]{2}[ .-][0-9]{4}"
)
# Not grouped as American (3-2-4) or northern (6-4) numbers of persons are.
_TRUNK = re.compile(
    r"(?!0[0-9]{2}([ .-])[0-9]{2}\1[0-9]{4}$|[0-9]{6}[ /-][0-9]{4}$)"
    r"(?:\(?0[1-9][0-9]{0,4}\)?(?:[ ./-]{1,2}[0-9]{2,8}){1,4}|0[1-9][0-9]{8,9})"
)
# 138-0013-8000 and (912) 345-67-89
_OTHER_FORMS = re.compile(
    r"1[3-9][0-9]([ -])[0-9]{4}\1[0-9]{4}|(?:8[ -]?)?\(?[0-9]{3}\)?[ -]?[0-9]{3}-[0-9]{2}-[0-9]{2}"
)
_AREA_CODE = re.compile(r"\([0-9]{2,5}\)[ .-]?[0-9]{2,5}(?:[ .-]?[0-9]{2,5}){0,3}")
DATE = re.compile(
    r"(?:19|20)[0-9]{2}[-./](?:0?[1-9]|1[0-2])[-./](?:[12][0-9]|3[01]|0?[1-9])(?![0-9])|"
    r"(?:[12][0-9]|3[01]|0?[1-9])[-./](?:[12][0-9]|3[01]|0?[1-9])[-./](?:19|20)[0-9]{2}"
)
DECIMAL = re.compile("[0-9]{1,3}[.][0-9]{3,}|[0-9]+[.][0-9]{1,2}")
_SLASHED = re.compile("[0-9/]+")
EXTENSION = re.compile(r"(?:[ ,;]{0,2}(?:x|ext\.?|extension|#) ?[0-9]{1,6})(?![0-9A-Za-z])", re.IGNORECASE)


def strength(written: str, digits: str, *, is_plus: bool) -> Strength:
    """``written``: from the first digit or bracket to the last digit; ``is_plus``: a plus sign stands before it."""
    count = len(digits)
    if is_plus:
        return Strength.CERTAIN if is_international(digits) else Strength.NONE
    if not _DIGITS_MIN <= count <= _DIGITS_MAX + 2:
        return Strength.NONE
    if _has_form(written, digits):
        return Strength.BY_FORM
    is_plain = count >= _SHORT_MAX or _PAIRS.fullmatch(written)
    is_fraction = "/" in written and count < 9 and _SLASHED.fullmatch(written)
    if is_plain and not is_fraction and count <= _DIGITS_MAX and max(digits) > "1" and _PLAUSIBLE.fullmatch(written):
        return Strength.IN_CONTEXT
    return Strength.NONE


def _has_form(written: str, digits: str) -> bool:
    """As people write numbers of their own country or, with 00 or 011, of others."""
    count = len(digits)
    prefix = 2 if digits.startswith("00") else 3 if digits.startswith("011") else 0
    return bool(
        (prefix and is_international(digits[prefix:]))
        or _NORTH_AMERICAN.fullmatch(written)
        or _OTHER_FORMS.fullmatch(written)
        or (9 <= count <= 11 and _TRUNK.fullmatch(written))
        or (7 <= count <= 11 and _AREA_CODE.fullmatch(written))
    )
