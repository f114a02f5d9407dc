"""Splits a prompt into words, numbers and signs, in a few passes of numpy over its bytes.

A token is a run of letters (bytes above 127 are letters, whatever the script), a run of digits, or one other sign; case
is folded for ASCII. Tokens are known by a 64-bit hash: the polynomial of their bytes, read off prefix sums, so that no
token is ever cut out as a string.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SPACE, LETTER, DIGIT, SIGN = range(4)
BYTES_MAX = 36_256  # four bytes for each character that is looked at

_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
_KIND = np.full(256, SIGN, np.uint8)
_KIND[list(b"\t\n\v\f\r ")] = SPACE
_KIND[ord("a") : ord("z") + 1] = LETTER
_KIND[128:] = LETTER
_KIND[ord("0") : ord("9") + 1] = DIGIT
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(BYTES_MAX, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_POWERS, _INVERSES = _powers(_BASE), _powers(pow(_BASE, -1, 1 << 64))


class Tokens(NamedTuple):
    """The tokens of some bytes, in their order; ``byte_kinds`` is of every byte."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    byte_kinds: NDArray[np.uint8]


def tokens(data: NDArray[np.uint8]) -> Tokens:
    """The tokens of at most ``BYTES_MAX`` bytes of UTF-8."""
    lower = _LOWER[data]
    kinds = _KIND[lower]
    is_edge = np.ones(len(data) + 1, np.bool_)
    is_edge[1:-1] = (kinds[1:] != kinds[:-1]) | (kinds[1:] == SIGN)
    edges = np.flatnonzero(is_edge)
    starts, ends = edges[:-1], edges[1:]
    is_token = kinds[starts] != SPACE
    starts, ends = starts[is_token], ends[is_token]
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum((lower.astype(np.uint64) + np.uint64(1)) * _POWERS[: len(data)], out=sums[1:])
    mixed = (sums[ends] - sums[starts]) * _INVERSES[starts]
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return Tokens(mixed ^ (mixed >> np.uint64(29)), starts, ends, kinds[starts], kinds)


def hashes_of(words: Sequence[bytes]) -> NDArray[np.uint64]:
    """The hashes of words that are one token each."""
    return np.array([tokens(np.frombuffer(word, np.uint8)).hashes[0] for word in words], np.uint64)
