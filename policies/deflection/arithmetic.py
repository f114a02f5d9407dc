"""Arithmetic: "what is 15% of 80", "twelve times seven", exactly, where nothing else is asked.

Rationals are exact, so .1 + .2 is 0.3; roots and endless decimals are rounded and marked ≈. Whatever may be meant in
two ways is not answered: 6/2(1+2), 1,5 + 2, 100 + 10%; nor what may be no calculation at all: 10/12/2024, 24/7, 2x4.
"""

from __future__ import annotations

import re

from policies.deflection.arithmetic_forms import Forms
from policies.deflection.arithmetic_parser import Asked
from policies.deflection.arithmetic_tokens import Kind, Token, tokens_of
from policies.deflection.exact import NotComputed
from policies.deflection.numbers import NUMBER_WORDS, VULGAR
from policies.deflection.text import core

_WHAT = re.compile(
    r"what (?:do|would|will) (?:you|i|we) get (?:when|if) (?:you|i|we)\s+"
    r"|how (?:do|can|would) (?:i|you|we) (?:get|find) the (?:answer|result|value) (?:to|of|for)\s+"
    r"|(?:if|when) (?:you|i|we)\s+"
    r"|(?:so )?(?:what is|what's|whats|what are|what does|what do|what would|what will|what was|what number is|what|is"
    r"|can you|could you|would you|will you|can u|please|do you know)\s+"
)
_HOW_MUCH = re.compile(r"how (?:much|many) (?:is|are|does|would|will|do|would be)\s+")
_CALCULATE = re.compile(
    r"(?:calculate|compute|solve|evaluate|work out|figure out|find out|find|determine|do|answer|get|give|tell"
    r"|(?:the )?(?:math|maths|calculation|equation|problem|math problem|expression)(?: for| of)?:?)\s+"
)
_BY_NAME = re.compile(r"(?:the )?(?:correct |exact )?(?:value|answer|result|solution)(?: to| of| for)\s+")
_ENDING = re.compile(
    r"\s*(?:=|= ?\?|\bis|\bbe|\bequals?|\bequal to|\bequals? what|\bis what|\bis how much|\bis equal to"
    r"|\bis equal to what|\bmake|\bcome to|,? what (?:do|would) (?:you|i|we) get|,? what is the (?:answer|result)"
    r"|,? how much is (?:it|that)|,? what is (?:it|that))$"
)
_STORIES = (
    (
        re.compile(
            r"if (?:something|an item|it) (?:is|costs) (?P<off>[0-9.]+ ?(?:%|percent) off (?:of )?[$€]?[0-9.,]*[0-9])"
            r"(?: dollars)?,? (?:then )?(?:how much is it|how much does it cost|what is the price|what does it cost)"
        ),
        r"\g<off>",
    ),
    (
        re.compile(
            r"if i (?:win|have|get|make) (?P<all>[$€]?[0-9.,]*[0-9])(?: dollars)?,? "
            r"(?:how do i|how can i|how would i|and) (?:split|divide) it (?P<ways>[0-9a-z]+) ways"
        ),
        r"split \g<all> \g<ways> ways",
    ),
    (
        re.compile(r"how many (?P<part>[0-9]{1,9})s go into (?P<all>[0-9]{1,12})"),
        r"how many times does \g<part> go into \g<all>",
    ),
)
_OFFERED = re.compile(
    r"(?:(?:i need|(?<!do )i have|for|(?:can|could|will|would|need) you|please|help|assistance|me|your?|my|with|to|in"
    r"|on|do|doing|solve|answer|a|an|some|this|the|these|math|maths|mathematical|arithmetic|calculations?|problems?"
    r"|questions?|equations?|if you can)(?: |$))+"
)
_MATHS = re.compile(r"\b(?:math|maths|mathematical|arithmetic|calculations?)\b")
_WISH = re.compile(r"\b(?:i have|help|assistance|solve|answer|do)\b(?! you)")
_NUMBER = re.compile(
    rf"[0-9{''.join(VULGAR)}]|\b(?:{'|'.join(sorted(NUMBER_WORDS - {'and', 'point'}))}|pi)\b", re.IGNORECASE
)
# 2 + 3! may be a factorial or a cry, 5 +- 3 a tolerance, twenty -five one number or two.
_TWO_WAYS = re.compile(r"[0-9)]\s*!|\+-|[a-z](?: -|- )[a-z]", re.IGNORECASE)
_ROUNDS = 5


def arithmetic(line: str) -> str | None:
    """The calculation and its result; None unless the whole line is one calculation."""
    if _TWO_WAYS.search(line):
        return None
    if not _NUMBER.search(line):
        return "Gladly: what is the calculation?" if _is_without_calculation(line.lower().strip(" ?.!")) else None
    question = core(line).lower()
    for story, short in _STORIES:
        question = story.sub(short, question) if story.fullmatch(question) else question
    asked, expression = _asked(question)
    tokens = tokens_of(expression)
    if not tokens or all(token.kind is not Kind.NUMBER and token.text != "pi" for token in tokens):
        return None
    if _may_be_no_calculation(tokens, asked):
        return None
    try:
        return Forms(tokens, asked).answer()
    except NotComputed:
        return None


def _is_without_calculation(line: str) -> bool:
    """Help with a calculation is asked for, which is not there."""
    return bool(_MATHS.search(line) and _WISH.search(line) and _OFFERED.fullmatch(line))


def _asked(question: str) -> tuple[Asked, str]:
    """How clearly a calculation is asked for, and the calculation."""
    asked = Asked.BARELY
    if shorter := _ENDING.sub("", question):
        asked = Asked.OUTRIGHT if question != shorter and question.endswith("=") else asked
        question = shorter
    for _ in range(_ROUNDS):
        if found := _HOW_MUCH.match(question):
            asked = max(asked, Asked.AS_AMOUNT)
        elif found := _WHAT.match(question):
            asked = max(asked, Asked.AS_NAME)
        elif found := _BY_NAME.match(question) or _CALCULATE.match(question):
            asked = Asked.OUTRIGHT
        else:
            break
        question = question[found.end() :]
    return asked, question.removeprefix("the ")


def _may_be_no_calculation(tokens: list[Token], asked: Asked) -> bool:
    """Dates, ranges, scores, sizes, names: 9/11, 2020-2021, 2x4, 50/50, 1-800-555, 120 over 80."""
    numbers = [token.value for token in tokens[::2]]
    signs = tokens[1::2]
    alternate = all(token.kind is Kind.NUMBER for token in tokens[::2]) and len(tokens) % 2 == 1
    if not alternate or not signs or any(token.kind is not Kind.SIGN for token in signs):
        return False
    kinds = {token.text for token in signs}
    if len(kinds) > 1:
        return False
    sign, is_tight, first, second = signs[0].text, all(one.is_tight for one in signs), numbers[0], numbers[1]
    in_words = any(not token.text for token in tokens[::2])
    if sign in "-/" and is_tight and len(signs) > 1:
        return asked < Asked.OUTRIGHT or len(signs) == 2 or any(token.text[:1] == "0" for token in tokens[::2])
    if sign == "x":
        return asked < Asked.OUTRIGHT if is_tight else asked is Asked.BARELY and not in_words
    if asked >= Asked.AS_AMOUNT:
        return False
    if sign == "over":
        return asked is Asked.BARELY or (first >= 60 and 40 <= second <= 150)
    if sign == "-" and (is_tight or asked is Asked.BARELY):
        is_name = is_tight and (1900 <= first <= 2100 or (first == 10 and second == 4))  # 2019-20; 10-4
        return first < second or is_name or (is_tight and asked is Asked.BARELY)
    if sign == "/" and (is_tight or asked is Asked.BARELY):
        is_share = first + second == 100 or not second
        return len(signs) == 1 and (is_share or first <= 31 or (first / second).denominator > 1)
    return False
