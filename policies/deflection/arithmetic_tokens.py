"""The words and signs that arithmetic is written with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction
from itertools import pairwise

from policies.deflection.numbers import DENOMINATORS, NUMBER_WORDS, VULGAR, cardinal, from_digits

_TOKEN = re.compile(
    r"\s*(?:(?P<ordinal>[0-9]{1,4}(?:st|nd|rd|th)\b)|(?P<vulgar>[0-9]{0,9}[" + "".join(VULGAR) + r"])"
    r"|(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<word>[a-z]+(?:'[a-z]+)?)|(?P<sign>\*\*|[-+*/÷^()=%√$€,]))"
)
_OPERATORS = {
    ("plus",): "+",
    ("added", "to"): "+",
    ("minus",): "-",
    ("take", "away"): "-",
    ("less",): "-",
    ("times",): "*",
    ("multiplied", "by"): "*",
    ("multiplied", "buy"): "*",
    ("multiplied", "with"): "*",
    ("multiply", "by"): "*",
    ("multipled", "by"): "*",
    ("mutiplied", "by"): "*",
    ("multiplied",): "*",
    ("multiply",): "*",
    ("time",): "*",
    ("x",): "x",
    ("devided", "by"): "÷",
    ("divided", "by"): "÷",
    ("divided", "buy"): "÷",
    ("divide", "by"): "÷",
    ("over",): "over",
    ("mod",): "mod",
    ("modulo",): "mod",
    ("percent",): "%",
    ("per", "cent"): "%",
    ("equals",): "equals",
    ("is", "equal", "to"): "=",
    ("dollars",): "$ after",
    ("dollar",): "$ after",
    ("bucks",): "$ after",
    ("euros",): "€ after",
    ("euro",): "€ after",
}
_TOKENS_MAX = 48
_AFTER_A_NUMBER = {
    ("multiply",),
    ("multiplied",),
    ("time",),
    ("less",),
    ("take", "away"),
}  # elsewhere they are other words
_LONGEST = max(map(len, _OPERATORS))
# What the forms of a question are made of: any other word ends the reading at once.
_FORM_WORDS = frozenset(
    "a add addition among and average away be between by can cube cubed deduct difference divide divided division do"
    " does double even equal factorial fit from go goes half how if in into is many mean multiplication multiply"
    " negative of off one parts percentage pi pieces power product quotient raise raised remainder root split square"
    " squared subract subtract subtracted subtraction sum take the to together total triple twice up ways what when"
    " will with".split()
)
_KNOWN = _FORM_WORDS | NUMBER_WORDS | {word for words in _OPERATORS for word in words}


class Kind(Enum):
    NUMBER = auto()
    SIGN = auto()
    WORD = auto()
    ORDINAL = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """``is_tight``: nothing stands between it and its neighbours; ``has_and``: a number said with an "and"."""

    kind: Kind
    text: str
    value: Fraction = Fraction(0)
    is_tight: bool = False
    has_and: bool = False


def tokens_of(line: str) -> list[Token] | None:
    """None where a character or the way that two things touch belongs to no arithmetic: 1,5 or 5k or 1.2.3."""
    spaced = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", line)
    found: list[tuple[str, str, int, int]] = []
    at = 0
    while at < len(spaced):
        if len(found) > _TOKENS_MAX:
            return None
        token = _TOKEN.match(spaced, at)
        if token is None:
            return None if spaced[at:].strip() else _merged(found)
        kind = str(token.lastgroup)
        if kind == "word" and token.group(kind) not in _KNOWN:
            return None
        found.append((kind, token.group(kind), token.start(kind), token.end()))
        at = token.end()
    if any(_touch_wrongly(left, right) for left, right in pairwise(found)):
        return None
    return _merged(found)


def _touch_wrongly(left: tuple[str, str, int, int], right: tuple[str, str, int, int]) -> bool:
    if left[3] != right[2]:
        return False
    if right[1] == ",":  # a list has a space behind its commas, which the next pair sees
        return False
    if left[1] == "," and right[0] != "word":
        return True
    if left[1] == "0" and right[1] == "x":  # 0x10 is sixteen
        return True
    both = {left[0], right[0]}
    is_times = "x" in (left[1], right[1])  # 2x4: what it means is judged later
    return "sign" not in both and not is_times


def _merged(found: Sequence[tuple[str, str, int, int]]) -> list[Token]:
    """Number words become one number, operators of several words one sign."""
    texts = [text for _, text, _, _ in found]
    tokens: list[Token] = []
    at = 0
    while at < len(found):
        kind, text, start, end = found[at]
        before = found[at - 1][3] if at else -1
        after = found[at + 1][2] if at + 1 < len(found) else -1
        is_tight = before == start and after == end
        step = 1
        if kind == "sign":
            tokens.append(Token(Kind.SIGN, {"**": "^"}.get(text, text), is_tight=is_tight))
        elif kind == "ordinal":
            tokens.append(Token(Kind.ORDINAL, text, Fraction(int(text[:-2]))))
        elif kind == "vulgar":
            tokens.append(Token(Kind.NUMBER, text, (from_digits(text[:-1]) or 0) + VULGAR[text[-1]]))
        elif (number := cardinal(texts[at : at + 24])) is not None:
            shown = text if number.words == 1 and kind == "number" else ""
            tokens.append(Token(Kind.NUMBER, shown, number.value, has_and=number.has_and))
            step = number.words
        elif operator := _operator(texts, at, follows_number=bool(tokens) and tokens[-1].kind is Kind.NUMBER):
            sign, step = operator
            tokens.append(Token(Kind.SIGN, sign, is_tight=is_tight))
        else:
            tokens.append(Token(Kind.WORD, text))
        at += step
    return tokens


def _operator(texts: Sequence[str], at: int, *, follows_number: bool) -> tuple[str, int] | None:
    for count in range(_LONGEST, 0, -1):
        words = tuple(texts[at : at + count])
        if words in _OPERATORS and (follows_number or words not in _AFTER_A_NUMBER):
            return _OPERATORS[words], count
    return None


def denominator(token: Token) -> int | None:
    """Of a fraction that is said: thirds, quarters."""
    return DENOMINATORS.get(token.text) if token.kind is Kind.WORD else None
