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
_encode = msgspec.json.encode
_INDEX = re.compile(r"\[(\d+)\]")


class Refusal(Exception):
    """Something that cannot be carried. Where it stands is put together on its way out, so that all else costs nothing.

    ``text`` says ``{}`` where the name of the field belongs.
    """

    def __init__(self, place: str, text: str, code: str = "unsupported_value") -> None:
        super().__init__(text)
        self._place = place
        self._text = text
        self._code = code

    def within(self, place: str) -> Refusal:
        """The same, seen from further out."""
        return Refusal(f"{place}.{self._place}" if self._place else place, self._text, self._code)

    def as_bad_request(self) -> BadRequest:
        return BadRequest(self._text.replace("{}", f"'{self._place}'"), param=self._place, code=self._code)


def wrong_type(place: str, expected: str) -> Refusal:
    return Refusal(place, f"Invalid type for {{}}: expected {expected}.", "invalid_type")


def missing(place: str) -> Refusal:
    return Refusal(place, "Missing {}.", "missing_required_parameter")


def read(decode: Callable[[msgspec.Raw], T], raw: msgspec.Raw, name: str) -> T:
    """The value that the decoder makes of a field. Raises Refusal naming the part that is not what it must be."""
    try:
        return decode(raw)
    except msgspec.ValidationError as exc:
        said, place = _PLACE.match(str(exc)).groups()  # type: ignore[union-attr]  # it matches everything
        where = name + _INDEX.sub(r".\1", place or "")
        raise Refusal(where, f"Invalid type for {{}}: {said[:1].lower()}{said[1:]}.", "invalid_type") from None
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(name, "{} could not be read.", "invalid_type") from None


def string(raw: msgspec.Raw, place: str) -> bytes:
    """The JSON of a string, its escapes untouched."""
    data = bytes(raw)
    if data[:1] != b'"':
        raise missing(place) if raw == NULL else wrong_type(place, "a string")
    return data


def json_object(members: Mapping[str, bytes]) -> bytes:
    """An object of values that are JSON already."""
    return b"{" + b",".join([_encode(name) + b":" + value for name, value in members.items()]) + b"}"
