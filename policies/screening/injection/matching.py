"""Many expressions looked for in few walks over a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import re2

MEMORY_BYTES_MAX = 12 << 20  # of one walk; what it knows beyond that it forgets and learns again


class Matcher:
    """Which of many expressions stand in a text, found in linear time."""

    def __init__(self, expressions: Mapping[str, str], walks: int = 1) -> None:
        """``walks``: in one, what different expressions have begun multiplies; in a few, RE2 knows all of it sooner."""
        names = list(expressions)
        self._walks = [_Walk(expressions, names[first::walks]) for first in range(walks)]

    def match(self, text: bytes) -> set[str]:
        return {name for walk in self._walks for name in walk.match(text)}


class _Walk:
    def __init__(self, expressions: Mapping[str, str], names: list[str]) -> None:
        options = re2.Options()
        options.max_mem = MEMORY_BYTES_MAX
        options.log_errors = False
        self._names = names
        self._set = re2.Set.SearchSet(options)
        for name in names:
            self._set.Add(expressions[name])
        self._set.Compile()

    def match(self, text: bytes) -> Iterable[str]:
        return [self._names[number] for number in self._set.Match(text) or ()]
