"""Exact arithmetic within bounds: no result or step has more digits than a reader could want."""

from __future__ import annotations

from fractions import Fraction
from math import factorial, isqrt

from policies.deflection.numbers import Written, written

BITS_MAX = 700  # about 210 digits
_FACTORIAL_MAX = 100
_EXPONENT_MAX = 1000
_ROOT_PLACES = 6


class NotComputed(Exception):
    """The message is no calculation that we answer."""


def bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > BITS_MAX:
        raise NotComputed
    return value


def power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > _EXPONENT_MAX or (not base and exponent <= 0):
        raise NotComputed
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits > 1 and (bits - 1) * abs(exponent) > BITS_MAX:
        raise NotComputed
    return bounded(base ** int(exponent))


def quotient(above: Fraction, below: Fraction) -> Fraction:
    if not below:  # what to say of it is a model's business
        raise NotComputed
    return bounded(above / below)


def whole_factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or not 0 <= value <= _FACTORIAL_MAX:
        raise NotComputed
    return Fraction(factorial(int(value)))


def remainder(above: Fraction, below: Fraction) -> Fraction:
    if above.denominator != 1 or below.denominator != 1 or above < 0 or below <= 0:
        raise NotComputed
    return above % below


def root(value: Fraction, degree: int) -> tuple[Fraction, Written]:
    """The second or third root: itself where it is rational, else rounded, and written."""
    if value < 0:
        raise NotComputed
    above, below = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
    if above**degree == value.numerator and below**degree == value.denominator:
        found = Fraction(above, below)
        return found, written(found)
    places = _ROOT_PLACES + (len(str(value.denominator)) if value < 1 else 0)
    # One more digit than is shown, and a last one that keeps a tie from being taken for exact.
    scaled = _whole_root(value.numerator * 10 ** (degree * (places + 2)) // value.denominator, degree)
    found = Fraction(scaled * 10 + 1, 10 ** (places + 3))
    return found, Written(written(found, places=places).text, is_exact=False)


def _whole_root(value: int, degree: int) -> int:
    """Rounded down."""
    if degree == 2:
        return isqrt(value)
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle)
    return low
