"""Personal data in a text: one pass over its digits, and a look at what may hold an @ or a colon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.screening.folding import fold
from policies.screening.pii import addresses
from policies.screening.pii.banking import iban_end
from policies.screening.pii.numbers import find_bare, find_lettered, find_numbers, find_spaced
from policies.screening.pii.wallets import SHORTEST, Wallets
from policies.screening.spans import Span, without_overlaps

# Runs of digits, and of letters after digits, with what people put between groups; shorter ones only after the two
# letters of a country. It starts at a digit, so most text is passed over, and no text makes it go back.
_NEXT = "(?:[ ./_()-]{1,3}+[0-9][0-9A-Za-z]*+)"
_COUNTRY = "(?:(?<=[A-Za-z]{2}[0-9]{2})|(?<=[A-Za-z]{2}[ -][0-9]{2}))"
_MBI = "[A-Za-z][0-9A-Za-z][0-9](?=-[A-Za-z])"  # 1EG4-TE5-MK73: American health insurance starts with so few
_LONG, _GROUPED, _SHORT = f"[0-9A-Za-z]{{4,}}+{_NEXT}*+", f"[0-9A-Za-z]{{0,3}}+{_NEXT}++", f"[0-9]{_COUNTRY}"
_RUN = re.compile(f"[0-9](?:{_LONG}|{_GROUPED}|{_SHORT}|{_MBI})")
_ASCII_LETTERS = re.compile("[A-Za-z]+")
_LETTERS_REVERSED = re.compile("[A-Za-z]{0,100}")
_TOKENS = re.compile("[0-9A-Za-z]+")
# Ends where letters follow, but for a phone's extension: x12.
_END = "(?![0-9A-WYZa-wyz]|[xX](?![0-9]))"
_DIGITS = re.compile(f"(?<![0-9A-Za-z])[0-9]++(?:[ ./_()-]{{1,3}}+[0-9]++{_END})*+{_END}")
_V4 = re.compile(r"(?<![0-9.])[0-9]{1,3}(?=\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9])")
_LETTER_APART_BEFORE = re.compile("(?<![A-Za-z])[A-Z]{1,3}[ -]$|[A-Z]{3} [A-Z]{3} $")
_LETTER_APART_AFTER = re.compile("[ -][A-Z](?![a-z])|[(][0-9A][)]|[+-][0-9]{3}[A-Z]|-[A-Z][0-9A-Z][0-9]-")
_UUID_BEFORE = re.compile("[0-9A-Fa-f]{4}-$")
_NOT_BEFORE = frozenset("$€£¥₹")
_GAPS = frozenset(" -(+")
_THREE_DIGITS = re.compile("(?:[A-Za-z]*[0-9]){3}")  # no number of a person has fewer
_GAP = re.compile("[ (-]")
_ANYTHING = re.compile(r"[\d@\uff20\ufe6b\u2460-\u2468]")  # nothing that is looked for does without a digit or an @
_SPACED_MAX = 40  # characters: longer than any number with letters
_RUN_MIN = 4  # characters
_NUMBER_MIN = 6
_DOTS_OF_V4 = 3


def find(text: str) -> Sequence[Span]:
    """Every e-mail, phone, IBAN, card, national number, IP and wallet address, in order, none over another."""
    if not _ANYTHING.search(text):
        return ()
    folded, offsets = fold(text)
    spans = without_overlaps(_Search(folded).spans())
    return [Span(offsets(span.start), offsets(span.end - 1) + 1, span.kind) for span in spans] if offsets else spans


@dataclass(slots=True)
class _Search:
    text: str
    found: list[Span] = field(default_factory=list)
    wallets: Wallets = field(default_factory=Wallets)
    done: int = 0  # what stands before it belongs to what was found

    def spans(self) -> list[Span]:
        text = self.text
        self.found += (Span(start, end, "EMAIL_ADDRESS") for start, end in addresses.emails(text))
        self.found += (Span(start, end, "IP_ADDRESS") for start, end in addresses.v6(text))
        for run in _RUN.finditer(text):
            start, end = run.span()
            if end > self.done:
                self._look(max(start, self.done), end)
        return self.found

    def _look(self, start: int, end: int) -> None:
        text = self.text
        before = text[start - 1] if start else ""
        letters = self._letters_before(start) if before.isascii() and before.isalpha() else 0
        if (letters or before in " -") and self._iban(start, letters):
            return
        run = text[start:end]
        if not letters and run.isdigit():
            if end - start >= _NUMBER_MIN and before not in _NOT_BEFORE:
                self._bare(start, end)
            return
        if len(run) < _RUN_MIN or (run.count(".") >= _DOTS_OF_V4 and self._v4(start, end)):
            return
        has_letters = letters > 0 or bool(_ASCII_LETTERS.search(run))
        if has_letters:
            self._with_letters(start - letters, end)
            self._numbers_within(start, end)
        elif before not in _NOT_BEFORE and len(run) >= _NUMBER_MIN and not self._in_uuid(start):
            self.found += find_numbers(text, start, end)
        self._with_letters_apart(start, end, has_letters)

    def _bare(self, start: int, end: int) -> None:
        if self._in_uuid(start):
            return
        text = self.text
        found = find_bare(text, start, end)
        if found:
            self.found.append(found)
        if text[end : end + 1] in _GAPS or text[start - 1 : start] in _GAPS:
            self._with_letters_apart(start, end, has_letters=False)

    def _in_uuid(self, start: int) -> bool:
        return bool(_UUID_BEFORE.search(self.text, max(0, start - 5), start))

    def _letters_before(self, start: int) -> int:
        """How many stand right before it. In JSON within text the first may be half of an escape: it does not count."""
        text = self.text
        run = _LETTERS_REVERSED.match(text[max(0, start - 100) : start][::-1])
        count = run.end() if run else 0
        is_escape = text[start - count - 1 : start - count] == "\\" and text[start - count] in "nrt"
        return count - is_escape

    def _iban(self, start: int, letters: int) -> bool:
        """Two letters stand right before the digits, or before a gap."""
        first = start - 2 if letters == 2 else start - 3 if not letters else -1
        if first < 0 or (not letters and _TOKENS.match(self.text, first - 1) and first):
            return False
        self.done = max(self.done, end := iban_end(self.text, first))
        if end:
            self.found.append(Span(first, end, "IBAN_CODE"))
        return bool(end)

    def _v4(self, start: int, end: int) -> bool:
        known = len(self.found)
        for head in _V4.finditer(self.text, start, end):
            last = addresses.v4(self.text, head.start())
            if last:
                self.found.append(Span(head.start(), last, "IP_ADDRESS"))
        return len(self.found) > known

    def _with_letters(self, start: int, end: int) -> None:
        for token in _TOKENS.finditer(self.text, start, end):
            size = token.end() - token.start()
            if size >= SHORTEST:
                if self.wallets.is_wallet(token[0]):
                    self.found.append(Span(token.start(), token.end(), "CRYPTO"))
            elif size > _NUMBER_MIN and not token[0].isdigit() and _THREE_DIGITS.match(token[0]):
                found = find_lettered(self.text, token.start(), token.end())
                if found:
                    self.found.append(found)

    def _numbers_within(self, start: int, end: int) -> None:
        """The numbers of a run that have no letters."""
        for number in _DIGITS.finditer(self.text, start, end):
            if len(number[0]) >= _NUMBER_MIN:
                self.found += find_numbers(self.text, number.start(), number.end())

    def _with_letters_apart(self, start: int, end: int, has_letters: bool) -> None:
        """Letters of a number may stand apart from its digits."""
        text = self.text
        last = min(end, start + _SPACED_MAX)
        if (
            (has_letters and _GAP.search(text, start, last))
            or (text[end : end + 1] in _GAPS and _LETTER_APART_AFTER.match(text, end))
            or (text[start - 1 : start] in _GAPS and _LETTER_APART_BEFORE.search(text, max(0, start - 9), start))
        ):
            self.found += find_spaced(text, start, last)
