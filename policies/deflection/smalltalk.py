"""Greetings, thanks and goodbyes: short fixed answers, where the whole message is nothing else."""

from __future__ import annotations

import re
import unicodedata

from policies.deflection.smalltalk_foreign import FOREIGN, FOREIGN_PARTINGS
from policies.deflection.smalltalk_phrases import PHRASE

_BYE, _WELCOME, _WELCOME_AND_BYE = "Goodbye!", "You're welcome!", "You're welcome. Goodbye!"
_PARTINGS = frozenset({_BYE, _WELCOME, _WELCOME_AND_BYE})
_LENGTH_MAX = 140
_PHRASES_MAX = 8
_WORDS_MAX = 30
# What ends a conversation and cannot be an answer to what was said before; "later" or "that's all" could be.
_SURE = re.compile(
    r"thank|thx|thnx|tnx|\btysm?\b|ap+reciat|grateful|bye|farewell|\bsee (?:you|ya)\b|\bcya\b|good ?night|take care"
)
_ASSENT = re.compile(r"\b(?:yes|ok|okay|sure|alright|all right|please|works?|sounds)\b")
_STRETCHED = re.compile(r"([a-z])\1{2,}")
_ONLY_WAVING = re.compile(r"[👋🙋\s!]*👋[👋🙋\s!]*")
_WORD = re.compile(r"a\.i\.|[a-z0-9]+(?:['-][a-z0-9]+)*")
_BETWEEN = re.compile(r"[\s.,!?;:~()…—\-\"'👋🙂😀😃😄😊👍🙏❤️🎉✨💯🤗]*")


def smalltalk(line: str) -> str | None:
    """The answer; None unless every phrase of the line greets, thanks, praises, asks how we are, or says goodbye."""
    if len(line) > _LENGTH_MAX:
        return None
    text = _STRETCHED.sub(r"\1", line.lower())
    if (foreign := FOREIGN.get(_bare(text))) is not None:
        return foreign
    if _ONLY_WAVING.fullmatch(text):
        return "Hello! How can I help you?"
    said = _said(text)
    return None if said is None else _answer(said)


def parting(line: str) -> str | None:
    """As ``smalltalk``, but of thanks and goodbyes alone, and only where they can be nothing but that.

    For the end of a conversation: "ok, thanks" may tell the other side to go on.
    """
    answer = smalltalk(line)
    if answer in FOREIGN_PARTINGS:
        return answer
    text = line.lower()
    is_parting = answer in _PARTINGS and _SURE.search(text) is not None
    return answer if is_parting and _ASSENT.search(text) is None else None


def _said(text: str) -> set[str] | None:
    """The kinds of all phrases; None where something is no phrase of ours."""
    words = _WORD.findall(text)
    if not 0 < len(words) <= _WORDS_MAX or not _BETWEEN.fullmatch(_WORD.sub(" ", text)):
        return None
    spaced = "".join(f"{word} " for word in words)
    said: set[str] = set()
    at = 0
    for _ in range(_PHRASES_MAX):
        phrase = PHRASE.match(spaced, at)
        if phrase is None:
            return None
        said.add(str(phrase.lastgroup))
        at = phrase.end()
        if at == len(spaced):
            return said
    return None


def _answer(said: set[str]) -> str | None:
    if "bye" in said:
        return _WELCOME_AND_BYE if "thanks" in said else _BYE
    if "thanks" in said:
        return _WELCOME
    if "praise" in said:
        return "Thank you, I'm glad to be of help."
    if "wellbeing" in said:
        return "I'm doing well, thank you. How can I help you?"
    return "Hello! How can I help you?" if "greeting" in said else None


def _bare(text: str) -> str:
    """Without accents, marks and emoji."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    kept = "".join(one if one.isalnum() else " " for one in letters if not unicodedata.combining(one))
    return " ".join(unicodedata.normalize("NFC", kept).split())
