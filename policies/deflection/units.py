"""Units: "10 miles in km", "how many cups in a gallon", "how do you convert pounds to kilograms".

Nothing is assumed of what is measured, so cups of flour stay unanswered. A name that fits two units is settled by the
other side or not at all, and the answer names its units in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from policies.deflection.conversion import splits
from policies.deflection.numbers import Written, quantity, written
from policies.deflection.text import core
from policies.deflection.unit_table import CAPITALS, NAME_WORDS_MAX, NAMED, Unit

_MAGNITUDE_MAX = Fraction(10**15)
_SMALLER = {"foot": "inch", "pound": "ounce", "stone": "pound", "hour": "minute", "minute": "second"}
_FORMULAS = {
    ("°C", "°F"): "°F = °C × 9/5 + 32",
    ("°F", "°C"): "°C = (°F − 32) × 5/9",
    ("°C", "K"): "K = °C + 273.15",
    ("K", "°C"): "°C = K − 273.15",
    ("°F", "K"): "K = (°F + 459.67) × 5/9",
    ("K", "°F"): "°F = K × 9/5 − 459.67",
}


@dataclass(frozen=True, slots=True)
class _Measure:
    """So many of each unit; without a number it is the unit itself that is asked about."""

    parts: tuple[tuple[Fraction, Unit], ...]
    has_number: bool


def units(line: str) -> str | None:
    """The conversion and its result; None unless the whole line asks for one and both units are plain."""
    for split in splits(core(line)):
        answers = {
            answer
            for measure in _measures(split.source)
            for target in _targets(split.target)
            if (answer := _converted(measure, target)) is not None
        }
        if answers:
            return answers.pop() if len(answers) == 1 else None
    return None


def _measures(words: Sequence[str]) -> list[_Measure]:
    """All readings of "5", "feet", "10", "inches"."""
    lower = [word.lower().rstrip(",") for word in words]
    if not lower:
        return []
    number = quantity(lower)
    if number and number.words == 1 and lower[0] in ("a", "an") and (inner := quantity(lower[1:])) is not None:
        number = type(inner)(inner.value, inner.words + 1)  # in a two gallons
    if number is None and sum(map(len, words)) < 2:  # "C to F" may be music
        return []
    if number is None:
        return [_Measure(((Fraction(1), unit),), has_number=False) for unit in _units(words)]
    rest = words[number.words :]
    if number.value.denominator > 1 and rest[:1] and rest[0].lower() in ("a", "an", "of"):
        rest = rest[2:] if [word.lower() for word in rest[:2]] == ["of", "a"] else rest[1:]  # half of a cup
    has_number = not (number.words == 1 and lower[0] in ("a", "an"))
    found = [_Measure(((number.value, unit),), has_number=True) for unit in _units(rest)]
    if found or not has_number:
        return found
    return _compound(number.value, rest)


def _compound(count: Fraction, rest: Sequence[str]) -> list[_Measure]:
    """5 feet 10 (inches), 1 hour and 30 minutes."""
    for length in range(1, min(len(rest), NAME_WORDS_MAX + 1)):
        following = list(rest[length:])
        if following and following[0].lower() == "and":
            following = following[1:]
        number = quantity([word.lower() for word in following])
        if number is None:
            continue
        found = []
        names = following[number.words :]
        for large in _units(rest[:length]):
            smaller = _SMALLER.get(large.name)
            small_units = _units(names) if names else NAMED[smaller] if smaller else ()
            found += [
                _Measure(((count, large), (number.value, small)), has_number=True)
                for small in small_units
                if small.name == smaller and small.dimension == large.dimension
            ]
        if found:
            return found
    return []


def _targets(words: Sequence[str]) -> list[tuple[Unit, ...]]:
    """One unit, or two of which the second takes the rest: pounds and ounces."""
    if words[:1] and words[0].lower() in ("a", "an", "the"):
        words = words[1:]
    lower = [word.lower() for word in words]
    if "and" in lower:
        at = lower.index("and")
        return [
            (large, small)
            for large in _units(words[:at])
            for small in _units(words[at + 1 :])
            if _SMALLER.get(large.name) == small.name
        ]
    return [(unit,) for unit in _units(words)]


def _units(words: Sequence[str]) -> Sequence[Unit]:
    """All units of that name."""
    name = " ".join(words)
    return NAMED.get(CAPITALS.get(name, name).lower(), ()) if 0 < len(words) <= NAME_WORDS_MAX else ()


def _converted(measure: _Measure, target: tuple[Unit, ...]) -> str | None:
    source, into = measure.parts[0][1], target[0]
    if source.dimension != into.dimension or source == into:
        return None
    if not measure.has_number:
        return _rule(source, into) if len(target) == 1 else None
    base = sum((count * unit.factor + unit.offset for count, unit in measure.parts), Fraction(0))
    counts = [count for count, _ in measure.parts]
    if source.dimension == "temperature":
        if base < 0:  # colder than it can be
            return None
    elif min(counts) < 0:
        return None
    if max(map(abs, counts)) > _MAGNITUDE_MAX:
        return None
    told = " ".join(f"{_digits(count)} {unit.named(count)}" for count, unit in measure.parts)
    value = (base - into.offset) / into.factor
    if len(target) > 1:
        return f"{told} {_in_two(value, into, target[1])}{_note(source, into)}"
    shown = written(value)
    is_exact = shown.is_exact and source.is_exact and into.is_exact
    return f"{told} {'=' if is_exact else '≈'} {shown.text} {into.named(value)}{_note(source, into)}"


def _digits(count: Fraction) -> str:
    """As it was asked: a third stays a third."""
    shown = written(count)
    return shown.text if shown.is_exact else str(count)


def _in_two(value: Fraction, large: Unit, small: Unit) -> str:
    """Whole ones of the larger unit, and the rest."""
    step = large.factor / small.factor
    rest = written(value * step, places=2)
    whole, part = divmod(Fraction(rest.text), step)
    rest = Written(written(part).text, rest.is_exact)
    return f"{'=' if rest.is_exact else '≈'} {whole} {large.named(Fraction(whole))} {rest.text} {small.named(part)}"


def _rule(source: Unit, into: Unit) -> str:
    """How to convert any number of them."""
    if source.dimension == "temperature":
        return _FORMULAS[source.name, into.name]
    factor = source.factor / into.factor
    shown = written(factor)
    is_exact = shown.is_exact and source.is_exact and into.is_exact
    one = f"1 {source.name} {'=' if is_exact else '≈'} {shown.text} {into.named(factor)}"
    if factor < 1 and (1 / factor).denominator == 1:
        return f"{one}: divide the {source.plural} by {1 / factor}{_note(source, into)}"
    return f"{one}: multiply the {source.plural} by {'' if is_exact else 'about '}{shown.text}{_note(source, into)}"


def _note(source: Unit, into: Unit) -> str:
    """Which of two customs was followed."""
    if source.dimension not in ("data", "small data"):
        return ""
    decimal = {unit.name for unit in (source, into) if unit.factor > 8 and "bi" not in unit.name[:4]}
    return " (decimal prefixes; the binary ones, KiB, MiB and GiB, go by 1024)" if decimal else ""
