"""The file that a trained router is: named arrays and what they mean, signed by their hash. Never pickle.

Layout: a first line ``obol-router <format> <SHA-256 of all that follows>``, a line of JSON (what the arrays are
called, of which type and shape, and whatever the router says of itself), then the arrays, little-endian, in that order.
The same content is the same file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

FORMAT = 2
DEFAULT = Path(__file__).with_name("default.obol")  # the router that ships with the package: `make router`
BYTES_MAX = 20_000_000
_MAGIC = b"obol-router"
_TYPES = ("<u8", "<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1")

Array: TypeAlias = NDArray[Any]


class BadArtifact(ValueError):
    """The file is no router that this version can use; the message says why."""


class _Named(msgspec.Struct, frozen=True):
    name: str
    type: str
    shape: tuple[int, ...]


class _Header(msgspec.Struct, frozen=True):
    arrays: tuple[_Named, ...]
    about: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Artifact:
    """``about``: JSON, whatever the router says of itself. ``version``: names the content."""

    about: bytes
    arrays: Mapping[str, Array]
    version: str = ""


def packed(artifact: Artifact) -> bytes:
    """The file's bytes."""
    stored = {name: np.ascontiguousarray(array) for name, array in sorted(artifact.arrays.items())}
    named = tuple(_Named(name, array.dtype.str, array.shape) for name, array in stored.items())
    for one in named:
        if one.type not in _TYPES:
            raise ValueError(f"{one.name} is of type {one.type}, which no router has")
    header = msgspec.json.encode(_Header(named, msgspec.Raw(artifact.about)))
    content = b"".join([header, b"\n", *(array.tobytes() for array in stored.values())])
    return b"%s %d %s\n%s" % (_MAGIC, FORMAT, hashlib.sha256(content).hexdigest().encode(), content)


def write(artifact: Artifact, path: Path) -> str:
    """Write it, whole or not at all; returns its version."""
    content = packed(artifact)
    if len(content) > BYTES_MAX:
        raise ValueError(f"the router has {len(content)} bytes, more than the {BYTES_MAX} that one may have")
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    beside.replace(path)
    return unpacked(content).version


def read(path: Path) -> Artifact:
    """Raises BadArtifact, and OSError for what cannot be read."""
    if path.stat().st_size > BYTES_MAX:
        raise BadArtifact(f"{path}: it is larger than a router may be")
    try:
        return unpacked(path.read_bytes())
    except BadArtifact as exc:
        raise BadArtifact(f"{path}: {exc}") from None


def unpacked(content: bytes) -> Artifact:
    """Raises BadArtifact."""
    first, _, signed = content.partition(b"\n")
    match first.split(b" "):
        case [magic, number, digest] if magic == _MAGIC:
            pass
        case _:
            raise BadArtifact("it is no router")
    if number != b"%d" % FORMAT:
        raise BadArtifact(f"it has format {number.decode('ascii', 'replace')}, this version reads {FORMAT}: train anew")
    if hashlib.sha256(signed).hexdigest().encode() != digest:
        raise BadArtifact("its content is not what its hash says: it is damaged or was changed")
    text, _, raw = signed.partition(b"\n")
    try:
        header = msgspec.json.decode(text, type=_Header)
        return Artifact(bytes(header.about), _arrays(header, raw), digest[:12].decode())
    except (msgspec.MsgspecError, ValueError, TypeError) as exc:
        raise BadArtifact(f"its header makes no sense: {exc}") from exc


def _arrays(header: _Header, raw: bytes) -> Mapping[str, Array]:
    found: dict[str, Array] = {}
    at = 0
    for one in header.arrays:
        if one.type not in _TYPES or any(length < 0 for length in one.shape):
            raise BadArtifact(f"{one.name} is no array of a router")
        count = math.prod(one.shape)
        array = np.array(np.frombuffer(raw, dtype=one.type, count=count, offset=at)).reshape(one.shape)  # aligned
        array.setflags(write=False)
        found[one.name] = array
        at += array.nbytes
    if at != len(raw):
        raise BadArtifact("its arrays are longer or shorter than they say")
    return found
