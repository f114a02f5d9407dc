"""What deployments answered, written down as it comes, so that nobody pays for an answer twice."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.router.calibration.lines import key_of
from gateway.router.data import BadData

_NAME = "answers.jsonl"


class Answered(msgspec.Struct, frozen=True):
    """One answer with what it cost. ``key`` names what was asked, of whom included."""

    key: str
    deployment: str
    text: str
    cost_nusd: int
    input_tokens: int
    output_tokens: int
    request_id: str


class Journal:
    """A file of JSON lines in the folder, readable by its owner alone. Threads may write at once."""

    def __init__(self, folder: Path) -> None:
        """Raises BadData for a file that is none of ours; a last line that was cut off is left out."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / _NAME
        self._lock = threading.Lock()
        self._known: dict[str, Answered] = {}
        content = self._path.read_bytes() if self._path.exists() else b""
        whole, _, torn = content.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                one = msgspec.json.decode(line, type=Answered)
            except msgspec.MsgspecError as exc:
                raise BadData(f"{self._path}: line {number} is no answer of a calibration: {exc}") from exc
            self._known[one.key] = one
        if torn:
            os.truncate(self._path, len(content) - len(torn))

    def get(self, body: Mapping[str, object]) -> Answered | None:
        """What was answered to it, ``None`` before it was."""
        return self._known.get(key_of(body))

    def keep(self, one: Answered) -> None:
        """Write it down: it is in the file when this returns."""
        with self._lock:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(msgspec.json.encode(one) + b"\n")
            self._known[one.key] = one
