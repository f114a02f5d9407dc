"""JSON values that travel as the bytes they came in: read, joined and checked without building strings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from gateway.errors import BadRequest

T = TypeVar("T")
NULL = msgspec.Raw(b"null")
EMPTY_LIST = msgspec.Raw(b"[]")


def is_null(raw: msgspec.Raw) -> bool:
    return bytes(raw) == b"null"


def is_string(raw: msgspec.Raw) -> bool:
    return bytes(raw)[:1] == b'"'


def text(value: str) -> msgspec.Raw:
    """A string as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))


def joined(strings: Iterable[msgspec.Raw], separator: bytes = b"") -> msgspec.Raw:
    """JSON strings as one; the separator is written as it stands inside a JSON string."""
    return msgspec.Raw(b'"' + separator.join(bytes(one)[1:-1] for one in strings) + b'"')


def as_string(raw: msgspec.Raw) -> msgspec.Raw:
    """A JSON string that holds this JSON."""
    return text(bytes(raw).decode())


def read(decode: Callable[[msgspec.Raw], T], raw: msgspec.Raw, field: str) -> T:
    """A value of the client's. Raises BadRequest naming the field whose type is wrong."""
    try:
        return decode(raw)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadRequest(f"Invalid type for '{field}': {exc}.", param=field, code="invalid_type") from None


def string(raw: msgspec.Raw, field: str) -> msgspec.Raw:
    """The value itself. Raises BadRequest unless it is a string."""
    if not is_string(raw):
        raise BadRequest(f"Invalid type for '{field}': expected a string.", param=field, code="invalid_type")
    return raw


def unsupported(field: str, why: str) -> BadRequest:
    """The refusal of a field that cannot be carried to a chat upstream."""
    return BadRequest(f"'{field}' cannot be used with this model: {why}.", param=field, code="unsupported_parameter")
