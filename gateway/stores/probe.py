"""Ask a Postgres or a Valkey on a Unix socket one plain question, with nothing but the standard library.

The supervisor must know that a server truly answers before it says so, and must not pay the import of a driver for it.
No passwords, no TLS, no bind parameters: this is for our own embedded servers only.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import BinaryIO

PROTOCOL_3_0 = 196608
PORT = 5432  # only part of the socket's file name: the embedded server listens on no TCP port


class NotAnswering(Exception):
    """Nobody listens there, or the server is starting, stopping or loading. Asking again later may help."""


class Refused(Exception):
    """The server answered with an error. ``code`` is its SQLSTATE, or the first word of a Valkey error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def postgres_socket(folder: Path) -> Path:
    """The socket file that a Postgres with ``unix_socket_directories = folder`` listens on."""
    return folder / f".s.PGSQL.{PORT}"


def postgres_rows(
    folder: Path, sql: str, *, database: str = "obol", user: str = "obol", timeout_s: float = 5.0
) -> list[tuple[str | None, ...]]:
    """Run one statement and return its rows as text. Raises NotAnswering or Refused."""
    try:
        with _connected(postgres_socket(folder), timeout_s) as connection:
            names = f"user\0{user}\0database\0{database}\0\0".encode()
            connection.sendall(struct.pack("!ii", 8 + len(names), PROTOCOL_3_0) + names)
            with connection.makefile("rb") as answer:
                _rows_until_ready(answer)
                query = sql.encode() + b"\0"
                connection.sendall(b"Q" + struct.pack("!i", 4 + len(query)) + query)
                rows = _rows_until_ready(answer)
            connection.sendall(b"X" + struct.pack("!i", 4))
            return rows
    except (OSError, EOFError) as exc:
        raise NotAnswering(str(exc)) from exc


def _rows_until_ready(answer: BinaryIO) -> list[tuple[str | None, ...]]:
    rows: list[tuple[str | None, ...]] = []
    refusal: Refused | None = None
    while True:
        header = _exactly(answer, 5)
        kind, length = header[:1], struct.unpack("!i", header[1:])[0]
        payload = _exactly(answer, length - 4)
        if kind == b"Z":
            if refusal is not None:
                raise refusal
            return rows
        if kind == b"D":
            rows.append(_row(payload))
        elif kind == b"E":
            fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in payload.split(b"\0") if part}
            code = fields.get(b"C", "")
            # Class 57 is operator intervention: starting up, shutting down, recovering. Not an answer yet.
            if code.startswith("57"):
                raise NotAnswering(fields.get(b"M", ""))
            refusal = Refused(code, fields.get(b"M", ""))
            if fields.get(b"V", fields.get(b"S")) == "FATAL":
                raise refusal
        elif kind == b"R" and struct.unpack("!i", payload[:4])[0] != 0:
            raise Refused("28000", "the server asks for a password")


def _row(payload: bytes) -> tuple[str | None, ...]:
    (count,) = struct.unpack_from("!h", payload)
    values: list[str | None] = []
    position = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", payload, position)
        position += 4
        if length < 0:
            values.append(None)
            continue
        values.append(payload[position : position + length].decode())
        position += length
    return tuple(values)


def valkey_answer(socket_path: Path, *words: str, timeout_s: float = 5.0) -> str:
    """Send one command whose answer is a single line or one bulk string. Raises NotAnswering or Refused."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    try:
        with _connected(socket_path, timeout_s) as connection, connection.makefile("rb") as answer:
            connection.sendall(command.encode())
            line = answer.readline()
            if not line.endswith(b"\r\n"):
                raise NotAnswering("the connection was cut")
            text = line[1:-2].decode()
            if line[:1] == b"-":
                code = text.split(" ", 1)[0]
                raise NotAnswering(text) if code == "LOADING" else Refused(code, text)
            return _exactly(answer, int(text)).decode() if line[:1] == b"$" else text
    except (OSError, EOFError) as exc:
        raise NotAnswering(str(exc)) from exc


def _connected(path: Path, timeout_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _exactly(answer: BinaryIO, count: int) -> bytes:
    data = answer.read(count)
    if len(data) < count:
        raise EOFError("the connection was cut")
    return data
