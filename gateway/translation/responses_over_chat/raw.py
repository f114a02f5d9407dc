"""JSON values that travel as the bytes they came in: read, joined and checked without building strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from gateway.translation.refusal import Refusal

T = TypeVar("T")
NULL = msgspec.Raw(b"null")
EMPTY_LIST = msgspec.Raw(b"[]")
_QUOTE = ord('"')


def is_null(raw: msgspec.Raw) -> bool:
    return raw == NULL


def is_string(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == _QUOTE


def text(value: str) -> msgspec.Raw:
    """A string as JSON."""
    return msgspec.Raw(msgspec.json.encode(value))


def joined(strings: Sequence[msgspec.Raw], separator: bytes = b"") -> msgspec.Raw:
    """JSON strings as one; the separator is written as it stands inside a JSON string."""
    if len(strings) == 1:
        return strings[0]
    return msgspec.Raw(b'"' + separator.join([bytes(one)[1:-1] for one in strings]) + b'"')


def as_string(raw: msgspec.Raw) -> msgspec.Raw:
    """A JSON string that holds this JSON."""
    return text(bytes(raw).decode())


def read(decode: Callable[[msgspec.Raw], T], raw: msgspec.Raw, field: str) -> T:
    """A value of the client's. Raises Refusal naming the field whose type is wrong."""
    try:
        return decode(raw)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise Refusal(field, f"Invalid type for {{}}: {exc}.", "invalid_type") from None


def string(raw: msgspec.Raw, field: str) -> msgspec.Raw:
    """The value itself. Raises Refusal unless it is a string."""
    if not is_string(raw):
        raise Refusal(field, "Invalid type for {}: expected a string.", "invalid_type")
    return raw


def missing(field: str) -> Refusal:
    return Refusal(field, "Missing required parameter: {}.", "missing_required_parameter")


def unsupported(field: str, why: str) -> Refusal:
    """The refusal of a field that cannot be carried to a chat upstream."""
    return Refusal(field, f"{{}} cannot be used with this model: {why}.", "unsupported_parameter")
