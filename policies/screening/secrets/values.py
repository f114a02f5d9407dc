"""Whether a value looks like a secret by itself: random, and no stand-in that a person wrote where one belongs."""

from __future__ import annotations

import string
from functools import cache
from operator import add

import re2

# The pairs of letters of which most English text is made; names in code are made of the same.
COMMON_PAIRS = """
th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne
ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un lo wa
ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev ld ry mp
fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu rn sc gi da
yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck ew mu br bi pt ak pu ui rg ib
tl ny ki rk ys ob mm fu ph og ms ye ud mb ip ub oi rl gu dr hr cc tw ft wn nu af hu nn eo vo rv nf xp gn sm fl iz ok
nl my gl aw ju oa eq sy sl ps jo lf nv je nk kn gs dy hy ze ks xt bs ik dd pt rp sk xi oe oy ws lv dl rf eu dg wr xa
yi nm eb rb tm xc eh tc ky
"""
# As far as this is looked at: a longer value shows no more.
LOOKED_AT_MAX = 64

_STAND_INS = (
    r"(?i)[$#%]\{|\{\{|\}\}|\$\(|%\(|<[^>]*>?$|^\$\w|%[sdv]\b|^[%@]\w+%?$|\.\.\."
    r"|example|sample|placeholder|change[_-]?(?:me|this|it)|replace|insert|your[_-]?|_here\b|dummy|\bfake|\bmock|redacted|removed"
    r"|[x*#]{6}|^(?:x+|\*+|#+|0+|\.+)$|abcdefghijklmnopqrstuvwxyz|put_|enter_|todo|foobar|lorem|secret[_-]?key$|api[_-]?key$|access[_-]?token$|^my[_-]|^(?:password|passwd|pass|secret|token)[0-9]?=*$"
)
_OVERWRITTEN = r"(?i)example|your|placeholder|redacted|x{8}|\*{4}|#{4}|abcdefghijklmnopqrstuvwxyz"
_FILLING = "xX*#.0_-"
LETTERS = string.ascii_letters.encode()
DIGITS = string.digits.encode()
_DISTINCT_MIN = 7


@cache
def _compiled(pattern: str) -> re2._Regexp:
    return re2.compile(pattern.encode())


def _has(pattern: str, value: str) -> bool:
    return _compiled(pattern).search(value[:LOOKED_AT_MAX].encode("ascii", "replace")) is not None


@cache
def _surprises() -> dict[str, float]:
    """How little a pair of characters is expected of words, names and numbers: 0 to 1. What is missing counts 0."""
    common = set(COMMON_PAIRS.split())
    lower, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
    surprises: dict[str, float] = {}
    for left in lower:
        for right in lower:
            surprise = float(left + right not in common)
            surprises |= {left + right: surprise, left.upper() + right.upper(): surprise}
            surprises |= {left.upper() + right: surprise, left + right.upper(): 0.6}
        for digit in digits:
            surprises |= dict.fromkeys((left + digit, digit + left, left.upper() + digit, digit + left.upper()), 1.0)
    return surprises | {left + right: 0.5 for left in digits for right in digits}


def count(value: str, characters: bytes) -> int:
    """How many of its characters are among these."""
    seen = value.encode("ascii", "replace")
    return len(seen) - len(seen.translate(None, characters))


def surprise(value: str) -> float:
    """The summed surprise of its pairs: a random value has about 0.7 for each character, words and dates 0.2."""
    value = value[:LOOKED_AT_MAX]
    surprises = _surprises()
    return sum(filter(None, map(surprises.get, map(add, value, value[1:]))))


def is_random(value: str, surprise_min: float = 5.0, share_min: float = 0.5) -> bool:
    """With digits and letters, and far enough from words, names, dates and versions."""
    value = value[:LOOKED_AT_MAX]
    if not count(value, DIGITS) or not count(value, LETTERS) or len(set(value)) < _DISTINCT_MIN:
        return False
    return surprise(value) >= max(surprise_min, share_min * (len(value) - 1))


def is_filled_in(value: str) -> bool:
    """A stand-in such as <token>, ${TOKEN}, your-api-key, xxxx or the alphabet."""
    return _has(_STAND_INS, value) or is_filling(value)


def is_overwritten(token: str) -> bool:
    """Of a token whose format is known: a stand-in was written into it, as into documentation."""
    return is_filling(token) or _has(_OVERWRITTEN, token)


def is_filling(value: str) -> bool:
    """Mostly the same filling character."""
    value = value[:LOOKED_AT_MAX]
    return 5 * max(map(value.count, _FILLING)) >= 3 * len(value)
