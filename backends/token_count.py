"""Counts tokens where an upstream reported none: tiktoken, offline, off the event loop.

The encoding files are those inside the installed litellm package, found without importing it. Encodings are loaded on
first use only (both together cost about 115 MB).
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

#: One thread call encodes this much at most, so that a long text holds the thread (and, where tiktoken holds it, the
#: interpreter) for some ten milliseconds, and other counts get their turn in between.
PIECE_CHARS = 64 * 1024
#: Where no encoding can be loaded: the usual share of English text.
_BYTES_PER_TOKEN = 4
#: The names under which tiktoken looks for its files: the SHA-1 of the address each would be fetched from.
_FILES = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
}

_CL100K_PREFIXES = ("gpt-4-", "gpt-3.5", "gpt-35", "text-embedding-", "davinci-002", "babbage-002")

_log = logging.getLogger("obol.tokens")
_environment_lock = threading.Lock()


def encoding_name(model: str) -> str:
    """The tiktoken encoding of an OpenAI model; for all others the newer one, as an estimate."""
    bare = model.rsplit("/", 1)[-1].removeprefix("ft:")
    if bare == "gpt-4" or (bare.startswith(_CL100K_PREFIXES) and not bare.startswith("gpt-4-o")):
        return "cl100k_base"
    return "o200k_base"


def encoding_files() -> Path | None:
    """The folder of tiktoken's files inside the litellm package; ``None`` when it is not installed."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "litellm_core_utils" / "tokenizers"
    return folder if folder.is_dir() else None


def pieces(text: str) -> list[str]:
    """Cut a text into parts that add up to it, each at most ``PIECE_CHARS`` long, at white space where there is any.

    A cut inside a word costs at most one token too many; a cut before a space costs none, since tokens begin with it.
    """
    parts: list[str] = []
    start = 0
    while len(text) - start > PIECE_CHARS:
        end = start + PIECE_CHARS
        space = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        end = space if space > start + PIECE_CHARS // 2 else end
        parts.append(text[start:end])
        start = end
    parts.append(text[start:])
    return parts


class TiktokenCounter:
    """A TokenCounter in one worker thread. Never raises: what cannot be encoded is estimated by its bytes."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="obol-tokens")
        self._encodings: dict[str, tiktoken.Encoding | None] = {}

    async def count(self, model: str, text: str) -> int:
        """How many tokens the text has for the model."""
        if not text:
            return 0
        loop = asyncio.get_running_loop()
        name = encoding_name(model)
        total = 0
        for piece in pieces(text):
            try:
                total += await loop.run_in_executor(self._worker, self._count_piece, name, piece)
            except RuntimeError:  # closed: the process is on its way out, and this charge still wants a number
                total += _estimate(piece)
        return total

    def close(self) -> None:
        """End the worker thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _count_piece(self, name: str, text: str) -> int:
        encoding = self._encoding(name)
        if encoding is None:
            return _estimate(text)
        try:
            return len(encoding.encode_ordinary(text))  # special tokens are text here
        except BaseException:  # noqa: BLE001 (a panic of the Rust core is no Exception; a count must not fail a request)
            _log.exception("tokens estimated by bytes: the text could not be encoded")
            return _estimate(text)

    def _encoding(self, name: str) -> tiktoken.Encoding | None:
        if name not in self._encodings:
            self._encodings[name] = _load(name)
        return self._encodings[name]


def _estimate(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def _load(name: str) -> tiktoken.Encoding | None:
    """Load an encoding without network; ``None`` (and a warning) when its file is not there."""
    import tiktoken  # noqa: PLC0415 (only when something must be counted)

    folder = encoding_files()
    if folder is None or not (folder / _FILES[name]).is_file():
        # Without its file tiktoken would go and fetch it.
        _log.warning("tokens are estimated by bytes: no file for %s inside an installed litellm package", name)
        return None
    with _environment_lock:
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        try:
            return tiktoken.get_encoding(name)
        except (OSError, ValueError) as exc:
            _log.warning("tokens are estimated by bytes: %s cannot be loaded (%s)", name, type(exc).__name__)
            return None
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before
