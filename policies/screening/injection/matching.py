"""Many expressions looked for in few walks over a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import re2

MEMORY_BYTES_MAX = 12 << 20  # of one walk; what it knows beyond that it forgets and learns again


class Matcher:
    """Which of many expressions stand in a text, found in linear time."""

    def __init__(self, *walks: Mapping[str, str]) -> None:
        """Expressions by name. In one walk, what different expressions have begun multiplies.

        So a few walks, each of expressions that begin alike or go on alike, are known to RE2 sooner than one.
        """
        self._walks = [_Walk(expressions) for expressions in walks]

    def match(self, text: bytes) -> set[str]:
        return {name for walk in self._walks for name in walk.match(text)}


class _Walk:
    def __init__(self, expressions: Mapping[str, str]) -> None:
        options = re2.Options()
        options.max_mem = MEMORY_BYTES_MAX
        options.log_errors = False
        self._names = list(expressions)
        self._set = re2.Set.SearchSet(options)
        for expression in expressions.values():
            self._set.Add(expression)
        self._set.Compile()

    def match(self, text: bytes) -> Iterable[str]:
        return [self._names[number] for number in self._set.Match(text) or ()]
