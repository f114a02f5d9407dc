"""`obol serve`: one light process that starts everything, watches it, and leaves nothing behind.

Order: take the address, take the data folder, start the workers (they import while the stores start), start the
stores, migrate if needed, let the workers go, wait until they are ready, print how to use it. Neither FastAPI nor
SQLAlchemy is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import IO

from gateway.serving import banner, listening, secret_files, shared_metrics
from gateway.serving.backoff import Backoff
from gateway.serving.embedder_child import EmbedderChild
from gateway.settings import Settings
from gateway.stores import child
from gateway.stores.embedded import EmbeddedStores, StoresFailed
from gateway.stores.probe import NotAnswering, Refused, postgres_rows

APP = "gateway.app:create_app"
ADDRESS_FILE = "address"  # in the data folder: where other commands find the gateway, while it is ready
EXIT_UNUSABLE = 78  # a worker that says so has printed the reason; trying again will not help
DRAIN_S_MAX = 45.0  # a worker drains for 30 s by itself, and ships its last charges for 10
NOT_READY_NOTICE_S = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotServe(Exception):
    """The start failed; the message is for the operator, empty if the cause has been printed already."""


class _Stop(BaseException):
    """A signal asks us to end: not an error, so no `except Exception` may swallow it."""


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    backoff: Backoff


def serve(settings: Settings, *, app: str = APP) -> int:
    """Serve until a signal ends it; returns the exit status. ``app`` is the factory that the workers call."""
    return _Supervisor(settings, app).run()


class _Supervisor:
    def __init__(self, settings: Settings, app: str) -> None:
        self.settings = settings
        self.app = app
        self.listening: socket.socket | None = None
        self.stores: EmbeddedStores | None = None
        self.workers: list[_Worker] = []
        self.bootstrap: subprocess.Popen[bytes] | None = None
        self.report: IO[str] | None = None
        self.metrics: Path | None = None
        self.store_backoff: dict[str, Backoff] = {}
        self.embedder: EmbedderChild | None = None
        self.is_ready = False
        self.is_stopping = False

    def run(self) -> int:
        os.umask(0o077)  # nothing that we or the servers put into the data folder is for others
        try:
            with self._signals():
                try:
                    self._start()
                    self._watch()
                finally:
                    self.is_stopping = True
                    self._shut_down()
        except _Stop:
            return 0
        except (CannotServe, StoresFailed, listening.CannotListen) as exc:
            if str(exc):
                _warn(str(exc))
            return 1
        return 0

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT, SIGTERM and SIGHUP end what we are doing; any more of them end the draining too."""

        def stop(_signal: int, _frame: FrameType | None) -> None:
            if not self.is_stopping:
                self.is_stopping = True
                raise _Stop
            for worker in self.workers:
                worker.process.kill()

        before = {one: signal.getsignal(one) for one in SIGNALS}
        for one in SIGNALS:
            if before[one] != signal.SIG_IGN:  # nohup
                signal.signal(one, stop)
        try:
            yield
        finally:
            for one, old in before.items():
                signal.signal(one, old)

    def _start(self) -> None:
        began_s = time.monotonic()
        settings = self.settings
        self.listening = listening.bind(settings.host, settings.port)
        # Taken even when both servers are elsewhere: the journal file and the keys live in the folder too.
        self.stores = stores = EmbeddedStores.claim(settings.data_dir)
        if settings.workers > 1:
            self.metrics = shared_metrics.prepare(settings.data_dir)
        has_own_admin_key = not settings.admin_key
        self.settings = settings = replace(
            settings,
            port=self.listening.getsockname()[1],
            database_url=settings.database_url or stores.database_url,
            redis_url=settings.redis_url or stores.redis_url,
            admin_key=settings.admin_key or secret_files.ensure_admin_key(settings.data_dir),
        )
        is_ours = settings.database_url == stores.database_url
        had_first_key = secret_files.first_key_file(settings.data_dir).exists()
        if not is_ours or not had_first_key:
            self.bootstrap = self._spawn_bootstrap()
        self.report = self._spawn_first_worker()
        for _ in range(settings.workers - 1):
            self._add_worker(self._spawn_worker(-1))
        stores.launch(postgres=is_ours, valkey=settings.redis_url == stores.redis_url)
        self.embedder = EmbedderChild(stores.layout.run, self._spawn, _warn)
        if self.bootstrap is None and not self._is_migrated():
            self.bootstrap = self._spawn_bootstrap()
        if self.bootstrap is not None:
            _tell(self.bootstrap, "migrate")
        can = self._read_report()
        self._finish_bootstrap()
        for worker in self.workers:
            _tell(worker.process, "go")
        self._await_ready()
        self.is_ready = True
        (settings.data_dir / ADDRESS_FILE).write_text(listening.url_of(self.listening) + "\n")
        key_file = secret_files.first_key_file(settings.data_dir)
        text = banner.text(
            url=listening.url_of(self.listening),
            catalog_given=settings.catalog is not None,
            admin_key_file=secret_files.admin_key_file(settings.data_dir) if has_own_admin_key else None,
            key_file=key_file,
            new_key="" if had_first_key else secret_files.read(key_file),
            can=can,
        )
        _say(f"{text}\n  ready after {time.monotonic() - began_s:.1f} s\n")

    def _environment(self) -> dict[str, str]:
        ours = {"OBOL_SUPERVISOR": str(os.getpid())}
        if self.metrics is not None:
            ours[shared_metrics.VARIABLE] = str(self.metrics)
        return os.environ | self.settings.to_environment() | ours

    def _spawn(self, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        # -P: the current folder is the operator's, and no module of ours is to be found there by accident.
        # SIGTERM, not SIGKILL, when we die: requests that run are drained and charged with what they really used.
        return child.spawn(
            [sys.executable, "-P", "-m", *arguments],
            child.leave_terminal_and_die_with_parent(signal.SIGTERM),
            stdin=subprocess.PIPE,
            env=self._environment(),
            pass_fds=pass_fds,
        )

    def _spawn_bootstrap(self) -> subprocess.Popen[bytes]:
        return self._spawn("gateway.serving.bootstrap")

    def _spawn_worker(self, report_fd: int) -> subprocess.Popen[bytes]:
        if self.listening is None:
            raise RuntimeError("workers are started after the address is bound")
        fds = (self.listening.fileno(), report_fd)
        return self._spawn(
            "gateway.serving.worker", *map(str, fds), self.app, pass_fds=tuple(fd for fd in fds if fd >= 0)
        )

    def _spawn_first_worker(self) -> IO[str]:
        """The worker that also says, on a pipe, what can be called."""
        reading, writing = os.pipe()
        try:
            self._add_worker(self._spawn_worker(writing))
        finally:
            os.close(writing)
        return os.fdopen(reading)

    def _add_worker(self, process: subprocess.Popen[bytes]) -> None:
        self.workers.append(_Worker(process, Backoff(time.monotonic())))

    def _is_migrated(self) -> bool:
        """Whether our own Postgres is at the newest revision: one query, where Alembic costs a quarter of a second."""
        from gateway.stores.migrate import head  # noqa: PLC0415  while the servers start there is time to import

        if self.stores is None:
            raise RuntimeError("the data folder is claimed first")
        try:
            return postgres_rows(self.stores.layout.run, "SELECT version_num FROM alembic_version") == [(head(),)]
        except Refused as exc:
            if exc.code == "42P01":  # no such table
                return False
            raise CannotServe(f"the embedded Postgres answers with an error: {exc}") from exc
        except NotAnswering as exc:
            raise CannotServe(f"the embedded Postgres stopped answering: {exc}") from exc

    def _finish_bootstrap(self) -> None:
        """Let it make the first key: not before the catalog is known to be good, for the key is shown only once."""
        if self.bootstrap is None:
            return
        _tell(self.bootstrap, "key")
        while self.bootstrap.poll() is None:
            self._check_starting()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.bootstrap.wait(0.02)
        if self.bootstrap.returncode != 0:
            raise CannotServe
        self.bootstrap = None

    def _check_starting(self) -> None:
        """While we start, anything that ends is the end. Raises CannotServe."""
        if self.stores is not None and self.stores.ended():
            raise CannotServe(f"{self.stores.ended()[0]} stopped: see its log in {self.settings.data_dir}")
        for worker in self.workers:
            status = worker.process.poll()
            if status is not None:
                raise CannotServe("" if status == EXIT_UNUSABLE else f"the worker stopped while starting ({status})")

    def _read_report(self) -> banner.Callable:
        if self.report is None:
            raise RuntimeError("the first worker reports")
        with self.report as pipe:
            while not select.select([pipe], [], [], 0.05)[0]:
                self._check_starting()
            text = pipe.read()
        if not text:  # it ended instead; its status follows
            self.workers[0].process.wait()
            self._check_starting()
        return banner.Callable(**json.loads(text))

    def _await_ready(self) -> None:
        """Return when a worker answers that it is ready. Raises CannotServe when one ends before."""
        notice_s = time.monotonic() + NOT_READY_NOTICE_S
        while True:
            status, body = self._ask_readiness()
            if status == 200:  # noqa: PLR2004  OK
                return
            if time.monotonic() > notice_s:
                _warn(f"not ready yet: {body or 'no answer'}")
                notice_s += NOT_READY_NOTICE_S
            time.sleep(0.02)

    def _ask_readiness(self) -> tuple[int, str]:
        if self.listening is None:
            raise RuntimeError("the address is bound first")
        with socket.socket(self.listening.family, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            answer = b""
            try:
                host, port = listening.local_address(self.listening)
                connection.connect((host, port))
                connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while True:
                    # The kernel accepts for workers that are not there yet: look at them while we wait.
                    while not select.select([connection], [], [], 0.05)[0]:
                        self._check_starting()
                    block = connection.recv(65536)
                    if not block:
                        break
                    answer += block
            except OSError as exc:
                self._check_starting()
                return 0, str(exc)
        head, _, body = answer.partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        return status, body.decode(errors="replace").strip()

    def _watch(self) -> None:
        """Start again what ends, until a signal comes."""
        while True:
            now_s = time.monotonic()
            for worker in self.workers:
                self._look_after_worker(worker, now_s)
            self._look_after_stores(now_s)
            if self.embedder is not None:
                self.embedder.look_after(now_s)
            self._sleep_until_something_ends()

    def _look_after_worker(self, worker: _Worker, now_s: float) -> None:
        if worker.backoff.due_s is None:
            status = worker.process.poll()
            if status is not None:
                worker.backoff.ended(now_s)
                if self.metrics is not None:
                    shared_metrics.forget(self.metrics, worker.process.pid)
                _warn(f"worker {worker.process.pid} ended ({status}); another is started")
        if worker.backoff.due_s is not None and worker.backoff.due_s <= now_s:
            worker.process = self._spawn_worker(-1)
            _tell(worker.process, "go")
            worker.backoff.started(now_s)

    def _look_after_stores(self, now_s: float) -> None:
        if self.stores is None:
            return
        for name in self.stores.ended():
            backoff = self.store_backoff.setdefault(name, Backoff(0.0))
            if backoff.due_s is None:
                backoff.ended(now_s)
                _warn(f"{name} ended; it is started again (its log is in {self.settings.data_dir})")
            if backoff.due_s is not None and backoff.due_s <= now_s:
                try:
                    self.stores.restart(name, wait=False)
                except StoresFailed as exc:
                    _warn(str(exc))
                backoff.started(now_s)

    def _sleep_until_something_ends(self) -> None:
        """A second at most: a signal that comes between two steps of ours is then late by no more than that."""
        running = [worker.process.pid for worker in self.workers if worker.backoff.due_s is None]
        running += list(self.stores.pids().values()) if self.stores is not None else []
        due = [worker.backoff.due_s for worker in self.workers if worker.backoff.due_s is not None]
        due += [one.due_s for one in self.store_backoff.values() if one.due_s is not None]
        now_s = time.monotonic()
        wakes_by = None
        if self.embedder is not None:
            running += [] if self.embedder.pid is None else [self.embedder.pid]
            due += [] if (due_s := self.embedder.due_s(now_s)) is None else [due_s]
            wakes_by = self.embedder.wakes_by(now_s)
        patience_s = min([1.0, *(max(0.0, due_s - now_s) for due_s in due)])
        descriptors = []
        try:
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    descriptors.append(os.pidfd_open(pid))
            awaited = descriptors if wakes_by is None else [*descriptors, wakes_by]
            select.select(awaited, [], [], 0.05 if len(descriptors) < len(running) else patience_s)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _shut_down(self) -> None:
        """End everything that was started: workers drain first, since they still need the stores."""
        if self.listening is not None:
            self.listening.close()
        if self.is_ready:
            _say("\nobol: stopping; running requests may end first (once more to cut them off)")
        children = [worker.process for worker in self.workers]
        children += [self.bootstrap] if self.bootstrap is not None else []
        for process in children:
            process.terminate()
        deadline = time.monotonic() + DRAIN_S_MAX
        for process in children:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.embedder is not None:
            self.embedder.stop()
        if self.stores is not None:
            (self.settings.data_dir / ADDRESS_FILE).unlink(missing_ok=True)
            self.stores.stop()


def _tell(process: subprocess.Popen[bytes], word: str) -> None:
    """Tell a child that what it waits for is there."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # it has ended; whoever looks after it sees that
            os.write(process.stdin.fileno(), f"{word}\n".encode())


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads us any more; that is no reason to stop serving
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _warn(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"obol: {text}\n")
        sys.stderr.flush()
