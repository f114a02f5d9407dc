"""Forms that orders to a model have, as patterns over concepts (lexicon.py).

In a pattern a word is a concept, ``a|b`` either, ``a?`` one that may be missing, ``..3`` up to three words of any
meaning on the same line, ``^`` the beginning of a sentence, ``$`` its end and the text's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from policies.screening.injection.lexicon import LETTERS, LINE_END, SENTENCE_END
from policies.screening.injection.marks import MARKS
from policies.screening.injection.matching import Matcher

_FORMS = {
    "override_prior": (
        "override ..3 prior|system ..2 rules|limits|content|task|training",
        "override ..2 your ..2 rules|limits|training|task",
        "override ..2 rules|content|limits ..3 prior",
        "override ..2 rules ..3 you",
        "override ..1 all ..2 rules|prior",
        "override ..1 content ..2 prior|know|you|system",
        "not ..1 do ..3 prior|your|system ..2 rules|content",
        "stop ..3 prior|your|system ..2 rules",
        "not urgent ..1 to ..4 rules|content|prior",
        "not urgent ..1 to ..4 prior|system|your",
        "prior ..1 content|rules ..8 be off",
        "know ..2 override",
        "override ..3 know",
        "prior|your|all ..1 rules ..4 override|off",
        "prior|all ..1 content ..2 override",
        "rules ..2 not ..1 apply",
        "rules ..2 be ..1 off|override",
    ),
    "override_all": (
        "^ please? override ..1 content",
        "please|now|must override ..1 content|prior|all",
        "override ..1 content ..1 please|now ..3 make|reveal|answer|do",
        "override prior ..1 please|now|make|reveal|answer|do",
        "override ..1 the prior",
    ),
    "override": ("override ..4 rules|limits", "override ..2 content|prior", "override ..2 task", "override ..1 system"),
    "new_task": (
        "your|you|now ..1 new ..1 task|rules|system",
        "new task|rules be",
        "new task|rules line",
        "^ new rules|task ..3",
        "now ..2 do ..2 task",
        "only|now ..3 new ..1 task|rules",
    ),
    "reveal_prompt": (
        "reveal|make ..4 your|system ..2 rules|training",
        "reveal ..3 prior rules",
        "reveal ..3 rules ..3 you|your|system|prior",
        "reveal ..3 content ..1 prior",
        "reveal ..2 prior content",
        "about ..3 your ..2 system|prior ..1 rules",
        "about ..2 be ..1 your ..1 rules",
        "about ..2 rules ..1 be ..1 you",
        "about ..4 in your ..2 rules",
        "translate ..2 your|system ..2 rules",
        "reveal ..3 system ..1 rules|content|secret",
        "edit|answer ..2 your ..1 system|prior ..1 rules",
    ),
    "reveal_secret": (
        "reveal ..3 the|your|system ..1 secret",
        "about ..1 be ..1 the|your ..1 secret",
        "reveal ..3 your ..2 training|secret",
    ),
    "persona": (
        "you be now",
        "now be you",
        "^ please? now you be",
        "now on ..3 you",
        "from the ..1 on ..4 you",
        "act ..2 as ..2 you ..3 be|must",
        "you ..3 must ..4 act ..2 as",
        "you must ..1 act",
        "now you must|act",
        "you be ..1 not ..1 longer|the ..2 model",
        "override ..2 you be",
    ),
    "act_as": ("act ..1 as", "act ..2 you", "act to ..1 be"),
    "unbound": (
        "not ..3 limits",
        "free ..3 limits|rules|ethics",
        "unbound",
        "not ..2 rules ..1 please|not|limits|ethics",
        "limits ..2 not|off",
    ),
    "no_ethics": (
        "not ..4 ethics",
        "ethics ..2 please|not ..2 ethics",
        "ethics ..2 limits",
        "limits ..2 ethics",
        "rules ..2 ethics",
    ),
    "unbound_model": (
        "unbound|wicked ..3 model",
        "model ..6 unbound|wicked",
        "unbound|wicked ..2 mode|answer",
        "model ..8 not ..3 limits|rules|ethics",
        "act ..12 not ..3 limits|rules|ethics",
        "act ..10 unbound|wicked",
        "you ..6 not ..2 limits|ethics",
        "answer ..6 not ..3 limits|ethics|refuse",
    ),
    "do_anything": ("do content now", "do content ..4 limits", "must ..1 do|make|reveal content ..3 person"),
    "mode": (
        "unbound mode",
        "authority mode",
        "on_switch ..3 mode",
        "mode ..2 on_switch",
        "you be ..2 in ..3 mode",
        "mode ..1 answer",
    ),
    "two_answers": ("two ..3 answer", "answer ..4 two ..2 mode|answer"),
    "no_refusal": (
        "not ..2 refuse",
        "not ..2 answer ..4 not|limits",
        "not ..2 reveal ..4 not",
        "not ..2 model ..3 not",
        "not ..1 off ..1 mode",
        "not ..2 mode",
        "refuse ..3 not",
        "must ..2 do|answer ..3 all",
    ),
    "coerced_answer": (
        "^ only ..1 reveal|answer|make",
        "please|now|must|you only ..1 reveal|answer|make",
        "answer ..1 only",
        "begin ..3 answer ..3 sure|as|line",
        "answer ..3 begin",
        "answer ..3 all ..2 the",
        "answer ..3 sure",
        "reveal after person",
        "not ..1 reveal ..2 content ..2 only",
    ),
    "pwned": ("pwned",),
    "authority": (
        "person be ..2 authority",
        "person ..3 authority ..1 you|to",
        "authority ..1 urgent|on_switch",
        "as ..2 authority ..3 person|you",
    ),
    "safety_off": ("off|override ..3 limits", "off ..2 rules", "limits ..3 off"),
    "to_the_model": (
        "if ..2 you ..1 be ..2 model",
        "model ..4 read",
        "urgent ..2 rules|content ..2 to|for|you ..2 model|you|system",
        "urgent ..3 override",
        "urgent ..1 new ..1 rules",
        "content ..1 to|for ..2 model",
        "prior ..3 do|your ..3 task|rules ..2 you|reveal|make|must|do",
        "model ..2 if ..1 you",
    ),
    "edits_answer": (
        "edit|make ..7 in|to your ..1 answer|content",
        "edit|make|reveal ..2 your ..2 answer|content",
        "your answer ..3 edit|must",
        "in your answer",
        "translate ..3 your ..1 answer",
        "if you answer",
    ),
    "inserts_code": (
        "edit ..6 the ..2 code ..1 block|code",
        "the code block|code ..3 in|to ..3 your",
        "edit ..3 the ..1 code ..3 in|to ..2 your",
        "edit ..3 the code ..1 block",
    ),
    "agreed": (
        "you|person ..2 agree ..5 answer|override|limits|act|translate|unbound|person",
        "prior ..1 content ..4 agree",
    ),
    "decode": ("translate ..5 do", "do ..5 translate"),
    "fiction": (
        "fiction ..8 not ..3 limits|rules|ethics",
        "fiction ..10 unbound",
        "fiction ..6 limits",
        "act ..6 fiction",
        "if ..4 not ..3 limits|rules",
    ),
}
# What asks about such forms, and what people do themselves: these only ever make a text look more harmless.
CONTEXTS = {
    "asks": ("^ about $", "^ must|be ..1 you|person $"),
    "person_overrides": ("own_override",),
    "about_it": ("about ..3 override|own_override", "about ..4 unbound", "about ..4 in ..1 rules about"),
}

# Rules that say more where both fired.
_PAIRS = {
    "ordered_payload": ("payload", "run_payload"),
    "document_edit": ("edits_answer", "document"),
    "document_code": ("inserts_code", "fence"),
    "disguised_override": ("disguised", "override"),
    "persona_unbound": ("persona", "unbound"),
    "mode_unbound": ("mode", "unbound"),
}
# Of no weight alone.
SILENT = frozenset({"document", "fence"})
CONTEXT_RULES = frozenset([*CONTEXTS, "quotes_it"])
RULES = (*_FORMS, *CONTEXTS, *MARKS, *_PAIRS, "encoded", "disguised", "ciphered")

_OTHER_WORDS = {"longer": "[.n]", "line": LINE_END, "^": f"[{LINE_END}{SENTENCE_END}]"}
_SAME = f"[^{LINE_END}]"


@cache
def forms() -> Matcher:
    """Over the letters of a text, which begins with a line end."""
    return Matcher({name: "|".join(map(_expression, patterns)) for name, patterns in {**_FORMS, **CONTEXTS}.items()})


def pairs(fired: set[str]) -> Iterator[str]:
    return (name for name, both in _PAIRS.items() if fired.issuperset(both))


def _expression(pattern: str) -> str:
    return "".join(map(_part, pattern.split()))


def _part(part: str) -> str:
    if part.startswith(".."):
        return f"{_SAME}{{0,{part[2:]}}}"
    if part == "$":
        return f"[^{LINE_END}{SENTENCE_END}]*[{LINE_END}{SENTENCE_END}]?$"
    optional, part = part.endswith("?"), part.rstrip("?")
    letters = [_OTHER_WORDS.get(name) or re.escape(LETTERS[name]) for name in part.split("|")]
    return f"(?:{'|'.join(letters)}){'?' if optional else ''}"
