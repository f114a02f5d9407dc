"""What the words of a short question say: what it is about, its polarity, and what kind of question it is.

For English, as people type it to a support chat. All lists are of common words, none of any one subject.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CHARACTERS_MAX = 400  # a longer message says more than one question of a list does
_WORD = re.compile(r"[^\W\d_][^\W_]*(?:'[^\W\d_]+)?|\d+|[+#%$€£¥=*]")
_LATIN_LAST = "\u024f"
_PLACEHOLDER = re.compile(r"<\w{1,20}>")  # what stands in for a number or a name that was masked
_APOSTROPHES = str.maketrans({"’": "'", "`": "'", "´": "'"})

# Words that carry no subject: grammar, politeness, and what every request is made of.
_EMPTY = frozenset(
    """a an the i me my mine we us our you your yours u ur he she it its they them their this that these those there
    here is am are was were be been being do does did doing done have has had having will would shall should can could
    may might must to of in on at for from by with about into as and or but if then than so just also too very really
    please pls plz kindly sir madam mam dear hi hello hey ok okay thanks thank what which who whom whose when where
    why how want wanna need like know tell help get got let give im i'm ive i've id i'd ll ve re s t m d some any
    all""".split()
)
_NEGATION = frozenset(
    """not no never none nothing neither nor without unable cannot cant dont doesnt didnt isnt wasnt arent wont couldnt
    wouldnt shouldnt havent hasnt hadnt aint nt nahi nai""".split()
)
_PROBLEM = frozenset(
    """problem problems issue issues error errors fail failed fails failing failure wrong incorrect trouble stuck broken
    unable blocked rejected declined denied refused missing lost restricted restricting stopped suspended expired
    invalid crash crashed unsuccessful pending delayed delay late""".split()
)
_DONE = frozenset(
    """already completed cancelled canceled received got verified refunded returned delivered updated rejected
    approved""".split()
)
_REVERSAL = frozenset(
    """remove delete cancel stop disable undo deactivate close unsubscribe withdraw reverse revert block""".split()
)
# Function words of other languages that no English message has: the vectors know English only. So with other scripts.
_FOREIGN = frozenset(
    """kya hai hain kar karna karne karo kaise kese mera meri mujhe muje hoga hogi raha rahi rha gaya gya mein kab kyu
    kyo kyon aap apka aapka aur bhi abhi liye lene dijiye batao jata jaye kitna kitne kitni una esta como para por que
    cuando donde puedo quiero je vous avec mon votre quand puis und ich nicht wie eine kann mein wann het een niet mijn
    hoe saya tidak bagaimana sono posso quando perche voglio meu minha quero nao nasil bir icin""".split()
)
_KINDS = {
    "way": re.compile(
        r"\bhow (?:to|do|does|can|could|should|will|would)\b|\b(?:process|procedure|steps|way)\b",
    ),
    "reason": re.compile(r"\b(?:why|reason|reasons)\b"),
    "time": re.compile(
        r"\b(?:when|how long|how soon|what time|times? takes?|time taken|how (?:many|much) "
        r"(?:time|times|hours?|days?|weeks?|months?))\b"
    ),
    "amount": re.compile(r"\b(?:how (?:many|much)|price|prices|cost|costs|charges?|fees?)\b"),
    "place": re.compile(r"\b(?:where|location)\b"),
    "person": re.compile(r"\bwhom?\b"),
    "use": re.compile(
        r"\bhow (?:can|do|to|should)(?: i| we)? (?:use|take|consume|eat)\b|\bconsumed?\b|\bcan i (?:use|take)\b"
    ),
    "safety": re.compile(r"\b(?:safe|safety|harmful|dangerous|side effects?)\b"),
    "change": re.compile(r"\b(?:change|edit|update|modify)\b"),
    "condition": re.compile(r"\b(?:if|in case)\b"),
    "already": re.compile(r"\balready\b"),
    "still": re.compile(r"\b(?:still|yet)\b"),
    "again": re.compile(r"\b(?:again|another|second time)\b"),
}
_ENDINGS = (
    ("ies", "y"),
    ("ied", "y"), ("sses", "ss"), ("ations", "ate"), ("ation", "ate"), ("ings", ""), ("ing", ""), ("ments", ""),
    ("ment", ""), ("edly", ""), ("ed", ""), ("ers", "er"), ("es", ""), ("ly", ""), ("s", ""),
)  # fmt: skip
_STEM_CHARACTERS_MIN = 3
_SPELT_CHARACTERS_MIN = 4


@dataclass(frozen=True, slots=True)
class Polarity:
    """What turns a question into another about the same thing, and so must be the same in both."""

    negation: bool
    problem: bool
    completion: bool
    reversal: bool


@dataclass(frozen=True, slots=True)
class Wording:
    """One text, read: ``content`` are the stems of what it is about, ``kinds`` what it asks for."""

    words: tuple[str, ...]
    content: frozenset[str]
    numbers: frozenset[str]
    foreign: frozenset[str]  # words that are not English
    kinds: frozenset[str]
    polarity: Polarity


def read(text: str) -> Wording:
    """The wording of a text, of its first CHARACTERS_MAX characters."""
    lowered = _PLACEHOLDER.sub(" ", text[:CHARACTERS_MAX].lower().translate(_APOSTROPHES))
    words = _WORD.findall(lowered)
    bare = {word.replace("'", "") for word in words}
    plain = " ".join(words)
    return Wording(
        words=tuple(words),
        content=frozenset(
            stem(word) for word in words if word not in _EMPTY and word.replace("'", "") not in _NEGATION
        ),
        numbers=frozenset(word for word in words if word.isdigit()),
        foreign=frozenset(word for word in bare if word in _FOREIGN or max(word) > _LATIN_LAST),
        kinds=frozenset(kind for kind, pattern in _KINDS.items() if pattern.search(plain)),
        polarity=Polarity(
            negation=not bare.isdisjoint(_NEGATION),
            problem=not bare.isdisjoint(_PROBLEM),
            completion=not bare.isdisjoint(_DONE),
            reversal=not bare.isdisjoint(_REVERSAL),
        ),
    )


def stem(word: str) -> str:
    """A word without its ending, so that forms of it are equal; the result need not be a word."""
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_CHARACTERS_MIN and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > _STEM_CHARACTERS_MIN and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] if len(word) > _STEM_CHARACTERS_MIN and word.endswith("e") else word


def is_misspelt(one: str, other: str) -> bool:
    """Whether they differ by one letter: changed, left out, added, or swapped with the next; not the first one."""
    if len(one) > len(other):
        one, other = other, one
    if len(one) < _SPELT_CHARACTERS_MIN or len(other) - len(one) > 1 or one[0] != other[0]:
        return False
    at = next((index for index in range(len(one)) if one[index] != other[index]), len(one))
    if len(one) < len(other):
        return one[at:] == other[at + 1 :]
    swapped = one[at + 1 : at + 2] == other[at : at + 1] and one[at : at + 1] == other[at + 1 : at + 2]
    return one[at + 1 :] == other[at + 1 :] or (swapped and one[at + 2 :] == other[at + 2 :])
