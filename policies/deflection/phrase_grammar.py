"""A small notation for phrases, so that a grammar of hundreds of them stays readable.

Words stand for themselves, and an apostrophe may be left out. ``(a | b c)`` is one of these, ``[a]`` may be missing,
``*`` behind a bracket repeats it, ``{part}`` is a part defined before. Each line is a phrase of its own; it goes on in
the next line while a bracket is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_SIGN = re.compile(r"[\[\]()|*]|\{[a-z ]+\}|[^\s\[\]()|*{}]+")
_COPIED = {"[": "(?:", "(": "(?:", "|": "|", ")": ")", "*": "*"}


def compiled(phrases: str, parts: Mapping[str, str]) -> str:
    """A regular expression for text in which every word is followed by one space. Raises KeyError of unknown parts."""
    return "|".join(_expression(phrase, parts) for phrase in _phrases(phrases))


def compiled_parts(parts: Mapping[str, str]) -> Mapping[str, str]:
    """All parts as regular expressions; each may name those before it."""
    found: dict[str, str] = {}
    for name, phrases in parts.items():
        found[name] = compiled(phrases, found)
    return found


def _phrases(lines: str) -> Iterator[str]:
    phrase = ""
    for line in filter(None, map(str.strip, lines.splitlines())):
        phrase = f"{phrase} {line}"
        if sum(map(phrase.count, "[(")) == sum(map(phrase.count, "])")):
            yield phrase
            phrase = ""


def _expression(phrase: str, parts: Mapping[str, str]) -> str:
    found = []
    signs = _SIGN.findall(phrase)
    for sign, following in zip(signs, [*signs[1:], ""], strict=True):
        if sign in _COPIED:
            found.append(_COPIED[sign])
        elif sign == "]":
            found.append(")" if following == "*" else ")?")
        elif sign[0] == "{":
            found.append(f"(?:{parts[sign[1:-1]]})")
        else:
            found.append(re.escape(sign).replace("'", "'?") + " ")
    return "".join(found)
