"""Fields of a client's request: read where they matter, copied as the JSON bytes they are, refused by their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from gateway.errors import BadRequest

S = TypeVar("S")
T = TypeVar("T")

#: What a field is that nobody sent: to send ``null`` says the same.
NULL = msgspec.Raw(b"null")
_PLACE = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_INDEX = re.compile(r"\[(\d+)\]")
_QUOTE = ord('"')
_encode = msgspec.json.encode


class Refusal(Exception):
    """Something that cannot be carried. Its place is put together on its way out, so that all else costs nothing.

    Raised where the field is known by its last name; whoever stands further out adds what comes before. ``text`` says
    ``{}`` where the place belongs.
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


def missing(place: str) -> Refusal:
    return Refusal(place, "Missing required parameter: {}.", "missing_required_parameter")


def wrong_type(place: str, expected: str) -> Refusal:
    return Refusal(place, f"Invalid type for {{}}: expected {expected}.", "invalid_type")


def unsupported(place: str, why: str) -> Refusal:
    """The refusal of what its upstream has no word for."""
    return Refusal(place, f"{{}} cannot be used with this model: {why}.")


def read(decode: Callable[[msgspec.Raw], T], raw: msgspec.Raw, place: str) -> T:
    """The value that the decoder makes of a field. Raises Refusal naming the part that is not what it must be."""
    try:
        return decode(raw)
    except msgspec.ValidationError as exc:
        if raw == NULL:
            raise missing(place) from None
        said, inner = _PLACE.match(str(exc)).groups()  # type: ignore[union-attr]  # it matches everything
        where = place + _INDEX.sub(r".\1", inner or "")
        raise Refusal(where, f"Invalid type for {{}}: {said[:1].lower()}{said[1:]}.", "invalid_type") from None
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(place, "{} could not be read.", "invalid_type") from None


def each(translate: Callable[[S], T], members: Iterable[S], place: str) -> list[T]:
    """All members of a list, translated. Raises the Refusal of the first that cannot be, with its number."""
    done: list[T] = []
    try:
        done.extend(map(translate, members))
    except Refusal as refusal:  # the list holds what was translated before
        raise refusal.within(f"{place}.{len(done)}") from None
    return done


def is_string(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == _QUOTE


def string(raw: msgspec.Raw, place: str) -> msgspec.Raw:
    """The value itself. Raises Refusal unless it is a string."""
    if not is_string(raw):
        raise missing(place) if raw == NULL else wrong_type(place, "a string")
    return raw


def text(value: str) -> msgspec.Raw:
    """A string as JSON."""
    return msgspec.Raw(_encode(value))


def as_string(raw: msgspec.Raw) -> msgspec.Raw:
    """A JSON string that holds this JSON."""
    return text(bytes(raw).decode())


def joined(strings: Sequence[bytes | msgspec.Raw], separator: bytes = b"") -> msgspec.Raw:
    """JSON strings as one; the separator is written as it stands inside a JSON string."""
    if len(strings) == 1:
        return msgspec.Raw(strings[0])
    return msgspec.Raw(b'"' + separator.join([bytes(one)[1:-1] for one in strings]) + b'"')


def json_object(members: Mapping[str, bytes]) -> bytes:
    """An object of values that are JSON already."""
    return b"{" + b",".join([_encode(name) + b":" + value for name, value in members.items()]) + b"}"
