"""Text that a text hides in base64, hexadecimal digits, escapes or entities: so much of it as a guard needs to see."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import cache
from itertools import islice

import re2

RUNS_MAX = 8
RUN_LENGTH_MAX = 4096
_LETTERS_MIN = 0.8  # of what is decoded, the share that must be letters and spaces to be read as text

_PATTERNS = {
    "base64": re.compile(
        r"(?<![A-Za-z0-9+/=_-])(?=[A-Za-z]*+[0-9+/]|[a-z]*+[A-Z][a-z]*+[A-Z])[A-Za-z0-9+/_-]{16,}={0,2}"
    ),
    "hex": re.compile(r"(?<![0-9A-Fa-f])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:]?){8,}(?![0-9A-Fa-f])"),
    "bits": re.compile(r"(?<![01])(?:[01]{8}[ ,]?){5,}"),
    "entities": re.compile(r"(?:&#x?[0-9A-Fa-f]{2,6};){4,}"),
    "escapes": re.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}){4,}"),
    "percent": re.compile(r"(?<![A-Za-z])(?:[A-Za-z]*+%[0-9A-Fa-f]{2}){4,}[A-Za-z]*+"),
    "morse": re.compile(r"(?:[.\-]{1,5}[ /]{1,3}){12,}"),
}
_MORSE_LETTERS = dict(
    zip(
        (
            ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.--"
            " --.."
        ).split(),
        "abcdefghijklmnopqrstuvwxyz",
        strict=True,
    )
)


def decoded(text: str, signals: AbstractSet[str]) -> str:
    """The texts found of the kinds that signals (marks.py) tell of, each on a line of its own; empty where none is."""
    runs = _long_runs(text) if "long" in signals else ""
    others = signals - {"long"}
    found = (
        read(run[0][:RUN_LENGTH_MAX])
        for kind, (told_by, read) in KINDS.items()
        if told_by & signals
        for run in islice(_PATTERNS[kind].finditer(text if told_by & others else runs), RUNS_MAX)
    )
    return "\n".join(one for one in found if _is_text(one))


def _long_runs(text: str) -> str:
    """All that a run without spaces can be of, each on a line of its own, found at less cost than what it may hold."""
    return b"\n".join(run[0] for run in _long_run().finditer(text.encode("ascii", "replace"))).decode("ascii")


@cache
def _long_run() -> re2._Regexp:
    return re2.compile(rb"[A-Za-z0-9+/=_\\-]{16,}")


def _from_hex(run: str) -> str:
    digits = re.sub(r"0x|\\x|[ ,:]", "", run)
    return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1")


def _from_escapes(run: str) -> str:
    return "".join(chr(int(code, 16)) for code in re.findall(r"[0-9A-Fa-f]{2,4}", run.replace("\\", " ")))


def _from_percent(run: str) -> str:
    return re.sub("%([0-9A-Fa-f]{2})", lambda one: chr(int(one[1], 16)), run)


def _from_bits(run: str) -> str:
    bits = re.sub("[ ,]", "", run)
    return "".join(chr(int(bits[at : at + 8], 2)) for at in range(0, len(bits) - 7, 8))


def _from_morse(run: str) -> str:
    words = run.replace("/", "  ").split("  ")
    return " ".join("".join(_MORSE_LETTERS.get(letter, "?") for letter in word.split()) for word in words)


def _from_base64(run: str) -> str:
    run = run.rstrip("=").replace("-", "+").replace("_", "/")
    run = run[: len(run) - (len(run) % 4 == 1)]
    try:
        return base64.b64decode(run + "=" * (-len(run) % 4)).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""


def _is_text(found: str) -> bool:
    letters = sum(one.isascii() and (one.isalpha() or one == " ") for one in found)
    return len(found) >= 6 and letters >= _LETTERS_MIN * len(found)  # noqa: PLR2004  shorter than any order


# Signals that tell of each, and how it is read.
KINDS: dict[str, tuple[frozenset[str], Callable[[str], str]]] = {
    "base64": (frozenset({"long"}), _from_base64),
    "hex": (frozenset({"long", "pairs"}), _from_hex),
    "bits": (frozenset({"long", "bits"}), _from_bits),
    "entities": (frozenset({"entities"}), html.unescape),
    "escapes": (frozenset({"escapes"}), _from_escapes),
    "percent": (frozenset({"percent"}), _from_percent),
    "morse": (frozenset({"morse"}), _from_morse),
}
