"""The journal of last resort: files under the data directory, fsynced, for the time that Redis is away.

A process owns its files as long as it lives, which a lock on each of them shows (flock: the kernel drops it with the
process). Whoever can take the lock finds the owner dead and may replay the file. Files exist only while something in
them is not yet in Postgres. One record per line: ``{"op": "open" | "settle" | "void", "org", "id", "entry"}``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import queue
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gateway.errors import JournalUnavailable

log = logging.getLogger("obol.journal")

SEGMENT_BYTES_MAX = 64 * 1024 * 1024
_NAME = re.compile(r"(?P<instance>.+)\.(?P<number>[0-9]+)\.jsonl")


class Record(msgspec.Struct, frozen=True):
    """One line. ``entry`` is the JSON of a LedgerEntry, as it goes everywhere; ``null`` in a void.

    (Not ``Raw | None``: msgspec then accepts nothing but null.)
    """

    op: str
    org: str
    id: str
    entry: msgspec.Raw = msgspec.Raw(b"null")


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class LocalJournal:
    """The files of one process. Appends are gathered and fsynced in a thread; the event loop never waits on a disk."""

    def __init__(self, directory: Path, instance: str, *, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        self._directory = directory
        self._instance = instance
        self._segment_bytes_max = segment_bytes_max
        self._segments: list[_Segment] = []
        self._segments_made = 0
        self._writer: _Writer | None = None

    async def open(self, organization_id: str, attempt_id: str, entry: bytes) -> None:
        """Returns once the intent is on disk. Raises JournalUnavailable."""
        await self._append(Record("open", organization_id, attempt_id, msgspec.Raw(entry)))

    async def settle(self, organization_id: str, attempt_id: str, entry: bytes) -> None:
        """Returns once the charge is on disk. Raises JournalUnavailable."""
        await self._append(Record("settle", organization_id, attempt_id, msgspec.Raw(entry)))

    async def void(self, organization_id: str, attempt_id: str) -> None:
        """Take back what stands here of an attempt. Raises JournalUnavailable."""
        if self.holds(attempt_id):
            await self._append(Record("void", organization_id, attempt_id))
            self.forget([attempt_id])

    def holds(self, attempt_id: str) -> bool:
        """Whether something of that attempt stands here."""
        return any(attempt_id in segment.ids for segment in self._segments)

    def forget(self, attempt_ids: Iterable[str]) -> None:
        """The ledger has these; a file of which that is true of all is removed."""
        if not self._segments:
            return
        ids = set(attempt_ids)
        for segment in self._segments:
            segment.ids -= ids
        for segment in [s for s in self._segments if not s.ids]:
            self._segments.remove(segment)
            self._running_writer().remove(segment)

    async def close(self) -> None:
        """Stop the thread; files that still hold something stay, for another process to replay."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            await asyncio.to_thread(writer.stop)

    async def _append(self, record: Record) -> None:
        if not self._segments or self._segments[-1].bytes_appended >= self._segment_bytes_max:
            self._segments_made += 1
            name = f"{self._instance}.{self._segments_made}.jsonl"
            self._segments.append(_Segment(self._directory / name))
        segment = self._segments[-1]
        line = _encode(record) + b"\n"
        segment.bytes_appended += len(line)
        segment.ids.add(record.id)
        try:
            await self._running_writer().append(segment, line)
        except OSError as exc:
            if record.op == "open":
                self.forget([record.id])
            raise JournalUnavailable(f"the local journal cannot be written: {exc.strerror or exc}") from exc

    def _running_writer(self) -> _Writer:
        if self._writer is None:
            self._writer = _Writer(asyncio.get_running_loop())
        return self._writer


class _Segment:
    """One file. ``ids`` and ``bytes_appended`` belong to the event loop, the rest to the writing thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ids: set[str] = set()
        self.bytes_appended = 0
        self.fd: int | None = None
        self._bytes_good = 0
        self._is_torn = False

    def write(self, data: bytes) -> None:
        """Append durably, or leave the file as it was. Raises OSError."""
        if self.fd is None:
            self.fd = _create_locked(self.path)
        if self._is_torn:
            data = b"\n" + data  # so that the half line before it spoils nothing but itself
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self.fd, rest) :]
            os.fdatasync(self.fd)
        except OSError:
            self._is_torn = True
            with contextlib.suppress(OSError):
                os.ftruncate(self.fd, self._bytes_good)
                self._is_torn = False
            raise
        self._bytes_good += len(data)
        self._is_torn = False

    def remove(self) -> None:
        if self.fd is not None:
            try:
                self.path.unlink(missing_ok=True)
            finally:
                self.release()

    def release(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def _create_locked(path: Path) -> int:
    """Create a file that we own. A replayer may have taken it for a dead one before we had its lock: then again."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_same_file(fd, path):
                _sync_directory(path.parent)
                return fd
        except BaseException:  # whatever ends this: the descriptor is nobody else's to close
            os.close(fd)
            raise
        os.close(fd)


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_Pending = tuple["_Segment", bytes | None, "asyncio.Future[None] | None"]


class _Writer:
    """The thread that writes. All records that gathered while it synced go with the next sync."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="local-journal", daemon=True)
        self._segments: set[_Segment] = set()
        self._thread.start()

    def append(self, segment: _Segment, line: bytes) -> asyncio.Future[None]:
        """The future resolves once the line is on disk, or raises OSError."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((segment, line, future))
        return future

    def remove(self, segment: _Segment) -> None:
        self._queue.put((segment, None, None))

    def stop(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_stopping = False
        while not is_stopping:
            gathered = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    gathered.append(self._queue.get_nowait())
            is_stopping = None in gathered
            self._do([pending for pending in gathered if pending is not None])
        for segment in self._segments:
            segment.release()

    def _do(self, gathered: list[_Pending]) -> None:
        """In order, one sync for each run of lines to the same file."""
        lines: list[bytes] = []
        futures: list[asyncio.Future[None]] = []
        for position, (segment, line, future) in enumerate(gathered):
            if line is None or future is None:
                self._remove(segment)
                continue
            lines.append(line)
            futures.append(future)
            following = gathered[position + 1] if position + 1 < len(gathered) else None
            if following is None or following[0] is not segment or following[1] is None:
                self._write(segment, b"".join(lines), futures)
                lines, futures = [], []

    def _remove(self, segment: _Segment) -> None:
        self._segments.discard(segment)
        try:
            segment.remove()
        except OSError as exc:
            # It will be replayed when we are dead, which the ledger takes for what it is: nothing new.
            log.warning("%s is not needed any more and cannot be removed: %s", segment.path, exc)

    def _write(self, segment: _Segment, data: bytes, futures: list[asyncio.Future[None]]) -> None:
        failure: OSError | None = None
        self._segments.add(segment)
        try:
            segment.write(data)
        except OSError as exc:
            failure = exc
        except Exception as exc:  # whatever it is, the thread must live: without it every append would wait for ever
            log.exception("the local journal failed")
            failure = OSError(str(exc))
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(_resolve, futures, failure)


def _resolve(futures: list[asyncio.Future[None]], failure: OSError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)


class DeadJournal:
    """What one dead process left on this disk; the lock on its files is ours until ``release``."""

    def __init__(self, instance: str, files: dict[Path, int]) -> None:
        self.instance = instance
        self._files = files
        self._torn: set[Path] = set()

    def batches(self, size: int) -> Iterator[list[bytes]]:
        """The entries that stand, up to ``size`` at a time: charges, and intents that nothing has replaced.

        The files are read twice, so that any number of entries needs the memory of their ids only.
        """
        replaced = {record.id for record in self._records() if record.op != "open"}
        batch: list[bytes] = []
        for record in self._records():
            if record.op == "settle" or (record.op == "open" and record.id not in replaced):
                batch.append(bytes(record.entry))
                if len(batch) == size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def remove(self) -> None:
        """The ledger has it all. A file with torn lines is kept aside: whoever reads it decides that it is nothing."""
        for path in self._files:
            if path in self._torn:
                path.rename(path.with_name(path.name + ".torn"))
            else:
                path.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the locks up, last of all and always."""
        files, self._files = self._files, {}
        for fd in files.values():
            os.close(fd)

    def _records(self) -> Iterator[Record]:
        for path in self._files:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    try:
                        yield _decode(line)
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        # Torn by the death of its writer, who therefore never relied on it.
                        if line.strip() and path not in self._torn:
                            self._torn.add(path)
                            log.warning(
                                "line %d of %s is torn; such lines are left out, the file is kept", number, path
                            )


def dead_journals(directory: Path) -> Iterator[DeadJournal]:
    """The journals under ``directory`` whose owners are dead, locked for us. Blocks on the disk: run it in a thread."""
    paths: dict[str, list[tuple[int, Path]]] = {}
    for path in directory.iterdir():
        if parts := _NAME.fullmatch(path.name):
            paths.setdefault(parts["instance"], []).append((int(parts["number"]), path))
    for instance, numbered in sorted(paths.items()):
        files: dict[Path, int] = {}
        for _, path in sorted(numbered):
            fd = _lock_of_dead(path)
            if fd is not None:
                files[path] = fd
        if files:
            yield DeadJournal(instance, files)


def _lock_of_dead(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    if not _is_same_file(fd, path):
        os.close(fd)
        return None
    return fd
