"""Start, watch and stop a real vLLM server on 127.0.0.1.

By hand: ``.venv/bin/python tests/vllm/vllm_server.py [--embeddings] [--port 8000]`` serves until Ctrl-C.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

ENVIRONMENT = Path(__file__).parents[2] / ".venv-vllm"
MODEL = ENVIRONMENT / "model"
READY_S_MAX = 300.0
STOP_S_MAX = 60.0
POLL_S = 0.05

SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "TORCHDYNAMO_DISABLE": "1",  # else the first request for logprobs compiles for 38 s
    "VLLM_SERVER_DEV_MODE": "1",  # opens /reset_prefix_cache
    "VLLM_LOGGING_LEVEL": "DEBUG",  # writes prompts down
}
COMMON = ("--host", "127.0.0.1", "--dtype", "bfloat16", "--enforce-eager", "--max-num-seqs", "16", "--block-size", "32")
CHAT = (
    *("--served-model-name", "tiny", "--max-model-len", "65536"),
    *("--enable-prefix-caching", "--enable-prompt-tokens-details", "--enable-log-requests"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    # A random model would spend all its tokens on spaces.
    "--structured-outputs-config.backend=xgrammar",
    "--structured-outputs-config.disable_any_whitespace=true",
)
# Embeddings report no cached tokens, so this server caches none: what cannot be billed exactly cannot be compared.
EMBEDDINGS = (
    *("--served-model-name", "tiny-embed", "--max-model-len", "512"),
    *("--runner", "pooling", "--convert", "embed", "--no-enable-prefix-caching"),
)


class NotReady(Exception):
    """A server did not come up, or did not come to rest; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was consumed: ``input`` includes ``cached``."""

    input: int = 0
    cached: int = 0
    output: int = 0

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(self.input - other.input, self.cached - other.cached, self.output - other.output)

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.input + other.input, self.cached + other.cached, self.output + other.output)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, *, within_s: float) -> None:
    """Poll until it holds. Raises NotReady after within_s."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise NotReady(f"after {within_s:.0f} s: not {what}")
        time.sleep(POLL_S)


PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Runs in the child: have the kernel send it TERM when we die, also of a SIGKILL."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A server in a session of its own, with its log in a file; ``stop`` leaves nothing behind."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one thread starts servers, and the call allocates nothing
            )

    @property
    def logged(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def log_tail(self) -> str:
        return self._log.read_bytes()[-4000:].decode(errors="replace")

    def wait_until_ready(self, url: str, *, within_s: float) -> None:
        """Until ``url`` answers 200. Raises NotReady, with the log, when it does not in time or the process ends."""

        def answers() -> bool:
            if self._popen.poll() is not None:
                raise NotReady(f"{self._popen.args} ended with {self._popen.returncode}:\n{self.log_tail}")
            try:
                return httpx.get(url, timeout=5).is_success
            except httpx.TransportError:
                return False

        try:
            wait_for(answers, f"ready: {url}", within_s=within_s)
        except NotReady as exc:
            raise NotReady(f"{exc}\n{self.log_tail}") from None

    def let_others_first(self) -> None:
        """Run what the leader started (vLLM's engine and workers) only while nobody else wants the processor.

        They wait for each other in loops of sched_yield, which keep a client or gateway on the same two cores from
        running for seconds (seen: 6 s), and a client that does not run is no client that leaves.
        """
        for member in self._members():
            if member.pid != self._popen.pid:
                for thread in member.threads():
                    os.sched_setscheduler(thread.id, os.SCHED_IDLE, os.sched_param(0))

    def stop(self) -> None:
        """TERM until every process of the session is gone, KILL what is left after STOP_S_MAX.

        vLLM ignores a TERM that comes while it imports, and its engine outlives a killed server.
        """
        deadline_s = time.monotonic() + STOP_S_MAX
        sent_s = 0.0
        while members := self._members():
            now_s = time.monotonic()
            if now_s > deadline_s:
                _signal(members, signal.SIGKILL)
            elif now_s - sent_s > 5.0:
                # Only the leader: it stops its own children in order; they get theirs if it is gone.
                leader = [one for one in members if one.pid == self._popen.pid]
                _signal(leader or members, signal.SIGTERM)
                sent_s = now_s
            time.sleep(POLL_S)
        self._popen.wait()

    def _members(self) -> list[psutil.Process]:
        self._popen.poll()  # reaps the leader, which would stay a zombie
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self._popen.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, ProcessLookupError):
                continue
        return found


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


class VllmServer:
    """One running vLLM server and its own counters."""

    def __init__(self, port: int, process: Process | None) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = process

    @classmethod
    def start(cls, arguments: tuple[str, ...], *, log: Path, port: int | None = None) -> VllmServer:
        """Begin to start one; it is of use once ``wait_until_ready`` has returned."""
        port = port or free_port()
        command = [str(ENVIRONMENT / "bin" / "vllm"), "serve", str(MODEL), "--port", str(port), *COMMON, *arguments]
        return cls(port, Process(command, SETTINGS, log))

    @classmethod
    def running_on(cls, port: int) -> VllmServer:
        """One that somebody else started and will stop."""
        return cls(port, None)

    def wait_until_ready(self) -> None:
        if self._process:
            self._process.wait_until_ready(f"{self.url}/health", within_s=READY_S_MAX)
            self._process.let_others_first()

    def stop(self) -> None:
        if self._process:
            self._process.stop()

    @property
    def logged(self) -> str | None:
        """All that it wrote down, prompts too; ``None`` where somebody else has it."""
        return self._process.logged if self._process else None

    def counters(self) -> Counter[str]:
        """All metrics, each summed over its labels."""
        found: Counter[str] = Counter()
        for line in httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines():
            if line.startswith("vllm:"):
                found[line.partition("{")[0]] += int(float(line.rpartition(" ")[2]))
        return found

    def tokens(self) -> Tokens:
        """All tokens that this server has counted since it started."""
        counted = self.counters()
        return Tokens(
            input=counted["vllm:prompt_tokens_total"],
            cached=counted["vllm:prefix_cache_hits_total"],
            output=counted["vllm:generation_tokens_total"],
        )

    def running(self) -> int:
        """Requests in the engine or waiting for it; one with ``n`` choices counts ``n`` times."""
        counted = self.counters()
        return counted["vllm:num_requests_running"] + counted["vllm:num_requests_waiting"]

    def wait_until_idle(self) -> None:
        wait_for(lambda: self.running() == 0, "idle", within_s=60)

    def forget_prefixes(self) -> None:
        """Empty the prefix cache, so that a test's own first request finds nothing in it."""
        self.wait_until_idle()
        httpx.post(f"{self.url}/reset_prefix_cache", timeout=30).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--log", type=Path, default=ENVIRONMENT / "serve.log")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = VllmServer.start(EMBEDDINGS if asked.embeddings else CHAT, log=asked.log, port=asked.port)
    try:
        server.wait_until_ready()
        print(f"{server.url}/v1, log in {asked.log}", flush=True)  # noqa: T201 - a command prints
        signal.pause()
    except KeyboardInterrupt:
        print("stopping", flush=True)  # noqa: T201 - a command prints
    finally:
        server.stop()


if __name__ == "__main__":
    main()
