"""Fits the risk that every route's semantic cache begins with: how likely a similar prompt's answer is wrong.

    python deploy/semantic/fit.py QUESTIONS.jsonl policies/semantic/weights.py

QUESTIONS: rows with tenant, text, answer_class and source, in order of arrival. Only sources whose licence allows it
are used (SOURCES below). Questions are replayed as a cache meets them: it serves what has little risk, compares the
rest, and knows of what was right that it has the same answer; whether the best candidate was right is what is learned.
What is served depends on what was learned, so there are several rounds; and how crowded a cache is differs, so parts of
the questions are replayed as well. Logistic regression, the same result each time.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.embedding.minilm import SentenceEncoder
from policies.semantic import score
from policies.semantic.considering import CANDIDATES_MAX, CANDIDATES_READ, COSINE_MIN
from policies.semantic.edits import edit
from policies.semantic.guards import examine
from policies.semantic.reading import read
from policies.semantic.score import features

SOURCES = (
    "banking77",
    "clinc-oos",
    "arena-hard",
    "mt-bench",
    "gsm8k",
)  # CC BY 4.0, CC BY 3.0, Apache-2.0, Apache-2.0, MIT
PARTS = (1.0, 0.5, 0.25, 0.12)  # of the questions, that are replayed
ROUNDS = 3
COSINE_FIRST = 0.86  # from which the cache of the first round serves
RISK_MAX = 0.04  # up to which that of later rounds does
DOCUMENTS_MIN = 4  # that a word is in before it gets a weight
RIDGE = 60.0


class Question(msgspec.Struct):
    tenant: str
    text: str
    answer_class: str
    source: str


@dataclass(frozen=True, slots=True)
class Example:
    """The best candidate for a question, and whether its answer was wrong.

    ``alone``: its features where nothing else is cached.
    """

    asked: Question
    features: Sequence[float]
    alone: Sequence[float]
    is_wrong: bool


Risk = Callable[[Sequence[float]], float]


def main(questions: Path, out: Path) -> None:
    decoder = msgspec.json.Decoder(Question)
    rows = [row for row in map(decoder.decode, questions.read_bytes().splitlines()) if row.source in SOURCES]
    with tempfile.TemporaryDirectory() as folder:
        vectors = SentenceEncoder.load(Path(folder)).encode([row.text for row in rows])
    weights = word_weights([row.text for row in rows])
    score.WORDS = weights
    (bias, coefficients), found = learned(rows, vectors)
    out.write_text(written(bias, coefficients, weights))
    print(f"{len(found)} examples, {sum(one.is_wrong for one in found) / len(found):.1%} wrong")


def learned(
    rows: Sequence[Question], vectors: NDArray[np.float32], is_learned: Callable[[Question], bool] = lambda _: True
) -> tuple[tuple[float, NDArray[np.float64]], list[Example]]:
    """Bias and coefficients, and what they were fitted on: questions that ``is_learned`` (others are replayed too)."""
    draws = random.Random(0)  # noqa: S311 - the same file gives the same weights
    cosines = vectors @ vectors.T
    parts = [[at for at in range(len(rows)) if draws.random() < part] for part in PARTS]
    risk, risk_max = cosine_risk, 1 - COSINE_FIRST
    for _ in range(ROUNDS):
        found = [
            one for part in parts for one in replayed(rows, cosines, part, risk, risk_max) if is_learned(one.asked)
        ]
        # A cache that is new has but one candidate: half of what is learned is of such.
        matrix = [seen for one in found for seen in (one.features, one.alone)]
        fit = fitted(np.array(matrix), np.array([one.is_wrong for one in found for _ in range(2)]))
        risk, risk_max = logistic_risk(*fit), RISK_MAX
    return fit, found


def cosine_risk(features: Sequence[float]) -> float:
    return 1 - features[0]


def logistic_risk(bias: float, coefficients: NDArray[np.float64]) -> Risk:
    return lambda features: float(1 / (1 + np.exp(-bias - coefficients @ np.array(features))))


def replayed(
    rows: Sequence[Question], cosines: NDArray[np.float32], part: Sequence[int], risk: Risk, risk_max: float
) -> Iterator[Example]:
    """Each question of the part with the best of those before it of the same tenant."""
    kept: dict[str, list[int]] = defaultdict(list)
    groups = {at: str(at) for at in part}
    for at in part:
        before = kept[rows[at].tenant]
        here = cosines[at, before]
        order = np.argsort(-here, kind="stable")[:CANDIDATES_MAX]
        near = [(float(here[one]), before[one]) for one in order]
        best = best_of(rows, at, near, groups, risk)
        if best is not None:
            chance, seen, alone, cached = best
            is_wrong = rows[cached].answer_class != rows[at].answer_class
            yield Example(rows[at], seen, alone, is_wrong)
            if chance <= risk_max:
                continue
            if not is_wrong:
                groups[at] = groups[cached]
        before.append(at)


def best_of(
    rows: Sequence[Question], at: int, near: Sequence[tuple[float, int]], groups: dict[int, str], risk: Risk
) -> tuple[float, Sequence[float], Sequence[float], int] | None:
    """Its risk, its features, those that it has alone, and which it is."""
    crowd = [(cosine, groups[one]) for cosine, one in near]
    found = []
    for rank, (cosine, one) in enumerate(near[:CANDIDATES_READ]):
        if cosine < COSINE_MIN:
            break
        cached, asked = reading(rows[one].text), reading(rows[at].text)
        changed = edit(cached, asked)
        finding = examine(cached, asked, changed)
        if finding.refused is None:
            seen = features(cached, asked, changed, finding.doubt, crowd, rank)
            alone = features(cached, asked, changed, finding.doubt, crowd[rank : rank + 1], 0)
            found.append((risk(seen), seen, alone, one))
    return min(found, key=lambda one: one[0], default=None)


reading = lru_cache(maxsize=None)(read)


def word_weights(texts: Sequence[str]) -> dict[str, float]:
    """The fewer texts a word is in, the more it says: -log of its share."""
    documents: Counter[str] = Counter()
    for text in texts:
        documents.update(set(read(text).content_stems))
    return {
        word: round(-math.log(count / len(texts)), 1)
        for word, count in sorted(documents.items())
        if count >= DOCUMENTS_MIN
    }


def fitted(matrix: NDArray[np.float64], wrong: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Newton's method with a ridge on standardised columns."""
    mean, deviation = matrix.mean(0), matrix.std(0) + 1e-9
    columns = np.hstack([(matrix - mean) / deviation, np.ones((len(matrix), 1))])
    ridge = np.diag([RIDGE] * matrix.shape[1] + [0.0])
    weights = np.zeros(columns.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-columns @ weights))
        gradient = columns.T @ (chance - wrong) + ridge @ weights
        weights -= np.linalg.solve((columns.T * (chance * (1 - chance))) @ columns + ridge, gradient)
    slopes = weights[:-1] / deviation
    return float(weights[-1] - slopes @ mean), slopes


def written(bias: float, coefficients: NDArray[np.float64], weights: dict[str, float]) -> str:
    groups: dict[float, list[str]] = defaultdict(list)
    for word, weight in weights.items():
        groups[weight].append(word)
    lines = [f'    {weight}: """' + " ".join(words) + '""",' for weight, words in sorted(groups.items())]
    return "\n".join(
        [
            '"""What deploy/semantic/fit.py has fitted, in the order of score.features: do not edit."""',
            "",
            "# ruff: noqa: E501",
            "",
            f"BIAS = {bias:.5f}",
            "COEFFICIENTS = (",
            *(f"    {one:.5f}," for one in coefficients),
            ")",
            "# Stems by how rare they are: -log of the share of texts that have them.",
            "_STEMS = {",
            *lines,
            "}",
            "WORDS = {stem: weight for weight, stems in _STEMS.items() for stem in stems.split()}",
            "",
        ]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
