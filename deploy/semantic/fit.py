"""Fits the risk that every route's semantic cache begins with: how likely a similar prompt's answer is wrong.

    python deploy/semantic/fit.py QUESTIONS.jsonl policies/semantic/weights.py

QUESTIONS: rows with tenant, text, answer_class and source, in order of arrival. Only sources whose licence allows it
are used (SOURCES below). Each question is asked of those before it, as the cache would ask; what the nearest ones would
have answered, right or wrong, is what is learned. Logistic regression, the same result each time.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.embedding.minilm import SentenceEncoder
from policies.semantic import score
from policies.semantic.considering import CANDIDATES_MAX, COSINE_MIN
from policies.semantic.edits import edit
from policies.semantic.guards import examine
from policies.semantic.reading import Reading, read
from policies.semantic.score import features

SOURCES = (
    "banking77",
    "clinc-oos",
    "arena-hard",
    "mt-bench",
    "gsm8k",
)  # CC BY 4.0, CC BY 3.0, Apache-2.0, Apache-2.0, MIT
SERVED_ABOVE = 0.86  # cosine from which a question is taken for answered, and does not enter the cache
RANKS = 2  # candidates that are learned from, of each question
DOCUMENTS_MIN = 4  # that a word is in before it gets a weight
RIDGE = 200.0


class Question(msgspec.Struct):
    tenant: str
    text: str
    answer_class: str
    source: str


@dataclass(frozen=True, slots=True)
class Example:
    cached: Question
    asked: Question
    cosine: float
    cosines: Sequence[float]


def main(questions: Path, out: Path) -> None:
    decoder = msgspec.json.Decoder(Question)
    rows = [row for row in map(decoder.decode, questions.read_bytes().splitlines()) if row.source in SOURCES]
    with tempfile.TemporaryDirectory() as folder:
        vectors = SentenceEncoder.load(Path(folder)).encode([row.text for row in rows])
    weights = word_weights([row.text for row in rows])
    matrix, wrong = design(list(examples(rows, vectors)), weights)
    bias, coefficients = fitted(matrix, wrong)
    out.write_text(written(bias, coefficients, weights))
    print(f"{len(wrong)} examples, {wrong.mean():.1%} wrong")


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


def examples(rows: Sequence[Question], vectors: NDArray[np.float32]) -> Iterator[Example]:
    """Each question with the nearest before it of the same tenant."""
    kept: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        before = kept[row.tenant]
        if before:
            cosines = vectors[before] @ vectors[at]
            order = np.argsort(-cosines, kind="stable")[:CANDIDATES_MAX]
            near = [float(cosines[one]) for one in order]
            for rank in order[:RANKS]:
                yield Example(rows[before[rank]], row, float(cosines[rank]), near)
            if near[0] >= SERVED_ABOVE:
                continue
        before.append(at)


def design(found: Sequence[Example], weights: dict[str, float]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    score.WORDS = weights
    readings: dict[str, Reading] = {}
    matrix, wrong = [], []
    for one in found:
        if one.cosine < COSINE_MIN:
            continue
        cached, asked = (readings.setdefault(row.text, read(row.text)) for row in (one.cached, one.asked))
        changed = edit(cached, asked)
        finding = examine(cached, asked, changed)
        if finding.refused is None:
            matrix.append(features(cached, asked, changed, finding.doubt, one.cosine, one.cosines))
            wrong.append(one.cached.answer_class != one.asked.answer_class)
    return np.array(matrix), np.array(wrong)


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
