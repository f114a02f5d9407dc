"""What a number in a text is: its check digits, its form and the words near it decide together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from policies.screening.pii import context, ids, lettered_ids, phones
from policies.screening.pii.banking import is_card
from policies.screening.pii.id_checks import anything
from policies.screening.pii.ids import Kind, Needs
from policies.screening.pii.phones import Strength
from policies.screening.spans import Span

_DIGITS_MIN, _DIGITS_MAX = 6, 19
_CARD_MIN = 11  # characters: nothing shorter is two things
SEPARATORS = str.maketrans("", "", " ./_()-")
_GROUPS = re.compile("[0-9]+")
_DIGITS = frozenset("0123456789")
_CARD = re.compile(
    r"(?<![0-9.])(?:[2-6][0-9]{3}([ _./-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}|3[0-9]{3}([ _./-])[0-9]{6}\2[0-9]{4,5}"
    r"|[2-6][0-9]{12,18})(?![0-9])"
)
Meanings = list[frozenset[str]]
_OF_PHONES = frozenset("-()./")
_TABLE = 120  # characters: a longer run of numbers is a table, in which only what stands on its own is looked at
_PIECES_MAX = 4_000  # characters of a run within which numbers that stand on their own are looked for
_PIECE = re.compile(r"[0-9][0-9./()_-]{5,}")
_LONE = re.compile(r"[\W_]*")
_LETTERED_WINDOW = 14  # the most letters and gaps that stand before the first digit, or after the last
_AROUND_ALONE = 16  # characters of punctuation and space that may stand around a number that is alone


def find_bare(text: str, start: int, end: int) -> Span | None:
    """What a number without separators is. Most are nothing, so this is the short way to that."""
    count = end - start
    if not _DIGITS_MIN <= count <= _DIGITS_MAX:
        return None
    if text[start - 1 : start] == "+" or count > len(text) - _AROUND_ALONE:
        return judge(text, start, end)
    digits = text[start:end]
    meant = context.meanings(text, start, end)
    if meant:
        strength = phones.strength(digits, digits, is_plus=False)
        return _Number(text, start, end, digits, meant, strength).decided(
            _bare_candidates(count, meant, is_alone=False)
        )
    for kind in ids.STRONG_BY_LENGTH.get(count, ()):
        if kind.is_valid(digits):
            return Span(start, end, kind.name)
    is_phone = digits[0] == "0" and phones.strength(digits, digits, is_plus=False) >= Strength.BY_FORM
    return Span(start, end, context.PHONE) if is_phone else None


def find_numbers(text: str, start: int, end: int) -> Iterator[Span]:
    """What the digits and separators between these are: one number, several, or nothing."""
    found = judge(text, start, end)
    if found:
        yield found
        return
    if end - start <= _CARD_MIN:
        return
    spans = list(find_cards(text, start, end))
    if not spans and text.find(" ", start, end) > 0:
        spans = list(_pieces(text, start, end))
        if not spans and end - start <= _TABLE:
            spans = list(_without_neighbours(text, start, end))
    yield from spans


def find_cards(text: str, start: int, end: int) -> Iterator[Span]:
    """Cards among other numbers."""
    for card in _CARD.finditer(text, start, end):
        if is_card(card[0].translate(SEPARATORS)):
            yield Span(card.start(), card.end(), "CREDIT_CARD")


def _pieces(text: str, start: int, end: int) -> Iterator[Span]:
    for piece in _PIECE.finditer(text, start, min(end, start + _PIECES_MAX)):
        last = piece.start() + len(piece[0].rstrip("./()_-"))
        look = find_bare if piece[0].isdigit() else judge
        found = look(text, piece.start(), last)
        if found:
            yield found


def _without_neighbours(text: str, start: int, end: int) -> Iterator[Span]:
    """A number with another one before or after it: "on 12 555-0100"."""
    groups = [group.span() for group in _GROUPS.finditer(text, start, end)]
    for skipped in (1, 2):
        for part in (groups[skipped:], groups[:-skipped]):
            found = judge(text, part[0][0], part[-1][1], is_part=True) if len(part) > 1 else None
            if found:
                yield found
                return


def judge(text: str, start: int, end: int, *, is_part: bool = False) -> Span | None:
    """The one thing that the whole number is. ``is_part``: other numbers stand beside it, so its form must tell."""
    written = text[start:end]
    digits = written.translate(SEPARATORS)
    count = len(digits)
    if not _DIGITS_MIN <= count <= _DIGITS_MAX:
        return None
    if len(written) != count and (phones.DATE.match(written) or phones.DECIMAL.fullmatch(written)):
        return None
    is_plus = text[start - 1 : start] == "+" or text[start - 2 : start] == "+("
    if text[start - 1 : start] == "(" and ")" in written:
        start, written = start - 1, text[start - 1 : end]
    strength = phones.strength(written, digits, is_plus=is_plus)
    if strength is Strength.CERTAIN:
        return _phone(text, start, end)
    meant = context.meanings(text, start, end)
    if is_part and strength < Strength.BY_FORM:
        strength = Strength.NONE
    is_alone = end - start > len(text) - _AROUND_ALONE and _is_alone(text, start, end)
    if len(written) == count:
        candidates = _bare_candidates(count, meant, is_alone)
    else:
        candidates = _grouped_candidates(count, written, meant if not is_part else [], is_alone)
    if is_alone:
        strength = _alone(strength, written, is_valid=any(kind.is_valid(digits) for kind in candidates))
    return _Number(text, start, end, digits, meant, strength).decided(candidates)


def _alone(strength: Strength, written: str, *, is_valid: bool) -> Strength:
    """How much the only thing in a text looks like a phone: any groups do, unless it is valid as something else."""
    if is_valid:
        return strength if strength is Strength.BY_FORM and set(written) & _OF_PHONES else Strength.NONE
    return Strength.BY_FORM if strength and not written.isdigit() else strength


def _bare_candidates(count: int, meant: Meanings, is_alone: bool) -> list[Kind]:
    """Kinds of numbers that digits alone may be if their check digits agree."""
    if not meant and not is_alone:
        return list(ids.STRONG_BY_LENGTH.get(count, ()))
    names = frozenset().union(*meant)
    is_persons = is_alone or context.PERSON in names
    return [
        kind
        for kind in ids.BY_LENGTH.get(count, ())
        if kind.needs is Needs.NOTHING or kind.name in names or (is_persons and kind.needs is Needs.ITS_FORM)
    ]


def _grouped_candidates(count: int, written: str, meant: Meanings, is_alone: bool) -> list[Kind]:
    """Kinds that are written in these groups, and those that words near it name and check digits prove."""
    names = frozenset().union(*meant)
    gaps = set(written) - _DIGITS
    found = [
        kind
        for kind in ids.BY_FORM.get(tuple(map(len, _GROUPS.findall(written))), ())
        if gaps <= kind.separators and (kind.needs is not Needs.CONTEXT or kind.name in names or is_alone)
    ]
    if names:
        found += [
            kind
            for kind in ids.BY_LENGTH.get(count, ())
            if kind.name in names and kind.is_valid is not anything and kind not in found
        ]
    if len(gaps) == 1 and ids.CARD not in found:
        found += [kind for kind in ids.STRONG_BY_LENGTH.get(count, ()) if kind is ids.CARD]  # grouped in any way
    return found


@dataclass(frozen=True, slots=True)
class _Number:
    text: str
    start: int
    end: int
    digits: str
    meant: Meanings
    strength: Strength

    def decided(self, candidates: list[Kind]) -> Span | None:
        """The nearest word that names one of them tells; then the rarest chance match; then a phone's form."""
        strength = self.strength
        for names in self.meant:
            for kind in candidates:
                if kind.name in names and kind.is_valid(self.digits):
                    return Span(self.start, self.end, kind.name)
            if context.PHONE in names and strength:
                return _phone(self.text, self.start, self.end)
            if context.OTHER in names:
                candidates = [kind for kind in candidates if kind.needs is Needs.NOTHING]
                strength = Strength.NONE
                break
        chosen = next((kind for kind in candidates if kind.is_valid(self.digits)), None)
        if strength >= Strength.BY_FORM and not (chosen and chosen.needs is Needs.NOTHING):
            return _phone(self.text, self.start, self.end)
        return Span(self.start, self.end, chosen.name) if chosen else None


def _phone(text: str, start: int, end: int) -> Span:
    """With its plus sign and its extension."""
    while start and text[start - 1] in "+(" and (start < 2 or text[start - 2] not in "+("):
        start -= 1
    extension = phones.EXTENSION.match(text, end)
    return Span(start, extension.end() if extension else end, context.PHONE)


def _is_alone(text: str, start: int, end: int) -> bool:
    """Nothing else is in the text: a form's field, a tool's argument."""
    return bool(_LONE.fullmatch(text, 0, start) and _LONE.fullmatch(text, end))


def find_lettered(text: str, start: int, end: int) -> Span | None:
    """The number with letters that stands in a run of letters and digits, without separators."""
    token = text[start:end].upper()
    any_form = lettered_ids.ANY_BY_LENGTH.get(end - start)
    if not any_form or not any_form.fullmatch(token):
        return None
    forms = [kind for kind in lettered_ids.BY_LENGTH[end - start] if kind.form.fullmatch(token)]
    valid = [kind for kind in forms if kind.is_valid(token)]
    if not valid:
        return None
    meant = context.meanings(text, start, end)
    for names in meant:
        for kind in valid:
            if kind.name in names:
                return Span(start, end, kind.name)
        if context.OTHER in names:
            return None
    chosen = valid[0]
    is_told = any(context.PERSON in names for names in meant) or _is_alone(text, start, end)
    is_written_so = chosen.name not in lettered_ids.ONLY_FORM or text[start:end] == token
    if is_told or (chosen.needs is Needs.NOTHING and is_written_so):
        return Span(start, end, chosen.name) if chosen.needs is not Needs.CONTEXT else None
    return None


def find_spaced(text: str, start: int, end: int) -> Iterator[Span]:
    """Numbers with letters apart from the digits, around these: AB 12 34 56 C."""
    low = max(0, start - _LETTERED_WINDOW)
    for found in lettered_ids.ANY_SPACED.finditer(text, low, min(len(text), end + _LETTERED_WINDOW)):
        for kind in lettered_ids.SPACED:
            if kind.form.fullmatch(found[0]) and kind.is_valid(found[0].translate(lettered_ids.SEPARATORS)):
                meant = context.meanings(text, *found.span())
                is_told = any(kind.name in names or context.PERSON in names for names in meant)
                if kind.needs is Needs.NOTHING or is_told or _is_alone(text, *found.span()):
                    yield Span(found.start(), found.end(), kind.name)
                break
