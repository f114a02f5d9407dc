"""What tests of routers share: a small word table, and a world in which it is known which prompts are hard."""

from __future__ import annotations

import random

import numpy as np

from gateway.router.data import Outcomes, Prompts
from gateway.router.training import Track
from policies.routing.features import features
from policies.routing.pool import Pool
from policies.routing.tokens import hashes_of
from policies.routing.words import WordTable

EASY = ["colour", "name", "city", "river", "capital", "animal", "fruit", "number", "letter", "word", "day", "month"]
HARD = ["integral", "theorem", "manifold", "eigenvalue", "entropy", "covenant", "tort", "isotope", "enthalpy", "lemma"]
SMALL, LARGE = "small", "large"
POOL = Pool("world", (LARGE, SMALL), np.array([0.9, 0.6]), np.array([0.01, 0.001]), *np.full((2, 2), np.nan))


def word_table(dimensions: int = 8) -> WordTable:
    """Vectors in which easy and hard words lie apart."""
    chance = np.random.default_rng(0)
    words = [*EASY, *HARD, *["what", "is", "the", "of", "a", "which"]]
    vectors = chance.integers(-20, 20, (len(words), dimensions)).astype(np.int8)
    vectors[: len(EASY), 0], vectors[len(EASY) : len(EASY) + len(HARD), 0] = 100, -100
    hashes = hashes_of([word.encode() for word in words])
    order = np.argsort(hashes)
    scale = np.full(dimensions, 0.01, np.float32)
    return WordTable.of(hashes[order], vectors[order], scale, np.full(len(words), -5.0, np.float32))


def prompts_of(count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Prompts, and which of them are hard."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    is_hard = np.array([chance.random() < 0.4 for _ in range(count)])
    texts = [f"What is the {' of the '.join(chance.sample(HARD if hard else EASY, 3))}?" for hard in is_hard]
    return texts, is_hard


def a_track(count: int = 400, seed: int = 0, words: WordTable | None = None) -> Track:
    """The large model answers nine of ten, the small one nine of ten easy ones and one of ten hard ones."""
    chance = np.random.default_rng(seed)
    texts, is_hard = prompts_of(count, seed)
    right = np.stack([np.full(count, 0.9), np.where(is_hard, 0.1, 0.9)], axis=1)
    score = (chance.random((count, 2)) < right).astype(float)
    cost = np.array([0.01, 0.001]) * np.exp(chance.normal(0, 0.1, (count, 2)))
    nothing = np.full((count, 2), np.nan)
    pids = tuple(f"{seed}-{number}" for number in range(count))
    labels = {"domain": tuple("hard" if one else "easy" for one in is_hard)}
    table = words or word_table()
    vectors = np.stack([features(text, table) for text in texts])
    return Track(POOL, Prompts("world", pids, tuple(texts), labels), vectors, Outcomes(score, cost, nothing, nothing))
