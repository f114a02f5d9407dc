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

_KIND = np.full(256, SIGN, np.uint8)
_KIND[list(b"\t\n\v\f\r ")] = SPACE
_KIND[[*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1), *range(128, 256)]] = LETTER
_KIND[ord("0") : ord("9") + 1] = DIGIT
_KIND_OF, _LOWER = _KIND.tobytes(), bytes(range(256)).lower()
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64


def _powers(base: int) -> NDArray[np.uint64]:
    powers = np.full(BYTES_MAX, base, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


_POWERS, _INVERSES = _powers(_BASE), _powers(pow(_BASE, -1, 1 << 64))
_ONE, _HALF, _REST, _MIXER = np.array([1, 32, 29, 0xD6E8FEB86659FD93], np.uint64)


class Tokens(NamedTuple):
    """The tokens of some bytes, in their order; ``byte_kinds``: one byte for each of them."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    byte_kinds: bytes


def tokens(raw: bytes) -> Tokens:
    """The tokens of some UTF-8, less than ``BYTES_MAX``."""
    count = len(raw)
    byte_kinds = raw.translate(_KIND_OF)
    kinds = np.frombuffer(byte_kinds, np.uint8)
    is_edge = np.empty(count + 1, np.bool_)
    is_edge[0] = is_edge[count] = True
    np.not_equal(kinds[1:], kinds[:-1], out=is_edge[1:-1])
    is_edge[:-1] |= kinds == SIGN
    edges = is_edge.nonzero()[0]
    kinds_of_runs = kinds[edges[:-1]]
    runs = kinds_of_runs.nonzero()[0]  # all but spaces
    starts, ends = edges[runs], edges[1:][runs]
    terms = np.frombuffer(raw.translate(_LOWER), np.uint8).astype(np.uint64)
    terms += _ONE
    terms *= _POWERS[:count]
    sums = np.empty(count + 1, np.uint64)
    sums[0] = 0
    np.add.accumulate(terms, out=sums[1:])
    hashes = sums[ends]
    hashes -= sums[starts]
    hashes *= _INVERSES[starts]
    hashes ^= hashes >> _HALF
    hashes *= _MIXER
    hashes ^= hashes >> _REST
    return Tokens(hashes, starts, ends, kinds_of_runs[runs], byte_kinds)


def hashes_of(words: Sequence[bytes]) -> NDArray[np.uint64]:
    """The hashes of words that are one token each."""
    return np.array([tokens(word).hashes[0] for word in words], np.uint64)
