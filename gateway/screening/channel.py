"""One text of an answer on its way to the client: what came of it, what guards saw, what stands in its place."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping

from policies.screening.modes import masked
from policies.screening.redaction import Restorer, restore
from policies.screening.spans import Span, without_overlaps

#: So many characters that were looked at already are looked at again with what follows them.
OVERLAP = 512
# Of something found that has no end yet.
_GOES_ON_MAX = 32_768
# What is found this near to where a window cuts a text may be a half of something else.
_CUT = 120


class Channel:
    """Positions are characters of the text as it came, from its beginning."""

    def __init__(self, originals: Mapping[str, str], *, is_json: bool = False) -> None:
        """``originals``: by their placeholders. ``is_json``: the text is the source of a JSON value."""
        self._originals = {name: _escaped(text) for name, text in originals.items()} if is_json else originals
        self._restorer = Restorer(self._originals)
        self._pieces: list[str] = []
        self._recent = ""  # the end of what was looked at
        self._new: list[str] = []  # what was not
        self._masked: list[Span] = []  # in what is out
        self._spans: deque[Span] = deque()  # to be masked
        self._let_out = 0
        self._looked = 0
        self.came = 0

    def take(self, text: str) -> int:
        """More of it has come. Where it begins."""
        begin = self.came
        self._pieces.append(text)
        self._new.append(text)
        self.came += len(text)
        return begin

    @property
    def text(self) -> str:
        """All that came."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def window(self) -> tuple[str, int, int] | None:
        """What is to be looked at, where that begins, and from where on it is new; ``None`` when nothing is."""
        if self._looked == self.came:
            return None
        seen = self._looked
        begin = max(0, seen - OVERLAP)
        last = self._spans or self._masked
        if last and last[-1].end == seen:  # it may go on: a private key is longer than any window
            begin = max(0, seen - _GOES_ON_MAX, min(begin, last[-1].start))
        text = self._recent + "".join(self._new)
        self._recent = text[-_GOES_ON_MAX:]
        self._new.clear()
        self._looked = self.came
        return text[begin - self.came :], begin, seen

    def may_act_on(self, start: int, end: int, begin: int, seen: int) -> bool:
        """Whether what a look found there is news, and not out yet; ``begin``, ``seen``: of the window.

        What was looked at before and is still held back counts: what follows a text can tell what it is.
        """
        return end > seen or (end > self._let_out and (start >= begin + _CUT or begin == 0))

    def mask(self, spans: Iterable[Span]) -> None:
        """Nothing of these goes out any more."""
        still = [Span(max(one.start, self._let_out), one.end, one.kind) for one in spans if one.end > self._let_out]
        self._spans = deque(without_overlaps([*self._spans, *still]))

    def let_out(self, begin: int, text: str) -> str:
        """The text that began there, as the client gets it: now, or together with what follows."""
        end = begin + len(text)
        self._let_out = max(self._let_out, end)
        pieces: list[str] = []
        position = begin
        for span in self._spans:
            if span.start >= end:
                break
            if span.end <= begin:
                continue
            if span.start >= begin:
                pieces += (text[position - begin : span.start - begin], f"[{span.kind}]")
            position = min(span.end, end)
        while self._spans and self._spans[0].end <= self._let_out:
            self._masked.append(self._spans.popleft())
        return self._restorer.feed("".join(pieces) + text[position - begin :] if position > begin else text)

    def rest(self) -> str:
        """What was kept back because more might have followed."""
        return self._restorer.finish()

    def repeated(self) -> str:
        """All of it, as the client got it."""
        return restore(masked(self.text, [*self._masked, *self._spans]), self._originals)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
