"""Requests that have nothing to do with the mail or the table that they stand in.

People ask about a mail before or behind it, and point to it. What stands within one, or asks there for something of its
own ("What is the capital of Brazil?"), is somebody else's.
"""

from __future__ import annotations

import re
from collections import Counter

from policies.screening.injection.lexicon import LETTERS, LINE_END, NOTHING, SENTENCE_END

WORDS_MAX = 4_000  # of a text, looked at from its beginning
DOCUMENT_WORDS_MIN = 25  # besides the request
WITHIN_WORDS_MIN = 6  # before and behind it
REQUEST_WORDS_MAX = 30
REQUESTS_MAX = 3  # a text with more is no document but instructions
TOPIC_WORDS_MIN = 2
_STEM, _WORD_MIN = 5, 4

# Whoever asks about a document points to it.
_POINTS = frozenset(
    """this these those following subsequent above below given here it its they it them their he she his her everyone
    email emails mail mails sender recipient subject table tables row rows column columns document documents text texts
    letter message messages passage article paragraph paragraphs sentence sentences word words data entry entries list
    report invoice thread meeting snippet function output content contents such same""".split()
)
_OWN = frozenset("i me my we us our mine".split())
_NAMES = frozenset(("of", "between"))  # "the theory of relativity"
_ABOUT = frozenset("about on regarding concerning describing how".split())
# Of no document's topic: what people have done to any.
_TASKS = frozenset(
    """summary summarize bullet points short shorter brief briefly long longer polite politely formal formally friendly
    professional reply answer response draft write rewrite translate translation english german french spanish italian
    japanese chinese portuguese dutch russian korean grammar spelling tone style explain describe step steps simple
    terms total average mean median maximum minimum highest lowest largest smallest most least percentage percent number
    count many much more less than rank sort order chart graph plot json yaml html markdown python script code excel
    formula class label spam urgent important action items deadline date dates name names people title headline
    please should would could with from into that what which when where about each every there have does please make
    give show tell need want only also just very same between your tomorrow today monday tuesday wednesday thursday
    friday saturday sunday week month year morning afternoon evening sorry thank thanks saying telling asking""".split()
)

_ENDS = f"{LINE_END}{SENTENCE_END}"
_ASKS = "".join(LETTERS[name] for name in ("about", "make", "reveal", "translate", "edit", "solve"))
_REQUEST = re.compile(
    f"(?<=[{_ENDS}])(?:{LETTERS['please']}?([{re.escape(_ASKS)}])|{LETTERS['must']}{LETTERS['you']}|{LETTERS['person']})"
    f"[^{_ENDS}]*+"
)


def has_stranger(words: list[str], sequence: str) -> bool:
    """Whether a sentence asks for what no other word of the text is about.

    ``sequence``: the letter of each word, behind a line end.
    """
    words = words[:WORDS_MAX]
    requests = [
        found
        for found in _REQUEST.finditer(sequence, 0, len(words) + 1)
        if found[0][0] != LETTERS["person"] or words[found.start() - 1] == "who"
    ]
    if not 0 < len(requests) <= REQUESTS_MAX:
        return False
    stems = Counter(word[:_STEM] for word in words)
    return any(_is_strange(found, words, stems) for found in requests)


def _is_strange(request: re.Match[str], words: list[str], stems: Counter[str]) -> bool:
    start, stop = request.start() - 1, request.end() - 1
    asked = words[start:stop]
    if len(asked) > REQUEST_WORDS_MAX or len(words) - len(asked) < DOCUMENT_WORDS_MIN or not _POINTS.isdisjoint(asked):
        return False
    is_within = start >= WITHIN_WORDS_MIN and len(words) - stop >= WITHIN_WORDS_MIN
    if not is_within and not _is_of_its_own(asked, request[1]):
        return False
    topic = Counter(
        word[:_STEM]
        for word, letter in zip(asked, request[0], strict=True)
        if letter == NOTHING and len(word) >= _WORD_MIN and word not in _TASKS
    )
    return len(topic) >= TOPIC_WORDS_MIN and all(stems[stem] <= count for stem, count in topic.items())


def _is_of_its_own(asked: list[str], letter: str | None) -> bool:
    """A question of general knowledge, or something to be written about a subject that it names."""
    if not _OWN.isdisjoint(asked) and asked[:3] != ["how", "do", "i"]:
        return False
    # "The outage" is one that was told of, "the theory of relativity" is not.
    if any(word == "the" and _NAMES.isdisjoint(asked[at + 2 : at + 5]) for at, word in enumerate(asked[:-1])):
        return False
    return letter in (LETTERS["about"], None) or (letter == LETTERS["make"] and not _ABOUT.isdisjoint(asked))
