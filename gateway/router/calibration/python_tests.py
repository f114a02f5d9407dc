"""Runs code that a model wrote against its user's tests, in a process of its own with limits. No sandbox: a fence.

The process is Python in isolated mode with an empty environment and an empty folder. It has limits on its time, memory,
files and output, and an audit hook that refuses sockets and other programs. That stops mistakes and idle mischief; who
does not trust the models runs the calibration where nothing can be lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile

DEADLINE_S = 20.0
_CPU_S = 10
_MEMORY_BYTES = 1 << 30
_OUTPUT_BYTES = 1 << 20
_FILES = 32

# What runs in the process. That all tests ran is known by a word that only comes after them: sys.exit(0) is no success.
_FENCE = f"""
import json, os, resource, sys
asked = json.loads(sys.stdin.read())
for limit, most in (
    (resource.RLIMIT_CPU, {_CPU_S}), (resource.RLIMIT_AS, {_MEMORY_BYTES}), (resource.RLIMIT_FSIZE, {_OUTPUT_BYTES}),
    (resource.RLIMIT_NOFILE, {_FILES}), (resource.RLIMIT_CORE, 0),
):
    resource.setrlimit(limit, (most, most))
REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "ctypes.")
def fence(event, _):
    if event.startswith(REFUSED):
        raise PermissionError(event)
sys.addaudithook(fence)
scope = {{"__name__": "answer"}}
exec(compile(asked["code"], "answer", "exec"), scope)
exec(compile(asked["tests"], "tests", "exec"), scope)
sys.stdout.flush()
os.write(1, asked["word"].encode())
"""


def passes(code: str, tests: str, deadline_s: float = DEADLINE_S) -> bool:
    """Whether the tests run to their end after the code, within all limits."""
    word = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - this very interpreter
            [sys.executable, "-I", "-c", _FENCE],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            start_new_session=True,
        )
        asked = json.dumps({"code": code, "tests": tests, "word": word}).encode()
        try:
            process.communicate(asked, timeout=deadline_s)
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return process.returncode == 0 and output.read().endswith(word.encode())
