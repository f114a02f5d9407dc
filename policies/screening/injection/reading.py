"""Texts as the rules read them: plain lower-case words, whatever alphabet, spelling or spacing hides them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from string import ascii_lowercase

import re2

from policies.screening.folding import beyond_ascii, replace_all, unescaped
from policies.screening.injection.decoding import decoded
from policies.screening.injection.lexicon import (
    LINE,
    STRONG,
    concepts,
    joined_words,
    unspaced_words,
    without_accents,
)
from policies.screening.injection.marks import marks, signals

_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]+"
)
_ESCAPES = re.compile(r"(?:\\u[0-9A-Fa-f]{4}){4}")
# Each written as two characters.
_LINE_ENDS = re.compile(r"(?<!\\)(?:\\++[rn])+")
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_TYPOGRAPHY = (("’", "'"), ("“", '"'), ("”", '"'), ("—", " "), ("–", " "), ("…", "..."), ("•", " "), ("\u00a0", " "))
# Letters of other alphabets that look Latin, in this order; read so only within a Latin word.
_LOOK_ALIKES = str.maketrans(
    "абвгезкмнорстухіјѕԁһԛԝցոսьαβγεηικνορτυχωϲєɑɡıʀɪɴᴀᴇᴏѵɩɛʏꜱℓ€",
    "abbrezkmhopctyxijsdhqwgnubabyenikvoptuxwceagirinaeovieysle",
)
_NOT_LATIN = re.compile("[\u0370-\u058f]")
_BEYOND_ASCII = re.compile("[^\0-\x7f]+")
_SHORT = 4  # characters of a run that is kept once it was read: most are one letter
_FOREIGN = "€\u0250-\u02af\u1d00-\u1d7f\u0370-\u058f"
_LOOKS_LATIN = re.compile(f"[{_FOREIGN}]")
_MIXED = re.compile(f"(?<![a-z0-9@$!|+])[a-z0-9@$!|+]*+[{_FOREIGN}][a-z0-9@$!|+{_FOREIGN}]*+")
_EMPTY_LINES = re.compile(r"\n\s*\n")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SIGNS = re.compile(rf"[^\w\s;{LINE}]+")

# Single letters with marks or spaces between them: i g n o r e, i-g-n-o-r-e.
_SPACED = re.compile(r"(?<![a-z0-9])[a-z0-9](?:[ \-._*|\\]{1,4}[a-z0-9](?![a-z0-9'])){4,}")
_GAPS = re.compile(r"[ \-._*|\\]+")
_LONG = re.compile(r"[a-z]{18,200}")

# Digits and signs that stand for letters. 1, ! and | stand for i or l: the lexicon knows words under both spellings.
_LEET = str.maketrans("0134578@$€!|+69", "oieastbaseiitgg")
_MEANING_MIN = 3  # letters of a word that counts as respelt
_LEET_REST = re.compile(r"[0-9@$€!|+][a-z0-9@$€!|+]*+")  # of a word, from the first such sign on

# Other spellings are looked for where a longer text begins and ends: what lies between is read as it stands.
END_LENGTH_MAX = 16_000


def _spaces_for(signs: str) -> bytes:
    """A table of bytes."""
    return bytes.maketrans(signs.encode(), b" " * len(signs))


_PUNCTUATION = _spaces_for("\"#$%&'()*+,-./:<=>?!@[\\]^_`{|}~\t\r")
# Beside other characters, those that show nothing are none of a word either.
_SIGNS_OF_ASCII = _spaces_for("_" + "".join(_SIGNS.findall("".join(map(chr, range(128))))))
_SENTENCE_ENDS = ((". ", " ; "), ("? ", " ; "), ("! ", " ; "))


@dataclass(frozen=True, slots=True)
class Reading:
    """``words`` in order, among them ends of lines and sentences; ``marks``: names of those in the plain text.

    ``disguises``: how many strong words were written otherwise; ``respelt``: how many words with a meaning had digits.
    """

    words: list[str]
    marks: set[str]
    disguises: int
    respelt: int
    is_encoded: bool


def read(text: str) -> Reading:
    """The words of a text, and behind them those that it hides."""
    plain, disguises, respelt, hidden = without_typography(_as_json(text)), 0, 0, ""
    if not plain.isascii():
        plain, (disguises,) = _at_ends(plain, _unmasked)
    lower = plain.lower()
    seen = lower.encode(errors="replace")
    found, told = marks().match(seen), signals().match(seen)
    if told:
        hidden = decoded("\n".join(_ends(plain)), told).lower()
        as_written = lower
        lower, (others, respelt) = _at_ends(lower, lambda end: _respelt(end, told))
        disguises += others
        if hidden or lower != as_written:
            otherwise = "\n".join((*_ends(lower), hidden))  # what lies between is as it was
            found |= marks().match(otherwise.encode(errors="replace"))
        if hidden:
            lower = f"{lower}\n{hidden}"
    return Reading(_words(lower), found, disguises, respelt, bool(hidden))


def _as_json(text: str) -> str:
    """The text that JSON in it stands for, as far as that changes words. Escapes in a row are for decoding.py."""
    if "\\u" in text and not _ESCAPES.search(text):
        text = unescaped(text)
    if "\\n" in text and '"' in text:
        text = _LINE_ENDS.sub("\n", text)
    return text


def without_typography(text: str) -> str:
    """Marks that word processors put in, as plain ones: most texts that are not ASCII have no others."""
    if not text.isascii():
        for typographic, plain in _TYPOGRAPHY:
            text = text.replace(typographic, plain)
    return text


def _ends(text: str) -> tuple[str, ...]:
    if len(text) <= 2 * END_LENGTH_MAX:
        return (text,)
    return text[:END_LENGTH_MAX], text[-END_LENGTH_MAX:]


def _at_ends(text: str, change: Callable[[str], tuple[str, *tuple[int, ...]]]) -> tuple[str, tuple[int, ...]]:
    """What becomes of it where only its ends change; counts are added up."""
    parts, *counts = zip(*map(change, _ends(text)), strict=True)
    return text[END_LENGTH_MAX:-END_LENGTH_MAX].join(parts), tuple(map(sum, counts))


def _words(lower: str) -> list[str]:
    if "'" in lower:
        lower = lower.replace("ain't", "is not").replace("n't", " not").replace("'re ", " are ")
        lower = lower.replace("'ll ", " will ")
    lower = lower.replace(";", " ")
    lower = _EMPTY_LINES.sub("\n", lower).replace("\n", f" {LINE} ")
    for lone in (" . ", " ! ", " ? "):
        lower = lower.replace(lone, " ")
    for end, mark in _SENTENCE_ENDS:
        lower = lower.replace(end, mark)
    if lower.isascii():
        return lower.encode().translate(_PUNCTUATION).decode().split()
    signs = _SIGNS.findall("".join(beyond_ascii(lower)))
    lower = replace_all(lower, dict.fromkeys("".join(signs), " "))
    return lower.encode("utf-8", "surrogatepass").translate(_SIGNS_OF_ASCII).decode("utf-8", "surrogatepass").split()


def _respelt(plain: str, told: set[str]) -> tuple[str, int, int]:
    """Lower-case text with letters for the signs that stand for them, and words where they were run together."""
    disguises = respelt = 0
    strong, table = _strong(), concepts()

    def letters(text: str) -> Iterator[str]:
        nonlocal disguises, respelt
        at = 0
        for rest in _LEET_REST.finditer(text):
            before = text[at : rest.start()]
            unchanged = before.rstrip(ascii_lowercase)
            written = (before[len(unchanged) :] + rest[0]).rstrip("!+|")
            at = rest.end()
            yield unchanged
            if len(written) > 1 and written.isdigit():
                yield written
                continue
            word = written.translate(_LEET)
            if word != written and len(word) >= _MEANING_MIN and word in table:
                respelt += 1
                disguises += word in strong
            yield word
        yield text[at:]

    def joined(found: re.Match[str]) -> str:
        nonlocal disguises
        run = _GAPS.sub("", found[0])
        if not any(word in run for word in STRONG):
            return found[0]
        disguises += 1
        return joined_words().sub(lambda word: f" {word[0]} ", run)

    if "leet" in told:
        plain = "".join(letters(plain))
    if "spaced" in told:
        plain = _SPACED.sub(joined, plain)
    if "long" in told and _has_long().search(plain.encode(errors="replace")):
        plain = _LONG.sub(joined, plain)
    return plain, disguises, respelt


@cache
def _has_long() -> re2._Regexp:
    return re2.compile(b"[a-z]{18}")


@cache
def _strong() -> frozenset[str]:
    return frozenset(word for word, letter in concepts().items() if letter in "xprFv" and len(word) > 4)  # noqa: PLR2004


def _unmasked(text: str) -> tuple[str, int]:
    """The text in its plainest characters, and how many of its words mixed alphabets or hid something."""
    disguises = 0
    if _TAGS.search("".join(beyond_ascii(text))):
        # Characters of the plane of tags are invisible and mirror ASCII.
        tags = "".join(_TAGS.findall(text))
        text = f"{_TAGS.sub('', text)}\n{''.join(chr(ord(tag) - 0xE0000) for tag in tags)}"
        disguises += 1
    text = _BEYOND_ASCII.sub(_in_plain_characters, text)
    present = "".join(beyond_ascii(text))
    if _LOOKS_LATIN.search(present):
        text, mixed = _in_one_alphabet(text.lower())
        disguises += mixed
    if _UNSPACED.search(present):
        text = unspaced_words().sub(lambda word: f" {word[0]} ", text)
    return text, disguises


def _in_plain_characters(found: re.Match[str]) -> str:
    run = found[0]
    return _short_in_plain_characters(run) if len(run) <= _SHORT else _plain(run)


@lru_cache(maxsize=4096)
def _short_in_plain_characters(run: str) -> str:
    return _plain(run)


def _plain(run: str) -> str:
    return without_accents(unicodedata.normalize("NFKC", _HIDDEN.sub("", run)).replace("’", "'"))


def _in_one_alphabet(text: str) -> tuple[str, int]:
    mixed = 0

    def latin(found: re.Match[str]) -> str:
        nonlocal mixed
        word = found[0]
        plain = word.translate(_LOOK_ALIKES)
        if plain.isascii() and _NOT_LATIN.sub("", word):
            mixed += 1
            return plain
        return plain if plain in concepts() else word

    return _MIXED.sub(latin, text), mixed
