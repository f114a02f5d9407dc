"""Files of one JSON object a line, also gzipped, as the evaluations read them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec


class BadRows(Exception):
    """The file cannot be read as rows; the message says where."""


def read_rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Each row with the number of its line. Raises BadRows where one is no object or lacks a required column."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _row(line, f"{path}, line {number}", required)
    except (OSError, EOFError, zlib.error) as exc:
        raise BadRows(f"{path}: {exc}") from exc


def _row(line: bytes, where: str, required: tuple[str, ...]) -> Mapping[str, object]:
    try:
        row = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError as exc:
        raise BadRows(f"{where}: no JSON object: {exc}") from exc
    missing = [column for column in required if column not in row]
    if missing:
        raise BadRows(f"{where}: the column {missing[0]} is missing")
    return row
