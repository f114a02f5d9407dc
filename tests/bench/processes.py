"""Starts what is measured, reads what it used, stops all of it.

The gateway has core 0 for itself; upstreams, load and embedded stores share another one. On one core nothing is pinned.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from tests.bench.client import Load, Result
from tests.bench.dialects import CHAT, DIALECTS

ROOT = Path(__file__).resolve().parents[2]
_NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_timeout 600s; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; {locations} }}
}}
"""
_CATALOG = """
providers:
  nginx: {{kind: openai, base_url: "http://127.0.0.1:{static}/v1", api_key: "sk-bench"}}
  nginx-messages: {{kind: anthropic, base_url: "http://127.0.0.1:{static}/v1", api_key: "sk-bench"}}
  anthropic-like: {{kind: anthropic, base_url: "http://127.0.0.1:{stream}/v1", api_key: "sk-bench"}}
  openai-like: {{kind: openai, base_url: "http://127.0.0.1:{stream}/v1", api_key: "sk-bench"}}
  vllm-like: {{kind: vllm, base_url: "http://127.0.0.1:{stream}/vllm/v1"}}
deployments:
  - {{name: static-upstream, provider: nginx, model: bench, price: {{input: 0.25, output: 2}}}}
  - {{name: static-messages, provider: nginx-messages, model: bench, price: {{input: 0.25, output: 2}}}}
  - {{name: messages-stream, provider: anthropic-like, model: bench, price: {{input: 0.25, output: 2}}}}
  - {{name: openai-stream, provider: openai-like, model: bench, price: {{input: 0.25, output: 2}}}}
  - {{name: vllm-stream, provider: vllm-like, model: bench, price: {{input: 0.25, output: 2}}}}
{four}
routes:
  static: {{deployments: [static-upstream], policy: ordered, baseline: openai-stream}}
  ordered-four: {{deployments: [one, two, three, four], policy: ordered}}
  cheapest-four: {{deployments: [one, two, three, four], policy: cheapest_adequate}}
"""
_FOUR = "\n".join(
    f"  - {{name: {name}, provider: nginx, model: {name}, price: {{input: {usd}, output: {usd * 4}}}}}"
    for name, usd in (("one", 0.1), ("two", 0.4), ("three", 1.5), ("four", 5.0))
)
_GATEWAY_CORE, _OTHER_CORE = 0, 1
_PATIENCE_S = 30


class NotPossible(Exception):
    """The benchmark cannot run here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """User and system seconds of the gateway's own processes (supervisor, workers) and of its embedded stores."""

    own_s: float
    stores_s: float

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.own_s - before.own_s, self.stores_s - before.stores_s)


class Server:
    """One process that was started for the benchmark, with everything that it starts itself."""

    def __init__(
        self, command: Sequence[str], port: int, core: int, log: Path, env: dict[str, str] | None = None
    ) -> None:
        self.port = port
        self.began_s = time.monotonic()
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})}
            )
        self.process = psutil.Process(self._process.pid)
        _pin(self._process.pid, core)
        self._log = log

    def await_port(self) -> None:
        """Return when something listens. Raises NotPossible when the process ends first."""
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() - self.began_s > _PATIENCE_S:
                raise NotPossible(f"a server did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.01)

    def cpu(self) -> Cpu:
        times = self.process.cpu_times()
        return Cpu(times.user + times.system, 0.0)

    def stop(self) -> None:
        """Ask, wait, and make sure: nothing that this started outlives it."""
        started = self.process.children(recursive=True) if self._process.poll() is None else []
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, left = psutil.wait_procs(started, timeout=5)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


class Gateway(Server):
    """A real `obol serve` with one worker and embedded stores."""

    def __init__(self, folder: Path, static_port: int, stream_port: int) -> None:
        catalog = folder / "catalog.yaml"
        catalog.write_text(_CATALOG.format(four=_FOUR, static=static_port, stream=stream_port))
        self.data_dir = folder / "data"
        port = free_port()
        env = {
            "OBOL_CATALOG": str(catalog),
            "OBOL_PORT": str(port),
            "OBOL_DATA_DIR": str(self.data_dir),
            "OBOL_WORKERS": "1",
        }
        command = [str(Path(sys.executable).parent / "obol"), "serve"]
        super().__init__(command, port, _GATEWAY_CORE, folder / "gateway.log", env)

    def await_answer(self) -> float:
        """Return the seconds from the start of the command to the first answer of the model endpoint."""
        while True:
            if self._process.poll() is not None or time.monotonic() - self.began_s > _PATIENCE_S:
                raise NotPossible(f"obol serve did not start:\n{self._log.read_text()[-3000:]}")
            with contextlib.suppress(OSError, urllib.error.URLError, FileNotFoundError):
                chat = DIALECTS[CHAT]
                request = urllib.request.Request(
                    f"http://127.0.0.1:{self.port}{chat.path}", chat.body(is_stream=False).encode(), self.headers()
                )
                with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own address
                    answer.read()
                    return time.monotonic() - self.began_s
            time.sleep(0.005)

    def headers(self) -> dict[str, str]:
        key = (self.data_dir / "first-key").read_text().strip()
        return {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def move_stores(self) -> None:
        """Give the embedded stores the other core, so that core 0 serves the gateway alone."""
        for one in self.stores():
            _pin(one.pid, _OTHER_CORE)

    def worker(self) -> psutil.Process:
        return next(one for one in self.process.children() if "gateway.serving.worker" in one.cmdline())

    def stores(self) -> list[psutil.Process]:
        worker = self.worker().pid
        return [one for one in self.process.children(recursive=True) if one.pid != worker]

    def cpu(self) -> Cpu:
        own = _seconds([self.process, self.worker()])
        return Cpu(own, _seconds(self.stores()))


def _seconds(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend of Postgres that ended meanwhile
            times = one.cpu_times()
            total += times.user + times.system
    return total


def start_nginx(folder: Path) -> Server:
    """The static upstream. Raises NotPossible where there is no nginx."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        raise NotPossible("nginx is the static upstream: install it (Debian: apt-get install nginx-light)")
    port = free_port()
    config = folder / "nginx.conf"
    locations = " ".join(
        f"location = {dialect.path} {{ return 200 '{dialect.answer}'; }}" for dialect in DIALECTS.values()
    )
    config.write_text(_NGINX.format(folder=folder, port=port, locations=locations))
    server = Server(
        [nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)],
        port,
        _OTHER_CORE,
        folder / "nginx.log",
    )
    server.await_port()
    return server


def start_passthrough(folder: Path, upstream_port: int) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.passthrough", str(port), f"http://127.0.0.1:{upstream_port}"]
    server = Server(command, port, _GATEWAY_CORE, folder / "passthrough.log")
    server.await_port()
    return server


def start_stream_upstream(folder: Path, chunks: int, pause_s: float) -> Server:
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.stream_upstream", str(port), str(chunks), str(pause_s)]
    server = Server(command, port, _OTHER_CORE, folder / "stream.log")
    server.await_port()
    return server


def drive(load: Load) -> Result:
    """Run one load in a process of its own, on the other core. Raises NotPossible when an answer was not good."""
    command = [sys.executable, "-m", "tests.bench.client"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        _pin(process.pid, _OTHER_CORE)
        try:
            out, _ = process.communicate(msgspec.json.encode(load))
        finally:
            process.kill()  # whatever interrupts us: a load that outlives its bench would spoil every later figure
    if process.returncode != 0:
        raise NotPossible("the load could not be sent")
    result = msgspec.json.decode(out, type=Result)
    if result.failures:
        raise NotPossible(f"{result.failures} of {result.requests} answers were not good")
    return result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pin(pid: int, core: int) -> None:
    if (os.cpu_count() or 1) <= core or len(os.sched_getaffinity(0)) <= 1:
        return
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
