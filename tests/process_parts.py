"""Processes as the fault tests see them: start, wait for a condition, and make sure that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import psutil

STUBS = Path(__file__).parent / "faults"
STUB_SERVE = """
import os, sys
from gateway.settings import Settings
from gateway.serving.supervisor import serve
sys.exit(serve(Settings.from_environment(os.environ), app="serve_stub:create_app"))
"""
READY_S_MAX = 100.0  # on a machine that is busy with other things
OBOL_SERVE = "import sys; from gateway.cli import main; sys.exit(main(['serve']))"


def wait_until(condition, what: str, patience_s: float = 90.0):
    """Return the condition's first true value."""
    deadline = time.monotonic() + patience_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {patience_s} s in vain: {what}"
        time.sleep(0.01)


def clean_environment(**more: str) -> dict[str, str]:
    """Our environment without what would steer a gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OBOL_") and "API_KEY" not in name}
    return kept | more


def family(pid: int) -> list[psutil.Process]:
    """The process and all that descend from it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def wait_until_gone(processes: list[psutil.Process]) -> None:
    """Fail if one of them goes on running; a zombie is none."""

    def running():
        return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def all_gone():
        try:
            return not running()
        except psutil.NoSuchProcess:
            return False  # gone between two looks: look again

    wait_until(all_gone, f"end of {processes}")


class Serving:
    """An `obol serve` of a test, on any free port; its output is read as it comes."""

    def __init__(self, data_dir: Path, *, program: str = STUB_SERVE, **environment: str) -> None:
        self.data_dir = data_dir
        settings = {"OBOL_DATA_DIR": str(data_dir), "OBOL_PORT": "0", "PYTHONPATH": str(STUBS)} | environment
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=clean_environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self._lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def output(self) -> str:
        return "".join(self._lines)

    def wait_ready(self) -> Serving:
        deadline = time.monotonic() + READY_S_MAX
        while "ready after" not in self.output and self.process.poll() is None:
            assert time.monotonic() < deadline, f"never ready: {self.output}\n{self._process_tree()}"
            time.sleep(0.01)
        assert self.process.poll() is None, self.output
        return self

    def _process_tree(self) -> str:
        return "\n".join(f"{one.pid} {one.ppid()} {one.status()} {' '.join(one.cmdline())}" for one in self.family())

    @property
    def url(self) -> str:
        return (self.data_dir / "address").read_text().strip()

    def get(self, path: str, timeout_s: float = 30.0) -> str:
        with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:  # noqa: S310  our own http address
            return answer.read().decode()

    def family(self) -> list[psutil.Process]:
        return family(self.process.pid)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit status, once it has ended by itself."""
        status = self.process.wait(60)
        self._reader.join(10)
        return status

    def clean_up(self) -> None:
        """Whatever the test did, nothing stays."""
        if self.process.poll() is None:
            everyone = self.family()
            self.process.kill()
            for one in everyone:
                try:
                    one.kill()
                except psutil.NoSuchProcess:
                    continue
            self.process.wait(60)
        self._reader.join(10)
        self.process.stdout.close()
