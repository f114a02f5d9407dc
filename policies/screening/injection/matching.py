"""Many expressions looked for in one walk over a text."""

from __future__ import annotations

from collections.abc import Mapping

import re2

MEMORY_BYTES_MAX = 32 << 20


class Matcher:
    """Which of many expressions stand in a text, found in one walk over it, in linear time."""

    def __init__(self, expressions: Mapping[str, str]) -> None:
        options = re2.Options()
        options.max_mem = MEMORY_BYTES_MAX
        options.log_errors = False
        self._names = list(expressions)
        self._set = re2.Set.SearchSet(options)
        for expression in expressions.values():
            self._set.Add(expression)
        self._set.Compile()

    def match(self, text: bytes) -> set[str]:
        return {self._names[number] for number in self._set.Match(text) or ()}
