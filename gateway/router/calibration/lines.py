"""The prompts of a calibration: a file of JSON lines, checked whole before anything is spent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.api.question import asked_text
from gateway.router.calibration.scoring import Check, Choice, Exact, PythonTests, Schema, check_schema
from gateway.router.data import BadData

_NOT_IN_BODY = frozenset({"model", "messages", "stream", "stream_options", "n"})
_LETTERS_MAX = 26
_WAYS = "'expected', 'schema' or 'tests'"


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    """One line as its user writes it; docs/calibration.md says what each field is."""

    prompt: str | None = None
    messages: list[dict[str, object]] | None = None
    body: dict[str, object] = {}
    id: str | None = None
    domain: str = ""
    group: str = ""
    expected: str | int | float | list[str] | None = None
    choices: list[str] | None = None
    schema: dict[str, object] | None = None
    tests: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One prompt. ``body``: what a deployment is sent, but for its name; ``question``: what a router sees of it.

    ``check``: what scores an answer for sure; ``None``: only a judge can, by the ``reference`` if there is one.
    """

    number: int
    id: str
    body: Mapping[str, object]
    question: str
    domain: str
    group: str
    check: Check | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Lines:
    """All of a file; ``repeated``: the numbers of lines that ask what an earlier line asks, and are left out."""

    lines: tuple[Line, ...]
    repeated: tuple[int, ...]


def key_of(body: Mapping[str, object]) -> str:
    """Names what is asked: the same for the same body."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]


def read_lines(path: Path, *, has_judge: bool, may_run_tests: bool) -> Lines:
    """Every prompt of the file. Raises BadData that names the first bad lines by number."""
    try:
        texts = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise BadData(f"{path}: {exc}") from exc
    found: dict[str, Line] = {}
    ids: dict[str, int] = {}
    faults: list[str] = []
    repeated: list[int] = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            line = _line(number, text, has_judge=has_judge, may_run_tests=may_run_tests)
            key = key_of(line.body)
            if key in found:
                repeated.append(number)
                continue
            if line.id in ids:
                raise BadData(f"its id {line.id!r} is that of line {ids[line.id]}")  # noqa: TRY301 - as all other faults
        except BadData as exc:
            faults.append(f"line {number}: {exc}")
            continue
        found[key], ids[line.id] = line, number
    if faults:
        shown = "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")  # noqa: PLR2004
        raise BadData(f"{path}: {shown}")
    return Lines(tuple(found.values()), tuple(repeated))


def _line(number: int, text: str, *, has_judge: bool, may_run_tests: bool) -> Line:
    try:
        row = msgspec.json.decode(text, type=_Row)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as exc:
        raise BadData(str(exc)) from exc
    body = _body(row)
    check = _check(row)
    if check is None and not has_judge:
        raise BadData(f"nothing can score its answers: it has none of {_WAYS}, and no --judge is named")
    if isinstance(check, PythonTests) and not may_run_tests:
        raise BadData("its 'tests' run code that models write: allow it with --run-tests")
    asked = asked_text({name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()})
    return Line(number, row.id or key_of(body)[:16], body, asked, row.domain, row.group, check, row.reference)


def _body(row: _Row) -> Mapping[str, object]:
    if (row.prompt is None) == (row.messages is None):
        raise BadData("it has 'prompt' or 'messages', one of them")
    if wrong := sorted(_NOT_IN_BODY & row.body.keys()):
        raise BadData(f"its 'body' cannot say {', '.join(wrong)}")
    messages = row.messages if row.prompt is None else [{"role": "user", "content": row.prompt}]
    if not messages:
        raise BadData("its 'messages' are empty")
    return {"messages": messages, **row.body}


def _check(row: _Row) -> Check | None:
    stated = [way for way in (row.expected, row.schema, row.tests) if way is not None]
    if len(stated) > 1:
        raise BadData(f"it has more than one of {_WAYS}")
    if row.choices is not None:
        return _choice(row.choices, row.expected)
    if row.schema is not None:
        check_schema(row.schema)
        return Schema(row.schema)
    if row.tests is not None:
        return PythonTests(_compiled(row.tests))
    if row.expected is None:
        return None
    accepted = row.expected if isinstance(row.expected, list) else [str(row.expected)]
    if not any(one.strip() for one in accepted):
        raise BadData("its 'expected' is empty")
    return Exact(tuple(accepted))


def _choice(choices: list[str], expected: object) -> Choice:
    if not 1 < len(choices) <= _LETTERS_MAX:
        raise BadData(f"its 'choices' must be 2 to {_LETTERS_MAX}")
    letter = expected.strip().upper() if isinstance(expected, str) else ""
    if len(letter) != 1 or not 0 <= ord(letter) - ord("A") < len(choices):
        raise BadData("with 'choices' its 'expected' must be the letter of one of them: A, B, ...")
    return Choice(tuple(choices), letter)


def _compiled(tests: str) -> str:
    """The tests, if they are Python. Raises BadData."""
    try:
        compile(tests, "tests", "exec")
    except (SyntaxError, ValueError) as exc:
        raise BadData(f"its 'tests' are no Python: {exc}") from exc
    return tests
