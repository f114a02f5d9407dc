"""Servers that outlived the process that started them: find them by the folder they work in, and end them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

POLL_S = 0.005
POLITE_S, QUICK_S, FORCED_S = 10.0, 3.0, 5.0


def running_in(folder: Path, command: str) -> list[int]:
    """Processes of that name working in that folder: both servers stay in their data folder while they live."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone meanwhile, or not ours to see
                if (entry / "comm").read_text().strip() == command and (entry / "cwd").readlink() == folder:
                    pids.append(int(entry.name))
    return pids


def stop_all(folder: Path, command: str, polite: signal.Signals) -> bool:
    """End what an earlier supervisor left and wait until it is gone: politely, then at once, then by force.

    False if something is still there.
    """
    for how, patience_s in ((polite, POLITE_S), (signal.SIGQUIT, QUICK_S), (signal.SIGKILL, FORCED_S)):
        pids = running_in(folder, command)
        if not pids:
            return True
        for pid in _leaders(pids) if how is not signal.SIGKILL else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if not running_in(folder, command):
                return True
            time.sleep(POLL_S)
    return not running_in(folder, command)


def _leaders(pids: list[int]) -> list[int]:
    """Those whose parent is not among them: Postgres ends its own children in the right order."""
    leaders = []
    for pid in pids:
        with contextlib.suppress(OSError):
            parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent not in pids:
                leaders.append(pid)
    return leaders
