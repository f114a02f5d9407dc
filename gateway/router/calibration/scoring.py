r"""How good an answer is where that is certain: as expected, true to a schema, through its tests. Pure but for tests.

Exact answers are compared as people would: without regard to case, blanks, a final dot, quotes and emphasis around
them, and numbers by their value (1,000.0 is 1000). Where the answer says more than it was asked, its conclusion counts:
what stands in the last ``\boxed{}``; else what follows the last "Answer:" on its line; else the whole answer, its last
line, what follows the last "answer is", or, where a number is expected, the last number: any of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias, assert_never

from gateway.router.calibration.python_tests import passes
from gateway.router.data import BadData

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_SAID = re.compile(r"\banswer\W{0,4}[:\uff1a][ \t*_]*(\S[^\n]*)", re.IGNORECASE)
_IS = re.compile(r"\banswer\s+is[ \t:*_]*(\S[^\n]*)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+\u2212]?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+\u2212]?\$?\.\d+")
_AROUND = " \t\n\r*_`\"'\u201c\u201d\u2018\u2019$"
_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_LETTER = re.compile(r"^\W*(?:option|choice)?\s*\(?([A-Za-z])(?:[).:\]]|\s*$|\s*[-\u2013]\s)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Exact:
    """The answer is one of these."""

    accepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer is the letter of one of the choices, or that choice itself."""

    choices: tuple[str, ...]
    letter: str


@dataclass(frozen=True, slots=True)
class Schema:
    """The answer is JSON (alone, or in its only block of code) that keeps to this JSON schema."""

    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PythonTests:
    """The longest block of code of the answer (without any, all of it) passes these: Python with assertions."""

    tests: str


Check: TypeAlias = Exact | Choice | Schema | PythonTests


def sure_score(check: Check, answer: str) -> float:
    """1 for a right answer, 0 for a wrong one."""
    match check:
        case Exact():
            return float(_is_exact(check, answer))
        case Choice():
            return float(_is_chosen(check, answer))
        case Schema():
            return float(_keeps(check.schema, answer))
        case PythonTests():
            return float(passes(_code(answer), check.tests))
        case _:
            assert_never(check)


def check_schema(schema: Mapping[str, object]) -> None:
    """Raises BadData for what is no JSON schema."""
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - a tenth of a second, where there are schemas
    from jsonschema.validators import validator_for  # noqa: PLC0415

    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as exc:
        raise BadData(f"its 'schema' is no JSON schema: {exc.message}") from exc


def _is_exact(check: Exact, answer: str) -> bool:
    accepted = {_plain(one) for one in check.accepted}
    is_number = any(_value(one) is not None for one in accepted)
    return any(_plain(one) in accepted or _is_equal(one, accepted) for one in _conclusions(answer, is_number=is_number))


def _is_chosen(check: Choice, answer: str) -> bool:
    right = _plain(check.choices[ord(check.letter) - ord("A")])
    others = {_plain(one) for one in check.choices} - {right}
    for said in _conclusions(answer, is_number=False):
        plain = _plain(said)
        if plain == right:
            return True
        if plain in others:
            return False
        if found := _LETTER.match(said.strip(_AROUND)):
            return found[1].upper() == check.letter
    return False


def _conclusions(answer: str, *, is_number: bool) -> Iterator[str]:
    """What may be meant as the answer, in the order of how plainly it is said."""
    if (boxed := _boxed(answer)) is not None:
        yield boxed
        return
    if said := _SAID.findall(answer):
        yield said[-1]
        if is_number:
            yield from _NUMBER.findall(said[-1])[:1]
        return
    yield answer
    yield next((line for line in reversed(answer.splitlines()) if line.strip()), "")
    if concluded := _IS.findall(answer):
        yield concluded[-1]
    if is_number:
        yield from _NUMBER.findall(answer)[-1:]


def _boxed(answer: str) -> str | None:
    """What stands in the last box, braces within it balanced."""
    starts = list(_BOXED.finditer(answer))
    if not starts:
        return None
    begin = starts[-1].end()
    depth = 1
    for at in range(begin, len(answer)):
        depth += {"{": 1, "}": -1}.get(answer[at], 0)
        if depth == 0:
            return answer[begin:at]
    return None


def _plain(text: str) -> str:
    """The text without what nobody means by it."""
    bare = text.strip(_AROUND)
    bare = bare.removesuffix(".").strip(_AROUND)
    return " ".join(bare.casefold().split())


def _is_equal(text: str, accepted: set[str]) -> bool:
    value = _value(_plain(text))
    return value is not None and any(value == _value(one) for one in accepted)


def _value(plain: str) -> Decimal | None:
    """The number that a text is, if it is one and nothing else."""
    if not _NUMBER.fullmatch(plain):
        return None
    try:
        return Decimal(plain.replace(",", "").replace("$", "").replace("\u2212", "-"))
    except InvalidOperation:
        return None


def _keeps(schema: Mapping[str, object], answer: str) -> bool:
    from jsonschema.validators import validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    blocks = _FENCED.findall(answer)
    try:
        value: Any = json.loads(blocks[0] if len(blocks) == 1 else answer)
    except (ValueError, RecursionError):
        return False
    registry: Any = Registry()  # an empty one: what the schema refers to elsewhere is not fetched
    try:
        return bool(validator_for(schema)(schema, registry=registry).is_valid(value))
    except Unresolvable as exc:
        raise BadData(f"a 'schema' refers to what it does not hold: {exc}") from exc


def _code(answer: str) -> str:
    return max(_FENCED.findall(answer), key=len, default=answer)
