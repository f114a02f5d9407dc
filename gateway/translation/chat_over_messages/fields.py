"""Reading parts of a chat request whose long values stay the bytes they are, with refusals that name the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from gateway.errors import BadRequest

T = TypeVar("T")

NULL = msgspec.Raw(b"null")
_PLACE = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_INDEX = re.compile(r"\[(\d+)\]")


def read(decode: Callable[[msgspec.Raw], T], raw: msgspec.Raw, name: str) -> T:
    """The value that the decoder makes of a field. Raises BadRequest naming the part that is not what it must be."""
    try:
        return decode(raw)
    except msgspec.ValidationError as exc:
        found = _PLACE.match(str(exc))
        said, place = found.groups() if found else (str(exc), None)
        param = name + _INDEX.sub(r".\1", place or "")
        raise refused(param, f"Invalid type for '{param}': {said[:1].lower()}{said[1:]}.", "invalid_type") from None
    except (msgspec.DecodeError, RecursionError):
        raise refused(name, f"'{name}' could not be read.", "invalid_type") from None


def refused(param: str, message: str, code: str = "unsupported_value") -> BadRequest:
    """What is raised for a field that cannot be carried."""
    return BadRequest(message, param=param, code=code)


def is_null(raw: msgspec.Raw) -> bool:
    return len(memoryview(raw)) == len(b"null") and bytes(raw) == b"null"


def string(raw: msgspec.Raw, param: str) -> bytes:
    """The JSON of a string, its escapes untouched."""
    data = bytes(raw)
    if data[:1] != b'"':
        raise refused(param, f"Invalid type for '{param}': expected a string.", "invalid_type")
    return data


def json_object(members: Mapping[str, bytes]) -> bytes:
    """An object of values that are JSON already."""
    return b"{" + b",".join(b'"' + name.encode() + b'":' + value for name, value in members.items()) + b"}"
