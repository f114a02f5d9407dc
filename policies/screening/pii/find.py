"""Personal data in a text: one pass over its digits, and a look at what may hold an @ or a colon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from policies.screening.folding import Folded
from policies.screening.pii import addresses
from policies.screening.pii.banking import iban_end, is_card
from policies.screening.pii.calling_codes import is_international
from policies.screening.pii.ids import STRONG_BY_LENGTH
from policies.screening.pii.numbers import SEPARATORS, find_bare, find_cards, find_lettered, find_numbers, find_spaced
from policies.screening.pii.wallets import LONGEST, SHORTEST, Wallets
from policies.screening.spans import Span, bounded, without_overlaps

# Runs of digits, and of letters after digits, with what people put between groups; shorter ones only after the two
# letters of a country. It starts at a digit, so most text is passed over, and no text makes it go back.
_NEXT = "(?:[ ./_()-]{1,3}+[0-9][0-9A-Za-z]*+)"
_COUNTRY = "(?:(?<=[A-Za-z]{2}[0-9]{2})|(?<=[A-Za-z]{2}[ -][0-9]{2}))"
_MBI = "[A-Za-z][0-9A-Za-z][0-9](?=-[A-Za-z])"  # 1EG4-TE5-MK73: American health insurance starts with so few
_LONG, _GROUPED, _SHORT = f"[0-9A-Za-z]{{4,}}+{_NEXT}*+", f"[0-9A-Za-z]{{0,3}}+{_NEXT}++", f"[0-9]{_COUNTRY}"
_RUN = re.compile(f"[0-9](?:{_LONG}|{_GROUPED}|{_SHORT}|{_MBI})")
_DIGIT = re.compile("[0-9]")
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
_NUMBER_MIN = 6
_Seen = tuple[tuple[tuple[int, int, str], ...], int]  # spans, and where they are done with, from the run's start
_LONG_TEXT = 8_000
_AROUND, _REMEMBERED_MAX, _SEEN_MAX = 128, 128, 2_000  # no rule looks further around a run
# A text with more of one sort is a dump of personal data: from there on all of it is taken for it.
FOUND_MAX = 1_000
# Work that a text may cause, in units of about 2 us on an idle core. Beyond it, only what is proved at little cost is
# looked for, unless so many of the numbers up to there were somebody's that the rest must be a list of the same.
WORK_MAX = 30_000
_BARE_WORK, _TOKEN_WORK, _WALLET_WORK, _LOOK_WORK, _GROUPS_WORK = 3, 5, 8, 10, 25
_LOOKS_FOR_EACH_FOUND = 50
_CARD_LENGTHS = range(12, 20)
_DOTS_OF_V4 = 3


def find(text: str, folded: Folded | None = None) -> Sequence[Span]:
    """Every e-mail, phone, IBAN, card, national number, IP and wallet address, in order, none over another."""
    if not _ANYTHING.search(text):
        return []
    folded = folded or Folded(text)
    return folded.as_given(without_overlaps(_Search(folded.plain).spans()))


@dataclass(slots=True)
class _Search:
    text: str
    found: list[Span] = field(default_factory=list)
    wallets: Wallets = field(default_factory=Wallets)
    seen: dict[tuple[int, int, str], _Seen] = field(default_factory=dict)
    done: int = 0  # what stands before it belongs to what was found
    work: int = 0
    runs: int = 0

    def spans(self) -> list[Span]:
        text, end = self.text, len(self.text)
        addressed = [
            *bounded((Span(first, last, "EMAIL_ADDRESS") for first, last in addresses.emails(text)), end, FOUND_MAX),
            *bounded((Span(first, last, "IP_ADDRESS") for first, last in addresses.v6(text)), end, FOUND_MAX),
        ]
        self._look_at_runs()
        return addressed + self.found

    def _look_at_runs(self) -> None:
        text = self.text
        is_long = len(text) > _LONG_TEXT
        for run in _RUN.finditer(text):
            start, end = run.span()
            if start < self.done:
                rest = _DIGIT.search(text, self.done, end)
                if not rest:
                    continue
                start = rest.start()
            if len(self.found) > FOUND_MAX:
                self.found.append(Span(start, len(text), self.found[-1].kind))
                return
            if self.work > WORK_MAX:
                if len(self.found) * _LOOKS_FOR_EACH_FOUND > self.runs:
                    self.found.append(Span(start, len(text), self.found[-1].kind))
                    return
                self._look_for_little(start, end)
                continue
            self.runs += 1
            if is_long and len(self.seen) < _SEEN_MAX and end - start <= _REMEMBERED_MAX:
                self._look_or_remember(start, end)
            else:
                self._look(start, end)

    def _look_for_little(self, start: int, end: int) -> None:
        """Cards, IBANs, international phones and IPv4 addresses alone, each in its plainest form."""
        text = self.text
        run = text[start:end]
        dots = run.count(".")
        if end - start < _CARD_LENGTHS[0] and dots < _DOTS_OF_V4 and text[start - 1 : start] != "+":
            return
        first = start - 2
        if text[max(0, first) : start].isalpha() and not text[first - 1 : first].isalnum() and first >= 0:
            last = iban_end(text, first)
            if last:
                self.found.append(Span(first, last, "IBAN_CODE"))
                self.done = last
            return
        if dots >= _DOTS_OF_V4 and self._v4(start, end):
            return
        digits = run if run.isalnum() else run.translate(SEPARATORS)
        if text[start - 1 : start] == "+" and is_international(digits):
            self.found.append(Span(start - 1, end, "PHONE_NUMBER"))
        elif len(digits) in _CARD_LENGTHS:
            if is_card(digits):
                self.found.append(Span(start, end, "CREDIT_CARD"))
        elif len(digits) > _CARD_LENGTHS[-1]:
            self.found += find_cards(text, start, end)

    def _look_or_remember(self, start: int, end: int) -> None:
        """In a long text lines come again: what was found once with the same around it is found again.

        Once too many differ nothing is looked up: they are not such lines.
        """
        key = (min(start, _AROUND), end - start, self.text[max(0, start - _AROUND) : end + _AROUND])
        known = self.seen.get(key)
        if known is None:
            count = len(self.found)
            self._look(start, end)
            spans = tuple((span.start - start, span.end - start, span.kind) for span in self.found[count:])
            self.seen[key] = spans, self.done - start
            return
        spans, done = known
        self.found += (Span(start + first, start + last, kind) for first, last, kind in spans)
        self.done = max(self.done, start + done)

    def _look(self, start: int, end: int) -> None:
        text = self.text
        before = text[start - 1] if start else ""
        letters = self._letters_before(start) if before.isascii() and before.isalpha() else 0
        if self._iban(start, letters, before):
            rest = _DIGIT.search(text, self.done, end)
            if rest:
                self._look(rest.start(), end)
            return
        run = text[start:end]
        if run.isalnum():
            if letters or not run.isdigit():
                self._token(start - letters, end)
            elif end - start >= _NUMBER_MIN and before not in _NOT_BEFORE:
                self.work += _LOOK_WORK if end - start in STRONG_BY_LENGTH else _BARE_WORK
                self._bare(start, end)
        elif run.count(".") < _DOTS_OF_V4 or not self._v4(start, end):
            self._groups(start, end, letters, before)
        if before in _GAPS or text[end : end + 1] in _GAPS or not run.isalnum():
            self._with_letters_apart(start, end, letters)

    def _groups(self, start: int, end: int, letters: int, before: str) -> None:
        """What of a run of several groups has letters, and what has none."""
        text = self.text
        self.work += _LOOK_WORK if end - start < _CARD_LENGTHS[0] else _GROUPS_WORK
        if letters or _ASCII_LETTERS.search(text, start, end):
            for token in _TOKENS.finditer(text, start - letters, end):
                if not token[0].isdigit():
                    self._token(token.start(), token.end())
            for number in _DIGITS.finditer(text, start, end):
                if len(number[0]) >= _NUMBER_MIN:
                    self.found += find_numbers(text, number.start(), number.end())
        elif before not in _NOT_BEFORE and end - start >= _NUMBER_MIN and not self._in_uuid(start):
            self.found += find_numbers(text, start, end)

    def _token(self, start: int, end: int) -> None:
        """A run of letters and digits."""
        size = end - start
        self.work += _WALLET_WORK if size >= SHORTEST else _TOKEN_WORK
        if size >= SHORTEST:
            if size <= LONGEST and self.wallets.is_wallet(self.text[start:end]):
                self.found.append(Span(start, end, "CRYPTO"))
        elif size > _NUMBER_MIN and _THREE_DIGITS.match(self.text, start, end):
            found = find_lettered(self.text, start, end)
            if found:
                self.found.append(found)

    def _bare(self, start: int, end: int) -> None:
        if self._in_uuid(start):
            return
        found = find_bare(self.text, start, end)
        if found:
            self.found.append(found)

    def _in_uuid(self, start: int) -> bool:
        return bool(_UUID_BEFORE.search(self.text, max(0, start - 5), start))

    def _letters_before(self, start: int) -> int:
        """How many stand right before it. In JSON within text the first may be half of an escape: it does not count."""
        text = self.text
        run = _LETTERS_REVERSED.match(text[max(0, start - 100) : start][::-1])
        count = run.end() if run else 0
        is_escape = text[start - count - 1 : start - count] == "\\" and text[start - count] in "nrt"
        return count - is_escape

    def _iban(self, start: int, letters: int, before: str) -> bool:
        """Two letters stand right before the digits, or before a gap."""
        text = self.text
        if letters == 2:
            first = start - 2
        elif not letters and before in _GAPS and text[start - 3 : start - 1].isalpha():
            first = start - 3
            if first < 0 or (first and _TOKENS.match(text, first - 1)):
                return False
        else:
            return False
        end = iban_end(text, first)
        if end:
            self.found.append(Span(first, end, "IBAN_CODE"))
            self.done = max(self.done, end)
        return bool(end)

    def _v4(self, start: int, end: int) -> bool:
        known = len(self.found)
        for head in _V4.finditer(self.text, start, end):
            last = addresses.v4(self.text, head.start())
            if len(self.found) > FOUND_MAX:
                self.found.append(Span(head.start(), end, "IP_ADDRESS"))
                break
            if last:
                self.found.append(Span(head.start(), last, "IP_ADDRESS"))
        return len(self.found) > known

    def _with_letters_apart(self, start: int, end: int, letters: int) -> None:
        """Letters of a number may stand apart from its digits."""
        text = self.text
        last = min(end, start + _SPACED_MAX)
        if (
            ((letters or _ASCII_LETTERS.search(text, start, last)) and _GAP.search(text, start, last))
            or (text[end : end + 1] in _GAPS and _LETTER_APART_AFTER.match(text, end))
            or (text[start - 1 : start] in _GAPS and _LETTER_APART_BEFORE.search(text, max(0, start - 9), start))
        ):
            self.work += _TOKEN_WORK
            self.found += find_spaced(text, start, last)
