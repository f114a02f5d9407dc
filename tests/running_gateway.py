"""A real `obol serve` and a real scripted upstream, each in processes of its own, for tests that treat them roughly."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from gateway.stores.child import leave_terminal_and_die_with_parent
from gateway.stores.embedded import layout

ADMIN_KEY = "admin-key-of-the-tests"
START_S_MAX = 60.0  # on a machine that is busy with other things
OBOL = Path(sys.executable).with_name("obol")
UPSTREAM = Path(__file__).with_name("scripted_upstream.py")


def until(is_met: Callable[[], object], what: str, within_s: float = 30.0) -> Any:
    """Wait for a condition and return its value; the limit is for a condition that never comes."""
    deadline = time.monotonic() + within_s
    while not (value := is_met()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(0.02)
    return value


class UpstreamProcess:
    """The scripted upstream in a process that outlives every gateway."""

    def __init__(self, program: Path = UPSTREAM) -> None:
        """``program``: one that prints its port as the scripted upstream does."""
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=leave_terminal_and_die_with_parent(signal.SIGTERM),  # noqa: PLW1509  no threads fork here
        )
        assert self._process.stdout is not None
        self._host = f"http://127.0.0.1:{json.loads(self._process.stdout.readline())['port']}"
        self.base_url = f"{self._host}/v1"
        self._client = httpx.Client(timeout=30)

    def calls(self, user: str = "") -> list[dict[str, Any]]:
        """The recorded calls whose ``user`` field (with Anthropic ``metadata.user_id``) begins so."""
        return self._shown({"user": user})

    def calls_of(self, model: str) -> list[dict[str, Any]]:
        """The recorded calls of that model."""
        return self._shown({"model": model})

    def _shown(self, which: dict[str, str]) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self._client.get(f"{self._host}/_calls", params=which).json()["calls"]
        return calls

    def stop(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Gateway:
    """One `obol serve`; ``start`` may be called again after ``stop`` or ``kill_all``, and keeps its address."""

    def __init__(self, folder: Path, catalog: str, **settings: str) -> None:
        self.data_dir = folder / "data"
        self.catalog = folder / "catalog.yaml"
        self.catalog.write_text(catalog)
        self.log = folder / "gateway.log"
        self.url = ""
        self._settings = settings
        self._already_said = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._admin = httpx.Client(headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=30)

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path, catalog: str, **settings: str) -> Iterator[Self]:
        """Ready when the block begins, stopped when it ends, whatever became of its start."""
        gateway = cls(folder, catalog, **settings)
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.stop()

    def start(self) -> None:
        """Returns when it is ready."""
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> None:
        """To be called from the main thread: it dies with the thread that made it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OBOL_")} | {
            "OBOL_CATALOG": str(self.catalog),
            "OBOL_DATA_DIR": str(self.data_dir),
            "OBOL_PORT": self.url.rpartition(":")[2] or "0",
            "OBOL_ADMIN_KEY": ADMIN_KEY,
            **self._settings,
        }
        self._already_said = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(OBOL), "serve"],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=leave_terminal_and_die_with_parent(signal.SIGTERM),  # noqa: PLW1509  no threads fork here
            )

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            said = self.log.read_bytes()[self._already_said :].decode(errors="replace")
            assert self._process is not None
            assert self._process.poll() is None, said
            found = re.search(r"serves at\s+(http://\S+)/v1", said)
            if found:
                self.url = found[1]
            return "ready after" in said

        until(is_ready, "the gateway is ready", START_S_MAX)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def first_key(self) -> str:
        return (self.data_dir / "first-key").read_text().strip()

    @property
    def store_urls(self) -> dict[str, str]:
        """The settings with which another gateway uses these embedded stores."""
        places = layout(self.data_dir)
        return {"OBOL_DATABASE_URL": places.database_url, "OBOL_REDIS_URL": places.redis_url}

    def admin(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._admin.request(method, f"{self.url}/admin/{path}", **options)

    def make_key(self, **fields: Any) -> dict[str, Any]:
        """A new key of a new team: ``id`` and the secret as ``key``."""
        team = self.admin("POST", "teams", json={"name": f"team {random.getrandbits(64):x}"}).raise_for_status().json()
        made = self.admin("POST", "keys", json={"team": team["id"], "name": "key", **fields}).raise_for_status()
        key: dict[str, Any] = made.json()
        return key

    def ledger(self, **filters: str) -> list[dict[str, Any]]:
        """All entries that pass the filters, newest first, page by page."""
        entries: list[dict[str, Any]] = []
        cursor = ""
        while True:
            asked = {"limit": "1000", "cursor": cursor, **filters}
            page = self.admin("GET", "ledger", params=asked).raise_for_status().json()
            entries += page["data"]
            cursor = page["next_cursor"]
            if not cursor:
                return entries

    def logged(self) -> str:
        return self.log.read_text(errors="replace")

    # Its processes.

    def _tree(self) -> list[psutil.Process]:
        assert self._process is not None
        supervisor = psutil.Process(self._process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def pids_of(self, what: str) -> list[int]:
        """The direct children whose command line begins or goes on with the word: a module, postgres, valkey."""
        assert self._process is not None
        children = {child.pid for child in psutil.Process(self._process.pid).children()}
        # process_iter passes over processes that end meanwhile.
        alive = [one for one in psutil.process_iter(["cmdline"]) if one.pid in children]
        return [one.pid for one in alive if any(what in part for part in (one.info["cmdline"] or [])[:5])]

    def kill_all(self, chance: random.Random) -> None:
        """SIGKILL of the supervisor, its workers and both stores, in a random order."""
        assert self._process is not None
        tree = self._tree()
        chance.shuffle(tree)
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):  # it died of another's death, which is as well
                process.kill()
        psutil.wait_procs(tree)
        self._process.wait()
        self._process = None

    def kill_workers(self) -> None:
        """SIGKILL of all workers. Returns when they are gone, and with them the connections that clients still had."""
        workers = [psutil.Process(pid) for pid in self.pids_of("gateway.serving.worker")]
        for worker in workers:
            worker.kill()
        psutil.wait_procs(workers)

    @contextlib.contextmanager
    def paused(self, what: str) -> Iterator[None]:
        """SIGSTOP for a store and all its processes: it takes connections and does not answer."""
        roots = [psutil.Process(pid) for pid in self.pids_of(what)]
        processes = [one for root in roots for one in (root, *root.children(recursive=True))]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def stop(self) -> None:
        """As an init system does it: Ctrl-C is ignored where the tests run in the background of a shell."""
        self._admin.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
            self._process = None
