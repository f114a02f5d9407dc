"""What a router sees of a prompt: one vector of surface features, of how question and options match, and of its words.

Only the head and the tail of a long prompt are looked at. Nothing in it can be turned back into the prompt: the record
of a decision keeps the vector, never the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

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
_TOOLS = b"\nTools: ["
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


class _Prompt(NamedTuple):
    """What every group of features begins from."""

    raw: bytes
    data: NDArray[np.uint8]
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
    signs = np.log1p(np.bincount(prompt.data, minlength=256)[_SIGNS]).astype(np.float32)
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
    return _Prompt(raw, data, characters, found, found.ends - found.starts, options, stem, raw.find(_TOOLS))


def _surface(prompt: _Prompt) -> list[float]:
    """Sizes, scripts, numbers, the form of the question."""
    raw, data = prompt.raw, prompt.data
    count, kinds = len(data), prompt.tokens.kinds
    words, numbers = prompt.lengths[kinds == LETTER], prompt.lengths[kinds == DIGIT]
    of_bytes = np.bincount(data, minlength=256)
    foreign = of_bytes[128:].sum() / count
    log_length = np.log1p(prompt.characters)
    found: list[float] = [log_length, log_length * log_length / 10, np.log1p(len(kinds))]
    found += list(np.bincount(prompt.tokens.byte_kinds, minlength=4) / count)
    found += [of_bytes[ord("A") : ord("Z") + 1].sum() / count, foreign, foreign > 0.05]  # noqa: PLR2004 - some of it
    found += [of_bytes[_HANGUL_LEADS].sum() / count * 3]
    found += [np.log1p(len(words)), words.mean(), (words > _LONG_WORD).mean()] if len(words) else [0, 0, 0]
    if len(numbers):
        found += [np.log1p(len(numbers)), numbers.mean(), numbers.max(), len(numbers) / len(kinds)]
    else:
        found += [0, 0, 0, 0]
    options = len(prompt.options)
    found += [options, options > 1, options > _MANY_OPTIONS]
    if options > 1:
        is_digit, is_backslash = prompt.tokens.byte_kinds == DIGIT, data == ord("\\")
        found += [np.log1p(prompt.stem), np.log1p((count - prompt.stem) / options)]
        found += [is_digit[prompt.stem :].mean(), is_backslash[prompt.stem :].mean()]
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
    weights = np.where(is_known, table.weights[rows], 0).astype(np.float32)
    vectors = table.vectors[rows].astype(np.float32)
    total: Vector = (weights @ vectors) * table.scale
    offered: Vector = (np.where(is_asked, 0, weights) @ vectors) * table.scale
    asked = total - offered
    is_content = is_word & (prompt.lengths > _CONTENT_WORD)
    matching = _overlap(prompt.tokens.hashes, rarity, is_asked & is_content, ~is_asked & is_content)
    matching += _rarity(rarity[is_word], is_known)
    lengths = float(np.sqrt((asked @ asked) * (offered @ offered)))
    matching += [float(asked @ offered) / (lengths + 1e-6) if (~is_asked & is_content).any() else 0.0]
    return (total / max(float(weights.sum()), 1e-6)).astype(np.float32), matching + _tools(prompt)


def _overlap(
    hashes: NDArray[np.uint64], rarity: NDArray[np.float64], asked: NDArray[np.bool_], offered: NDArray[np.bool_]
) -> list[float]:
    """How much of the question's words, by their rarity, comes again in what is offered as its answer."""
    if not asked.any() or not offered.any():
        return [0, 0, 0]
    pool = np.sort(hashes[offered])
    places = np.searchsorted(pool, hashes[asked])
    places[places == len(pool)] = 0
    comes_again = pool[places] == hashes[asked]
    said = -rarity[asked]
    share = float((said * comes_again).sum() / max(said.sum(), 1e-6))
    return [share, float((said * comes_again).max()) / 5, float(offered.sum()) / len(hashes)]


def _rarity(rarity: NDArray[np.float64], is_known: NDArray[np.bool_]) -> list[float]:
    """How many words nobody knows, and how rare they are on average, the five rarest, and by count."""
    if len(rarity) == 0:
        return [1, 0, 0, 0]
    rarest = np.partition(rarity, 4)[:5] if len(rarity) > 5 else rarity  # noqa: PLR2004 - the five rarest
    return [1 - is_known.mean(), rarity.mean(), rarest.mean(), np.log1p((rarity < _RARE).sum())]


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
        *(1, names == 1, names, np.log1p(at), np.log1p(len(raw) - at)),
        *(np.log1p(capitalized), np.log1p(numbers), np.log1p(asked.count(b"'") + asked.count(b'"'))),
        *(asked.count(b" and ") + asked.count(b" then ") + asked.count(b"also "), asked.count(b",")),
        *(each, (numbers + capitalized) / max(each, 1), len(_SENTENCE_END.findall(asked))),
        asked.startswith(_ASKING) or b" me " in asked,
    ]
