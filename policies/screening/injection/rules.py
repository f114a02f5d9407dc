"""Forms that orders to a model have, as patterns over concepts (lexicon.py).

In a pattern a word is a concept, ``a|b`` either, ``a?`` one that may be missing, ``..3`` up to three words of any
meaning in the same sentence, ``..3-you`` none of them a "you", ``...`` any number, ``~3`` up to three words or ends of
sentences, ``^`` the beginning of a sentence, ``$`` its end and the text's.
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
        "^ override ..1 rules",
        "override all ..1 content",
        "rules ..3 urgent ..3 system ..1 rules",
        "override ..1 content ..2 prior|know|you|system",
        "not ..1 do ..3 prior|your|system ..2 rules|content",
        "stop ..4 prior|your|system ..2 rules|limits",
        "not do ..1 content ..5 prior",
        "not urgent ..1 to ..4 rules|content|prior",
        "not urgent ..1 to ..4 prior|system|your",
        "prior ..1 content|rules ... be off",
        "know ..2 override",
        "override ..3 know",
        "prior|your|all ..1 rules ..4 override|off",
        "prior|all ..1 content ..2 override",
        "rules ..2 not ..1 apply",
        "rules ..2 be ..1 off|override",
        "despite ..3 prior|your|system ..2 rules|training",
        "despite ..2 you ..2 content|prior|rules",
        "off ..1 your ..1 rules|training",
        "off ..1 all ..1 prior ..1 task|rules|content",
        "own_override ..1 your ..2 rules|limits",
        "your ..1 rules be now",
    ),
    "override_all": (
        "^ please? override ..1 content",
        "please|now|must override ..1 content|prior|all",
        "override ..1 content ..1 please|now ..3 make|reveal|answer|do",
        "override prior ..1 please|now|make|reveal|answer|do",
        "override ..1 the prior",
        "override ..1 prior|the $",
    ),
    "override": ("override ..4 rules|limits", "override ..2 content|prior", "override ..2 task", "override ..1 system"),
    "new_task": (
        "your|you|now ..1 new ..1 task|rules|system",
        "new task|rules be",
        "new task|rules line",
        "^ new rules|task ..3",
        "now ..2 do ..2 task",
        "only|now ..4 new ..1 task|rules",
        "only|now do ..1 person ..1 rules|content",
        "not ..1 answer ..3 content ~3 only|make|reveal",
        "not ..3 the content ..2 only ..1 answer|make|reveal",
        "^ stop make|reveal|answer",
    ),
    "reveal_prompt": (
        "reveal ... your ..2 rules|training",
        "make ..4 your ..1 system|prior|all ..1 rules",
        "reveal|make ..3 system rules|content",
        "make ..1 the content prior",
        "begin ..2 answer ..1 you be",
        "reveal ..3 prior rules",
        "reveal ..3 rules ..3 you|your|system|prior",
        "reveal ..3 content ..1 prior",
        "reveal ..2 prior content",
        "about ..1 your ..1 system|prior rules",
        "about be ..1 your ..2 rules",
        "about ..2 rules ..1 be ..1 you",
        "about be ..2 rules ..1 you",
        "about ..4 in your ..2 rules",
        "translate ..2 your|system ..2 rules",
        "translate|make ..2 rules ..1 you",
        "reveal ..3 system secret",
        "edit|answer ..2 your ..1 system|prior ..1 rules",
    ),
    "reveal_secret": (
        "reveal ..3 the|your|system ..1 secret",
        "about ..1 be ..1 the|your ..1 secret",
        "reveal ..3 your ..2 training|secret",
        "reveal ..3 training|code ..2 model",
        "reveal ..1 all ..2 training|secret",
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
        "own_override|override ..2 ethics",
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
        "model ... unbound|wicked",
        "unbound|wicked ..2 mode|answer",
        "model ... not ..3 limits|ethics",
        "model ... not ..1 rules|refuse",
        "act ... not ..3 limits|ethics",
        "act ... not ..1 rules",
        "act ... unbound|wicked",
        "you ... not ..2 limits|ethics",
        "answer ... not ..3 limits|ethics|refuse",
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
        "not ..1 reveal ..3 you ..1 not",
        "not ..1 off ..1 mode",
        "not ..2 mode",
        "you must ..2 do|answer ..2 all",
    ),
    "coerced_answer": (
        "^ only ..1 reveal|answer|make",
        "please|now|must|you only ..1 reveal|answer|make",
        "answer ..1 only",
        "begin ..3 answer ..3 as|line",
        "answer ..3 begin",
        "answer ..3 all ..2 the",
        "answer ..3 sure",
        "reveal after person",
        "you ..1 answer ..1 all ..1 content",
        "not ..1 reveal ..2 content ..2 only",
    ),
    "begins_sure": ("begin ..3 answer ..2 sure", "answer ..2 begin ..2 sure"),
    "pwned": ("pwned",),
    "authority": (
        "person be ..2 authority",
        "person ..3 authority ..1 you|to",
        "authority ..1 urgent|on_switch",
        "as ..2 authority ..3 person|you",
    ),
    "safety_off": ("off|override ..3 limits", "off ..2 rules", "limits ..3 off"),
    "to_the_model": (
        "^ if ..1 you ..1 be ..2 model",
        "model ..4 read",
        "urgent ..2 rules|content ..2 to|for|you ..2 model|you|system",
        "urgent ..3 override",
        "urgent ..1 new ..1 rules",
        "content ..1 to|for the? model",
        "prior ..3 do|your ..3 task|rules ..2 you|reveal|make|must|do",
        "model ..2 if ..1 you",
    ),
    "edits_answer": (
        "edit|make ... in|to your ..1 answer|content",
        "edit ..4 your ..1 answer|content",
        "your answer ..3 edit|must",
        "in your answer",
        "translate ..3 your ..1 answer",
        "if you answer",
    ),
    "gives_answer": ("make|reveal ..2 your ..2 answer|content",),
    "inserts_code": (
        "edit ... the ..2 code ..1 block|code",
        "the ..1 code block|code ... your ..2 code|work|answer",
        "your ..1 code|work|answer ... the ..1 code block|code",
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
        "fiction ... not ..3 limits|rules|ethics",
        "fiction ... unbound",
        "fiction ... limits",
        "act ... fiction",
        "if ..4 not ..3 limits|rules",
    ),
    "requests": ("^ please? about|make|reveal|translate|edit|solve", "^ please? must you", "^ please? person"),
}
# Words that stand in a text so often, wherever: who invents a persona speaks much of models, of answers and to "you".
_DENSE = {"speaks_of_models": ("model", 3), "dictates": ("you must", 4), "speaks_of_answers": ("answer", 5)}
# What asks about such forms, and what people do themselves: these only ever make a text look more harmless.
CONTEXTS = {
    "asks": ("^ about $", "^ must|be ..1 you|person $"),
    "person_overrides": ("own_override",),
    "about_it": (
        "about ..3 own_override",
        "about ..3-you override",
        "about ..4 unbound",
        "about ..4 in ..1 rules about",
    ),
}

# Rules that say more where both fired.
_PAIRS = {
    "ordered_payload": ("payload", "run_payload"),
    "document_edit": ("edits_answer", "document"),
    "document_answer": ("gives_answer", "document"),
    "document_code": ("inserts_code", "fence"),
    "disguised_override": ("disguised", "override"),
    "persona_edit": ("edits_answer", "persona"),
    "persona_answer": ("gives_answer", "persona"),
    "encoded_order": ("encoded", "override"),
    "encoded_reveal": ("encoded", "reveal_prompt"),
    "persona_unbound": ("persona", "unbound"),
    "mode_unbound": ("mode", "unbound"),
    "run_disguised": ("run_payload", "disguised"),
}
# Of no weight alone.
SILENT = frozenset({"document", "fence", "edits_answer", "gives_answer", "requests"})
# What people mean well, too, with a mail or a table: enough to look closer, never to refuse.
DOUBTFUL = frozenset({"document_answer", "stranger"})
CONTEXT_RULES = frozenset([*CONTEXTS, "quotes_it"])
RULES = (*_FORMS, *_DENSE, *CONTEXTS, *MARKS, *_PAIRS, "encoded", "disguised", "ciphered", "stranger", "respelt")

_OTHER_WORDS = {"longer": "[.n]", "line": LINE_END, "^": f"[{LINE_END}{SENTENCE_END}]"}
_SAME = f"[^{LINE_END}{SENTENCE_END}]"


@cache
def forms() -> Matcher:
    """Over the letters of a text, which begins with a line end."""
    expressions = [(name, "|".join(map(_expression, patterns))) for name, patterns in {**_FORMS, **CONTEXTS}.items()]
    half = len(expressions) // 2
    return Matcher(dict(expressions[:half]), dict(expressions[half:]))


def dense(sequence: str) -> Iterator[str]:
    """The rules that go by how often words stand in a text."""
    for name, (words, count) in _DENSE.items():
        if sequence.count("".join(LETTERS[word] for word in words.split())) >= count:
            yield name


def pairs(fired: set[str]) -> Iterator[str]:
    return (name for name, both in _PAIRS.items() if fired.issuperset(both))


def _expression(pattern: str) -> str:
    return "".join(map(_part, pattern.split()))


def _part(part: str) -> str:
    if part == "...":
        return f"{_SAME}*"
    if part.startswith("~"):
        return f".{{0,{part[1:]}}}"
    if part.startswith(".."):
        count, _, but = part[2:].partition("-")
        return f"[^{LINE_END}{SENTENCE_END}{LETTERS.get(but, '')}]{{0,{count}}}"
    if part == "$":
        return f"[^{LINE_END}{SENTENCE_END}]*[{LINE_END}{SENTENCE_END}]?$"
    optional, part = part.endswith("?"), part.rstrip("?")
    letters = [_OTHER_WORDS.get(name) or re.escape(LETTERS[name]) for name in part.split("|")]
    return f"(?:{'|'.join(letters)}){'?' if optional else ''}"
