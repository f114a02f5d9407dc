"""What the sentence encoder needs: CPU for a text of so many tokens on one core, and memory in a process of its own."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.embedding.minilm import SentenceEncoder

TOKENS = (20, 50, 100)
TEXTS = 200  # of each length in each run
_MARKS = 2  # for beginning and end, counted as the model counts
_WORDS = ("how", "can", "the", "card", "my", "account", "change", "order", "when", "before", "payment", "not", "help")
_ALONE = """
import sys
from pathlib import Path
import psutil
from gateway.embedding.minilm import SentenceEncoder
encoder = SentenceEncoder.load(Path(sys.argv[1]))
for number in range(50):
    encoder.encode([f"{number} " + "word " * 97])
print(psutil.Process().memory_info().rss)
"""


class Spent(NamedTuple):
    """CPU of this process for a text, tokens counted out of it included."""

    p50_ms: float
    p95_ms: float


def measure(folder: Path, runs: int) -> Mapping[int, Sequence[Spent]]:
    """By number of tokens, run by run in turns."""
    encoder = SentenceEncoder.load(folder)
    dice = random.Random(1)  # noqa: S311 - the same texts each time
    found: dict[int, list[Spent]] = {tokens: [] for tokens in TOKENS}
    for _ in range(runs):
        for tokens in TOKENS:
            texts = texts_of(tokens, TEXTS, dice)
            assert {encoder.count(text) for text in texts} == {tokens}
            found[tokens].append(_spent(encoder, texts))
    return found


def texts_of(tokens: int, count: int, dice: random.Random) -> list[str]:
    """So many texts, of so many tokens each."""
    return [" ".join(dice.choices(_WORDS, k=tokens - _MARKS)) for _ in range(count)]


def memory_mb(folder: Path) -> float:
    """RSS of a process that does nothing but encode."""
    command = [sys.executable, "-c", _ALONE, str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1e6


def _spent(encoder: SentenceEncoder, texts: Sequence[str]) -> Spent:
    spent_ms: list[float] = []
    for text in texts:
        began_s = time.process_time()
        encoder.encode([text])
        spent_ms.append((time.process_time() - began_s) * 1000)
    return Spent(statistics.median(spent_ms), statistics.quantiles(spent_ms, n=20)[-1])
