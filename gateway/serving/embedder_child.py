"""The embedder as the supervisor sees it: a socket that stands all the time, and a process once somebody connects.

Workers connect when their catalog wants it, so that nobody else needs to know; who connects while no process runs
waits for one.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from gateway.embedding import SOCKET_NAME
from gateway.serving.backoff import Backoff

MODULE = "gateway.serving.embedder"
_BACKLOG = 512
_END_S = 2.0


class EmbedderChild:
    """``spawn`` starts a module with arguments and descriptors. ``folder``: where the socket stands, 0600."""

    def __init__(
        self, folder: Path, spawn: Callable[..., subprocess.Popen[bytes]], warn: Callable[[str], None]
    ) -> None:
        self._path = folder / SOCKET_NAME
        self._spawn = spawn
        self._warn = warn
        self._process: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff(0.0, due_s=0.0)
        self._path.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self._path))
        self._path.chmod(0o600)
        self._listening.listen(_BACKLOG)

    @property
    def pid(self) -> int | None:
        """Of the process that runs, if any."""
        return None if self._process is None else self._process.pid

    def due_s(self, now_s: float) -> float | None:
        """When it may be started again, where that is later."""
        due_s = self._backoff.due_s
        return due_s if due_s is not None and due_s > now_s else None

    def wakes_by(self, now_s: float) -> int | None:
        """The descriptor that can be read when it is wanted; ``None`` while it runs, or may not be started again."""
        is_off = self._process is None and self.due_s(now_s) is None
        return self._listening.fileno() if is_off else None

    def look_after(self, now_s: float) -> None:
        """Start it where somebody waits for it; it ends by itself when nobody is connected for a while."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            if status == 0:
                self._backoff = Backoff(now_s, due_s=now_s)
            else:
                self._backoff.ended(now_s)
                self._warn(f"the embedder {self._process.pid} ended ({status}); it starts again when it is wanted")
            self._process = None
        descriptor = self.wakes_by(now_s)
        if descriptor is not None and select.select([descriptor], [], [], 0)[0]:
            self._process = self._spawn(MODULE, str(descriptor), pass_fds=(descriptor,))
            if self._process.stdin is not None:
                self._process.stdin.close()  # it is told nothing
            self._backoff.started(now_s)

    def stop(self) -> None:
        """It holds nothing that is not elsewhere."""
        self._listening.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
