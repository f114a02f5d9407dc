"""What a router sees of a prompt: one vector of surface features, of how question and options match, and of its words.

Only the head and the tail of a long prompt are looked at. Nothing in it can be turned back into the prompt: the record
of a decision keeps the vector, never the text.
"""

from __future__ import annotations

import re
from math import log1p, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.routing.tokens import BYTES_MAX, DIGIT, LETTER, Tokens, hashes_of, tokens
from policies.routing.words import UNKNOWN_LOG_FREQUENCY, WordTable

Vector = NDArray[np.float32]

HEAD_CHARACTERS, TAIL_CHARACTERS = 6000, 3000

_SIGNS = np.frombuffer(b"?!.,;:()[]{}\"'$\\^_=+-*/%<>|\n&#`~@", np.uint8)
_TELLING_WORDS = (
    b"not except which following what how why who when where if then and or each per total more less than times half"
    b" twice percent true false statement best most find calculate determine compute prove write function return def"
    b" all many much every name required description integer string array default question choice frac sqrt i you"
    b" please can could is the of he she left remaining after first second value equation according passage text tools"
    b" answer"
).split()
_TELLING = hashes_of(_TELLING_WORDS)
_TELLING_ORDER = np.argsort(_TELLING)
_TELLING_SORTED = _TELLING[_TELLING_ORDER]
_OPTION = re.compile(rb"\n\(?[A-J][.):] ?")  # of a multiple choice
TOOLS_MARK = "\nTools: ["  # what stands between a question and its tools
_TOOLS = TOOLS_MARK.encode()
_CAPITALIZED = re.compile(rb"(?<=[a-z,] )[A-Z][a-z]+")
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_SENTENCE_END = re.compile(rb"[.?!] ")
_ASKING = (b"I'm", b"I ", b"Could", b"I've")
_MANY_OPTIONS, _LONG_WORD, _CONTENT_WORD, _RARE = 4, 8, 2, -7.0
_HANGUL_LEADS = slice(0xEA, 0xEE)  # first bytes of Korean syllables in UTF-8

_MATCHING_LENGTH = 8
_TOOLS_LENGTH = 14
SURFACE_LENGTH = 32 + len(_SIGNS) + len(_TELLING)
MATCHING_LENGTH = _MATCHING_LENGTH + _TOOLS_LENGTH
# Where some of them stand in a vector, for who reads it.
AT_LOG_LENGTH, AT_LOG_TOKENS, AT_FOREIGN, AT_KOREAN = 0, 2, 8, 10
AT_TOOLS = SURFACE_LENGTH + _MATCHING_LENGTH
AT_ENGLISH = tuple(
    SURFACE_LENGTH - len(_TELLING_WORDS) + _TELLING_WORDS.index(word)
    for word in (b"the", b"of", b"and", b"is", b"what", b"which", b"how", b"not", b"if", b"you")
)


class _Prompt(NamedTuple):
    """What every group of features begins from."""

    raw: bytes
    data: NDArray[np.uint8]
    of_bytes: NDArray[np.int64]  # how often each byte comes
    characters: int
    tokens: Tokens
    lengths: NDArray[np.int64]  # of each token
    options: list[int]  # where each option of a multiple choice begins
    stem: int  # where the question ends
    tools: int  # where the tools begin, -1: there are none


def length(table: WordTable) -> int:
    """How many features a vector has."""
    return SURFACE_LENGTH + MATCHING_LENGTH + table.dimensions


def features(text: str, table: WordTable) -> Vector:
    """The vector of a prompt, whatever it is."""
    prompt = _read(text)
    rows, is_known = table.find(prompt.tokens.hashes)
    words, matching = _words(prompt, table, rows, is_known)
    surface = _surface(prompt)
    signs = np.log1p(prompt.of_bytes[_SIGNS]).astype(np.float32)
    parts = (np.array(surface, np.float32), signs, _telling(prompt.tokens), np.array(matching, np.float32), words)
    return np.concatenate(parts)


def _read(text: str) -> _Prompt:
    characters = len(text)
    if characters > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = text[:HEAD_CHARACTERS] + "\n" + text[-TAIL_CHARACTERS:]
    raw = text.encode("utf-8", "replace")[: BYTES_MAX - 1] or b" "
    data = np.frombuffer(raw, np.uint8)
    found = tokens(data)
    options = [match.start() for match in _OPTION.finditer(raw)]
    stem = options[0] if len(options) > 1 else len(raw)
    of_bytes = np.bincount(data, minlength=256)
    return _Prompt(raw, data, of_bytes, characters, found, found.ends - found.starts, options, stem, raw.find(_TOOLS))


def _surface(prompt: _Prompt) -> list[float]:
    """Sizes, scripts, numbers, the form of the question."""
    raw, data = prompt.raw, prompt.data
    count, kinds = len(data), prompt.tokens.kinds
    words, numbers = prompt.lengths[kinds == LETTER], prompt.lengths[kinds == DIGIT]
    of_bytes = prompt.of_bytes
    foreign = _sum(of_bytes[128:]) / count
    log_length = log1p(prompt.characters)
    found: list[float] = [log_length, log_length * log_length / 10, log1p(len(kinds))]
    found += list(np.bincount(prompt.tokens.byte_kinds, minlength=4) / count)
    found += [_sum(of_bytes[ord("A") : ord("Z") + 1]) / count, foreign, foreign > 0.05]  # noqa: PLR2004 - some of it
    found += [_sum(of_bytes[_HANGUL_LEADS]) / count * 3]
    found += [log1p(len(words)), _mean(words), _mean(words > _LONG_WORD)] if len(words) else [0, 0, 0]
    if len(numbers):
        found += [log1p(len(numbers)), _mean(numbers), numbers.max(), len(numbers) / len(kinds)]
    else:
        found += [0, 0, 0, 0]
    options = len(prompt.options)
    found += [options, options > 1, options > _MANY_OPTIONS]
    if options > 1:
        stem = prompt.stem
        found += [log1p(stem), log1p((count - stem) / options)]
        found += [_mean(prompt.tokens.byte_kinds[stem:] == DIGIT), _mean(data[stem:] == ord("\\"))]
    else:
        found += [0, 0, 0, 0]
    found += [raw.count(b"```") > 0, raw.count(b"    ") > 2, raw.startswith(b"Write a"), raw.count(b"\n\n")]  # noqa: PLR2004 - indented
    found += [b"____" in raw, raw.rstrip().endswith(b"?"), b"Statement 1" in raw]
    return found


def _telling(found: Tokens) -> Vector:
    """How often each of the telling words comes."""
    places = np.searchsorted(_TELLING_SORTED, found.hashes)
    places[places == len(_TELLING_SORTED)] = 0
    is_there = _TELLING_SORTED[places] == found.hashes
    counts = np.bincount(_TELLING_ORDER[places[is_there]], minlength=len(_TELLING))
    return np.log1p(counts).astype(np.float32)


def _words(
    prompt: _Prompt, table: WordTable, rows: NDArray[np.int64], is_known: NDArray[np.bool_]
) -> tuple[Vector, list[float]]:
    """The mean vector of the words; and how rare they are, and how the question matches its options or tools."""
    cut = prompt.tools if prompt.tools >= 0 else prompt.stem
    is_asked = prompt.tokens.starts < cut
    is_word = prompt.tokens.kinds == LETTER
    rarity = np.where(is_known, table.log_frequency[rows], UNKNOWN_LOG_FREQUENCY)
    weights = table.weights[rows] * is_known
    total, asked = np.stack([weights, weights * is_asked]) @ table.vectors[rows]
    offered: Vector = total - asked
    is_content = is_word & (prompt.lengths > _CONTENT_WORD)
    matching = _overlap(prompt.tokens.hashes, rarity, is_asked & is_content, is_content & ~is_asked)
    matching += _rarity(rarity[is_word], is_known)
    is_matched = matching[2] > 0
    lengths = sqrt(float(asked @ asked) * float(offered @ offered))
    matching += [float(asked @ offered) / (lengths + 1e-6) if is_matched else 0.0]
    return total / max(_sum(weights), 1e-6), matching + _tools(prompt)


def _overlap(
    hashes: NDArray[np.uint64], rarity: NDArray[np.float64], asked: NDArray[np.bool_], offered: NDArray[np.bool_]
) -> list[float]:
    """How much of the question's words, by their rarity, comes again in what is offered as its answer."""
    again = set(hashes[offered].tolist())
    asked_for = hashes[asked].tolist()
    if not again or not asked_for:
        return [0, 0, 0]
    said = (-rarity[asked]).tolist()
    repeated = [one for one, code in zip(said, asked_for, strict=True) if code in again]
    share = sum(repeated) / max(sum(said), 1e-6)
    return [share, max(repeated, default=0.0) / 5, np.count_nonzero(offered) / len(hashes)]


def _rarity(rarity: NDArray[np.float64], is_known: NDArray[np.bool_]) -> list[float]:
    """How many words nobody knows, and how rare they are on average, the five rarest, and by count."""
    if len(rarity) == 0:
        return [1, 0, 0, 0]
    rarest = np.partition(rarity, 4)[:5] if len(rarity) > 5 else rarity  # noqa: PLR2004 - the five rarest
    return [1 - _mean(is_known), _mean(rarity), _mean(rarest), log1p(np.count_nonzero(rarity < _RARE))]


def _sum(values: NDArray[Any]) -> float:
    """``values.sum()`` without its overhead, which would be a third of the whole time."""
    return float(np.add.reduce(values))


def _mean(values: NDArray[Any]) -> float:
    return float(np.add.reduce(values)) / len(values)


def _tools(prompt: _Prompt) -> list[float]:
    """How many tools are offered, of how many parameters, and how much the question gives to fill them with."""
    at, raw = prompt.tools, prompt.raw
    if at < 0:
        return [0.0] * _TOOLS_LENGTH
    asked = raw[:at]
    names, parameters = raw.count(b'{"name"', at), raw.count(b'{"type"', at)
    capitalized, numbers = len(_CAPITALIZED.findall(asked)), len(_NUMBER.findall(asked))
    each = parameters / max(names, 1)
    return [
        *(1, names == 1, names, log1p(at), log1p(len(raw) - at)),
        *(log1p(capitalized), log1p(numbers), log1p(asked.count(b"'") + asked.count(b'"'))),
        *(asked.count(b" and ") + asked.count(b" then ") + asked.count(b"also "), asked.count(b",")),
        *(each, (numbers + capitalized) / max(each, 1), len(_SENTENCE_END.findall(asked))),
        asked.startswith(_ASKING) or b" me " in asked,
    ]
