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

from policies.routing.tokens import BYTES_MAX, DIGIT, LETTER, SIGN, SPACE, Tokens, tokens
from policies.routing.words import AT_LINE, TELLING, TELLING_WORDS, WordTable

Vector = NDArray[np.float32]

HEAD_CHARACTERS, TAIL_CHARACTERS = 6000, 3000

_OPTION = re.compile(rb"\n\(?[A-J][.):] ?")  # of a multiple choice
TOOLS_MARK = "\nTools: ["  # what stands between a question and its tools
_TOOLS = TOOLS_MARK.encode()
_CAPITALIZED = re.compile(rb"(?<=[a-z,] )[A-Z][a-z]+")
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_SENTENCE_END = re.compile(rb"[.?!] ")
_ASKING = (b"I'm", b"I ", b"Could", b"I've")
_MANY_OPTIONS, _LONG_WORD, _CONTENT_WORD, _RARE, _RAREST = 4, 8, 2, -7.0, 5
_LOGS = np.log1p(np.arange(BYTES_MAX)).astype(np.float32)  # of counts
_CAPITALS = bytes(range(ord("A"), ord("Z") + 1))
_ASCII = bytes(range(128))
_NOT_HANGUL_LEADS = bytes(set(range(256)) - {0xEA, 0xEB, 0xEC, 0xED})  # which begin Korean syllables in UTF-8
_OF_SPACE, _OF_DIGIT, _OF_SIGN = bytes([SPACE]), bytes([DIGIT]), bytes([SIGN])

_MATCHING_LENGTH = 8
_TOOLS_LENGTH = 14
_FORM_LENGTH = 32
SURFACE_LENGTH = _FORM_LENGTH + len(TELLING)
MATCHING_LENGTH = _MATCHING_LENGTH + _TOOLS_LENGTH
# Where some of them stand in a vector, for who reads it.
AT_LOG_LENGTH, AT_LOG_TOKENS, AT_FOREIGN, AT_KOREAN = 0, 2, 8, 10
AT_TOOLS = SURFACE_LENGTH + _MATCHING_LENGTH
AT_ENGLISH = tuple(
    SURFACE_LENGTH - len(TELLING_WORDS) + TELLING_WORDS.index(word)
    for word in (b"the", b"of", b"and", b"is", b"what", b"which", b"how", b"not", b"if", b"you")
)


class _Prompt(NamedTuple):
    """What every group of features begins from."""

    raw: bytes
    characters: int
    tokens: Tokens
    is_word: NDArray[np.bool_]  # each token: of letters
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
    rows = table.places.find(prompt.tokens.hashes)
    found = np.empty(length(table), np.float32)
    found[:_FORM_LENGTH] = _form(prompt)
    told = np.bincount(table.telling[rows], minlength=len(TELLING) + 1)
    told[AT_LINE] = prompt.raw.count(b"\n")
    found[_FORM_LENGTH:SURFACE_LENGTH] = _LOGS[told[:-1]]
    found[SURFACE_LENGTH : SURFACE_LENGTH + MATCHING_LENGTH] = _words(prompt, table, rows, found)
    return found


def _read(text: str) -> _Prompt:
    characters = len(text)
    if characters > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = text[:HEAD_CHARACTERS] + "\n" + text[-TAIL_CHARACTERS:]
    raw = text.encode("utf-8", "replace")[: BYTES_MAX - 1] or b" "
    found = tokens(raw)
    options = [match.start() for match in _OPTION.finditer(raw)]
    stem = options[0] if len(options) > 1 else len(raw)
    is_word, lengths = found.kinds == LETTER, found.ends - found.starts
    return _Prompt(raw, characters, found, is_word, lengths, options, stem, raw.find(_TOOLS))


def _form(prompt: _Prompt) -> list[float]:
    """Sizes, scripts, numbers, the form of the question."""
    raw, every = prompt.raw, len(prompt.tokens.kinds)
    count, options = len(raw), len(prompt.options)
    kinds = prompt.tokens.byte_kinds
    spaces, digits, signs = kinds.count(_OF_SPACE), kinds.count(_OF_DIGIT), kinds.count(_OF_SIGN)
    letters, capitals = count - spaces - digits - signs, count - len(raw.translate(None, _CAPITALS))
    beyond = raw.translate(None, _ASCII)
    foreign, korean = len(beyond) / count, len(beyond.translate(None, _NOT_HANGUL_LEADS)) / count
    log_length = log1p(prompt.characters)
    found: list[float] = [log_length, log_length * log_length / 10, log1p(every)]
    found += [spaces / count, letters / count, digits / count, signs / count]
    found += [capitals / count, foreign, foreign > 0.05, korean * 3]  # noqa: PLR2004 - some of it
    if words := np.count_nonzero(prompt.is_word):
        long = np.count_nonzero(prompt.is_word & (prompt.lengths > _LONG_WORD))
        found += [log1p(words), letters / words, long / words]
    else:
        found += [0, 0, 0]
    if digits:
        numbers = prompt.lengths[prompt.tokens.kinds == DIGIT]
        found += [log1p(len(numbers)), digits / len(numbers), int(np.maximum.reduce(numbers)), len(numbers) / every]
    else:
        found += [0, 0, 0, 0]
    found += [options, options > 1, options > _MANY_OPTIONS]
    if options > 1:
        stem = prompt.stem
        found += [log1p(stem), log1p((count - stem) / options)]
        found += [kinds.count(_OF_DIGIT, stem) / (count - stem), raw.count(b"\\", stem) / (count - stem)]
    else:
        found += [0, 0, 0, 0]
    found += [b"```" in raw, raw.count(b"    ") > 2, raw.startswith(b"Write a"), raw.count(b"\n\n")]  # noqa: PLR2004 - indented
    found += [b"____" in raw, raw.rstrip().endswith(b"?"), b"Statement 1" in raw]
    return found


def _words(prompt: _Prompt, table: WordTable, rows: NDArray[np.int64], found: Vector) -> list[float]:
    """How rare the words are, and how the question matches its options or tools. ``found`` gets their mean vector."""
    rarity, weights = table.rarity[rows], table.weights[rows]
    cut = prompt.tools if prompt.tools >= 0 else prompt.stem
    asked_for = int(prompt.tokens.starts.searchsorted(cut))  # so many tokens stand before that
    asked = weights[:asked_for].dot(table.vectors.take(rows[:asked_for], axis=0))
    offered = weights[asked_for:].dot(table.vectors.take(rows[asked_for:], axis=0))
    np.divide(asked + offered, max(_sum(weights), 1e-6), out=found[SURFACE_LENGTH + MATCHING_LENGTH :])
    matching, similarity = [0.0, 0.0, 0.0], 0.0
    if asked_for < len(rows):
        content = (prompt.is_word & (prompt.lengths > _CONTENT_WORD)).nonzero()[0]
        matching = _overlap(prompt.tokens.hashes, rarity, content, asked_for)
        if matching[2] > 0:
            lengths = sqrt(float(asked @ asked) * float(offered @ offered))
            similarity = float(asked @ offered) / (lengths + 1e-6)
    unknown_share = 1 - np.count_nonzero(weights) / max(len(weights), 1)
    return [*matching, *_rarity(rarity[prompt.is_word], unknown_share), similarity, *_tools(prompt)]


def _overlap(
    hashes: NDArray[np.uint64], rarity: NDArray[np.float32], content: NDArray[np.int64], asked_for: int
) -> list[float]:
    """How much of the question's words, by their rarity, comes again in what is offered as its answer."""
    asked = int(content.searchsorted(asked_for))
    said, found = -rarity[content[:asked]], hashes[content]
    sought, offered = found[:asked], found[asked:]
    if not len(said) or not len(offered):
        return [0, 0, 0]
    offered.sort()
    places = offered.searchsorted(sought)
    repeated = said[offered.take(places, mode="clip") == sought].tolist()
    share = sum(repeated) / max(sum(said.tolist()), 1e-6)
    return [share, max(repeated, default=0.0) / 5, len(offered) / len(hashes)]


def _rarity(rarity: NDArray[np.float32], unknown_share: float) -> list[float]:
    """How many words nobody knows, and how rare they are on average, the rarest, and by count. Sorts ``rarity``."""
    if len(rarity) == 0:
        return [1, 0, 0, 0]
    mean, rare = _mean(rarity), log1p(np.count_nonzero(rarity < _RARE))
    if len(rarity) > _RAREST:
        rarity.partition(_RAREST - 1)
    return [unknown_share, mean, _mean(rarity[:_RAREST]), rare]


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
