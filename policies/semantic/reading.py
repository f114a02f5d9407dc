"""A prompt as the guards read it: its words in order, without politeness, contractions and inflections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from policies.semantic.word_classes import NUMERALS

CHARACTERS_MAX = 2_000  # of a text that is read; a longer one is read no further
WORDS_MAX = 400

WH = frozenset("what which who whom whose where when why how".split())
NEGATIONS = frozenset(
    "not no never without none nothing nobody nowhere neither nor cannot except excluding unable unless hardly".split()
)
# Words that carry grammar, not content. Prepositions are among them: the guard of direction looks at those by itself.
STOP = frozenset(
    """
    a an the is are was were be been being am do does did done doing i me my mine myself you your yours we our us ours
    it its this that these those there here to of in on at for by with and or so as have has had having will would can
    could shall should may might must just really very also too if then than get got getting gets going go goes any some
    from about into onto upon please kindly thanks thank hello hi hey ok okay well now still yet already but though
    because while during until since through per via out off up down over under again ever such own
    let lets make sure like want wants wanted need needs needed know tell give show find help able ask question
    one ones thing things something anything someone anyone they them their theirs
    """.split()
)
_ASKED = (
    r"(?:help me(?: with this| out)?|answer(?: this| me)?(?: question)?|tell me|let me know|explain(?: to me)?)"
    r"(?: please)?"
)
_OPENER = re.compile(
    r"^\W*(?:(?:"
    r"hi|hello|hey|greetings|dear|good (?:morning|afternoon|evening|day)|excuse me|sorry|ok|okay|so|well|and|now|"
    r"there|all|everyone|team|folks|guys|sir|madam|mate|bot|assistant|please|kindly|pls|plz|"
    r"(?:a )?quick question|(?:one )?question|just wondering|i was wondering(?: if you could tell me)?|"
    r"i'?d like to know|i (?:would like|want|need) to know|do you know|"
    rf"(?:please )?{_ASKED}|"
    rf"(?:can|could|would|will) (?:you|someone|anyone|u) (?:please |kindly |just )?{_ASKED}|"
    r"(?:can|could|would|will) you (?:please|kindly)"
    r")(?=\W|$)[\s,.:;!\-]*)+",
    re.IGNORECASE,
)
_CLOSER = re.compile(
    r"[\s,.;:!?\-]*(?:\b(?:"
    r"please|pls|plz|kindly|ok|okay|asap|thanks|thank you|thankyou|thx|ty|cheers|many thanks|thanks a lot|"
    r"thanks so much|thank you so much|thank you very much|thanks in advance|thank you in advance|i appreciate it|"
    r"much appreciated|any help is appreciated|have a (?:nice|good|great) (?:day|one)|regards|best regards|"
    r"can you help(?: me)?|please help(?: me)?|help me(?: please)?|please advise"
    r")[\s,.;:!?\-]*)+$",
    re.IGNORECASE,
)
_CLOSER_CHARACTERS = 120  # at the end, that are searched: the pattern could begin anywhere in a long text
# What a text must have for a pattern to be tried, the pattern, and what it becomes.
_CONTRACTIONS = (
    ("can", re.compile(r"\bcannot\b|\bcan't\b|\bcant\b"), "can not"),
    ("wo", re.compile(r"\bwon't\b|\bwont\b"), "will not"),
    ("ain't", re.compile(r"\bain't\b"), "is not"),
    (
        "t",
        re.compile(r"\b(is|are|was|were|do|does|did|has|have|had|could|would|should|might|must|need)n'?t\b"),
        r"\1 not",
    ),
    ("'s", re.compile(r"\b(it|he|she|that|there|here|what|who|where|when|why|how|let)'s\b"), r"\1 is"),
    ("s", re.compile(r"\b(what|who|where|when|how)s\b"), r"\1 is"),
    ("m", re.compile(r"\bi'?m\b"), "i am"),
    ("'re", re.compile(r"'re\b"), " are"),
    ("'ve", re.compile(r"'ve\b"), " have"),
    ("'ll", re.compile(r"'ll\b"), " will"),
    ("'d", re.compile(r"'d\b"), " would"),
    ("'", re.compile(r"'s\b|s'(?=\s|$)"), "s"),
    ("w/o", re.compile(r"\bw/o\b"), "without"),
    ("-", re.compile(r"(?<=[a-z])-(?=[a-z])"), " "),
    ("$", re.compile(r"[$]"), " dollar "),
    ("\u20ac", re.compile(r"\u20ac"), " euro "),
    ("\u00a3", re.compile(r"\u00a3"), " pound "),
    ("%", re.compile(r"%"), " percent "),
    ("", re.compile(r"(\d)(?=[a-z])"), r"\1 "),
)
_APOSTROPHE = re.compile(r"[\u2018\u2019\u02bc`\u00b4]")
_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,:/]\d+)*|[+*/=<>^]")
_QUOTED = re.compile(r"\"([^\"\n]{1,200})\"|`([^`\n]{1,200})`|\u201c([^\u201d\n]{1,200})\u201d")
_NAMED = re.compile(r"\b(?:[A-Za-z_]\w*(?:\.\w{2,})+|[a-z]\w*[A-Z]\w*|\w+_\w+|\w+\(\)|[A-Z]+\d+\w*)")
_SUFFIXES = ("ations", "ation", "ments", "ment", "ings", "ing", "ies", "ied", "ers", "ed", "er", "es", "ly", "s")
_SHORT = 3  # letters that a stem keeps at least
_IRREGULAR = {
    form: lemma
    for lemma, _, forms in (
        line.partition(":")
        for line in """
        go:went,gone take:took,taken,taking pay:paid send:sent lose:lost find:found buy:bought make:made
        get:got,gotten give:gave,given write:wrote,written,writing sing:sang,sung win:won,winning play:played
        see:saw,seen come:came become:became say:said tell:told hold:held break:broke,broken steal:stole,stolen
        choose:chose,chosen begin:began,begun know:knew,known speak:spoke,spoken think:thought keep:kept meet:met
        build:built spend:spent bring:brought happen:happened drive:drove,driven eat:ate,eaten fall:fell,fallen
        grow:grew,grown die:died,dying person:people child:children withdraw:withdrew,withdrawn
        freeze:froze,frozen sell:sold run:ran,running set:setting use:used,using
        cancel:cancelled,cancelling,canceled
        """.split()
    )
    for form in forms.split(",")
}


@dataclass(frozen=True, slots=True)
class Reading:
    """``words``: all, in order, in small letters; ``stems``: of the same; ``content``: where those stand that carry it.

    ``wh``: the kinds of questions; ``quoted``: strings in quotation marks or backticks; ``named``: identifiers of code.
    """

    words: tuple[str, ...]
    stems: tuple[str, ...]
    content: tuple[int, ...]
    wh: tuple[str, ...]
    numbers: tuple[str, ...]
    negations: int
    quoted: frozenset[str]
    named: frozenset[str]
    asks: bool
    spoken: str

    @property
    def content_stems(self) -> tuple[str, ...]:
        return tuple(self.stems[at] for at in self.content)


def read(text: str) -> Reading:
    """Linear in the length of the text, of which no more than ``CHARACTERS_MAX`` are read."""
    text = " ".join(text[:CHARACTERS_MAX].split())
    spoken = _without_politeness(text)
    lowered = _APOSTROPHE.sub("'", spoken.lower())
    for trace, pattern, plain in _CONTRACTIONS:
        if trace in lowered:
            lowered = pattern.sub(plain, lowered)
    words = tuple(_WORD.findall(lowered)[:WORDS_MAX])
    stems = tuple(stem(word) for word in words)
    return Reading(
        words=words,
        stems=stems,
        content=tuple(at for at, word in enumerate(words) if _is_content(word)),
        wh=_question(words),
        numbers=tuple(_number(word) for word in words if word[0].isdigit() or (word in NUMERALS and word != "one")),
        negations=sum(word in NEGATIONS for word in words),
        quoted=frozenset("".join(parts).strip().lower() for parts in _QUOTED.findall(text)),
        named=frozenset(_NAMED.findall(text)),
        asks="?" in text or (bool(words) and words[0] in WH),
        spoken=" ".join(words),
    )


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its inflection, roughly: equal for most forms of a word, seldom for two words."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(_SUFFIXES):
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= _SHORT:
                word = word[: -len(suffix)]
                if suffix in ("ies", "ied"):
                    word += "y"
                break
    if len(word) > _SHORT and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > _SHORT and word[-1] == "e" else word


def _without_politeness(text: str) -> str:
    """The request alone, but all of it where nothing else would be left."""
    opened = _OPENER.sub("", text, count=1)
    closed = _closed(opened)
    return closed if closed.strip() else text


def _closed(text: str) -> str:
    head, tail = text[:-_CLOSER_CHARACTERS], text[-_CLOSER_CHARACTERS:]
    found = _CLOSER.search(tail)
    return head + tail[: found.start()] if found else text


def _is_content(word: str) -> bool:
    return word not in STOP and word not in WH and not word[0].isdigit() and (len(word) > 1 or word == "c")


def _number(word: str) -> str:
    if word in NUMERALS:
        return NUMERALS[word]
    plain = word.replace(",", "")
    return plain.lstrip("0") or "0"


def _question(words: Sequence[str]) -> tuple[str, ...]:
    """The kinds of questions asked, in order: `how` with what it measures (many, much, long, old, ...)."""
    kinds = []
    for at, word in enumerate(words):
        if word not in WH:
            continue
        following = words[at + 1] if at + 1 < len(words) else ""
        if word == "how" and following in _MEASURES:
            kinds.append(f"how {following}")
        else:
            kinds.append("who" if word in ("whom", "whose") else word)
    return tuple(kinds)


_MEASURES = frozenset("many much long old far big tall high deep often fast soon large heavy".split())
