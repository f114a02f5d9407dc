"""Which slices a question belongs to: by its language, length and tools.

``slices_of`` reads the text and is what reports go by; ``seen_in`` reads its features alone, as whoever decides does:
the same lengths and tools, and languages less finely. A fourth way to slice is by ``domain``: calibration prompts may
be labelled with it, and of a new question it is guessed from the kind that a predictor takes it to be of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import expm1

from policies.routing.features import (
    AT_ENGLISH,
    AT_FOREIGN,
    AT_KOREAN,
    AT_LOG_LENGTH,
    AT_LOG_TOKENS,
    AT_TOOLS,
    TOOLS_MARK,
    Vector,
)

#: The ways to slice that a question itself tells of, in the order of ``slices_of`` and ``seen_in``.
BY_SELF = ("language", "length", "tools")
DOMAIN, KIND = "domain", "kind"
_LENGTHS = ((200, "under 200"), (1000, "200 to 999"), (4000, "1,000 to 3,999"))  # characters
_LONGEST = "4,000 and more"
_HEAD = 1000  # characters that tell the language
_WORD = re.compile(r"[^\W\d_]+")
# Words that few texts of a language do without, and that hardly any other one has.
_WORDS = {
    "english": "the and of is what which are how with from that this if you has was for",
    "german": "der die das und ist nicht ein eine mit welche wie wird sind auf von",
    "french": "les des est une dans pour que qui sur avec sont quelle quel du aux",
    "spanish": "el los las una por para con cuál qué como está son del",
    "italian": "il gli che una per con della sono quale perché nel di",
    "portuguese": "os uma não para com qual são está pelo como do da em",
    "dutch": "het een van niet met welke zijn wordt voor dat op naar",
}
_SCRIPTS = (
    ("korean", "\uac00", "\ud7a3"),
    ("japanese", "\u3040", "\u30ff"),
    ("chinese", "\u4e00", "\u9fff"),
    ("cyrillic", "\u0400", "\u04ff"),
    ("arabic", "\u0600", "\u06ff"),
    ("hebrew", "\u0590", "\u05ff"),
    ("devanagari", "\u0900", "\u097f"),
    ("thai", "\u0e00", "\u0e7f"),
    ("greek", "\u0370", "\u03ff"),
)
_SCRIPT_SHARE = 0.15  # of the letters: a foreign word or a formula makes no other language
_FOREIGN_SHARE = 0.4  # of the bytes: above it is no Latin script
_ENGLISH_SHARE = 0.04  # of the tokens: so many of the commonest words English has at least
_LANGUAGES = {word: language for language, words in _WORDS.items() for word in words.split()}


def slices_of(text: str) -> tuple[str, str, str]:
    """The value of each of ``BY_SELF``; lengths in characters, tools and all."""
    return language_of(text), _length(len(text)), _tools(TOOLS_MARK in text)


def seen_in(features: Vector) -> tuple[str, str, str]:
    """The value of each of ``BY_SELF`` as far as features tell: of languages English, Korean and others."""
    found = features.tolist()
    if found[AT_KOREAN] > _SCRIPT_SHARE:
        language = "korean"
    elif found[AT_FOREIGN] > _FOREIGN_SHARE:
        language = "other script"
    else:
        english = sum(expm1(found[at]) for at in AT_ENGLISH)
        language = "english" if english > _ENGLISH_SHARE * expm1(found[AT_LOG_TOKENS]) else "other"
    return language, _length(round(expm1(found[AT_LOG_LENGTH]))), _tools(found[AT_TOOLS] > 0)


def _length(characters: int) -> str:
    return next((name for below, name in _LENGTHS if characters < below), _LONGEST)


def _tools(has_tools: bool) -> str:
    return "with" if has_tools else "without"


def language_of(text: str) -> str:
    """By its script, or by its commonest words; ``unclear`` where there are too few: formulas, code, single names."""
    head = text[:_HEAD]
    if not head.isascii():
        letters = [one for one in head if one.isalpha()]
        shares = [sum(first <= one <= last for one in letters) for _, first, last in _SCRIPTS]
        # Japanese has Chinese characters too, and comes first.
        script = next((at for at, share in enumerate(shares) if share > _SCRIPT_SHARE * len(letters)), None)
        if script is not None:
            return _SCRIPTS[script][0]
    return _commonest([_LANGUAGES[word] for word in _WORD.findall(head.lower()) if word in _LANGUAGES])


def _commonest(found: Sequence[str]) -> str:
    return max(_WORDS, key=found.count) if found else "unclear"
