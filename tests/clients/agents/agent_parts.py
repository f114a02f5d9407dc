"""Where a coding agent works in a test: a home, a file to edit, a key of its own, and what the ledger says of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import coding_upstream
import pytest
from page import Elsewhere
from running_gateway import Gateway, UpstreamProcess, until

NODE = Path(__file__).parents[1] / "node" / "node_modules"
STEPS = 3  # it reads, edits and says so
SECONDS_MAX = 90  # an agent that waits for something that never comes
_STEERING = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")  # colours and places on a terminal
# Per token and all different; what the catalog of these tests says in USD per million.
RATES_NUSD = {
    "input": 1000,
    "cached_input": 100,
    "cache_write": 1250,
    "cache_write_long": 1900,
    "output": 2000,
    "reasoning": 3000,
}


class Desk:
    """One user of a coding agent."""

    def __init__(self, gateway: Gateway, upstream: UpstreamProcess, elsewhere: Elsewhere, folder: Path) -> None:
        self.gateway, self.elsewhere = gateway, elsewhere
        self._upstream = upstream
        self.key = gateway.make_key()
        self.home = folder / "home"
        self.work = folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.file = self.work / "greeting.txt"
        self.file.write_text("hello\n")
        self.task = f"In the file {self.file}, replace hello by goodbye."
        self.token = uuid.uuid4().hex
        self._first_call = len(upstream.calls())

    def filled_in(self, text: str) -> str:
        """Lines of a page, with the address and the key of this test where it shows examples."""
        return text.replace("http://127.0.0.1:8080", self.gateway.url).replace("sk-obol-...", self.key["key"])

    def run(self, lines: str, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What a command does in a shell that has run these lines, with nothing of ours in its environment."""
        process = subprocess.Popen(
            _after(lines, command),
            cwd=self.work,
            env=self._environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said, complained = process.communicate(timeout=SECONDS_MAX)
        except BaseException:  # the launchers' children would outlive them, and go on asking
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return subprocess.CompletedProcess(command, process.returncode, said, complained)

    @contextlib.contextmanager
    def in_terminal(self, lines: str, *command: str) -> Iterator[Callable[[], str]]:
        """The same in a terminal, until the block ends; gives what is to be read there so far."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))  # rows and columns
        process = subprocess.Popen(
            _after(lines, command),
            cwd=self.work,
            env=self._environment | {"TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(ours, False)
        shown = bytearray()

        def read() -> str:
            with contextlib.suppress(OSError):  # nothing new, or it has ended
                while part := os.read(ours, 65536):
                    shown.extend(part)
            return _STEERING.sub(b"", bytes(shown)).decode(errors="replace")

        try:
            yield read
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(ours)

    @property
    def _environment(self) -> dict[str, str]:
        if not (NODE / "installed").exists():
            pytest.fail("the agents are missing: `make test-clients` installs them", pytrace=False)
        path = f"{NODE / '.bin'}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", **self.elsewhere.settings}

    def asked(self) -> list[dict[str, Any]]:
        """The calls that have reached the upstream since."""
        return self._upstream.calls()[self._first_call :]

    def entries(self) -> list[dict[str, Any]]:
        """The ledger's rows for this user's key, oldest first, one for each call that the upstream saw."""
        expected = len(self.asked())

        def all_there() -> list[dict[str, Any]]:
            found = self.gateway.ledger(key=self.key["id"])
            return found if len(found) >= expected else []

        found = until(all_there, f"{expected} calls are on the ledger")
        assert len(found) == expected
        return sorted(found, key=lambda entry: entry["created_at"])

    def assert_edited_and_billed(self, upstream_endpoint: str) -> list[dict[str, Any]]:
        """The file has changed, and each answer is on the ledger with what the upstream reported, to the token."""
        assert self.file.read_text() == "goodbye\n"
        entries = [entry for entry in self.entries() if entry["status"] == "succeeded"]
        assert len(entries) == STEPS
        for step, entry in enumerate(entries, 1):
            assert_billed(entry, upstream_endpoint, coding_upstream.usage(upstream_endpoint, step))
        self.elsewhere.assert_uncalled()
        return entries


def _after(lines: str, command: tuple[str, ...]) -> list[str]:
    return ["bash", "-c", f'{lines}\nexec "$@"', "bash", *command]


def assert_billed(entry: Mapping[str, Any], upstream_endpoint: str, usage: Mapping[str, Any]) -> None:
    """The row holds the usage, in the ledger's terms, and its price."""
    if upstream_endpoint == "messages":
        cached, written = usage["cache_read_input_tokens"], usage["cache_creation"]["ephemeral_5m_input_tokens"]
        long, output = usage["cache_creation"]["ephemeral_1h_input_tokens"], usage["output_tokens"]
        fresh, thought = usage["input_tokens"], usage["output_tokens_details"]["thinking_tokens"]
    else:
        asked, answered = ("prompt", "completion") if upstream_endpoint == "chat/completions" else ("input", "output")
        details, long = usage[f"{asked}_tokens_details"], 0
        cached, written = details["cached_tokens"], details["cache_write_tokens"]
        fresh = usage[f"{asked}_tokens"] - cached - written
        output = usage[f"{answered}_tokens"]
        thought = usage[f"{answered}_tokens_details"]["reasoning_tokens"]
    counted = {
        "input_tokens": fresh + cached + written + long,
        "cached_input_tokens": cached,
        "cache_write_tokens": written + long,
        "cache_write_long_tokens": long,
        "output_tokens": output,
        "reasoning_tokens": thought,
        "basis": "reported",
        "status": "succeeded",
    }
    assert {name: entry[name] for name in counted} == counted
    amounts = (fresh, cached, written, long, output - thought, thought)
    assert entry["cost_nusd"] == sum(amount * rate for amount, rate in zip(amounts, RATES_NUSD.values(), strict=True))
