"""What tests of routers share: a small word table, and a world in which it is known which prompts are hard."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from gateway.router.data import Outcomes, Prompts, write_table
from gateway.router.training import Track, train
from policies.routing.features import features
from policies.routing.pool import Pool
from policies.routing.router import Router
from policies.routing.tokens import hashes_of
from policies.routing.words import WordTable

EASY = ["colour", "name", "city", "river", "capital", "animal", "fruit", "number", "letter", "word", "day", "month"]
HARD = ["integral", "theorem", "manifold", "eigenvalue", "entropy", "covenant", "tort", "isotope", "enthalpy", "lemma"]
# The large model answers nine of ten, the small one nine of ten easy questions and one of ten hard ones.
RATES = {"large": (0.9, 0.9), "small": (0.9, 0.1)}
COSTS = {"large": 0.01, "small": 0.001}
POOL = Pool("world", ("large", "small"), np.array([0.9, 0.6]), np.array([0.01, 0.001]), *np.full((2, 2), np.nan))


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


def a_track(
    count: int = 400,
    seed: int = 0,
    words: WordTable | None = None,
    *,
    track: str = "world",
    costs: Mapping[str, float] = COSTS,
    rates: Mapping[str, tuple[float, float]] = RATES,
) -> Track:
    """Questions with every model's outcome. ``costs`` in USD; ``rates``: what it gets right of easy and of hard."""
    chance = np.random.default_rng(seed)
    texts, is_hard = prompts_of(count, seed)
    models = tuple(sorted(rates))
    right = np.stack([np.where(is_hard, rates[one][1], rates[one][0]) for one in models], axis=1)
    score = (chance.random(right.shape) < right).astype(float)
    cost = np.array([costs[one] for one in models]) * np.exp(chance.normal(0, 0.1, right.shape))
    nothing = np.full(right.shape, np.nan)
    unknown = np.full(len(models), np.nan)
    pool = Pool(track, models, score.mean(axis=0), cost.mean(axis=0), unknown, unknown)
    pids = tuple(f"{seed}-{number}" for number in range(count))
    labels = {"domain": tuple("hard" if one else "easy" for one in is_hard)}
    table = words or word_table()
    vectors = np.stack([features(text, table) for text in texts])
    return Track(
        POOL if rates is RATES else pool,
        Prompts(track, pids, tuple(texts), labels),
        vectors,
        Outcomes(score, cost, nothing, nothing),
    )


@cache
def two_track_router() -> Router:
    """Trained once by whoever asks first: it takes seconds, and no collection of tests may wait for it."""
    words = word_table()
    return train([a_track(300, words=words), a_track(300, seed=1, words=words, track="other")], words)


def write_data(folder: Path, track: Track, *, has_outcomes: bool = True) -> Path:
    """A track's prompts, outcomes and models as files."""
    folder.mkdir(exist_ok=True)
    prompts, pool, count = track.prompts, track.pool, len(track.prompts)
    columns = {"pid": prompts.pids, "track": [prompts.track] * count, "prompt": prompts.texts}
    write_table(folder / "prompts.parquet", columns | {"domain": prompts.labels["domain"]})
    lines = [
        f"{prompts.track},{model},{pool.quality[at]},{pool.usd[at] * 1000}" for at, model in enumerate(pool.models)
    ]
    header = "track,model,train_quality,train_usd_per_1k"
    (folder / "models.csv").write_text("\n".join([header, *lines]) + "\n")
    if has_outcomes:
        outcomes = {
            "pid": [pid for pid in prompts.pids for _ in pool.models],
            "model": list(pool.models) * count,
            "score": track.outcomes.score.ravel(),
            "cost": track.outcomes.cost.ravel(),
        }
        write_table(folder / "outcomes.parquet", outcomes)
    return folder
