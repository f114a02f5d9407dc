"""A real Valkey that a test may kill, pause, wipe and start again, apart from the one that all tests share."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from gateway.stores.binaries import valkey_server
from gateway.stores.child import leave_terminal_and_die_with_parent


class OwnValkey:
    """One server in a folder of its own; ``options`` override its settings."""

    def __init__(self, **options: str) -> None:
        self.folder = Path(mkdtemp(prefix="obol-valkey-"))
        self.socket = self.folder / "valkey.sock"
        self.url = f"unix://{self.socket}"
        self._options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "no",
            "save": "",
        } | options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self.socket.unlink(missing_ok=True)
        command = [str(valkey_server())]
        for name, value in self._options.items():
            command += [f"--{name.replace('_', '-')}", value]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=leave_terminal_and_die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - plain system calls only
        )
        while not self._answers():
            assert self._process.poll() is None, "the server ended"

    def kill(self) -> None:
        """SIGKILL: what it had in memory and not in its file is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """What a lost disk leaves."""
        assert self._process is None
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def pause(self) -> None:
        """A server that takes connections and never answers."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)  # it may answer until it has really stopped

    def go_on(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.settimeout(1)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(100).startswith(b"+PONG")
            except OSError:
                return False


@contextmanager
def own_valkey(**options: str) -> Iterator[OwnValkey]:
    server = OwnValkey(**options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
