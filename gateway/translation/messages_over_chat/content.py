"""What one chat message is made of while it is gathered: texts as the bytes between quotes, parts as JSON."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from gateway.errors import BadRequest

JOINT = rb"\n\n"  # between texts that were blocks of their own
encode = msgspec.json.encode


class Content:
    """The content of a chat message, in order. Texts alone become one string, which every server takes."""

    __slots__ = ("_parts", "media", "texts")

    def __init__(self) -> None:
        self.texts: list[bytes] = []  # without quotes
        self.media: list[bytes] = []  # content parts of chat that are no text
        self._parts: list[bytes] = []  # all of them, once one is no text

    def __len__(self) -> int:
        return len(self.texts) + len(self.media)

    def add_text(self, text: bytes) -> None:
        """A text as the bytes between its quotes; an empty one says nothing."""
        if text:
            self.texts.append(text)
            if self.media:
                self._parts.append(_text_part(text))

    def add_part(self, part: bytes) -> None:
        """A content part of chat as JSON."""
        if not self.media:
            self._parts = [_text_part(text) for text in self.texts]
        self.media.append(part)
        self._parts.append(part)

    def encoded(self) -> bytes:
        """A JSON string, or the array of its parts where one of them is no text."""
        if self.media:
            return b"[" + b",".join(self._parts) + b"]"
        return b'"' + JOINT.join(self.texts) + b'"'


def _text_part(text: bytes) -> bytes:
    return b'{"type":"text","text":"' + text + b'"}'


def inner_text(raw: bytes | msgspec.Raw, param: str) -> bytes:
    """The bytes between the quotes of a string of the client's. Raises BadRequest naming what is none."""
    text = bytes(raw)
    if text[:1] == b'"':
        return text[1:-1]
    if not text:
        raise BadRequest(f"{param}: Field required.", param=param, code="missing_required_parameter")
    raise BadRequest(f"{param}: Expected a string.", param=param, code="invalid_type")


def inner(text: str) -> bytes:
    """A string of ours as the bytes between its quotes."""
    return encode(text)[1:-1]


def refuse(param: str, what: str) -> NoReturn:
    """Raises BadRequest for what chat completions cannot say."""
    message = f"{param}: {what} cannot be carried to an upstream that speaks chat completions only."
    raise BadRequest(message, param=param, code="unsupported_value")
