"""Fits how far words and vectors tell that a message asks a question of a list, on lists made of public questions.

    python fit.py questions.jsonl.gz weights.py

Run by `make faq`. Some classes of a source are a list, the texts of each its wordings; others of its texts are asked,
and as many texts that no entry answers: of other classes, and of other subjects. On one machine it writes the same file
each time.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.embedding.minilm import SentenceEncoder
from policies.faq.index import FaqIndex
from policies.faq.judging import examine
from policies.faq.words import read

# source -> how many lists, and the least and most entries of each
LISTS = {"banking77": (40, 10, 50), "clinc150": (40, 6, 16)}
ASKED, STRANGE = 6, 4  # for each entry: messages that ask it; those of other classes, and of other subjects
SIZE_LOG_MEAN, SIZE_LOG_DEVIATION, SIZE_MAX = 2.2, 0.9, 60  # wordings of an entry
PENALTY = 10.0
SCORES = np.arange(-1.0, 5.01, 0.5)


@dataclass(frozen=True)
class Asked:
    """What was found of the messages to one list; ``is_open``: no doubt speaks against an answer."""

    evidence: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    is_open: NDArray[np.bool_]


class Questions:
    """The texts by source and class, with their vectors."""

    def __init__(self, path: Path) -> None:
        with gzip.open(path, "rt") as lines:
            rows = [json.loads(line) for line in lines]
        self.texts = [row["text"] for row in rows]
        with tempfile.TemporaryDirectory() as folder:
            self.vectors = SentenceEncoder.load(Path(folder)).encode(self.texts)
        self.classes: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.others: dict[str, list[int]] = defaultdict(list)  # of other subjects than a source's classes
        for number, row in enumerate(rows):
            if row["class"]:
                self.classes[row["source"]][row["class"]].append(number)
            else:
                self.others[row["source"]].append(number)
        for source, classes in self.classes.items():
            if source not in self.others:
                self.others[source] = [number for number, row in enumerate(rows) if row["source"] != source]
            for name in classes:
                classes[name].sort()


def main(path: Path, out: Path) -> None:
    random = np.random.default_rng(77)
    questions = Questions(path)
    found = {source: [ask(questions, source, random) for _ in range(LISTS[source][0])] for source in LISTS}
    every = [one for lists in found.values() for one in lists]
    weights, bias = fitted(
        np.vstack([one.evidence[one.is_open] for one in every]),
        np.concatenate([one.is_right[one.is_open] for one in every]),
    )
    risks = np.mean([shares_wrong(lists, weights, bias) for lists in found.values()], axis=0)
    risks = np.minimum.accumulate(risks)
    out.write_text(module(weights, bias, risks))


def ask(questions: Questions, source: str, random: np.random.Generator) -> Asked:
    """One list, and what is found of the messages to it."""
    _, least, most = LISTS[source]
    classes = questions.classes[source]
    names = random.permutation(sorted(classes))
    count = int(random.integers(least, most))
    entries, messages = [], []
    for entry, name in enumerate(names[:count]):
        rows = random.permutation(classes[name])
        wanted = int(np.ceil(np.exp(random.normal(SIZE_LOG_MEAN, SIZE_LOG_DEVIATION))))
        size = min(wanted, len(rows) // 2, SIZE_MAX)
        entries.append(rows[:size])
        messages += [(row, entry) for row in rows[size : size + ASKED]]
    strangers = [row for name in names[count:] for row in classes[name]]
    for pool in (strangers, questions.others[source]):
        messages += [(row, None) for row in random.permutation(pool)[: STRANGE * count]]
    rows = np.concatenate(entries)
    index = FaqIndex([[questions.texts[row] for row in entry] for entry in entries], questions.vectors[rows])
    looked = list(starmap(lambda row, entry: look(index, questions, row, entry), messages))
    evidence, is_right, is_open = zip(*looked, strict=True)
    return Asked(np.array(evidence), np.array(is_right), np.array(is_open))


def look(index: FaqIndex, questions: Questions, row: int, entry: int | None) -> tuple[list[float], bool, bool]:
    wording = read(questions.texts[row])
    nearness = index.nearest(index.vectors @ questions.vectors[row])
    evidence, doubt = examine(index, wording, index.spelt(wording), nearness)
    return evidence, nearness.entry == entry, doubt is None


def fitted(evidence: NDArray[np.float64], is_right: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Logistic regression with a ridge penalty on standardized evidence, by Newton's method."""
    mean, deviation = evidence.mean(axis=0), evidence.std(axis=0)
    rows = np.column_stack([(evidence - mean) / deviation, np.ones(len(evidence))])
    penalty = np.diag([PENALTY] * evidence.shape[1] + [0.0])
    weights = np.zeros(rows.shape[1])
    for _ in range(30):
        expected = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (expected - is_right) + penalty @ weights
        weights -= np.linalg.solve((rows * (expected * (1 - expected))[:, None]).T @ rows + penalty, slope)
    raw = weights[:-1] / deviation
    return raw, float(weights[-1] - raw @ mean)


def shares_wrong(lists: list[Asked], weights: NDArray[np.float64], bias: float) -> NDArray[np.float64]:
    """Of the answers from each score on, the share that is wrong."""
    scores = np.concatenate([np.where(one.is_open, one.evidence @ weights + bias, -np.inf) for one in lists])
    is_right = np.concatenate([one.is_right for one in lists])
    answered = scores[None, :] >= SCORES[:, None]
    return ((answered & ~is_right).sum(axis=1) + 0.5) / (answered.sum(axis=1) + 1)


def module(weights: NDArray[np.float64], bias: float, risks: NDArray[np.float64]) -> str:
    return f'''"""What evidence weighs: written by `make faq`, from public questions (deploy/faq/SOURCES.md)."""

from __future__ import annotations

# In the order of judging.py; their sum with BIAS is the log odds that the nearest entry is the one that is asked.
WEIGHTS = (
{"".join(f"    {weight:.4f},{chr(10)}" for weight in weights)})
BIAS = {bias:.4f}
# Of the answers to all messages that score as much or more, the share that is wrong.
SCORES = ({", ".join(f"{score:.1f}" for score in SCORES)})
RISKS = ({", ".join(f"{risk:.4f}" for risk in risks)})
'''


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
