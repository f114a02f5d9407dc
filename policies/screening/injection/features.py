"""What is weighed of a text: the rules that fired."""

from __future__ import annotations

import re
from itertools import repeat

from policies.screening.injection import rules
from policies.screening.injection.lexicon import CIPHERED, LINE_END, NOTHING, OWN, concepts
from policies.screening.injection.reading import read
from policies.screening.injection.strangers import has_stranger

RESPELT_MIN = 3
DISGUISES_MIN = 2  # fewer happen by chance: a name, a formula

# Behind "to" (but "you have to"), "not", a person, or a person and a word.
_OWN = re.compile("[xv](?:(?<=d.)|(?<=w.)|(?<=w[^/;].)|(?<=h.)(?<!uh.)(?<!umh.))")


def examine(text: str) -> frozenset[str]:
    """The names of the rules that fired."""
    reading = read(text)
    sequence = sequence_of(reading.words)
    fired = rules.forms().match(sequence.encode()) | reading.marks
    fired.update(rules.dense(sequence))
    if reading.is_encoded:
        fired.add("encoded")
    if reading.disguises >= DISGUISES_MIN:
        fired.add("disguised")
    if reading.respelt >= RESPELT_MIN:
        fired.add("respelt")
    if sequence.count(CIPHERED) >= DISGUISES_MIN:
        fired.add("ciphered")
    if "document" in fired and "requests" in fired and has_stranger(reading.words, sequence):
        fired.add("stranger")
        fired.discard("asks")  # it is the stranger that asks
    fired.update(rules.pairs(fired))
    if "override_prior" in fired:
        fired.discard("override")
    return frozenset(fired)


def sequence_of(words: list[str]) -> str:
    """One letter for each word, behind a line end."""
    table = concepts()
    sequence = LINE_END + "".join(map(table.get, words, repeat(NOTHING)))
    return _OWN.sub(lambda found: OWN[found[0]], sequence)
