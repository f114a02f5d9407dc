"""How a conversion is asked for, of units and of money alike: what is converted, and into what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WORDS_MAX = 16

_LEAD = re.compile(
    r"^(?:(?:what is|what's|whats|what are|what would|what will|what does|what|calculate|find|be|do"
    r"|how much (?:is|are|would|does|do)|how much)\s+)?"
    r"(?:(?:how long|how far|how tall|how heavy|how big|how hot|how fast|how cold) (?:is|are)\s+)?(?:be\s+)?",
    re.IGNORECASE,
)
_COUNTED = re.compile(
    r"(?:how many|what amount of|what number of"
    r"|(?:the )?(?:total |correct |exact |proper |right )?(?:number|amount|quantity) of)\s+",
    re.IGNORECASE,
)
_CONVERT = re.compile(
    r"(?:(?:can|could|would|will) (?:you|u|i) (?:please )?)?"
    r"(?:how (?:do|does|would|can|could|should|to)(?: (?:you|i|we|one))?(?: go about)?\s+"
    r"|(?:is there |there's )?(?:the |an? )?(?:\w+ )?(?:way|method|formula) (?:to|of|for)\s+|to\s+)?"
    r"(?:convert|converting|change|changing|turn|turning|express|transform|transforming|translate"
    r"|go|going|get|getting)(?: from)?\s+"
    r"|(?:the )?(?:current |present |unit )?(?:conversion|equivalent|equivalence|exchange)(?: factor| rate| formula)?"
    r"(?: between| from| of| for| to convert)\s+"
    r"|how (?:are|is|do|does)\s+",
    re.IGNORECASE,
)


def _by_first_word(*links: str) -> Mapping[str, Sequence[Sequence[str]]]:
    """The longest first."""
    found: dict[str, list[Sequence[str]]] = {}
    for link in sorted((one.split() for one in links), key=len, reverse=True):
        found.setdefault(link[0], []).append(link)
    return found


_COUNTED_IN = _by_first_word(
    *("are", "is", "in", "equals", "equal", "makes", "make", "make up", "per", "to", "for", "are there in", "are in"),
    *("is in", "are contained in", "are equal to", "is equal to", "would be in", "will be in", "can fit in", "fit in"),
    *(
        "fit into",
        "go into",
        "is there in",
        "are within",
        "does it take to make",
        "to make",
        "to equal",
        "would equal",
        "makes up",
    ),
    *(
        "will make",
        "would make",
        "make up in",
        "would be",
        "will be",
        "go in",
        "go into a",
        "will fit in",
        "will fit into",
    ),
    *(
        "do i need for",
        "do i need to make",
        "do you need for",
        "do you need to make",
        "can be in",
        "come in",
        "does it take to equal",
    ),
)
_CONVERTED_TO = _by_first_word(
    *("to", "into", "in", "as", "=", "equals", "is how many", "are how many", "equals how many", "equal how many"),
    *(
        "is equal to how many",
        "= how many",
        "makes how many",
        "is how much in",
        "is what in",
        "are what in",
        "equals what in",
    ),
    *("converted to", "converted into", "converts to", "convert to", "convert into", "in terms of", "expressed in"),
    *("to how many", "in how many", "into how many", "as how many", "is equivalent to how many", "contains how many"),
    *("how many", "= ?", "has how many", "have how many"),
)
_CONVERTED_OR_BETWEEN = {**_CONVERTED_TO, "and": (("and",),)}
_OWNED = re.compile(
    r"(?:if |when )?(?:i|you|we) have (?P<source>[\w ./]{1,40}?),? how many (?P<target>[\w ./]{1,30}?)"
    r"(?: is that| do i have| do you have| are there| would that be| is it| does that make)?",
    re.IGNORECASE,
)
_ENDINGS = re.compile(
    r"\s+(?:equal to|equivalent to|equal|have|contain|make|conversion|equals|hold|be|right now|today)$", re.IGNORECASE
)
_SPREAD = re.compile(r"(?<=[0-9½⅓⅔¼¾⅛])(?=[a-zA-Z°µ])|(?<=[$€£¥])(?=[0-9.])")
_FEET_AND_INCHES = re.compile(r"\b([0-9]{1,2})' ?([0-9]{1,2}(?:\.[0-9]+)?) ?(?:\"|'')?(?= |$)")
_BELOW_ZERO = re.compile(r"(?<![\w.])-(?=[0-9.])")
_FILLING = re.compile(r"\b(?:measurement |(?:be|equal|equals|come out|come|weigh) (?=in ))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Split:
    """One way to read the question: these words are converted into what those name."""

    source: Sequence[str]
    target: Sequence[str]


def splits(question: str) -> Iterator[Split]:
    """All ways to read it, the likelier ones first; usually only one of them names units on both sides."""
    line = _FILLING.sub("", _BELOW_ZERO.sub("minus ", _FEET_AND_INCHES.sub(r"\1 feet \2 inches", question)))
    line = _SPREAD.sub(" ", line)
    line = _LEAD.sub("", line, count=1)
    if owned := _OWNED.fullmatch(line):
        yield Split(owned.group("source").split(), owned.group("target").split())
        return
    line = _ENDINGS.sub("", line.removeprefix("the "))
    if counted := _COUNTED.match(line):
        words = line[counted.end() :].split()
        if len(words) <= WORDS_MAX:
            yield from _counted(words)
        return
    links = _CONVERTED_OR_BETWEEN if " between " in line else _CONVERTED_TO
    if convert := _CONVERT.match(line):
        line = line[convert.end() :]
    words = line.split()
    if len(words) > WORDS_MAX:
        return
    for at in range(1, len(words)):
        for link in links.get(words[at].lower(), ()):
            end = at + len(link)
            if _are(words[at:end], link) and end < len(words):
                is_counted = link == ["in"] and words[end].lower() in ("a", "an", "one")  # feet in a mile
                yield Split(words[end:], words[:at]) if is_counted else Split(words[:at], words[end:])
                break
    if convert is None:
        yield from _turned(words)


def _counted(words: Sequence[str]) -> Iterator[Split]:
    """How many U are in Q, how many U does Q have."""
    for at in range(1, len(words)):
        if words[at].lower() in ("does", "do", "did", "will", "would", "can") and at + 1 < len(words):
            yield Split(words[at + 1 :], words[:at])
        for link in _COUNTED_IN.get(words[at].lower(), ()):
            end = at + len(link)
            if _are(words[at:end], link) and end < len(words):
                rest = words[end:]
                yield Split(rest[1:] if rest[0].lower() == "there" else rest, words[:at])
                break


def _turned(words: Sequence[str]) -> Iterator[Split]:
    """In U, what is Q."""
    for what in (("what", "is"), ("how", "much", "is"), ("what", "are")):
        for at in range(2, len(words)):
            if words[0].lower() == "in" and _are(words[at : at + len(what)], what):
                yield Split(words[at + len(what) :], [word.rstrip(",") for word in words[1:at]])


def _are(words: Sequence[str], link: Sequence[str]) -> bool:
    return len(words) == len(link) and all(word.lower() == one for word, one in zip(words, link, strict=True))
