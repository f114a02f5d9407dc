"""What guards that look by themselves have in common: texts folded once, long ones in a thread, places, versions."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2s
from typing import TypeVar

from gateway.domain import NOTHING_FOUND, Finding, GuardSettings, Place
from policies.screening.folding import Folded
from policies.screening.spans import Span

Find = Callable[[str, Folded | None], Sequence[Span]]
_Result = TypeVar("_Result")

# Characters of all texts of a look: fewer take less than 2 ms of the event loop, or of what goes by weights, less than
# 3 ms; more go to a thread, which costs 0.1 ms.
IN_LOOP_LENGTH_MAX = 16_000
TEXT_LENGTH_MIN = 128  # what a text counts for besides its own: the shortest takes up to 40 us
KEPT_LENGTH_MAX = 2_000_000  # characters


def version_of(code: int, settings: GuardSettings) -> str:
    """``code``: of the rules, raised whenever they say something else; with a digest of what the operator set."""
    return f"{code}-{blake2s(repr(settings).encode(), digest_size=4).hexdigest()}"


class FoldedTexts:
    """The last texts that were folded, for the guards that look at them next. May be used by several threads."""

    def __init__(self, length_max: int = KEPT_LENGTH_MAX) -> None:
        self._length_max = length_max
        self._kept: OrderedDict[str, Folded] = OrderedDict()
        self._length = 0
        self._lock = threading.Lock()

    def of(self, text: str) -> Folded:
        if text.isascii() or len(text) > self._length_max:
            return Folded(text)  # nothing to fold, or too much to hold
        with self._lock:
            folded = self._kept.get(text)
            if folded is None:
                folded = self._kept[text] = Folded(text)
                self._length += len(text)
                while self._length > self._length_max:
                    self._length -= len(self._kept.popitem(last=False)[0])
            return folded


_FOLDED = FoldedTexts()


async def off_the_loop(look: Callable[[], _Result], texts: Sequence[str], in_loop_max: int) -> _Result:
    """What the look says; of long texts it comes from a thread, while the event loop goes on."""
    if sum(map(len, texts)) + TEXT_LENGTH_MIN * (len(texts) - 1) <= in_loop_max:
        return look()
    return await asyncio.to_thread(look)


async def places_in(texts: Sequence[str], find: Find, of_kinds: frozenset[str] | None = None) -> Finding:
    """Where something is found in any of the texts. ``of_kinds``: what else is found does not count; None: all does."""
    return await off_the_loop(lambda: _found(texts, find, of_kinds), texts, IN_LOOP_LENGTH_MAX)


def _found(texts: Sequence[str], find: Find, of_kinds: frozenset[str] | None) -> Finding:
    places = tuple(place for place in _places(texts, find) if of_kinds is None or place.category in of_kinds)
    if not places:
        return NOTHING_FOUND
    return Finding(is_adverse=True, categories=tuple(dict.fromkeys(place.category for place in places)), places=places)


def _places(texts: Sequence[str], find: Find) -> Iterator[Place]:
    for number, text in enumerate(texts):
        if not text:
            continue
        for span in find(text, _FOLDED.of(text)):
            yield Place(number, span.start, span.end, span.kind)
