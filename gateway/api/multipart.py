"""multipart/form-data bodies, of which one part is rewritten and all other bytes are left where they are.

The upstream reads the same bytes with a parser of its own. Wherever two parsers might disagree on where a part begins
or what it is called, a client could have one model charged and another called; so what is not strictly of the form
is refused: the boundary occurs nowhere but in delimiters, each on a line of its own, with nothing before the first and
nothing after the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from gateway.domain import Body
from gateway.errors import BadRequest

_PART_HEAD_BYTES_MAX = 8192
_PARTS_MAX = 256
_TEXT_BYTES_MAX = 1_048_576  # of one text field; prompts are far below

# RFC 2046 allows no other characters in a boundary, and no more than 70.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
_TOKEN = re.compile(r"[0-9A-Za-z'+_.-]+")
_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))\s*', re.ASCII)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n\x00]*)")
_NAME = re.compile(r"[^\x00-\x1f\"\\]+")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form; its content is ``data[start:end]`` of the body."""

    name: str
    is_file: bool
    start: int
    end: int


class Form(Body):
    """A form as it came: its text fields as JSON strings in ``fields``, its files where they lie in ``data``."""

    __slots__ = ("_boundary", "_data", "_parts")

    def __init__(self, data: bytes, boundary: str, parts: tuple[Part, ...]) -> None:
        """Raises BadRequest for a text field that is not UTF-8 or too long."""
        self._data = data
        self._boundary = boundary
        self._parts = parts
        super().__init__({part.name: self._as_json(part) for part in parts if not part.is_file})

    @property
    def content_type(self) -> str:
        """What goes up: the client's own boundary in a header that reads in one way only."""
        value = self._boundary if _TOKEN.fullmatch(self._boundary) else f'"{self._boundary}"'
        return f"multipart/form-data; boundary={value}"

    def file(self, *names: str) -> memoryview | None:
        """The content of the first file of one of these names, uncopied."""
        found = next((part for part in self._parts if part.is_file and part.name in names), None)
        return None if found is None else memoryview(self._data)[found.start : found.end]

    def count(self, name: str) -> int:
        """How many parts have that name."""
        return sum(part.name == name for part in self._parts)

    def with_fields(self, changes: Mapping[str, msgspec.Raw]) -> Form:
        """Raises BadRequest for a text that no form of this boundary can hold."""
        texts = {name: msgspec.json.decode(raw, type=str) for name, raw in changes.items()}
        return parse_form(self.encoded_with(texts), self.content_type)

    def encoded_with(self, changes: Mapping[str, object]) -> bytes:
        """The body with the named text fields set anew and every other byte as it came. Fields must exist."""
        pieces: list[bytes | memoryview] = []
        view, at = memoryview(self._data), 0
        for part in self._parts:
            if part.name in changes and not part.is_file:
                pieces += [view[at : part.start], str(changes[part.name]).encode()]
                at = part.end
        return b"".join((*pieces, view[at:])) if pieces else self._data

    def _as_json(self, part: Part) -> msgspec.Raw:
        if part.end - part.start > _TEXT_BYTES_MAX:
            raise BadRequest(f"'{part.name}' is longer than {_TEXT_BYTES_MAX:,} bytes.", param=part.name)
        try:
            return msgspec.Raw(msgspec.json.encode(self._data[part.start : part.end].decode()))
        except UnicodeDecodeError:
            raise BadRequest(f"'{part.name}' is not valid UTF-8.", param=part.name, code="invalid_value") from None


def parse_form(data: bytes, content_type: str) -> Form:
    """The form in a body. Raises BadRequest for whatever two readers could read in two ways."""
    boundary = _boundary_of(content_type)
    parts = tuple(_parts(data, b"--" + boundary.encode()))
    if not parts:
        raise BadRequest("The form in the body has no parts.")
    return Form(data, boundary, parts)


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def _boundary_of(content_type: str) -> str:
    parameters = _parameters(content_type.strip()[len("multipart/form-data") :].lstrip())
    boundary = (parameters or {}).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest("The content-type has no valid 'boundary' of its multipart/form-data.")
    return boundary


def _parameters(text: str) -> Mapping[str, str] | None:
    """``; name=value`` and so on, names in lower case; ``None`` unless it is that alone, each name once."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        matched = _PARAMETER.match(text, at)
        if matched is None or (name := matched[1].lower()) in found:
            return None
        found[name] = matched[3] if matched[2] is None else matched[2]
        at = matched.end()
    return found


def _parts(data: bytes, delimiter: bytes) -> Iterator[Part]:
    """Raises BadRequest."""
    if not data.startswith(delimiter):
        raise BadRequest("The body does not begin with the boundary that its content-type names.")
    at = 0
    for _ in range(_PARTS_MAX + 1):
        head = at + len(delimiter)
        ending = data[head : head + 2]
        if ending == b"--":
            if data[head + 2 : head + 5] not in {b"", b"\r\n"}:
                raise BadRequest("The body goes on after the last boundary of its form.")
            return
        if ending != b"\r\n":
            raise BadRequest("The boundary of the form occurs within a part, or the body is cut short.")
        following = data.find(delimiter, head)
        if following < 0:
            raise BadRequest("The form in the body is cut short: its last boundary is missing.")
        if data[following - 2 : following] != b"\r\n":
            raise BadRequest("The boundary of the form occurs within a part.")
        yield _part(data, head + 2, following - 2)
        at = following
    raise BadRequest(f"The form has more than {_PARTS_MAX} parts.")


def _part(data: bytes, head: int, end: int) -> Part:
    """The part between two delimiters. Raises BadRequest."""
    start = data.find(b"\r\n\r\n", head, min(end, head + _PART_HEAD_BYTES_MAX))
    if start < 0:
        raise BadRequest(f"A part of the form has no end of its headers within {_PART_HEAD_BYTES_MAX:,} bytes.")
    name, is_file = _disposition(data[head:start])
    return Part(name, is_file, start + 4, end)


def _disposition(head: bytes) -> tuple[str, bool]:
    """The name of a part, and whether it is a file. Raises BadRequest."""
    lines = head.decode("latin-1").split("\r\n")  # a file may be named in any character set: our words are ASCII
    matched = [_HEADER.fullmatch(line) for line in lines]
    headers = [(found[1].lower(), found[2].strip(" \t")) for found in matched if found is not None]
    if len(headers) < len(lines):
        raise BadRequest("A part of the form has a malformed header.")
    if any(name == "content-transfer-encoding" and value != "binary" for name, value in headers):
        raise BadRequest("A part of the form has a content-transfer-encoding, which forms must not have.")
    values = [value for name, value in headers if name == "content-disposition"]
    if len(values) != 1 or not values[0].lower().startswith("form-data"):
        raise BadRequest("Each part of the form needs one content-disposition: form-data.")
    parameters = _parameters(values[0][len("form-data") :])
    name = (parameters or {}).get("name", "")
    if parameters is None or "name*" in parameters or not _NAME.fullmatch(name):
        raise BadRequest("A part of the form has no proper name in its content-disposition.")
    return name, "filename" in parameters or "filename*" in parameters
