"""The listening socket: bound by the supervisor before anything else starts, inherited by every worker."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from pathlib import Path

BACKLOG = 2048
ORPHAN_PATIENCE_S = 5.0  # a worker of a killed supervisor closes its socket as soon as it starts to drain
ENDING_PATIENCE_S = 1.0
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


class CannotListen(Exception):
    """The address cannot be bound; the message says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """Listen on host:port (0: any free port). Raises CannotListen."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as exc:
        raise CannotListen(f"OBOL_HOST={host} is no address of this machine: {exc.strerror}") from exc
    began_s = time.monotonic()
    while True:
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
            return listening
        except OSError as exc:
            listening.close()
            if exc.errno != errno.EADDRINUSE:
                raise CannotListen(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
            holder = _holder(port)
            if time.monotonic() - began_s > _patience_s(holder):
                raise CannotListen(_busy(host, port, holder)) from exc
            if holder is not None:
                # Its supervisor was killed: it is draining already, or is told to now.
                with contextlib.suppress(OSError):
                    os.kill(holder, signal.SIGTERM)
            time.sleep(0.01)


def _patience_s(holder: int | None) -> float:
    """How long to wait for a port that somebody holds: for a worker whose supervisor is gone until it has drained.

    A process that is just ending shows no files any more while its socket still stands.
    """
    if holder is None:
        return ENDING_PATIENCE_S
    return ORPHAN_PATIENCE_S if _is_orphaned_worker(holder) else 0.0


def local_address(listening: socket.socket) -> tuple[str, int]:
    """Where a client on this machine connects."""
    host, port = listening.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def url_of(listening: socket.socket) -> str:
    """The same as a URL."""
    host, port = local_address(listening)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _busy(host: str, port: int, holder: int | None) -> str:
    whose = f"process {holder} ({_command(holder)})" if holder else "a process of another user"
    other = port + 1 if port < 65535 else port - 1  # noqa: PLR2004  the highest port
    return f"{host}:{port} is in use by {whose}: choose another port with OBOL_PORT={other} or --port {other}"


def _holder(port: int) -> int | None:
    """The process that listens on that port, ``None`` if it is not ours to see."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # gone meanwhile, or not ours to see
                if any(str(descriptor.readlink()) in wanted for descriptor in (entry / "fd").iterdir()):
                    return int(entry.name)
    return None


def _listening_inodes(port: int) -> list[str]:
    inodes = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == _LISTEN and int(parts[1].rsplit(":", 1)[1], 16) == port:
                    inodes.append(parts[9])
    return inodes


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:120]
    return "unknown"


def _is_orphaned_worker(pid: int) -> bool:
    """Whether that is a worker of ours whose supervisor is gone (its parent is then init or a subreaper)."""
    if "gateway.serving.worker" not in _command(pid):
        return False
    with contextlib.suppress(OSError):
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        parent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        return f"OBOL_SUPERVISOR={parent}".encode() not in environment
    return False
