"""What a team denies and allows: words, and expressions of RE2, found in linear time whatever text and expressions."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import re2

from policies.screening.folding import AsGiven, Folded
from policies.screening.spans import Span, without_overlaps

WORDS_MAX = 10_000
EXPRESSIONS_MAX = 200
LENGTH_MAX = 1_000
# Of a list, in instructions of RE2: what a text costs at worst is its length times this.
PROGRAM_SIZE_MAX = 3_000
MEMORY_BYTES_MAX = 64 << 20
# A text with more of one list is denied from there to its end.
FOUND_MAX = 1_000

# Of scripts that put no space between words, or grow endings on them: any place in them may begin a word.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_REFUSED = (
    (
        re.compile(r"\(\?<?[=!]"),
        "it looks ahead or behind, which cannot be done in linear time: name what is around it instead",
    ),
    (re.compile(r"\\[1-9]|\(\?P="), "it refers back to a group, which cannot be done in linear time"),
    (
        re.compile(r"\(\?>|[*+?}]\+"),
        "it has an atomic group or a possessive count, which RE2 needs nowhere and does not know",
    ),
)


class BadPattern(ValueError):
    """A list cannot be used; the message says which pattern, and why."""


@dataclass(frozen=True, slots=True)
class PatternList:
    """``words`` and phrases in any case, not within longer words; ``expressions`` in the syntax of RE2."""

    words: Sequence[str] = ()
    expressions: Sequence[str] = ()


class Patterns:
    """Lists of a team, compiled once. Raises BadPattern."""

    def __init__(
        self, deny: Mapping[str, PatternList], allow: PatternList | None = None, *, fold_look_alikes: bool = True
    ) -> None:
        """``deny`` by the name that is told of what it finds. What lies within something allowed is not denied.

        ``fold_look_alikes``: wide, invisible and look-alike characters are read as the plain ones that they stand for.
        """
        self._read: type[Folded] = Folded if fold_look_alikes else AsGiven
        self._deny = {name: _Finder(name, patterns, self._read) for name, patterns in deny.items()}
        self._allow = _Finder("allow", allow, self._read) if allow else None

    def find(self, text: str, folded: Folded | None = None) -> Sequence[Span]:
        """What is denied and not allowed, in the order of the text; the kind is the name of the list."""
        if folded is None or self._read is AsGiven:
            folded = self._read(text)
        seen = _Seen(folded.plain)
        found = [span for finder in self._deny.values() for span in finder.find(seen)]
        if found and self._allow:
            allowed = without_overlaps(self._allow.find(seen))
            found = [span for span in found if not _lies_within(span, allowed)]
        return folded.as_given(without_overlaps(found))


def _lies_within(span: Span, allowed: Sequence[Span]) -> bool:
    at = bisect_right(allowed, span.start, key=lambda one: one.start) - 1
    return at >= 0 and span.end <= allowed[at].end


class _Seen:
    """A text and its bytes."""

    def __init__(self, text: str) -> None:
        try:
            self.encoded = text.encode()
        except UnicodeEncodeError:  # a lone surrogate
            text = _SURROGATE.sub("\ufffd", text)
            self.encoded = text.encode()
        self.text = text
        self._is_plain = len(self.encoded) == len(text)

    def characters(self, byte_offsets: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The same pairs, which come in order, counted in characters."""
        if self._is_plain:
            yield from byte_offsets
            return
        at_byte, at = 0, 0
        for start, end in byte_offsets:
            at += len(self.encoded[at_byte:start].decode(errors="replace"))
            length = len(self.encoded[start:end].decode(errors="replace"))
            yield at, at + length
            at_byte = start


class _Finder:
    """What finds the patterns of one list."""

    def __init__(self, name: str, patterns: PatternList, read: type[Folded]) -> None:
        if len(patterns.words) > WORDS_MAX or len(patterns.expressions) > EXPRESSIONS_MAX:
            raise BadPattern(f"{name}: more than {WORDS_MAX:,} words or {EXPRESSIONS_MAX} expressions")
        self._name = name
        words = [_word(name, _SURROGATE.sub("\ufffd", read(word).plain).strip()) for word in patterns.words]
        self._words = _compiled(name, "words", f"(?i)(?:{'|'.join(words)})") if words else None
        for expression in patterns.expressions:
            _check(name, expression)
        joined = "|".join(f"(?:{expression})" for expression in patterns.expressions)
        self._expressions = _compiled(name, "expressions", joined) if joined else None

    def find(self, seen: _Seen) -> Iterator[Span]:
        if self._words:
            yield from self._bounded(_whole(self._words.finditer(seen.encoded), seen), len(seen.text))
        if self._expressions:
            matches = (found.span() for found in self._expressions.finditer(seen.encoded))
            yield from self._bounded(seen.characters(one for one in matches if one[0] < one[1]), len(seen.text))

    def _bounded(self, found: Iterator[tuple[int, int]], text_length: int) -> Iterator[Span]:
        for number, (start, end) in enumerate(found):
            if number == FOUND_MAX:
                yield Span(start, text_length, self._name)
                return
            yield Span(start, end, self._name)


def _whole(matches: Iterator[re2._Match], seen: _Seen) -> Iterator[tuple[int, int]]:
    """Those that are not within a longer word."""
    for start, end in seen.characters(found.span() for found in matches):
        if not (_joins(seen.text, start) or _joins(seen.text, end)):
            yield start, end


def _joins(text: str, at: int) -> bool:
    """The characters before and after this place belong to one word."""
    if not 0 < at < len(text) or _UNSPACED.search(text, at - 1, at + 1):
        return False
    return all(one.isalnum() or one == "_" or unicodedata.combining(one) for one in text[at - 1 : at + 1])


def _word(name: str, word: str) -> str:
    if not word:
        raise BadPattern(f"{name}: an empty word denies everything")
    if len(word) > LENGTH_MAX:
        raise BadPattern(f"{name}: a word of more than {LENGTH_MAX:,} characters: {word[:40]}...")
    # Any run of spaces is one; where the border is plain, RE2 sees it and nothing inside words comes to be looked at.
    escaped = r"\s+".join(re2.escape(part) for part in word.split())
    first, last = (r"\b" if one.isascii() and (one.isalnum() or one == "_") else "" for one in (word[0], word[-1]))
    return f"{first}{escaped}{last}"


def _check(name: str, expression: str) -> None:
    """Raises BadPattern in words that a person who knows other expressions understands."""
    where = f"{name}: {expression[:80]!r}"
    if len(expression) > LENGTH_MAX:
        raise BadPattern(f"{where}: more than {LENGTH_MAX:,} characters")
    try:
        compiled = re2.compile(expression.encode(), _options())
    except (re2.error, UnicodeEncodeError) as exc:
        told = next((reason for form, reason in _REFUSED if form.search(expression)), _reason(exc))
        raise BadPattern(f"{where}: {told}") from exc
    if compiled.fullmatch(b""):
        raise BadPattern(f"{where}: it matches where nothing stands, and would deny everything")


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnicodeEncodeError):
        return "it has half of a character (a lone surrogate)"
    reason = exc.args[0] if exc.args else exc
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _compiled(name: str, which: str, pattern: str) -> re2._Regexp:
    try:
        compiled = re2.compile(pattern.encode(), _options())
    except re2.error as exc:
        raise BadPattern(f"{name}: its {which} together are too large") from exc
    if which == "expressions" and compiled.programsize > PROGRAM_SIZE_MAX:
        raise BadPattern(f"{name}: its expressions together are too large: write smaller counts, or fewer of them")
    return compiled


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = MEMORY_BYTES_MAX
    options.log_errors = False
    return options
